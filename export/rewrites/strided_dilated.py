"""Every s-th pixel of a map: STRIDED_SLICE, a depthwise convolution of one tap, or a max pooling of one pixel.

`StridedDilatedDepthwiseConv2D` takes every s-th pixel before or behind its convolution, and users write
`x[:, ::s, ::s]`. The Edge TPU takes no stride in STRIDED_SLICE, and XNNPACK leaves an int8 one to a slow kernel; both
take a depthwise convolution with a stride. A max pooling keeps the int8 scale, so it changes no value at all.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers

from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.freeze_shift import depthwise
from tfeff.export.rewrites.graph import GraphView
from tfeff.layers.keras_private import nodes_of
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D


class StridedDilated(Rewrite):
    """Replaces `StridedDilatedDepthwiseConv2D` with a stride, and slices with one stride from the first pixel on."""

    name = "strided_dilated"
    forms = ("slice", "max_pool", "depthwise")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return (step_of(layer) or 1) > 1

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if not self.is_place(layer, graph) or self.form_of(layer) == "slice":
            return None
        pick = {"max_pool": _max_pool, "depthwise": _one_tap}[str(self.form_of(layer))]
        if isinstance(layer, StridedDilatedDepthwiseConv2D):
            return Match([layer], lambda x: convolution(x, layer, pick))
        return Match([layer], lambda x: pick(x, step_of(layer), f"{layer.name}_pick"))


def step_of(layer: Any) -> int | None:
    """Which pixels in both directions a layer or slice takes: every s-th; None if it is neither."""
    if isinstance(layer, StridedDilatedDepthwiseConv2D):
        return layer.stride
    if isinstance(layer, layers.Layer) or type(layer).__name__ != "GetItem":
        return None
    x, key = nodes_of(layer)[0].given()[:2]
    if len(x.shape) != 4 or not isinstance(key, tuple) or not 3 <= len(key) <= 4 or not _is_float(x):
        return None
    if not all(isinstance(part, slice) and part.start in (None, 0) and part.stop is None for part in key):
        return None
    batch, rows, columns, channels = (part.step or 1 for part in (*key, slice(None))[:4])
    return rows if batch == channels == 1 and rows == columns > 0 else None


def convolution(x: Any, layer: Any, pick: Callable[..., Any], weights: Any = None, **options: Any) -> Any:
    """(n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c): `StridedDilatedDepthwiseConv2D` in two layers.

    Args:
        pick: `pick(x, stride, name)` takes every stride-th pixel.
        weights: in place of the layer's own.
        options: of the convolution.
    """
    divides = layer.dilation % layer.stride == 0  # then the pixels between are never read
    if divides:
        x = pick(x, layer.stride, f"{layer.name}_pick")
    options = {"use_bias": False, "activation": layer.activation, **options}
    dilation = layer.dilation // layer.stride if divides else layer.dilation
    taps = layers.DepthwiseConv2D(layer.kernel_size, padding="same", dilation_rate=dilation, name=layer.name, **options)
    y = taps(x)
    taps.set_weights(layer.get_weights() if weights is None else weights)
    return y if divides else pick(y, layer.stride, f"{layer.name}_pick")


def every_nth(x: Any, stride: int, name: str) -> Any:
    """(n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c), as a slice."""
    return x[:, ::stride, ::stride]


def _max_pool(x, stride, name):
    return layers.MaxPooling2D(1, stride, name=name)(x)


def _one_tap(x, stride, name):
    return depthwise(x, np.ones((1, 1, x.shape[-1]), np.float32), strides=stride, padding="valid", name=name)


def _is_float(tensor):
    return "float" in str(tensor.dtype)
