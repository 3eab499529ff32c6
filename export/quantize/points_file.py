"""The points of a fake-quant graph in a file: found as outputs, given their names, and read back once it is quantized.

The float file is converted with every point as an output, so that each is known by its place and not by a guess at the
converter's names; then the outputs go and the tensors keep the points' names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

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
    model = _read(file)
    (graph,) = model.subgraphs
    (signature,) = model.signatureDefs
    found = {input_name: int(graph.inputs[0])}
    kept = []
    for output in signature.outputs:
        name = output.name.decode()
        if name.startswith(_PREFIX):
            found[names[int(name.removeprefix(_PREFIX))]] = output.tensorIndex
        else:
            kept.append(output)
    signature.outputs = kept
    graph.outputs = [output.tensorIndex for output in kept]
    named: set[int] = {found[input_name]}
    for point in names:
        if found[point] not in named:
            graph.tensors[found[point]].name = point.encode()
            named.add(found[point])
    return _write(model, len(file)), found


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
    model = _read(file)
    (graph,) = model.subgraphs
    scales, floats, held = {}, {}, {}
    for number, tensor in enumerate(graph.tensors):
        quantization, name = tensor.quantization, tensor.name.decode("utf-8", "replace")
        if tensor.type == schema.TensorType.INT8 and quantization is not None and quantization.scale is not None:
            held[number] = Scale(float(quantization.scale[0]), int(quantization.zeroPoint[0]), number)
            scales.setdefault(name, held[number])
        elif tensor.type == schema.TensorType.FLOAT32:
            floats.setdefault(name, number)
    rounded_again = {
        int(op.inputs[0]): held[int(op.outputs[0])]
        for op in graph.operators
        if _code(model, op) == schema.BuiltinOperator.QUANTIZE and int(op.outputs[0]) in held
    }
    found, met = {}, set()
    for point, name in names.items():
        if name in scales:
            found[point] = rounded_again.get(scales[name].tensor, scales[name]) if name in met else scales[name]
            met.add(name)
    return found, {point: floats[name] for point, name in names.items() if name in floats and name not in scales}


def with_outputs(file: bytes, tensors: Sequence[int]) -> bytes:
    """The file with these tensors as its outputs, so that kernels that fuse or delegate still give them."""
    model = _read(file)
    (graph,) = model.subgraphs
    graph.outputs = list(tensors)
    model.signatureDefs = []
    return _write(model, len(file))


def tensor_names(file: bytes, tensors: Mapping[str, int]) -> dict[str, str]:
    """{point: name of its tensor}."""
    (graph,) = _read(file).subgraphs
    return {point: graph.tensors[number].name.decode("utf-8", "replace") for point, number in tensors.items()}


def _code(model, op):
    code = model.operatorCodes[op.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _read(file):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(file, 0))


def _write(model, size):
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
