"""The Edge TPU's operations as a table, with what each demands; and the newest versions that its compiler can read.

Sources: Coral's "TensorFlow models on the Edge TPU" (compiler 16.0, runtime 14) for the operations and their limits;
logs and issues of users for what the page leaves out. The compiler has not been released anew since 2021 and is closed,
so rules are what is known of it, not what it does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tfeff.tflite.graph import Operation

Refusal = tuple[str, str]  # (reason, mend)


@dataclass(frozen=True)
class Entry:
    """One operation of the table.

    Attributes:
        runtime: the oldest Edge TPU runtime that has it, 10 where all do.
        constants: places of inputs that must be constants.
        limits: each says why an operation is beyond the Edge TPU, or None.
        caveat: what may leave it on the CPU all the same, by size or shape; no published rule says when.
        version: the newest version that maps; None where no more is known than what can be read.
    """

    runtime: int = 10
    constants: tuple[int, ...] = ()
    limits: tuple[Callable[[Operation], Refusal | None], ...] = ()
    caveat: Callable[[Operation], str | None] = lambda op: None
    version: int | None = None


def _shape(op, number=0):
    return op.inputs[number].shape if len(op.inputs) > number else ()


def _inner(shape):
    """Whether all sizes but the last are 1, what the table calls one-dimensional."""
    return all(n == 1 for n in shape[:-1])


def _axes(op, number=1):
    """A constant of axes, from the front; empty where it is not known."""
    values = op.inputs[number].values if len(op.inputs) > number else None
    rank = len(_shape(op))
    return tuple(int(axis) % rank for axis in values or ()) if rank else ()


def _no_activation(op):
    word = op.options.get("fused_activation_function", "NONE")
    if word != "NONE":
        return f"has {word} fused into it", "put the activation behind the convolution before it"
    return None


def _equal_dilation(op):
    height, width = op.options.get("dilation_h_factor", 1), op.options.get("dilation_w_factor", 1)
    if height != width:
        return f"is dilated by {height} down and {width} across", "use one dilation for both, dilation_rate=(d, d)"
    return None


def _constant_zero(op):
    constants = [tensor for tensor in op.inputs if tensor.constant]
    zero = all(tensor.uniform == (tensor.zero_point or 0) for tensor in constants)
    if constants and (len(op.inputs) != 2 or not zero):
        return (
            "joins a constant; only zeros are taken, and only beside one other input",
            "pad with zeros (keras.ops.pad, ZeroPadding2D), or add the constant instead",
        )
    return None


def _default_weights(op):
    if op.options.get("weights_format", "DEFAULT") != "DEFAULT":
        return "its weights are shuffled", "convert without shuffled weights"
    return None


def _one_dimensional(op):
    shape = op.outputs[0].shape
    if not _inner(shape):
        return f"its output {list(shape)} has more than one dimension", "pool or flatten before the Dense layer"
    return None


def _softmax(op):
    if not _inner(_shape(op)):
        return f"its input {list(_shape(op))} has more than one dimension", "leave the softmax to the host"
    if _shape(op)[-1] > 16000:
        return f"is over {_shape(op)[-1]:,} elements, 16,000 are the most", "leave the softmax to the host"
    return None


def _reduced_channels(op):
    rank = len(_shape(op))
    if rank > 1 and rank - 1 in _axes(op) and _shape(op)[-1] % 4:
        return f"is over {_shape(op)[-1]} channels, no multiple of 4", "make the channels a multiple of 4"
    return None


def _not_over_batch(op):
    if len(_shape(op)) > 1 and 0 in _axes(op):
        return "is over the batch", "reduce height, width or channels only (axis=(1, 2))"
    return None


def _pad_batch(op):
    values = op.inputs[1].values or ()
    if len(_shape(op)) > 3 and any(values[:2]):
        return "pads the batch", "pad height and width only (ZeroPadding2D)"
    return None


def _pad_int64(op):
    if op.inputs[1].dtype == "INT64":
        return (
            "its paddings are 64-bit, which the compiler reads as 32-bit and so pads the wrong dimension",
            "convert with TensorFlow's converter, as `tfeff export --target edgetpu` does; it writes 32-bit ones",
        )
    return None


def _pack_batch(op):
    if op.options.get("axis", 0) % len(op.outputs[0].shape) == 0:
        return "stacks along the batch", "stack along another axis, or concatenate channels"
    return None


def _split_batch(op):
    shape, axis = _shape(op, 1), op.inputs[0].values
    if axis and len(shape) > 1 and int(axis[0]) % len(shape) == 0:
        return "splits the batch", "split channels (axis=-1)"
    return None


def _slice_steps(op):
    steps = op.inputs[3].values or ()
    if any(step != 1 for step in steps):
        return (
            f"takes every n-th element (strides {[int(step) for step in steps]})",
            "split channels into halves, not into odd and even; `export --target edgetpu` moves shuffles into weights",
        )
    for mask in ("ellipsis_mask", "new_axis_mask"):
        if op.options.get(mask, 0):
            return f"has {mask.replace('_', ' ')}", "slice with one begin and end an axis, as x[:, a:b, c:d, :]"
    return None


def _prelu_alpha(op):
    if not _inner(_shape(op, 1)):
        return f"has slopes of shape {list(_shape(op, 1))}", "PReLU(shared_axes=[1, 2]): one slope a channel"
    return None


def _moved_channels(op):
    order, shape = op.inputs[1].values or (), _shape(op)
    moved = [int(axis) for axis in order if shape[int(axis)] != 1]
    if moved and moved[-1] != max(moved):
        return (
            f"moves the channels ({[int(axis) for axis in order]})",
            "keep channels last; of a channel shuffle `export --target edgetpu` moves the order into the next "
            "convolution's weights",
        )
    return None


def _large_mean(op):
    pixels = 1
    for axis in _axes(op):
        pixels *= _shape(op)[axis]
    return f"over {pixels:,} pixels; from 256x128 on users saw it refused" if pixels >= 256 * 128 else None


def _broadcast_channels(op):
    channels = {tensor.shape[-1] for tensor in op.inputs if tensor.shape and not tensor.constant}
    return "spreads one channel over many, which users saw refused" if len(channels) > 1 else None


_ELEMENTWISE = Entry(caveat=_broadcast_channels)
_RESIZE = Entry(constants=(1,), caveat=lambda op: "the compiler leaves some sizes, to keep precision")
_LSTM = Entry(14)

TABLE: dict[str, Entry] = {
    "ADD": _ELEMENTWISE,
    "AVERAGE_POOL_2D": Entry(limits=(_no_activation,)),
    "CONCATENATION": Entry(limits=(_no_activation, _constant_zero)),
    "CONV_2D": Entry(constants=(1, 2), limits=(_equal_dilation,)),
    "DEPTHWISE_CONV_2D": Entry(constants=(1, 2), limits=(_equal_dilation,)),  # dilated ones from runtime 13
    "EXPAND_DIMS": Entry(13, constants=(1,)),
    "FULLY_CONNECTED": Entry(constants=(1, 2), limits=(_default_weights, _one_dimensional), version=4),
    "L2_NORMALIZATION": Entry(),
    "LOGISTIC": Entry(),
    "LSTM": _LSTM,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,  # the table's "LSTM, unidirectional only", as converters now write it
    "MAXIMUM": _ELEMENTWISE,
    "MAX_POOL_2D": Entry(limits=(_no_activation,)),
    "MEAN": Entry(constants=(1,), limits=(_not_over_batch, _reduced_channels), caveat=_large_mean),
    "MINIMUM": _ELEMENTWISE,
    "MUL": _ELEMENTWISE,
    "PACK": Entry(13, limits=(_pack_batch,)),
    "PAD": Entry(constants=(1,), limits=(_pad_int64, _pad_batch)),
    "PRELU": Entry(
        13,
        constants=(1,),
        limits=(_prelu_alpha,),
        caveat=lambda op: "users saw it left there on large maps",
    ),
    "QUANTIZE": Entry(13),
    "REDUCE_MAX": Entry(14, constants=(1,), limits=(_not_over_batch,)),
    "REDUCE_MIN": Entry(14, constants=(1,), limits=(_not_over_batch,)),
    "RELU": Entry(),
    "RELU6": Entry(),
    "RELU_N1_TO_1": Entry(),
    "RESHAPE": Entry(constants=(1,)),
    "RESIZE_BILINEAR": _RESIZE,
    "RESIZE_NEAREST_NEIGHBOR": _RESIZE,
    "RSQRT": Entry(14),
    "SLICE": Entry(constants=(1, 2)),
    "SOFTMAX": Entry(limits=(_softmax,)),
    "SPACE_TO_DEPTH": Entry(),
    "SPLIT": Entry(constants=(0,), limits=(_split_batch,)),
    "SQUARED_DIFFERENCE": Entry(14),
    "SQUEEZE": Entry(),
    "STRIDED_SLICE": Entry(constants=(1, 2, 3), limits=(_slice_steps,)),
    "SUB": _ELEMENTWISE,
    "SUM": Entry(13, constants=(1,), limits=(_not_over_batch,)),
    "TANH": Entry(),
    "TRANSPOSE": Entry(14, constants=(1,), limits=(_moved_channels,)),
    "TRANSPOSE_CONV": Entry(13, constants=(0, 1, 3), caveat=lambda op: "users saw large ones left there"),
}

# What stands in for an operation that the table does not have.
_OWN_FORM = "`export --target edgetpu` writes it in operations that map"
INSTEAD: dict[str, str] = {
    "HARD_SWISH": f"{_OWN_FORM}: x*relu6(x+3), the 1/6 in the next convolution's weights",
    "LEAKY_RELU": "keras.ops.maximum(x, a * x)",
    "GELU": "x * keras.ops.sigmoid(1.702 * x)",
    "ELU": "ReLU, ReLU6, or x * keras.ops.sigmoid(x)",
    "RELU_0_TO_1": "keras.ops.minimum(keras.ops.relu(x), 1.0)",
    "GATHER": "of a channel shuffle or shift `export --target edgetpu` moves the order into convolutions; else "
    "split and concatenate",
    "GATHER_ND": "split and concatenate",
    "DEQUANTIZE": "keep input and output int8: leave out --io float32",
    "SPACE_TO_BATCH_ND": "a dilated convolution that the converter left in parts: one dilation for both axes",
    "BATCH_TO_SPACE_ND": "a dilated convolution that the converter left in parts: one dilation for both axes",
    "PADV2": "pad with zeros (ZeroPadding2D)",
    "MIRROR_PAD": "pad with zeros (ZeroPadding2D)",
    "SPLIT_V": "split into equal parts, or slice",
    "DEPTH_TO_SPACE": "Conv2DTranspose, or UpSampling2D",
    "DIV": "multiply by the reciprocal",
    "ABS": "keras.ops.maximum(x, -1.0 * x)",
    "NEG": "multiply by -1.0",
    "ARG_MAX": "leave it to the host: give the logits out",
    "ARG_MIN": "leave it to the host: give the logits out",
    "TOPK_V2": "leave it to the host: give the logits out",
    "CAST": "leave it to the host",
    "LOG_SOFTMAX": "leave it to the host: give the logits out",
}
OTHERWISE = "replace it by an operation that docs/check.md lists, or leave it to the host"

# The newest version of each operation that TensorFlow 2.5 had, after TensorFlow's map of versions
# (lite/tools/versioning/runtime_version.cc). The compiler reads CONV_2D 5 and not 6, EXP 1 and not 2, TRANSPOSE_CONV 3
# and not 4, which puts the TFLite inside it at about 2.5. One operation that is newer, and the whole file is not read.
READ = {
    "ABS": 3, "ADD": 3, "ADD_N": 1, "ARG_MAX": 2, "ARG_MIN": 2, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 4,
    "BATCH_TO_SPACE_ND": 3, "BROADCAST_TO": 3, "CAST": 1, "CEIL": 1, "CONCATENATION": 3, "CONV_2D": 5, "COS": 1,
    "CUMSUM": 1, "DEPTHWISE_CONV_2D": 6, "DEPTH_TO_SPACE": 2, "DEQUANTIZE": 4, "DIV": 2, "ELU": 1, "EQUAL": 3,
    "EXP": 1, "EXPAND_DIMS": 1, "FILL": 3, "FLOOR": 1, "FLOOR_DIV": 2, "FLOOR_MOD": 1, "FULLY_CONNECTED": 9,
    "GATHER": 5, "GATHER_ND": 3, "GREATER": 2, "GREATER_EQUAL": 2, "HARD_SWISH": 1, "L2_NORMALIZATION": 2,
    "L2_POOL_2D": 1, "LEAKY_RELU": 2, "LESS": 2, "LESS_EQUAL": 2, "LOCAL_RESPONSE_NORMALIZATION": 1, "LOG": 1,
    "LOGICAL_AND": 1, "LOGICAL_NOT": 1, "LOGICAL_OR": 1, "LOGISTIC": 3, "LOG_SOFTMAX": 2, "LSTM": 4, "MAXIMUM": 4,
    "MAX_POOL_2D": 3, "MEAN": 3, "MINIMUM": 4, "MIRROR_PAD": 2, "MUL": 4, "NEG": 1, "NOT_EQUAL": 3, "ONE_HOT": 1,
    "PACK": 3, "PAD": 3, "PADV2": 3, "POW": 1, "PRELU": 1, "QUANTIZE": 2, "RANGE": 1, "RANK": 1, "REDUCE_ANY": 1,
    "REDUCE_MAX": 3, "REDUCE_MIN": 3, "REDUCE_PROD": 1, "RELU": 3, "RELU6": 3, "RELU_N1_TO_1": 1, "RESHAPE": 1,
    "RESIZE_BILINEAR": 4, "RESIZE_NEAREST_NEIGHBOR": 4, "REVERSE_SEQUENCE": 1, "REVERSE_V2": 3, "ROUND": 1,
    "RSQRT": 2, "SELECT": 2, "SELECT_V2": 1, "SHAPE": 1, "SIN": 1, "SLICE": 5, "SOFTMAX": 3, "SPACE_TO_BATCH_ND": 3,
    "SPACE_TO_DEPTH": 2, "SPLIT": 4, "SPLIT_V": 2, "SQRT": 1, "SQUARE": 1, "SQUARED_DIFFERENCE": 2, "SQUEEZE": 2,
    "STRIDED_SLICE": 5, "SUB": 5, "SUM": 2, "TANH": 3, "TILE": 2, "TOPK_V2": 2, "TRANSPOSE": 5, "TRANSPOSE_CONV": 3,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3, "UNPACK": 4, "WHERE": 1, "ZEROS_LIKE": 1,
}  # fmt: skip
# Versions that came with 2.6, released about when the compiler was: whether it reads them is not known.
UNSURE = {"ABS": 4, "ADD": 4, "MUL": 5, "PAD": 4, "PADV2": 4, "REDUCE_PROD": 2, "STRIDED_SLICE": 6}
LAST_CODE = 144  # the newest builtin code of 2.6; 150 to 152 were seen refused as out of range


def is_grouped(op: Operation) -> bool:
    """Whether a convolution has more than one group."""
    return op.name == "CONV_2D" and _shape(op)[3] != _shape(op, 1)[3]


def unreadable(op: Operation, beside_groups: bool = False) -> Refusal | None:
    """Why the compiler could not even read a file with this operation.

    Args:
        beside_groups: whether the file has a group convolution, which raises the version of all its convolutions.
    """
    if is_grouped(op):
        return (
            "is a group convolution, which the compiler cannot read",
            "`export --target edgetpu` splits it or merges its groups",
        )
    if op.code > LAST_CODE:
        return f"came to TFLite after the compiler (builtin code {op.code})", INSTEAD.get(op.name, OTHERWISE)
    newest = max(READ.get(op.name, op.version), UNSURE.get(op.name, 0))
    if op.version > newest and not (beside_groups and op.name == "CONV_2D"):
        return f"is of version {op.version}, the compiler reads up to {newest}", _older(op)
    return None


def _older(op):
    if op.name not in TABLE:
        return INSTEAD.get(op.name, OTHERWISE)
    if op.name == "TRANSPOSE_CONV":
        return "Conv2DTranspose without an activation, use_bias=False; or UpSampling2D and a convolution"
    return "convert with TensorFlow's converter, as `tfeff export --target edgetpu` does"


def refusal(op: Operation) -> Refusal | None:
    """Why an operation of a file that can be read would not map; None where no rule speaks against it."""
    entry = TABLE.get(op.name)
    if entry is None:
        return "is not an operation of the Edge TPU", INSTEAD.get(op.name, OTHERWISE)
    if any(tensor.external for tensor in op.inputs):
        return (
            "its constants lie behind the flatbuffer, where the compiler does not look",
            "convert with TensorFlow's converter, or write the constants into the file",
        )
    places = [place for place in entry.constants if place < len(op.inputs)]
    if any(not op.inputs[place].constant for place in places):
        return "a parameter of it is computed by the network", "make weights, paddings and axes constants"
    if (wrong := _wrong_type(op)) or (wrong := _rank(op)):
        return wrong
    if entry.version is not None and op.version > entry.version:
        return (
            f"is of version {op.version}, the Edge TPU takes up to {entry.version}",
            "give Dense layers inputs of rank 2 (Flatten or pool before each); one other raises the version of all"
            if op.name == "FULLY_CONNECTED"
            else _older(op),
        )
    return next((found for limit in entry.limits if (found := limit(op))), None)


def fence(op: Operation) -> Refusal | None:
    """Of a QUANTIZE or DEQUANTIZE around float operations inside the network: that they are the cause."""
    if op.name == "DEQUANTIZE":
        return "leads into float operations", "replace those, or make their layers quantize"
    return (
        ("leads out of float operations", "replace those, or make their layers quantize")
        if op.name == "QUANTIZE"
        else None
    )


def _wrong_type(op):
    if op.name in ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"):  # its states are int16
        return None
    for tensor in (*op.inputs, *op.outputs):
        floating = tensor.dtype.startswith(("FLOAT", "BFLOAT"))
        if floating or (not tensor.constant and tensor.dtype not in ("INT8", "UINT8")):
            door = op.name == "QUANTIZE" and floating
            return (
                f"works on {tensor.dtype.lower()}",
                INSTEAD["DEQUANTIZE"] if door else "export with --int8; see that the layer quantizes",
            )
    return None


def _rank(op):
    for tensor in (*op.inputs, *op.outputs):
        if not tensor.constant and any(n != 1 for n in tensor.shape[:-3]):
            return (
                f"a tensor of {list(tensor.shape)} has more than 3 dimensions that are not 1",
                "a batch of 1"
                if len(tensor.shape) == 4
                else "of a channel shuffle `export --target edgetpu` moves the order into the next convolution"
                if op.name in ("RESHAPE", "TRANSPOSE")
                else "keep tensors at (1, height, width, channels)",
            )
    return None
