"""The constraints of Ethos-U, as `vela --supported-ops-report` (5.2) publishes them for what a vision network holds.

Not looked at: sums of weights above 127 x 65536, for which a kernel needs more than 65024 values, and the inside of
LSTMs.
"""

import math

from tfeff.tflite.graph import Operation

_FLOATS = {"FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64"}
OPERATIONS = frozenset({
    "ABS", "ADD", "ARG_MAX", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D",
    "ELU", "EXP", "EXPAND_DIMS", "FULLY_CONNECTED", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC",
    "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "NEG", "PACK", "PAD", "PADV2", "PRELU",
    "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "RSQRT", "SLICE", "SOFTMAX", "SPLIT", "SPLIT_V",
    "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TILE", "TRANSPOSE", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK",
})  # fmt: skip
ONLY_U85 = frozenset({
    "ASSIGN_VARIABLE", "CAST", "DIV", "EQUAL", "GATHER", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL",
    "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "NOT_EQUAL", "READ_VARIABLE", "REDUCE_ALL", "REDUCE_ANY",
    "SCATTER_ND", "SELECT", "SELECT_V2",
})  # fmt: skip
# On U55 and U65 all others refuse 32-bit feature maps.
_WIDE = frozenset({
    "ADD", "BATCH_MATMUL", "EXPAND_DIMS", "FULLY_CONNECTED", "MIRROR_PAD", "MUL", "NEG", "RESHAPE", "SQUEEZE",
    "SUB", "SUM", "TRANSPOSE",
})  # fmt: skip
_PER_CHANNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_UNSCALED = ("ARG_MAX", "EXPAND_DIMS", "MIRROR_PAD", "PAD", "PADV2", "QUANTIZE", "TRANSPOSE")
# Operations whose further inputs say what to do: they must be constants.
_PARAMETERS = ("MEAN", "MIRROR_PAD", "PAD", "PADV2", "SLICE", "STRIDED_SLICE", "TRANSPOSE")
_PERMUTE = "fold the permutation into the next convolution's weights, or use SPLIT and CONCATENATION"
_MENDS = {
    "GATHER": _PERMUTE,
    "STRIDED_SLICE": "slice with stride 1, or SPLIT",
    "RESIZE_BILINEAR": "resize by 2",
    "RESIZE_NEAREST_NEIGHBOR": "resize by 2, 4 or 8",
    "MEAN": "take the mean over height and width",
    "SPACE_TO_BATCH_ND": "let the converter fold it into a dilated convolution (constant sizes)",
    "BATCH_TO_SPACE_ND": "let the converter fold it into a dilated convolution (constant sizes)",
    "SPACE_TO_DEPTH": "RESHAPE and TRANSPOSE",
    "DEPTH_TO_SPACE": "RESHAPE and TRANSPOSE, or TRANSPOSE_CONV",
    "TRANSPOSE": f"{_PERMUTE}; or join height and width first",
    "DIV": "multiply by the reciprocal where the divisor is constant",
    "LOG_SOFTMAX": "leave the logits as they are",
}


def remark(op: Operation) -> str:
    """What to know of an operation that is taken."""
    if op.name == "PRELU" and len(op.inputs) > 1 and op.inputs[1].uniform is None:
        return "its slopes differ, so Vela makes MUL, MUL and MAXIMUM of it; one slope for all is a table look-up"
    return ""


def mend_of(op: Operation) -> str:
    """What to put in place of an operation that is left to the CPU; empty where nothing general can be said."""
    return _MENDS.get(op.name, "")


def refusal(op: Operation, u85: bool) -> tuple[str, str]:
    """(reason, mend) of the first constraint that is not met; ("", "") when all are."""
    for rule in (_type_refusal, _quantization_refusal, _RULES.get(op.name, _nothing)):
        if reason := rule(op, u85):
            return reason, _float_mend(op) if reason.startswith("works on float") else mend_of(op)
    return "", ""


def _float_mend(op):
    if op.name in ("QUANTIZE", "DEQUANTIZE"):
        return "export with int8 input and output; inside a network, mend what computes in float beside it"
    return "replace the layer by one that the converter quantizes"


def _nothing(op, u85):
    return ""


def _feature_map(op):
    """What is computed on: SPLIT and TRANSPOSE_CONV take their parameters first."""
    return next((t for t in op.inputs if not t.constant), (*op.inputs, *op.outputs)[0])


