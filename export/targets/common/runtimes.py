"""What the checks of the CPU runtimes share: a runtime runs what it has a kernel for."""

from collections.abc import Mapping

from tfeff.export.targets.common.op_versions import CUSTOM
from tfeff.export.targets.common.verdict import MAPPED, REFUSED
from tfeff.tflite.graph import Graph, Operation

_COMPILED = {"edgetpu-custom-op": "an Edge TPU, through libedgetpu's delegate", "ethos-u": "an Ethos-U NPU"}


def judge(op: Operation, newest: Mapping[str, int], runtime: str, mend: str) -> tuple[str, str, str]:
    """(status, reason, mend) of one operation in a runtime.

    Args:
        newest: the newest version it has of each operation.
        runtime: what messages call it.
        mend: for an operation that is too new.
    """
    if op.name.startswith("CUSTOM "):
        name = op.name.removeprefix("CUSTOM ")
        if name in _COMPILED:
            return REFUSED, f"was compiled for {_COMPILED[name]}", "check the file that it was compiled from"
        if name.startswith("Flex"):
            return REFUSED, "is TensorFlow's own (Flex), not in the runtime", "convert with TFLite's operations only"
        if name not in CUSTOM:
            return REFUSED, f"is a custom operation that {runtime} does not bring along", "express it in Keras layers"
        return MAPPED, "", ""
    if op.name not in newest:
        return REFUSED, f"is not in {runtime}", mend
    if op.version > newest[op.name]:
        return REFUSED, f"is of version {op.version}, {runtime} has up to {newest[op.name]}", mend
    return MAPPED, "", ""


def dynamic_notes(graph: Graph) -> tuple[str, ...]:
    """A note for inputs whose size is known only at run time: it runs, but must be told the size first."""
    return tuple(
        f"input {tensor.name[:80]!r} has no fixed shape; resize it before allocating, or export with a fixed batch"
        for tensor in graph.inputs
        if tensor.dynamic
    )
