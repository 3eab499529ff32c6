"""The points of a fake-quant graph in a file: found as outputs, given their names, and read back once it is quantized.

The float file is converted with every point as an output, so that each is known by its place and not by a guess at the
converter's names; then the outputs go and the tensors keep the points' names.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfeff.export.model import named_outputs
from tfeff.tflite.file import TfliteFile, pack, read_only

_PREFIX = "point_"
_SHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def with_points(
    network: Callable[[list[Any]], tuple[Any, Mapping[str, Any]]], outputs: Sequence[str]
) -> tuple[Callable[[list[Any]], dict[str, Any]], list[str]]:
    """A function for `convert.freeze` that gives the outputs and every point but the inputs, and the points' names, in
    a list that is filled when the function is traced."""
    names: list[str] = []

    def run(inputs):
        made, seen = network(inputs)
        values = {name: value for name, value in seen.items() if not any(value is each for each in inputs)}
        names[:] = values
        prefix = _prefix(outputs)
        points = {f"{prefix}{number:05d}": value for number, value in enumerate(values.values())}
        return {**named_outputs(made, outputs), **points}

    return run, names


def _prefix(outputs):
    """What no output's name begins with."""
    prefix = _PREFIX
    while any(name.startswith(prefix) for name in outputs):
        prefix += "_"
    return prefix


def take_points(
    file: bytes, names: Sequence[str], inputs: Collection[str], outputs: Sequence[str]
) -> tuple[bytes, dict[str, int]]:
    """The file with its own outputs only, and the points' tensors called by their names.

    Args:
        names: of the points, in the order in which `with_points` gave them.
        inputs: those that are points.
        outputs: of the network.

    Returns:
        The file, and {point: number of its tensor}, the inputs among them. Two points may share a tensor, where the
        converter found nothing to do between them.
    """
    read = TfliteFile(file)
    (signature,) = read.model.signatureDefs
    doors, made = read.signature()
    found = {name: number for name, number in doors.items() if name in inputs}
    prefix = _prefix(outputs)
    signature.outputs = [output for output in signature.outputs if output.name.decode() in outputs]
    read.tree.outputs = [output.tensorIndex for output in signature.outputs]
    found |= {names[int(name.removeprefix(prefix))]: number for name, number in made.items() if name not in outputs}
    found = _unshaped(read, found)
    named = {found[name] for name in inputs}
    for point in names:
        if found[point] not in named:
            read.tree.tensors[found[point]].name = point.encode()
            named.add(found[point])
    return bytes(pack(read.model)), found


def _unshaped(read: TfliteFile, found: dict[str, int]) -> dict[str, int]:
    """Of a point that a RESHAPE gives (a one-dimensional convolution ends in one) the tensor in front of it: of two
    RESHAPE that follow each other the converter keeps one, or none."""
    taken, moved = {*found.values(), *read.inputs}, {}
    for point, number in found.items():
        root = number
        while root in read.producers and read.operators[read.producers[root]].name in _SHAPES:
            root = read.operators[read.producers[root]].inputs[0]
        moved[point] = number if root in taken else root
        taken.add(moved[point])
    return moved


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


def read_scales(
    file: bytes, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[dict[str, Scale], dict[str, int]]:
    """How a quantized file holds its points.

    Args:
        names: {point: name of its tensor in the float file}, in the order in which they are computed. The second of two
            points with one tensor is what a QUANTIZE makes of it, where there is one.
        shapes: of the points in the float file, as `shape_of` gives them; without, those that the quantizer merged with
            others are not found.

    Returns:
        {point: its scale} of those in int8, and {point: number of its tensor} of those in float.
    """
    read = read_only(file)
    scales: dict[str, Scale] = {}
    floats: dict[str, int] = {}
    held: dict[int, Scale] = {}
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
    found: dict[str, Scale] = {}
    met: set[str] = set()
    merged = _merged(read, held, names, shapes or {})
    for point, name in names.items():
        if name in scales:
            held_there = scales[name].tensor
            again = name in met and held_there is not None and held_there in rounded_again
            found[point] = rounded_again[held_there] if again else scales[name]
            met.add(name)
        elif point in merged and name not in floats:
            found[point] = merged[point]
    return found, {point: floats[name] for point, name in names.items() if name in floats and name not in scales}


def _merged(read, held, names, shapes):
    """What the quantizer made one operation of a point and others (a MEAN that keeps its dimensions of one and a
    RESHAPE): it calls that by the names of all, joined by `;`. By point, where just one such tensor has its shape."""
    own, found = set(names.values()), {}
    joined = {
        number: set(read.name(number).split(";"))
        for op in read.operators
        for number in op.outputs
        if number in held and ";" in read.name(number) and read.name(number) not in own
    }
    for point, name in names.items():
        fitting = [n for n, parts in joined.items() if name in parts and shape_of(read, n) == shapes.get(point)]
        if len(fitting) == 1:
            found[point] = held[fitting[0]]
    return found


def shape_of(read: TfliteFile, number: int) -> tuple[int, ...]:
    """The shape of a tensor without its axes of 1: what a RESHAPE that moves nothing leaves as it is."""
    shape = read.shape(number)
    return tuple(size for size in shape if size != 1)


def tensor_names(file: bytes, tensors: Mapping[str, int]) -> dict[str, str]:
    """{point: name of its tensor}."""
    read = read_only(file)
    return {point: read.name(number) for point, number in tensors.items()}