def _type_refusal(op, u85):
    touched = (*op.inputs, *op.outputs)
    if wide := [t.dtype for t in touched if t.dtype in _FLOATS]:
        return f"works on {wide[0].lower()}"
    if op.name not in OPERATIONS and not (u85 and op.name in ONLY_U85):
        family = "Ethos-U85" if u85 else "Ethos-U55 and U65"
        return f"{family} {'has' if u85 else 'have'} no {op.name}"
    computed = {t.dtype for t in (_feature_map(op), *op.outputs)}
    if not u85 and "INT64" in computed and op.name != "ARG_MAX":
        return "works on int64"
    if not u85 and "INT32" in computed and op.name not in _WIDE and op.name != "ARG_MAX":
        return "works on int32"
    if op.name in _PARAMETERS and any(not t.constant for t in op.inputs[1:]):
        return "its parameters are computed, not constant"
    return ""


def _quantization_refusal(op, u85):
    if op.name in _PER_CHANNEL:
        return ""
    if any(len(t.scales) > 1 for t in (*op.inputs, *op.outputs)):
        return "is quantized per channel"
    if op.name in _UNSCALED:
        return ""
    if any(t.scale is None for t in (_feature_map(op), *op.outputs) if t.dtype in ("INT8", "UINT8", "INT16")):
        return "has no scale"
    return ""


def _stride(op, axis):
    return int(op.options.get(f"stride_{axis}", 1))


def _kernel(op):
    """(height, width) of a window; a convolution's grows with its dilation."""
    if "filter_height" in op.options:
        return int(op.options["filter_height"]), int(op.options["filter_width"])
    sizes = op.inputs[1].shape[1:3]
    dilations = (int(op.options.get(f"dilation_{axis}_factor", 1)) for axis in "hw")
    return tuple((n - 1) * d + 1 for n, d in zip(sizes, dilations, strict=True))


def _pads(op):
    """Whether SAME padding adds anything."""
    if op.options.get("padding") != "SAME":
        return False
    size, out = op.inputs[0].shape[1:3], op.outputs[0].shape[1:3]
    return any((out[i] - 1) * _stride(op, axis) + _kernel(op)[i] > size[i] for i, axis in enumerate("hw"))


def _long_stride(op, u85):
    if u85 or max(_stride(op, "h"), _stride(op, "w")) <= 3:
        return ""
    dilated = max(int(op.options.get(f"dilation_{axis}_factor", 1)) for axis in "hw") > 1
    if op.name == "DEPTHWISE_CONV_2D" or dilated or _pads(op):
        return f"stride {_stride(op, 'h')} x {_stride(op, 'w')} is above 3"
    return ""


def _convolution(op, u85):
    weights = op.inputs[1]
    if weights.dtype not in ("INT8", "UINT8", "INT4"):
        return f"weights are {weights.dtype.lower()}, not 8-bit"
    if len(op.inputs) > 2 and not op.inputs[2].constant:
        return "its bias is computed, not constant"
    return _long_stride(op, u85)


def _average_pool(op, u85):
    height, width = _kernel(op)
    if _pads(op):
        return (
            f"window {height} x {width} with padding is above 8 x 8"
            if max(height, width) > 8
            else _long_stride(op, u85)
        )
    return _window(op, u85)


def _window(op, u85):
    height, width = _kernel(op)
    if height > 256 or height * width > 256 * 256:
        return f"window {height} x {width} is above 256 high or 65536 large"
    return _long_stride(op, u85)


def _transpose_conv(op, u85):
    """Inputs: output shape, weights, feature map."""
    stride, kernel, size = (_stride(op, "h"), _stride(op, "w")), op.inputs[1].shape[1:3], op.inputs[2].shape[1:3]
    if u85 or stride in ((1, 1), (2, 2)):
        return ""
    lines = ((1, 2), 0), ((2, 1), 1)  # along one axis, where the other has but one row
    if any(stride == wanted and size[axis] == kernel[axis] == 1 for wanted, axis in lines):
        return ""
    return f"stride {stride[0]} x {stride[1]} is neither 1 x 1 nor 2 x 2"


def _mean(op, u85):
    source, axes = op.inputs[0], op.inputs[1].values or ()
    rank = len(source.shape)
    reduced = {int(axis) % rank for axis in axes}
    if rank == 4 and source.shape[0] != 1:
        return f"batch is {source.shape[0]}, not 1"
    if rank - 1 in reduced and rank > 2 and 1 not in source.shape[-3:]:
        return "reduces channels, while height, width and channels are all above 1"
    limit = {"INT8": 2**24, "UINT8": 2**23, "INT16": 2**16}.get(source.dtype)
    if limit is None:
        return f"works on {source.dtype.lower()}"
    if math.prod(source.shape[axis] for axis in reduced) > limit:
        return f"reduces more than {limit} elements"
    return ""


