"""LiteRT on a CPU: what it runs, and what XNNPACK leaves to the runtime's own slower kernels in an int8 file."""

from tfeff.export.targets.common.op_versions import LITERT_2_3, XNNPACK_CUSTOM
from tfeff.export.targets.common.runtimes import Runtime, dynamic_notes, judge
from tfeff.export.targets.common.verdict import MAPPED, Verdict, verdicts
from tfeff.tflite.graph import Graph, Operation

TARGET = "litert"
_MEND = "convert with TensorFlow 2.21's converter, as `tfeff export` does, or `pip install -U ai-edge-litert`"
_RUNTIME = Runtime("LiteRT 2.3", LITERT_2_3, _MEND, XNNPACK_CUSTOM)

# Operations that XNNPACK left alone in int8, each in a small file of its own, in ai-edge-litert 2.3.0 on x86-64. Of the
# rest nothing is said.
OWN_KERNEL_INT8 = frozenset([
    "ABS", "ARG_MAX", "AVERAGE_POOL_2D", "DIV", "EXP", "GATHER", "GELU", "HARD_SWISH", "L2_NORMALIZATION",
    "LOG_SOFTMAX", "MAXIMUM", "MINIMUM", "MIRROR_PAD", "PACK", "PADV2", "PRELU", "RELU", "RELU6",
    "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "RSQRT", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPLIT_V", "SQRT",
    "SQUARED_DIFFERENCE", "TILE",
])  # fmt: skip
_OWN = "runs in LiteRT's own kernel, not XNNPACK's"
_MOST_JOINED, _MOST_PARTS = 5, 4
_MENDS = {
    "HARD_SWISH": "`export --target litert` writes it as ADD and MUL",
    "PRELU": "`export --target litert` writes it as DEPTHWISE_CONV_2D and ADD",
    "AVERAGE_POOL_2D": "`export --target litert` writes it as DEPTHWISE_CONV_2D",
    "STRIDED_SLICE": "`export --target litert` writes it as DEPTHWISE_CONV_2D with the stride",
    "RELU": "put it right behind a convolution, which takes it in",
    "RELU6": "put it right behind a convolution, which takes it in",
}


def check(graph: Graph) -> Verdict:
    """What LiteRT 2.3 runs of a file. Facts: `xnnpack_left`, operations of an int8 file that XNNPACK does not take."""
    operations = verdicts(graph.all_operations, _judge)
    left = sum(_OWN in op.reason for op in operations if op.status == MAPPED)
    return Verdict(TARGET, "predicted", operations, facts={"xnnpack_left": left}, notes=dynamic_notes(graph))


def _judge(op):
    status, reason, mend = judge(op, _RUNTIME)
    if status == MAPPED and not reason and (why := left_by_xnnpack(op)):
        return status, f"{_OWN}: {why}", _MENDS.get(op.name, "")
    return status, reason, mend


def left_by_xnnpack(op: Operation) -> str | None:
    """Why XNNPACK would leave an operation on 8-bit tensors alone; None where it takes it, or nothing is known."""
    computed = {tensor.dtype for tensor in (*op.inputs, *op.outputs) if not tensor.constant}
    if not computed & {"INT8", "UINT8"}:
        return None
    if op.name in OWN_KERNEL_INT8:
        return "it has none in int8"
    if op.name == "QUANTIZE" and computed == {"INT8", "UINT8"}:
        return "it has none from uint8 to int8 or back"
    if op.name == "CONCATENATION" and len(op.inputs) > _MOST_JOINED:
        return f"it joins up to {_MOST_JOINED} tensors, these are {len(op.inputs)}"
    if op.name == "SPLIT" and len(op.outputs) > _MOST_PARTS:
        return f"it splits into up to {_MOST_PARTS} parts, these are {len(op.outputs)}"
    if op.name == "STRIDED_SLICE" and any(step != 1 for step in op.inputs[3].values or ()):
        return "it takes strides of 1 only"
    if op.name in ("ADD", "SUB", "MUL"):
        return _scales(op)
    return None


def _scales(op):
    """XNNPACK takes sums whose inputs' steps are 2^-10 up to 2^8 of the output's, products from 2^-16 on."""
    scales = [tensor.scale for tensor in (*op.inputs[:2], *op.outputs[:1])]
    if len(scales) < 3 or not all(scales):
        return None
    a, b, out = scales
    ratios, least = ([a * b / out], 2.0**-16) if op.name == "MUL" else ([a / out, b / out], 2.0**-10)
    if all(least <= ratio < 2.0**8 for ratio in ratios):
        return None
    return f"an input's scale is {max(ratios, key=lambda r: max(r, 1 / r)):.1e} of the output's"
