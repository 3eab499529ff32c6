"""PReLU and LeakyReLU as a maximum: their own int8 kernels are slow, and the Edge TPU has none for LeakyReLU.

y = x above zero and a x below is max(x, a x) for every slope a <= 1, negative ones too, and min(x, a x) for a >= 1.
Where a layer has slopes of both kinds, the maximum with min(a, 1) is followed by the minimum with max(a, 1).

`maximum` takes a x as a depthwise convolution of 1x1, whose int8 weights have a scale a channel; `multiply` as a
multiplication, for runtimes with a slow depthwise kernel (tflite-runtime 2.14), where the slopes share one scale.
"""

import keras
import numpy as np
from keras import layers, ops
from tfeff.export.rewrites.building import activation_of, before_activation, scaled
from tfeff.export.rewrites.core import Match, Rewrite

_LEAKY = 0.2  # slope of `keras.activations.leaky_relu`, which has no other when it is a layer's activation


class PRelu(Rewrite):
    """Replaces PReLU, LeakyReLU and leaky activations of other layers; slopes that differ by pixel are left alone."""

    name = "prelu"
    forms = ("native", "multiply", "maximum")

    def is_place(self, layer, graph):
        return slopes_of(layer) is not None

    def match(self, layer, graph):
        slopes = slopes_of(layer)
        if slopes is None or self.form_of(layer) == "native":
            return None
        depthwise = self.form_of(layer) == "maximum" and len(layer.output.shape) == 4
        return Match([layer], lambda x: _build(before_activation(layer, x), slopes, layer.name, depthwise))


def slopes_of(layer) -> np.ndarray | None:
    """(c,): what a layer multiplies values below zero with, channel by channel; None where it is not so."""
    channels = layer.output.shape[-1] if isinstance(layer, layers.Layer) and _is_tensor(layer.output) else None
    if channels is None:
        return None
    if isinstance(layer, layers.PReLU):
        alpha = np.asarray(layer.alpha)  # sizes of the input, 1 where they are shared
        first = alpha[(0,) * (alpha.ndim - 1)]
        return np.broadcast_to(first, (channels,)) if (alpha == first).all() else None
    if isinstance(layer, layers.LeakyReLU):
        return np.full(channels, layer.negative_slope, np.float32)
    if isinstance(layer, layers.ReLU):
        leaky = layer.negative_slope > 0 and layer.max_value is None and layer.threshold == 0
        return np.full(channels, layer.negative_slope, np.float32) if leaky else None
    leaky = activation_of(layer) is keras.activations.leaky_relu
    return np.full(channels, _LEAKY, np.float32) if leaky else None


def _build(x, slopes, name, depthwise):
    """The shape stays."""
    low, high = np.minimum(slopes, 1), np.maximum(slopes, 1)
    if (low < 1).any():
        x = layers.Maximum(name=f"{name}_maximum")([x, _times(x, low, f"{name}_slope", depthwise)])
    if (high > 1).any():
        x = layers.Minimum(name=f"{name}_minimum")([x, _times(x, high, f"{name}_steep", depthwise)])
    return x


def _times(x, slopes, name, depthwise):
    if depthwise:
        return scaled(x, slopes, name=name)
    return ops.multiply(x, slopes if (slopes != slopes[0]).any() else slopes[:1])


def _is_tensor(output):
    return isinstance(output, keras.KerasTensor) and len(output.shape) > 1