def _strided_slice(op, u85):
    strides, rank = op.inputs[3].values or (), len(op.inputs[0].shape)
    if any(step < 1 for step in strides):
        return "a stride is negative"
    spatial = range(rank - 3, rank - 1)
    if any(step != 1 and axis not in spatial for axis, step in enumerate(strides)):
        return "its stride is not along height or width"
    return ""


def _gather(op, u85):
    axis, batch = int(op.options.get("axis", 0)), int(op.options.get("batch_dims", 0))
    return "" if axis == batch else f"its axis ({axis}) is not its number of batch dimensions ({batch})"


def _same_scales(op, u85):
    out = op.outputs[0]
    if all((t.scale, t.zero_point) == (out.scale, out.zero_point) for t in op.inputs[:2]):
        return ""
    return "its inputs and its output have different scales"


def _resize(op, u85):
    source, made = op.inputs[0].shape[1:3], op.outputs[0].shape[1:3]
    if tuple(source) == (1, 1) or source == made:
        return ""
    corners, half = bool(op.options.get("align_corners")), bool(op.options.get("half_pixel_centers"))
    less = 1 if corners else 0
    factors = [(m - less) / (s - less) if s > less else math.inf for s, m in zip(source, made, strict=True)]
    shown = " x ".join(f"{factor:g}" for factor in factors)
    if u85:
        if corners and half:
            return "aligns corners and centres at once"
        whole = all(factor >= 1 and math.log2(factor).is_integer() for factor in factors if math.isfinite(factor))
        if (op.name == "RESIZE_BILINEAR" and not whole) or max(factors) > (2048 if corners else 1024):
            return f"scales by {shown}, which is no power of two up to 1024"
        return ""
    allowed = (2,) if op.name == "RESIZE_BILINEAR" and half else (2, 4, 8)
    if factors[0] != factors[1] and not (1 in made and 1 in factors):
        return f"scales height and width differently ({shown})"
    if max(factors) not in allowed:
        return f"scales by {shown}; {' or '.join(map(str, allowed))} is possible"
    return ""


def _arg_max(op, u85):
    source, axis = op.inputs[0], (op.inputs[1].values or (-1,))[0]
    if u85:
        return ""
    if int(axis) % len(source.shape) != len(source.shape) - 1:
        return "is not along the channels"
    return f"has {source.shape[-1]} channels, above 127" if source.shape[-1] > 127 else ""


def _softmax(op, u85):
    return "height x width is 65536 or more" if math.prod(op.inputs[0].shape[1:-1]) >= 65536 else ""


def _reverse(op, u85):
    return "" if u85 else "Ethos-U55 and U65 reverse no axis of TFLite's"


def _transpose(op, u85):
    shape, order = op.inputs[0].shape, op.inputs[1].values or ()
    rank, limit = len(shape), 2**16
    if rank > 8:
        return f"has {rank} dimensions, above 8"
    if u85 or list(order) == sorted(order):
        return ""
    if op.inputs[0].dtype == "INT32":
        return "has more than 4 dimensions of int32" if rank > 4 else ""
    inner = min(rank, 3)
    if list(order[:-inner]) == list(range(rank - inner)) and math.prod(shape[:-inner]) == 1:
        return f"a size is above {limit}" if max(shape) > limit else ""
    if math.prod(sorted(shape)[2:]) > limit:
        sizes = " x ".join(map(str, sorted(shape)[2:]))
        return f"moves axes of {rank} dimensions, of which {sizes} is above {limit}"
    return ""


def _table(op, u85):
    same = op.inputs[0].dtype == op.outputs[0].dtype
    allowed = {"ELU": ("INT8",), "GELU": ("INT8", "UINT8"), "LOG": ("INT8", "INT16"), "RSQRT": ("INT8", "INT16")}[
        op.name
    ]
    return "" if same and op.inputs[0].dtype in allowed else f"works on {op.inputs[0].dtype.lower()}"


_RULES = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _window,
    "TRANSPOSE_CONV": _transpose_conv,
    "MEAN": _mean,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "MAXIMUM": _same_scales,
    "MINIMUM": _same_scales,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "ARG_MAX": _arg_max,
    "SOFTMAX": _softmax,
    "REVERSE_V2": _reverse,
    "TRANSPOSE": _transpose,
    **dict.fromkeys(("ELU", "GELU", "LOG", "RSQRT"), _table),
}
