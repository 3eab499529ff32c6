"""Concatenations of tensors whose ranges differ: in int8 all of them get the widest one's steps."""

from collections.abc import Mapping
from pathlib import Path

from tfeff.tensor_names import find_scope, layer_names
from tfeff.tflite.file import Subgraph, read_only

_MOST = 2.0  # times the narrowest range
_NAMED = 5


def uneven_notes(path: Path, seen: Mapping[int, tuple[float, float]]) -> list[str]:
    """A line that names the concatenations whose inputs' ranges differ more than twofold, the worst first; none where
    there are none.

    Args:
        path: a float file.
        seen: the smallest and the largest value of its tensors.
    """
    found = sorted(uneven(read_only(path.read_bytes()), seen), reverse=True)
    if not found:
        return []
    named = "; ".join(f"{name} {ratio:.1f} times ({ranges})" for ratio, name, ranges in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    several = "concatenations join" if len(found) > 1 else "concatenation joins"
    said = f"{len(found)} {several} ranges that differ more than twofold, all in the widest one's steps"
    return [f"{said}: {named}{more}"]


def uneven(file: Subgraph, seen: Mapping[int, tuple[float, float]]) -> list[tuple[float, str, str]]:
    """Of each such concatenation how many times the narrowest range fits into the widest, its layer, and the ranges."""
    scope = find_scope(file.name(tensor) for tensor in file.producers)
    found = []
    for op in file.operators:
        if op.name != "CONCATENATION":
            continue
        inputs = dict.fromkeys(tensor for tensor in op.inputs if tensor in seen and not file.is_constant(tensor))
        ranges = [(min(seen[tensor][0], 0.0), max(seen[tensor][1], 0.0)) for tensor in inputs]
        widths = [high - low for low, high in ranges if high > low]
        if len(widths) < 2 or (ratio := max(widths) / min(widths)) <= _MOST:
            continue
        name = file.name(op.outputs[0])
        told = ", ".join(dict.fromkeys(f"{low:.3g}..{high:.3g}" for low, high in ranges))
        found.append((ratio, (layer_names(name, scope) or (name[:80],))[0], told))
    return found
