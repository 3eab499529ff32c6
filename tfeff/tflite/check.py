"""Whether what a whole file says can be run in our own process: LiteRT trusts numbers that would make it abort or read
past the end."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.errors import TfeffError
from tfeff.tflite.file import (
    DAMAGE,
    LEFT_OUT,
    MOST_BYTES,
    NUMPY,
    TYPES,
    Subgraph,
    TfliteFile,
    bytes_of,
    damaged,
    has_known_size,
    integers,
    read_only,
)
from tfeff.tflite.verify import read_whole

_MOST_RANK = 8
_MOST_SCALE = 1e18  # products of two must be finite
_MOST_RATIO = 2**19  # of a summand's scale to the sum's, from which LiteRT's ADD aborts; its SUB takes any
_MOST_ACTIVATION = 5
_QUANTIZED = ("INT4", "INT8", "UINT8", "INT16")
# Operators that compute with scales, and abort without.
_ARITHMETIC = frozenset([
    "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "ELU", "EXP",
    "FULLY_CONNECTED", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOGISTIC", "LOG_SOFTMAX", "MEAN", "MUL",
    "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RSQRT", "SOFTMAX", "SQRT", "SQUARED_DIFFERENCE", "SUB",
    "SUM", "TANH", "TRANSPOSE_CONV",
])  # fmt: skip
# How many inputs an operator reads at least, and writes at least one output; those that are not named may have none.
_LEAST = {
    **dict.fromkeys((
        "ABS", "AVERAGE_POOL_2D", "CAST", "CONCATENATION", "DEPTH_TO_SPACE", "DEQUANTIZE", "ELU", "EXP", "GELU",
        "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOGISTIC", "LOG_SOFTMAX", "MAX_POOL_2D", "NEG", "PACK",
        "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RSQRT", "SHAPE", "SOFTMAX", "SPACE_TO_DEPTH", "SQRT",
        "SQUEEZE", "TANH", "UNPACK",
    ), 1),
    **dict.fromkeys((
        "ADD", "ARG_MAX", "ARG_MIN", "BATCH_MATMUL", "BROADCAST_TO", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "EQUAL",
        "EXPAND_DIMS", "FULLY_CONNECTED", "GATHER", "GATHER_ND", "GREATER", "LESS", "MAXIMUM", "MEAN", "MINIMUM",
        "MIRROR_PAD", "MUL", "PAD", "POW", "PRELU", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SPLIT", "SQUARED_DIFFERENCE", "SUB", "SUM", "TILE", "TOPK_V2",
        "TRANSPOSE",
    ), 2),
    **dict.fromkeys((
        "BATCH_TO_SPACE_ND", "PADV2", "SELECT", "SELECT_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPLIT_V", "TRANSPOSE_CONV",
    ), 3),
    "STRIDED_SLICE": 4,
}  # fmt: skip
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")  # of one tensor into one
# The place of an operator's inputs from which on they may be left out; those that are not named need all.
_OPTIONAL = {
    "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3, "CONV_3D": 2,
    "CONV_3D_TRANSPOSE": 3, "SVDF": 3, "LSTM": 1, "UNIDIRECTIONAL_SEQUENCE_LSTM": 1, "BIDIRECTIONAL_SEQUENCE_LSTM": 1,
    "BIDIRECTIONAL_SEQUENCE_RNN": 1,
}  # fmt: skip
# Place of the weights, before the bias; their rank; the axis of their filters.
_WEIGHTS = {
    "CONV_2D": (1, 4, 0),
    "DEPTHWISE_CONV_2D": (1, 4, 3),
    "FULLY_CONNECTED": (1, 2, 0),
    "TRANSPOSE_CONV": (1, 4, 0),
}


@dataclass(frozen=True)
class CheckedFile:
    """A file that is whole, and whose numbers mean something."""

    data: bytes
    file: TfliteFile
    sha256: str


def check_model(path: Path) -> str:
    """Checks a file as `check_file` does and returns its sha256."""
    return check_file(path).sha256


def check_file(path: Path) -> CheckedFile:
    """Checks a file as `check_tflite` does, then what its numbers mean.

    Numbers of tensors, operators, buffers and subgraphs lead somewhere; scales are finite and positive, one or one a
    channel; shapes are sizes, and constants as long as theirs; what an operator reads was computed before.

    Raises:
        TfeffError: what `check_tflite` raises, or the first thing that is wrong and where.
    """
    data = read_whole(path)
    file = read_only(data, path)
    try:
        for number, subgraph in enumerate((file, *file.bodies)):
            place = f"subgraph {number}, " if file.bodies else ""
            for problem in _problems(subgraph):
                raise TfeffError(f"{path}: {place}{problem}", "export or convert it anew")
        for problem in _outer_problems(file):
            raise TfeffError(f"{path}: {problem}", "export or convert it anew")
    except DAMAGE as error:
        raise damaged(path, error) from None
    return CheckedFile(data, file, hashlib.sha256(data).hexdigest())


def _outer_problems(file: TfliteFile) -> Iterator[str]:
    model = file.model
    for entry in model.metadata or ():
        if not 0 <= entry.buffer < len(model.buffers):
            yield f"metadata {(entry.name or b'')[:80]!r} lies in buffer {entry.buffer}, there are {len(model.buffers)}"
    for signature in model.signatureDefs or ():
        if not 0 <= signature.subgraphIndex < len(model.subgraphs):
            yield f"a signature is of subgraph {signature.subgraphIndex}, there are {len(model.subgraphs)}"
            return
        subgraph = model.subgraphs[signature.subgraphIndex]
        for sides, own in ((signature.inputs, subgraph.inputs), (signature.outputs, subgraph.outputs)):
            for entry in sides or ():
                if entry.tensorIndex not in own:
                    yield f"the signature's {(entry.name or b'')[:80]!r} is no input or output of the file"


def _problems(subgraph: Subgraph) -> Iterator[str]:
    count = len(subgraph.tree.tensors or ())
    for number in range(count):
        what = f"tensor {number} ({subgraph.name(number)[:80]!r})"
        for problem in (*_shape_problems(subgraph, number), *_scale_problems(subgraph, number)):
            yield f"{what} {problem}"
    yield from _order_problems(subgraph)


def _shape_problems(subgraph, number):
    tensor, shape = subgraph.tree.tensors[number], subgraph.shape(number)
    signature = integers(tensor.shapeSignature)
    if tensor.type not in TYPES:
        yield f"is of type {tensor.type}, which this LiteRT does not know"
        return
    if len(shape) > _MOST_RANK or any(size < 0 for size in shape):
        yield f"has the shape {shape}"
        return
    if signature and len(signature) != len(shape):
        yield f"has {len(shape)} sizes, and {len(signature)} in its signature"
    dtype = subgraph.dtype(number)
    needed = bytes_of(dtype, shape)
    for sizes in (shape, signature):  # open sizes may be any; what is said beside them is not
        if (most := bytes_of(dtype, sizes)) > MOST_BYTES:
            yield f"has the shape {sizes}, {most:,} bytes"
    held, plain = len(subgraph.raw(number)), tensor.sparsity is None and has_known_size(dtype)
    if held and plain and held != needed:
        yield f"holds {held:,} bytes, its shape {shape} of {dtype} takes {needed:,}"


def _scale_problems(subgraph, number):
    quantization, found = subgraph.tree.tensors[number].quantization, subgraph.scales(number)
    if quantization is None or found is None:
        return
    scales, shape = found.scales, subgraph.shape(number)
    lowest = 0 if subgraph.is_constant(number) else np.nextafter(0, 1)  # a channel of zeros may have none
    for scale in scales[~((scales >= lowest) & (scales <= _MOST_SCALE))][:1]:
        yield f"has the scale {scale:g}"
    if len(found.zero_points) != len(scales):
        yield f"has {len(scales)} scales and {len(found.zero_points)} zero points"
    if len(scales) > 1 and not (0 <= found.axis < len(shape) and shape[found.axis] == len(scales)):
        yield f"has {len(scales)} scales along axis {found.axis} of its shape {shape}"
    dtype = subgraph.dtype(number)
    if dtype in ("INT8", "UINT8", "INT16"):
        bounds = np.iinfo(NUMPY[dtype])
        if found.zero_points.min() < bounds.min or found.zero_points.max() > bounds.max:
            yield f"has a zero point outside of {dtype}: {found.zero_points.min()} to {found.zero_points.max()}"


def _order_problems(subgraph):
    tensors = range(len(subgraph.tree.tensors or ()))
    # Without elements, or with one that may be computed to be none (a shape that is not known yet).
    empty = {n for n in tensors if not subgraph.shape(n) or 0 in subgraph.shape(n)}
    variables = {n for n in tensors if subgraph.tree.tensors[n].isVariable}
    fixed = {n for n in tensors if subgraph.is_constant(n)} | set(subgraph.inputs)
    there = fixed | variables | empty
    written: set[int] = set()
    for number, op in enumerate(subgraph.operators):
        what = f"operator {number} ({op.name})"
        for tensor in op.inputs:
            if tensor != LEFT_OUT and tensor not in there:
                yield f"{what} reads tensor {tensor}, which nothing before it computes"
        for tensor in op.outputs:
            if tensor == LEFT_OUT or tensor in fixed or tensor in written:
                yield f"{what} writes tensor {tensor}, which is an input, a constant or another operator's"
        written.update(op.outputs)
        there.update(op.outputs)
        for problem in _operator_problems(subgraph, number, op):
            yield f"{what} {problem}"
    for tensor in subgraph.outputs:
        if tensor not in there:
            yield f"nothing computes its output, tensor {tensor}"


def _operator_problems(subgraph, number, op):
    intermediates = subgraph.tree.operators[number].intermediates
    count = len(subgraph.tree.tensors)
    for other in () if intermediates is None else intermediates:
        if not LEFT_OUT <= other < count:
            yield f"has tensor {other} for itself, there are {count}"
    most = 1 if op.name in _CONVERSIONS else max(len(op.inputs), len(op.outputs))
    if (
        not _LEAST.get(op.name, 0) <= len(op.inputs) <= most
        or not min(_LEAST.get(op.name, 0), 1) <= len(op.outputs) <= most
    ):
        yield f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs"
        return
    may = 0 if op.name.startswith(("CUSTOM", "BUILTIN")) else _OPTIONAL.get(op.name, len(op.inputs))
    if LEFT_OUT in op.inputs[:may]:
        yield f"has no input {op.inputs.index(LEFT_OUT)}"
        return
    if not 0 <= op.activation <= _MOST_ACTIVATION:
        yield f"has activation {op.activation}"
    if op.name in _ARITHMETIC:
        used = [i for i in (*op.inputs, *op.outputs) if i != LEFT_OUT and subgraph.dtype(i) in _QUANTIZED]
        for tensor in used:
            if subgraph.scales(tensor) is None:
                yield f"computes with tensor {tensor} of {subgraph.dtype(tensor)}, which has no scale"
                return
        if op.name not in _WEIGHTS and any(len(subgraph.scales(tensor).scales) != 1 for tensor in used):
            yield "computes with a scale a channel"
        elif op.name == "ADD" and len(used) == 3:
            first, second, out = (float(subgraph.scales(i).scales[0]) for i in used)
            if max(first, second) >= _MOST_RATIO * out:
                yield f"has the scale {out:g} for the sum of {first:g} and {second:g}"
    if op.name in _WEIGHTS:
        yield from _weight_problems(subgraph, op)


def _weight_problems(subgraph, op):
    """Kernels read their weights and bias without a look at how many there are."""
    place, rank, filters = _WEIGHTS[op.name]
    if len(op.inputs) <= place:
        yield f"has {len(op.inputs)} inputs"
        return
    shape = subgraph.shape(op.inputs[place])
    if len(shape) != rank:
        yield f"has weights of the shape {shape}"
    elif len(op.inputs) > place + 1 and op.inputs[place + 1] != LEFT_OUT and op.name != "TRANSPOSE_CONV":
        bias = subgraph.shape(op.inputs[place + 1])
        if int(np.prod([1, *bias], dtype=object)) != shape[filters]:
            yield f"has {shape[filters]} filters and a bias of the shape {bias}"
