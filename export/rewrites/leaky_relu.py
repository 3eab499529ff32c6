"""LeakyReLU as x + relu((a - 1) x), for targets without LEAKY_RELU, such as the Edge TPU. XNNPACK has a fast one."""

from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.building import activation_of, before_activation
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.prelu import as_sum

_SLOPE = 0.2  # of `keras.activations.leaky_relu`, which has no other when it is a layer's activation


class LeakyRelu(Rewrite):
    """Replaces `LeakyReLU`, a `ReLU` with a slope below zero, and leaky activations of other layers."""

    name = "leaky_relu"
    forms = ("native", "add")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _slope(layer) is not None

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        slope = _slope(layer)
        if slope is None or self.form_of(layer) == "native":
            return None
        return Match([layer], lambda x: _build(before_activation(layer, x), slope, layer.name))


def _build(x, slope, name):
    """The shape stays."""
    return as_sum(x, np.full(x.shape[-1:], slope, np.float32), name)


def _slope(layer):
    """What values below zero are multiplied with; None of layers that are not leaky, or of an unknown width."""
    plain = isinstance(layer, layers.ReLU) and layer.max_value is None and layer.threshold == 0
    if activation_of(layer) is keras.activations.leaky_relu:
        slope = _SLOPE
    elif plain or isinstance(layer, layers.LeakyReLU):
        slope = layer.negative_slope
    else:
        return None
    return float(slope) if slope > 0 and layer.output.shape[-1] is not None else None
