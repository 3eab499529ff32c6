"""Average pooling -> depthwise convolution of equal weights.

XNNPACK takes no int8 AVERAGE_POOL_2D; as a depthwise convolution it takes a tenth of the time and less, and the zero
padding in front of it (PyTorch's, which counts the zeros) is fused. All weights are 127 in int8, so nothing is lost.
"""

from typing import Any

import numpy as np
from keras import layers

from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.freeze_shift import depthwise
from tfeff.export.rewrites.graph import GraphView

_LARGEST = 25  # taps of XNNPACK's kernels; beyond them it is many times slower


class AveragePool(Rewrite):
    """Replaces `AveragePooling2D` whose windows all lie within the map, up to 5x5."""

    name = "average_pool"
    forms = ("native", "depthwise")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        if not isinstance(layer, layers.AveragePooling2D) or layer.data_format != "channels_last":
            return False
        sizes, windows, strides = layer.input.shape[1:3], layer.pool_size, layer.strides
        # With "same" the mean is taken over what lies within; equal only where nothing lies outside.
        inside = layer.padding == "valid" or all(
            size is not None and (-(-size // stride) - 1) * stride + window <= size
            for size, window, stride in zip(sizes, windows, strides, strict=True)
        )
        return inside and strides[0] == strides[1] and np.prod(windows) <= _LARGEST and tuple(windows) != sizes

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if not self.is_place(layer, graph) or self.form_of(layer) == "native":
            return None
        return Match([layer], lambda x: _build(x, layer))


def _build(x, pool):
    """(n, h, w, c) -> (n, h', w', c)"""
    kernel = np.full((*pool.pool_size, x.shape[-1]), 1 / np.prod(pool.pool_size), np.float32)
    return depthwise(x, kernel, strides=pool.strides[0], padding="valid", name=pool.name)
