"""Batch normalization folded into weights, or as a depthwise convolution of 1x1 where no weights can take it.

The converter folds BN into the convolution in front by itself. What stands behind anything else (a concatenation, a
pooling, a sum, a ReLU) it leaves as MUL and ADD, two passes over the map with one int8 scale for all channels.

`depthwise` does what the converter does not: BN behind a fully connected layer is folded into it, BN in front of a
layer that reads no padding is folded into that, any other BN over a map becomes a depthwise convolution. `fold` also
folds BN into the convolution in front, with an explicit bias, for rewrites that need it done.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.building import rebuilt, scaled
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import CONVOLUTIONS, DEPTHWISE, TRANSPOSED, batch_norm_numbers, groups_of
from tfeff.export.rewrites.strided_dilated import convolution, every_nth
from tfeff.layers import GroupConv2D
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D


class BatchNormalization(Rewrite):
    """Replaces BN over the channels, one after the other until none is left that it can do something about."""

    name = "batch_norm"
    forms = ("native", "depthwise", "fold")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _is_batch_norm(layer)

    def apply(self, model: Any) -> tuple[Any, int]:
        total = 0
        while True:  # a convolution between two BN takes one in each round
            model, places = super().apply(model)
            if not places:
                return model, total
            total += places

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if _is_batch_norm(layer):
            return self._alone(layer, graph)
        norm = graph.only_consumer(layer) if _absorbs(layer) else None
        if norm is None or not _is_of_channels(norm, layer) or self.form_of(norm) == "native":
            return None
        if self.form_of(norm) == "depthwise" and not _only_here(layer):
            return None
        return Match([layer, norm], lambda x: _folded_back(x, layer, norm))

    def _alone(self, norm, graph):
        """BN that the layer in front does not take."""
        before = graph.producer(norm)
        if self.form_of(norm) == "native" or (before is not None and _absorbs(before)):
            return None
        chain = graph.chain(norm, lambda layer: isinstance(layer, layers.Flatten), reads_no_padding)
        if reads_no_padding(chain[-1]):
            return Match(chain, lambda x: folded_forward(x, batch_norm_numbers(norm), *chain[1:]))
        if len(norm.input.shape) not in (3, 4):
            return None
        scale, offset = batch_norm_numbers(norm)
        return Match([norm], lambda x: scaled(x, scale, offset, name=norm.name))


def _folded_back(x, layer, norm):
    """BN behind a convolution or fully connected layer, in its weights."""
    kernel, bias = _numbers(layer)
    scale, offset = batch_norm_numbers(norm)
    bias = bias * scale + offset
    if _is_depthwise(layer):
        kernel = kernel * scale.reshape(kernel.shape[-2:])  # (kh, kw, c, multiplier)
    elif isinstance(layer, TRANSPOSED):
        kernel = kernel * scale[:, None]  # (kh, kw, f, c)
    else:
        kernel = kernel * scale
    if isinstance(layer, StridedDilatedDepthwiseConv2D):
        return convolution(x, layer, every_nth, [kernel, bias], use_bias=True)
    return rebuilt(layer, x, [kernel, bias], use_bias=True)


def folded_forward(x: Any, numbers: Any, *behind: Any) -> Any:
    """Scale and offset, (c,) each, of what goes into a layer, perhaps by a `Flatten`, in that layer's weights."""
    *between, layer = behind
    kernel, bias = _numbers(layer)
    scale, offset = numbers
    axes: tuple[int, ...]
    if isinstance(layer, layers.Dense):
        pixels = len(kernel) // len(scale)  # of the map that was flattened
        scale, offset = np.tile(scale, pixels)[:, None], np.tile(offset, pixels)[:, None]
        axes = (0,)
    elif _is_depthwise(layer):
        scale, offset = scale[:, None], offset[:, None]  # against (kh, kw, c, multiplier)
        axes = tuple(range(kernel.ndim - 2))
    else:  # (kh, kw, c/groups, f): what a filter reads begins with its group
        groups = groups_of(layer)
        scale, offset = (
            np.repeat(v.reshape(groups, -1), layer.filters // groups, axis=0).T for v in (scale, offset)
        )  # (c/groups, f)
        axes = tuple(range(kernel.ndim - 1))
    bias = bias + (kernel * offset).sum(axis=axes).ravel()
    for each in between:
        x = rebuilt(each, x)
    return rebuilt(layer, x, [kernel * scale, bias], use_bias=True)


def _numbers(layer):
    """Kernel and bias (f,) of a layer, float64."""
    kernel = np.asarray(layer.kernel, np.float64)
    outputs = kernel.shape[-2] * kernel.shape[-1] if _is_depthwise(layer) else kernel.shape[_filters_axis(layer)]
    return kernel, np.zeros(outputs) if layer.bias is None else np.asarray(layer.bias, np.float64)


def _is_batch_norm(layer):
    """Whether it is BN over the last axis."""
    return isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, len(layer.input.shape) - 1)


def _is_of_channels(norm, layer):
    """Whether it is BN over the channels that a layer in front of it gives, wherever these are."""
    if getattr(layer, "data_format", "channels_last") == "channels_last":
        return _is_batch_norm(norm)
    return isinstance(norm, layers.BatchNormalization) and norm.axis == 1


def _filters_axis(layer):
    return -2 if isinstance(layer, TRANSPOSED) else -1


def _is_depthwise(layer):
    return isinstance(layer, DEPTHWISE)


def _has_kernel(layer):
    if type(layer) in (*CONVOLUTIONS, *DEPTHWISE, *TRANSPOSED, layers.Dense):
        return True
    return isinstance(layer, (GroupConv2D, StridedDilatedDepthwiseConv2D))


def _is_weighted(layer):
    """Whether it has a kernel and its channels are last."""
    return _has_kernel(layer) and getattr(layer, "data_format", "channels_last") == "channels_last"


def _absorbs(layer):
    """Whether the BN behind can be folded into it."""
    return _has_kernel(layer) and layer.activation is keras.activations.linear


def _only_here(layer):
    """Whether the converter cannot fold BN into it: it sees a slice or a reshape behind the convolution, or does not
    try."""
    if isinstance(layer, (layers.Dense, StridedDilatedDepthwiseConv2D, *TRANSPOSED)):
        return True
    return len(layer.input.shape) == 3


def folds_forward(layer: Any) -> bool:
    """Whether `folded_forward` can put a scale of its input into its weights."""
    return _is_weighted(layer) and not isinstance(layer, (StridedDilatedDepthwiseConv2D, *TRANSPOSED))


def reads_no_padding(layer: Any) -> bool:
    """Whether every output reads real inputs only, so that an offset on them is an offset on it."""
    if not folds_forward(layer):
        return False
    return isinstance(layer, layers.Dense) or layer.padding == "valid" or set(layer.kernel_size) == {1}
