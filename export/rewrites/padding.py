"""Zero padding in front of a convolution, merged into the convolution's own.

TensorFlow's SAME pads an axis of n pixels by max((ceil(n / s) - 1) s + (k - 1) d + 1 - n, 0) in total, the smaller half
in front. Where that is not the padding that is there, a kernel with some zeros more may read the same pixels: of
PyTorch's padding of 1 for 3x3 at stride 2, SAME is equal for odd n; for even n a 4x4 kernel is, with zeros in its last
row and column.

XNNPACK merges a PAD by itself, and larger kernels are slower everywhere: `free` is for runtimes in which PAD is an
operation of its own (tflite-runtime 2.14), `merge` for targets that take none.
"""

from typing import Any

import numpy as np
from keras import layers

from tfeff.export.rewrites.building import rebuilt
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.layers import GroupConv2D

_MOST_ZEROS = 2  # rows or columns that a kernel grows by at most


class Padding(Rewrite):
    """Replaces `ZeroPadding2D` and a VALID convolution behind it by a SAME one, where they are equal.

    `free` where the kernel stays as it is, `merge` also where it grows. Maps of open size are left alone.
    """

    name = "padding"
    forms = ("native", "free", "merge")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return self._zeros(layer, graph) is not None

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        zeros = self._zeros(layer, graph)
        if zeros is None or self.form_of(layer) == "native":
            return None
        if self.form_of(layer) == "free" and np.any(zeros):
            return None
        conv = graph.only_consumer(layer)
        return Match([layer, conv], lambda x: _build(x, conv, zeros))

    def _zeros(self, layer, graph):
        """Zeros around the kernel, one (in front, behind) an axis; None if this is no place."""
        if not isinstance(layer, layers.ZeroPadding2D) or layer.data_format != "channels_last":
            return None
        conv = graph.only_consumer(layer)
        if conv is None or not _is_valid_conv(conv) or None in layer.input.shape[1:3]:
            return None
        axes = zip(
            layer.input.shape[1:3], layer.padding, conv.kernel_size, conv.strides, conv.dilation_rate, strict=True
        )
        zeros = [zeros_for_same(size, *pads, *conv_axis) for size, pads, *conv_axis in axes]
        return None if None in zeros else zeros


def zeros_for_same(
    size: int, before: int, behind: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int] | None:
    """Zeros in front of and behind a kernel with which SAME reads what it reads VALID in a padded axis.

    Args:
        size: of the axis without padding, pixels.
        before, behind: zero padding, pixels.

    Returns:
        As few as will do, None if not even some do.
    """
    length = (size + before + behind - (kernel - 1) * dilation - 1) // stride + 1
    if length != -(-size // stride):
        return None
    for added in range(_MOST_ZEROS + 1):
        reach = (kernel + added - 1) * dilation + 1
        same = max((length - 1) * stride + reach - size, 0) // 2  # pixels that SAME pads in front
        front, rest = divmod(same - before, dilation)
        if rest == 0 and 0 <= front <= added:
            return front, added - front
    return None


def _build(x, conv, zeros):
    """(n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), f)"""
    kernel, *bias = conv.get_weights()
    kernel = np.pad(kernel, [*zeros, (0, 0), (0, 0)])  # (kh, kw, c, f)
    return rebuilt(conv, x, [kernel, *bias], padding="same", kernel_size=kernel.shape[:2])


def _is_valid_conv(layer):
    if type(layer) in (layers.Conv2D, layers.DepthwiseConv2D):
        return layer.padding == "valid" and layer.data_format == "channels_last"
    return isinstance(layer, GroupConv2D) and layer.padding == "valid"
