"""Convolutions, fully connected layers, products of matrices and tables of words."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from keras import layers, ops

from tfeff.export.rebuild.values import (
    Blocks,
    Step,
    Value,
    filled,
    handles,
    lifted,
    of_batch,
    of_lifted,
    of_shape,
    shaped,
)
from tfeff.layers import GroupConv2D, StridedDilatedDepthwiseConv2D

_FUSED = {"NONE": None, "RELU": "relu", "RELU6": "relu6"}


def _config(step: Step, bias: Sequence[Any]) -> dict[str, Any]:
    """Config that all kinds of convolution have, and the activation that Keras fuses too."""
    options = step.options
    return {
        "strides": (options["stride_h"], options["stride_w"]),
        "padding": options["padding"].lower(),
        "activation": _FUSED.get(options.get("fused_activation_function", "NONE")),
        "use_bias": bool(bias),
        "name": step.name,
    }


def _finished(step, tensor) -> Value:
    fused = step.options.get("fused_activation_function", "NONE")
    return of_batch(tensor if fused in _FUSED else step.activated(tensor), floor=step.floor)


def _bias(step, place=2):
    """[bias], or [] where it is left out."""
    return [step.number(place).reshape(-1)] if step.has(place) else []


def _map(step: Step, place: int = 0) -> Value:
    """An input (1, h, w, c), which may be cut into blocks."""
    given = step.given[place]
    value = given if isinstance(given, Value) and given.blocks is not None else step.value(place)
    if value.rank != 4 or not value.has_batch:
        step.refuse(f"reads a tensor of shape {value.shape}", "convert the model with a batch of 1")
    return value


def _convolved(step: Step, x: Value, make: Callable[..., Any]) -> Value:
    """A convolution, or the promise of one where its map is cut into blocks: it is dilated then.

    Args:
        make: of a Keras tensor, a padding and a dilation makes what the layer gives.
    """
    dilation = step.options.get("dilation_h_factor", 1), step.options.get("dilation_w_factor", 1)
    padding = step.options["padding"].lower()
    if x.blocks is None:
        return _finished(step, make(x.tensor, padding, dilation))
    strides = step.options["stride_h"], step.options["stride_w"]
    if padding != "valid" or max(*dilation, *strides) > 1:
        step.refuse("convolves a map cut into blocks in a way of its own",
                    "give the model that the file was converted from")  # fmt: skip
    kernel, blocks = step.number(1).shape[1:3], x.blocks

    def with_crops(crops):
        return _finished(step, _dilated(x.tensor, kernel, blocks, crops, make)).tensor

    return replace(x, blocks=replace(blocks, convolved=with_crops), floor=step.floor)


def _dilated(tensor, kernel, blocks, crops, make):
    """(n, h, w, c) -> what the convolution of its blocks gives, put together and cropped."""
    pads = tuple(
        (front - cut_front, behind - cut_behind)
        for (front, behind), (cut_front, cut_behind) in zip(blocks.pads, crops, strict=True)
    )
    whole = [(size - 1) * rate for size, rate in zip(kernel, blocks.size, strict=True)]
    if pads == tuple((each // 2, each - each // 2) for each in whole):
        return make(tensor, "same", blocks.size)
    if min(n for pair in pads for n in pair) >= 0:
        return make(layers.ZeroPadding2D(pads)(tensor), "valid", blocks.size)
    return layers.Cropping2D(crops)(make(layers.ZeroPadding2D(blocks.pads)(tensor), "valid", blocks.size))


@handles("SPACE_TO_BATCH_ND")
def into_blocks(step: Step) -> Value:
    """Nothing yet: the convolution behind it is dilated."""
    x = _map(step)
    size, pads = step.numbers(1), step.numbers(2)
    if len(size) != 2:
        step.refuse("cuts other axes than those of a map", "give the model that the file was converted from")
    return replace(x, blocks=Blocks(tuple(size), (tuple(pads[:2]), tuple(pads[2:]))))


@handles("BATCH_TO_SPACE_ND")
def out_of_blocks(step: Step) -> Value:
    given, crops = step.given[0], step.numbers(2)
    blocks = given.blocks if isinstance(given, Value) else None
    if blocks is None or blocks.convolved is None or tuple(step.numbers(1)) != blocks.size:
        step.refuse("puts blocks together that no convolution made", "give the model that the file was converted from")
    return of_batch(blocks.convolved((tuple(crops[:2]), tuple(crops[2:]))), floor=given.floor)


def _plain_strides(step, dilation):
    strides = step.options["stride_h"], step.options["stride_w"]
    if max(strides) > 1 and max(dilation) > 1:
        step.refuse(f"has a stride of {strides} and a dilation of {dilation} at once, which Keras does not have",
                    "give the model that the file was converted from")  # fmt: skip


@handles("CONV_2D")
def convolution(step: Step) -> Value:
    """Weights (f, kh, kw, c / groups)."""
    x, kernel, bias = _map(step), step.number(1).transpose(1, 2, 3, 0), _bias(step)  # -> (kh, kw, c/groups, f)
    size, per_group, filters = kernel.shape[:2], kernel.shape[2], kernel.shape[3]

    def make(tensor, padding, dilation):
        _plain_strides(step, dilation)
        config = {**_config(step, bias), "padding": padding, "dilation_rate": dilation}
        if x.shape[3] == per_group:
            return filled(layers.Conv2D(filters, size, **config), tensor, [kernel, *bias])
        return filled(GroupConv2D(filters, size, per_group, **config), tensor, [kernel, *bias])

    return _convolved(step, x, make)


@handles("DEPTHWISE_CONV_2D")
def depthwise(step: Step) -> Value:
    """Weights (1, kh, kw, c m)."""
    x, weights, bias = _map(step), step.number(1)[0], _bias(step)  # (kh, kw, c m)
    channels, size = x.shape[3], weights.shape[:2]

    def make(tensor, padding, dilation):
        config = {**_config(step, bias), "padding": padding}
        strides = config["strides"]
        if channels == 1:  # one channel in: the same as a convolution, whose kernels are faster
            _plain_strides(step, dilation)
            layer = layers.Conv2D(weights.shape[2], size, dilation_rate=dilation, **config)
            return filled(layer, tensor, [weights[:, :, None], *bias])
        if max(strides) > 1 and max(dilation) > 1:
            return _strided_dilated(step, x, weights, bias)
        if strides[0] != strides[1]:  # TensorFlow's own kernel takes equal ones only
            layer = GroupConv2D(weights.shape[2], size, 1, dilation_rate=dilation, **config)
            return filled(layer, tensor, [weights[:, :, None], *bias])
        kernel = weights.reshape(*size, channels, -1)  # (kh, kw, c, m)
        layer = layers.DepthwiseConv2D(size, depth_multiplier=kernel.shape[3], dilation_rate=dilation, **config)
        return filled(layer, tensor, [kernel, *bias])

    return _convolved(step, x, make)


def _strided_dilated(step, x, weights, bias):
    """Stride and dilation at once, where padding is that of `StridedDilatedDepthwiseConv2D`."""
    options = step.options
    strides = options["stride_h"], options["stride_w"]
    dilation = options["dilation_h_factor"], options["dilation_w_factor"]
    square = strides[0] == strides[1] and dilation[0] == dilation[1] and all(size % 2 for size in weights.shape[:2])
    pads = [
        max((-(-length // stride) - 1) * stride + (size - 1) * rate + 1 - length, 0)
        for length, stride, size, rate in zip(x.shape[1:3], strides, weights.shape[:2], dilation, strict=True)
    ]
    centred = [rate * (size - 1) // 2 for size, rate in zip(weights.shape[:2], dilation, strict=True)]
    same = options["padding"] == "SAME" and [pad // 2 for pad in pads] == centred
    if not (square and same and weights.shape[2] == x.shape[3]):
        _plain_strides(step, dilation)
    layer = StridedDilatedDepthwiseConv2D(weights.shape[:2], strides[0], dilation[0], name=step.name)
    y = filled(layer, x.tensor, [weights[..., None]])
    if bias:
        y = ops.add(y, bias[0])
    fused = options.get("fused_activation_function", "NONE")
    return step.activated(y) if fused in _FUSED else y  # any other comes behind


@handles("TRANSPOSE_CONV")
def transposed(step: Step) -> Value:
    """Output shape, weights (f, kh, kw, c), input, and perhaps a bias."""
    sizes, kernel, x = step.numbers(0), step.number(1).transpose(1, 2, 0, 3), _map(step, 2)  # (kh, kw, f, c)
    bias = _bias(step, 3)
    common = _config(step, bias)
    more = []
    for out, size, stride, length in zip(sizes[1:3], kernel.shape[:2], common["strides"], x.shape[1:3], strict=True):
        pad = size // 2 if common["padding"] == "same" else 0
        more.append(out - ((length - 1) * stride + size - 2 * pad))
    plain = tuple(
        length * stride if common["padding"] == "same" else length * stride + max(size - stride, 0)
        for length, stride, size in zip(x.shape[1:3], common["strides"], kernel.shape[:2], strict=True)
    )
    config = dict(common)
    if tuple(sizes[1:3]) != plain:
        if not all(0 <= extra < stride for extra, stride in zip(more, common["strides"], strict=True)):
            step.refuse(f"makes {sizes[1]}x{sizes[2]} of {x.shape[1]}x{x.shape[2]}, which Keras does not",
                        "give the model that the file was converted from")  # fmt: skip
        config["output_padding"] = tuple(more)
    layer = layers.Conv2DTranspose(kernel.shape[2], kernel.shape[:2], **config)
    return _finished(step, filled(layer, x.tensor, [kernel, *bias]))


@handles("CONV_3D")
def convolution_3d(step: Step) -> Value:
    """Weights (kd, kh, kw, c, f)."""
    x, kernel, bias = step.value(0), step.number(1), _bias(step)
    options = step.options
    config = {**_config(step, bias), "strides": (options["stride_d"], options["stride_h"], options["stride_w"])}
    rate = options["dilation_d_factor"], options["dilation_h_factor"], options["dilation_w_factor"]
    layer = layers.Conv3D(kernel.shape[4], kernel.shape[:3], dilation_rate=rate, **config)
    return _finished(step, filled(layer, x.tensor, [kernel, *bias]))


@handles("FULLY_CONNECTED")
def fully_connected(step: Step) -> Value:
    """Weights (f, c); what is read is (..., c), flattened to rows unless its dimensions are kept."""
    x = step.value(0)
    if step.options.get("weights_format", "DEFAULT") != "DEFAULT":
        step.refuse("has shuffled weights", "convert the model anew")
    if isinstance(step.given[1], Value):
        return _computed_weights(step, x)
    kernel, bias = step.number(1).transpose(), _bias(step)  # (c, f)
    inside = kernel.shape[0]
    rows = x.shape[:-1] if x.shape[-1:] == (inside,) else (int(np.prod(x.shape)) // inside,)
    if not step.options.get("keep_num_dims"):
        rows = (int(np.prod(rows)),)
    shape = (*rows, inside)
    fused = _FUSED.get(step.options.get("fused_activation_function", "NONE"))
    layer = layers.Dense(kernel.shape[1], activation=fused, use_bias=bool(bias), name=step.name)
    y = filled(layer, of_shape(x.tensor, shape).tensor, [kernel, *bias])
    if step.options.get("fused_activation_function", "NONE") not in _FUSED:
        y = step.activated(y)
    return Value(y, (*rows, kernel.shape[1]), floor=step.floor)


def _computed_weights(step, x):
    weights, rows = step.value(1), int(np.prod(x.shape[:-1]))
    y = ops.matmul(shaped(x.tensor, (rows, x.shape[-1])), ops.transpose(lifted(weights), (0, 2, 1)))
    y = y if not step.has(2) else ops.add(y, step.number(2).reshape(-1))
    y = step.activated(y)
    shape = (*x.shape[:-1], weights.shape[0]) if step.options.get("keep_num_dims") else (rows, weights.shape[0])
    return of_shape(y, shape, floor=step.floor)


@handles("BATCH_MATMUL")
def batch_matmul(step: Step) -> Value:
    """(..., a, b) times (..., b, c); `adj` says which of them is transposed."""
    constant = step.given[1]
    if not isinstance(constant, Value):
        weights: Any = np.asarray(constant)
        if weights.size == weights.shape[-1] * weights.shape[-2] and not step.options.get("adj_x"):
            kernel = weights.reshape(weights.shape[-2:])
            kernel = kernel.transpose() if step.options.get("adj_y") else kernel
            x = step.value(0)
            y = filled(layers.Dense(kernel.shape[1], use_bias=False, name=step.name), x.tensor, [kernel])
            rank = max(x.rank, weights.ndim)
            return of_shape(y, (*(1,) * (rank - x.rank), *x.shape[:-1], kernel.shape[1]))
    one, other = step.value(0), step.value(1)
    rank = max(one.rank, other.rank)
    x, y = (shaped(each.tensor, (*(1,) * (rank - each.rank), *each.shape)) for each in (one, other))
    if all(each.shape[1] == 1 for each in (x, y)) and rank > 2:
        x, y = (shaped(each, tuple(each.shape[2:])) for each in (x, y))
    if step.options.get("adj_x"):
        x = ops.swapaxes(x, -1, -2)
    if step.options.get("adj_y"):
        y = ops.swapaxes(y, -1, -2)
    made = ops.matmul(x, y)
    return of_lifted(made) if len(made.shape) == rank + 1 else of_batch(made)


@handles("GATHER", "EMBEDDING_LOOKUP")
def gather(step: Step) -> Value:
    """Of a constant table the rows that are asked for; of a tensor, constant places along an axis."""
    table, places = (0, 1) if step.op == "GATHER" else (1, 0)
    axis, held = step.options.get("axis", 0), step.given[table]
    if step.options.get("batch_dims"):
        step.refuse("takes other places of each sample", "give the model that the file was converted from")
    if isinstance(step.given[places], Value):
        rows = step.number(table)
        if axis != 0 or rows.dtype != np.float32:
            step.refuse("looks up what is no table of rows", "give the model that the file was converted from")
        index = step.value(places)
        flat = rows.reshape(len(rows), -1)
        layer = layers.Embedding(*flat.shape, name=step.name)
        y = filled(layer, index.tensor, [flat])
        return of_shape(y, (*index.shape, *rows.shape[1:]))
    wanted = np.asarray(step.given[places], np.int32)
    assert isinstance(held, Value)
    axis = axis + held.rank if axis < 0 else axis
    if held.has_batch and axis > 0:
        return of_batch(ops.take(held.tensor, wanted, axis=axis))
    return of_lifted(ops.take(lifted(held), wanted, axis=axis + 1))
