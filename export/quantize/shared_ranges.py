"""One range for all tensors that must have one scale.

CONCATENATION, slices and their like hand on 8-bit values as they are, so their inputs and outputs have one scale. Where
a tensor goes into several of them and each has measured its own range, the converter puts a QUANTIZE between: for a
shuffle folded into slices, one for each slice. So tensors that such operations join get their common range before
anything is quantized. Runs in the converter's process too.
"""

from collections.abc import Collection

from tfeff.tflite.file import Subgraph, TfliteFile, pack

_SAME_SCALE = {
    "CONCATENATION",
    "STRIDED_SLICE",
    "SLICE",
    "SPLIT",
    "RESHAPE",
    "TRANSPOSE",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "PAD",
    "SQUEEZE",
    "EXPAND_DIMS",
    "SPLIT_V",
    "PACK",
    "UNPACK",
    "TILE",
    "GATHER",
    "RESIZE_NEAREST_NEIGHBOR",
    "RESIZE_BILINEAR",
    "MAXIMUM",
    "MINIMUM",
}


def share_ranges(calibrated: bytes, decisive: Collection[int] = ()) -> bytes:
    """A calibrated float `.tflite` (ranges measured, nothing quantized yet), each group's ranges made one.

    Args:
        decisive: tensors whose range was decided; where a group holds some, the others take theirs.
    """
    file = TfliteFile(calibrated)
    for subgraph in (file, *file.bodies):
        for group in _groups(subgraph):
            ranged = {i: subgraph.tree.tensors[i].quantization for i in group}
            ranged = {i: r for i, r in ranged.items() if r is not None and r.min is not None and len(r.min) == 1}
            ranges = list(ranged.values())
            if len(ranges) > 1:
                deciding = [r for i, r in ranged.items() if i in decisive] or ranges
                low, high = min(float(r.min[0]) for r in deciding), max(float(r.max[0]) for r in deciding)
                for each in ranges:
                    each.min, each.max = [low], [high]
    return bytes(pack(file.model))


def _groups(subgraph: Subgraph) -> list[list[int]]:
    """Lists of computed float tensors that same-scale operations join."""
    parent = list(range(len(subgraph.tree.tensors)))

    def find(tensor):
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    def computed(tensor):
        return tensor >= 0 and subgraph.dtype(tensor) == "FLOAT32" and not subgraph.is_constant(tensor)

    for op in subgraph.operators:
        if op.name in _SAME_SCALE:
            first, *others = [i for i in (*op.inputs, *op.outputs) if computed(i)]
            for other in others:
                parent[find(other)] = find(first)
    groups: dict[int, list[int]] = {}
    for tensor in range(len(subgraph.tree.tensors)):
        groups.setdefault(find(tensor), []).append(tensor)
    return [group for group in groups.values() if len(group) > 1]
