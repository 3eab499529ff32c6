"""What the checks of the CPU runtimes share: a runtime runs what it has a kernel for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tfeff.export.targets.common.op_versions import CUSTOM, XNNPACK_CUSTOM
from tfeff.export.targets.common.verdict import MAPPED, REFUSED
from tfeff.tflite.graph import Graph, Operation

# What the mends of a verdict call the file; whoever shows them puts its path there.
FILE = "FILE"
_COMPILED = {"edgetpu-custom-op": "an Edge TPU, through libedgetpu's delegate", "ethos-u": "an Ethos-U NPU"}


@dataclass(frozen=True)
class Runtime:
    """What a runtime has kernels for.

    Attributes:
        name: what messages call it.
        newest: the newest version it has of each operation.
        mend: for an operation that is too new.
        by_xnnpack: custom operations that it has no kernel for, but its XNNPACK takes in float32.
    """

    name: str
    newest: Mapping[str, int]
    mend: str
    by_xnnpack: Collection[str] = ()


def judge(op: Operation, runtime: Runtime) -> tuple[str, str, str]:
    """(status, reason, mend) of one operation in a runtime."""
    if op.name.startswith("CUSTOM "):
        return _custom(op, op.name.removeprefix("CUSTOM "), runtime)
    if op.name not in runtime.newest:
        return REFUSED, f"is not in {runtime.name}", runtime.mend
    if op.version > runtime.newest[op.name]:
        newest = runtime.newest[op.name]
        return REFUSED, f"is of version {op.version}, {runtime.name} has up to {newest}", runtime.mend
    return MAPPED, "", ""


def is_compiled(op: Operation) -> bool:
    """Whether an operation is an accelerator's, made by its compiler."""
    return op.name.removeprefix("CUSTOM ") in _COMPILED


def _custom(op: Operation, name: str, runtime: Runtime) -> tuple[str, str, str]:
    if name in _COMPILED:
        return REFUSED, f"was compiled for {_COMPILED[name]}", "check the file that it was compiled from"
    if name in CUSTOM:
        return MAPPED, "", ""
    if name.startswith("Flex"):
        mend = "convert the model anew with TFLite's own operations only: `tfeff export MODEL --float32`"
        return REFUSED, "is TensorFlow's own (Flex), not in the runtime", mend
    if name in XNNPACK_CUSTOM:
        floats = all(tensor.dtype == "FLOAT32" for tensor in (*op.inputs, *op.outputs) if not tensor.constant)
        if name not in runtime.by_xnnpack:
            mend = f"run it in LiteRT, whose XNNPACK takes it: `tfeff check {FILE} --target litert`"
            return REFUSED, f"is a custom operation that {runtime.name} does not register", mend
        if floats:
            return MAPPED, "runs in XNNPACK only: not with --no-xnnpack", ""
        return REFUSED, "is taken by XNNPACK in float32 only", "`tfeff export MODEL --float32`"
    mend = f"time it in a Python whose runtime has it: `tfeff bench {FILE} --on python:PATH`; or express it in Keras"
    return REFUSED, f"is a custom operation that {runtime.name} does not register", mend


def dynamic_notes(graph: Graph) -> tuple[str, ...]:
    """A note for inputs whose size is known only at run time: it runs, but must be told the size first."""
    return tuple(
        f"input {tensor.name[:80]!r} has no fixed shape; resize it before allocating, or export with a fixed batch"
        for tensor in graph.inputs
        if tensor.dynamic
    )
