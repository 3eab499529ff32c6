"""Shift layer -> PAD, one STRIDED_SLICE for all channels that move alike, CONCATENATION.

For runtimes in which an int8 depthwise convolution is dear and copying is cheap (tflite-runtime 2.14). Channels that
move alike must be neighbours: the convolution in front deals its outputs out in that order and the one behind expects
them so, which costs nothing. Where there is no such convolution, a GATHER does it.

What is left of a real-valued shift, less than a pixel, is a depthwise convolution of 2x2 behind the slices.
"""

from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.copying import copy_layer
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.freeze_shift import SHIFTS, depthwise, stride_of
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import ELEMENT_WISE, is_batch_norm


class SliceShift(Rewrite):
    """Replaces every shift layer, with the convolutions around it where there are any, by slices.

    Maps whose size is open are left to `freeze_shift`.
    """

    name = "slice_shift"

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        between = (is_batch_norm, _is_element_wise)
        if _is_conv(layer):
            chain = graph.chain(layer, *between, _is_shift, *between, _is_conv)
        elif _is_shift(layer):
            chain = graph.chain(layer, *between, _is_conv)
        else:
            return None
        where = next((number for number, each in enumerate(chain) if _is_shift(each)), None)
        if where is None or None in chain[where].input.shape[1:3]:
            return None
        if len(chain) > where + 1 and not _is_conv(chain[-1]):
            chain = chain[: where + 1]
        return Match(chain, lambda x: _build(x, chain[:where], chain[where], chain[where + 1 :]))


def slices(x: Any, shift: Any) -> Any:
    """(n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c): what `shift` computes, with a GATHER at either end."""
    return _build(x, [], shift, [])


def _build(x, before, shift, after):
    """What the layers `before`, `shift` and the layers `after` compute, one after the other."""
    moves = _Moves(shift)
    order, (*between, last) = moves.order, after or [None]
    if not before:
        x = moves.slices(moves.pad(ops.take(x, order, axis=-1)))
    elif len(before) == 1 and between and _keeps_zero(before[0]) and not moves.kernel_size:
        # BN and activation go in front of the shift, where they melt into the convolution. What is moved in from
        # outside is then not zero but what they make of zero, which the convolution of a padded map gives.
        x = _outputs_in_order(before[0], order)(moves.pad(x))
        for layer in between:
            x = _channels_in_order(layer, order)(x)
        x, between = moves.slices(x), []
    else:
        x = _outputs_in_order(before[0], order)(x)
        for layer in before[1:]:
            x = _channels_in_order(layer, order)(x)
        x = moves.slices(moves.pad(x))
    for layer in between:
        x = _channels_in_order(layer, order)(x)
    return ops.take(x, np.argsort(order), axis=-1) if last is None else _inputs_in_order(last, order)(x)


class _Moves:
    """The shifts of a layer, channels that move alike side by side: whole pixels, and the fractions that are left.

    Attributes:
        order: (c,), which channel of the layer stands where.
        kernel_size: of the convolution that does the fractions; None without any.
    """

    def __init__(self, shift):
        self.name, self.stride = shift.name, stride_of(shift)
        self.size = np.array(shift.input.shape[1:3])  # h, w
        pixels = shift.pixels()
        whole = np.floor(pixels)
        self.order = np.lexsort(whole[::-1])  # by y, then by x
        self.fraction = (pixels - whole)[:, self.order]  # (2, c)
        # One pixel off the map is as good as ten: the slices see nothing but zeros.
        self.whole = np.clip(whole, -1 - self.size[:, None], self.size[:, None]).astype(int)[:, self.order]
        margin = self.fraction.any(axis=1).astype(int)
        self.kernel_size = tuple(map(int, 1 + margin)) if margin.any() else None
        self.length = (self.size - 1) // self.stride * self.stride + 1 + margin  # from the first to the last pixel read
        self.before = np.maximum(0, -self.whole.min(axis=1))  # pixels of padding: above, to the left
        self.behind = np.maximum(0, self.whole.max(axis=1) + self.length - self.size)

    def pad(self, x):
        """(n, h, w, c) -> the map with as many zeros around it as the slices need."""
        pads = [(int(a), int(b)) for a, b in zip(self.before, self.behind, strict=True)]
        return layers.ZeroPadding2D(pads, name=f"{self.name}_pad")(x) if np.any(pads) else x

    def slices(self, x):
        """The padded map -> (n, ceil(h/stride), ceil(w/stride), c)."""
        channels = self.whole.shape[1]
        changes = (np.diff(self.whole) != 0).any(axis=0)
        firsts = [0, *(np.flatnonzero(changes) + 1), channels]
        step = 1 if self.kernel_size else self.stride
        parts = []
        for first, end in pairwise(firsts):
            y, x_ = map(int, self.whole[:, first] + self.before)
            height, width = map(int, self.length)
            parts.append(x[:, y : y + height : step, x_ : x_ + width : step, int(first) : int(end)])
        x = layers.Concatenate(name=f"{self.name}_concat")(parts) if len(parts) > 1 else parts[0]
        if not self.kernel_size:
            return x
        column, row = (
            np.stack([1 - f, f])[:size] for f, size in zip(self.fraction, self.kernel_size, strict=True)
        )  # (1 or 2, c)
        return depthwise(x, column[:, None] * row, strides=self.stride, padding="valid", name=f"{self.name}_taps")


def _is_shift(layer):
    return isinstance(layer, SHIFTS)


def _is_conv(layer):
    return (
        type(layer) is layers.Conv2D
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.activation in ELEMENT_WISE
    )


def _is_element_wise(layer):
    return isinstance(layer, layers.ReLU) or (isinstance(layer, layers.Activation) and layer.activation in ELEMENT_WISE)


def _keeps_zero(conv):
    """Whether the convolution makes of a pixel of zeros a pixel of zeros, and of a pixel a pixel."""
    return (
        conv.kernel_size == (1, 1)
        and conv.strides == (1, 1)
        and conv.bias is None
        and conv.activation is keras.activations.linear
    )


def _outputs_in_order(conv, order):
    return copy_layer(conv, change=lambda weight: weight[..., order])  # kernel (k, k, c, f), bias (f,)


def _channels_in_order(layer, order):
    return copy_layer(layer, change=lambda weight: weight[order])  # (c,), each of BN's


def _inputs_in_order(conv, order):
    return copy_layer(conv, change=lambda weight: weight[:, :, order] if weight.ndim == 4 else weight)
