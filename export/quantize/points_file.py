"""The points of a fake-quant graph in a file: found as outputs, given their names, and read back once it is quantized.

The float file is converted with every point as an output, so that each is known by its place and not by a guess at the
converter's names; then the outputs go and the tensors keep the points' names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfeff.tflite.file import TfliteFile, pack

_PREFIX = "point_"


def with_points(network: Callable[[Any], tuple[Any, Mapping[str, Any]]]):
    """A function for `write_saved_model` whose outputs are `logits` and every point but the input, and the points'
    names, in a list that is filled when the function is traced."""
    names: list[str] = []

    def run(image):
        logits, seen = network(image)
        values = {name: value for name, value in seen.items() if value is not image}
        names[:] = values
        return {"logits": logits, **{f"{_PREFIX}{n:05d}": value for n, value in enumerate(values.values())}}

    return run, names


def take_points(file: bytes, names: Sequence[str], input_name: str) -> tuple[bytes, dict[str, int]]:
    """The file with `logits` as its only output and the points' tensors called by their names.

    Returns:
        The file, and {point: number of its tensor}, the input among them. Two points may share a tensor, where the
        converter found nothing to do between them.
    """
    read = TfliteFile(file)
    (signature,) = read.model.signatureDefs
    found = {input_name: read.inputs[0]}
    kept = []
    for output in signature.outputs:
        name = output.name.decode()
        if name.startswith(_PREFIX):
            found[names[int(name.removeprefix(_PREFIX))]] = output.tensorIndex
        else:
            kept.append(output)
    signature.outputs = kept
    read.tree.outputs = [output.tensorIndex for output in kept]
    named: set[int] = {found[input_name]}
    for point in names:
        if found[point] not in named:
            read.tree.tensors[found[point]].name = point.encode()
            named.add(found[point])
    return bytes(pack(read.model)), found


@dataclass(frozen=True)
class Scale:
    """How the values of a tensor are held.

    Attributes:
        scale, zero_point: value = scale * (whole number - zero_point).
        tensor: its number in the file.
    """

    scale: float
    zero_point: int
    tensor: int

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value of int8."""
        return self.scale * (-128 - self.zero_point), self.scale * (127 - self.zero_point)


def read_scales(file: bytes, names: Mapping[str, str]) -> tuple[dict[str, Scale], dict[str, int]]:
    """How a quantized file holds its points.

    Args:
        names: {point: name of its tensor in the float file}, in the order in which they are computed. The second of two
            points with one tensor is what a QUANTIZE makes of it, where there is one.

    Returns:
        {point: its scale} of those in int8, and {point: number of its tensor} of those in float.
    """
    read = TfliteFile(file)
    scales, floats, held = {}, {}, {}
    for number in range(len(read.tree.tensors)):
        quantization, name = read.scales(number), read.name(number)
        if read.dtype(number) == "INT8" and quantization is not None:
            held[number] = Scale(float(quantization.scales[0]), int(quantization.zero_points[0]), number)
            scales.setdefault(name, held[number])
        elif read.dtype(number) == "FLOAT32":
            floats.setdefault(name, number)
    rounded_again = {
        op.inputs[0]: held[op.outputs[0]] for op in read.operators if op.name == "QUANTIZE" and op.outputs[0] in held
    }
    found, met = {}, set()
    for point, name in names.items():
        if name in scales:
            found[point] = rounded_again.get(scales[name].tensor, scales[name]) if name in met else scales[name]
            met.add(name)
    return found, {point: floats[name] for point, name in names.items() if name in floats and name not in scales}


def tensor_names(file: bytes, tensors: Mapping[str, int]) -> dict[str, str]:
    """{point: name of its tensor}."""
    read = TfliteFile(file)
    return {point: read.name(number) for point, number in tensors.items()}
