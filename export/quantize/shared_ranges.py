"""One range for all tensors that must have one scale.

CONCATENATION, slices and their like hand on 8-bit values as they are, so their inputs and outputs have one scale. Where
a tensor goes into several of them and each has measured its own range, the converter puts a QUANTIZE between: for a
shuffle folded into slices, one for each slice. So tensors that such operations join get their common range before
anything is quantized. Runs in the converter's process; it imports nothing of ours.
"""

from collections.abc import Collection, Mapping

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_SAME_SCALE = {
    schema.BuiltinOperator.CONCATENATION,
    schema.BuiltinOperator.STRIDED_SLICE,
    schema.BuiltinOperator.SLICE,
    schema.BuiltinOperator.SPLIT,
    schema.BuiltinOperator.RESHAPE,
    schema.BuiltinOperator.TRANSPOSE,
    schema.BuiltinOperator.MAX_POOL_2D,
    schema.BuiltinOperator.AVERAGE_POOL_2D,
    schema.BuiltinOperator.PAD,
    schema.BuiltinOperator.SQUEEZE,
    schema.BuiltinOperator.EXPAND_DIMS,
    schema.BuiltinOperator.SPLIT_V,
    schema.BuiltinOperator.PACK,
    schema.BuiltinOperator.UNPACK,
    schema.BuiltinOperator.TILE,
    schema.BuiltinOperator.GATHER,
    schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR,
    schema.BuiltinOperator.RESIZE_BILINEAR,
    schema.BuiltinOperator.MAXIMUM,
    schema.BuiltinOperator.MINIMUM,
}


def write_ranges(calibrated: bytes, ranges: Mapping[int, tuple[float, float]]) -> bytes:
    """A calibrated float `.tflite` with other ranges: (low, high) by the number of the tensor."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(calibrated, 0))
    (graph,) = model.subgraphs
    for number, (low, high) in ranges.items():
        quantization = graph.tensors[number].quantization
        quantization.min, quantization.max = [low], [high]
    return _packed(model, len(calibrated))


def share_ranges(calibrated: bytes, decisive: Collection[int] = ()) -> bytes:
    """A calibrated float `.tflite` (ranges measured, nothing quantized yet), each group's ranges made one.

    Args:
        decisive: tensors whose range was decided; where a group holds some, the others take theirs.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(calibrated, 0))
    for graph in model.subgraphs:
        for group in _groups(model, graph):
            ranged = {i: graph.tensors[i].quantization for i in group}
            ranged = {i: r for i, r in ranged.items() if r is not None and r.min is not None and len(r.min) == 1}
            ranges = list(ranged.values())
            if len(ranges) > 1:
                deciding = [r for i, r in ranged.items() if i in decisive] or ranges
                low, high = min(float(r.min[0]) for r in deciding), max(float(r.max[0]) for r in deciding)
                for each in ranges:
                    each.min, each.max = [low], [high]
    return _packed(model, len(calibrated))


def _packed(model, size):
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _groups(model, graph):
    """Lists of computed float tensors that same-scale operations join."""
    parent = list(range(len(graph.tensors)))

    def find(tensor):
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    def computed(tensor):
        return (
            tensor >= 0 and graph.tensors[tensor].type == 0 and model.buffers[graph.tensors[tensor].buffer].data is None
        )

    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in _SAME_SCALE:
            first, *others = [int(i) for i in (*op.inputs, *op.outputs) if computed(int(i))]
            for other in others:
                parent[find(other)] = find(first)
    groups: dict[int, list[int]] = {}
    for tensor in range(len(graph.tensors)):
        groups.setdefault(find(tensor), []).append(tensor)
    return [group for group in groups.values() if len(group) > 1]
