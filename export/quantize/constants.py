"""Numbers that are added or multiplied, in the weights of the layer behind.

The converter folds them where that layer reads no padding (a `Rescaling` in front of a network, most of all) or only
multiplies (0 times anything is the padding's 0), and does so only when it quantizes. Done in the graph, simulation and
file have the same operations.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.batch_norm import folded_forward, folds_forward, reads_no_padding
from tfeff.export.rewrites.building import activation_of, before_activation
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.layers.keras_private import nodes_of

_PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)


class Constants(Rewrite):
    """Folds `x * a`, `x / a`, `x + b`, `x - b`, `b - x`, `Rescaling`, `Normalization`, the 1/6 of hard-sigmoid and
    the 1/n of an average, one after the other until none is left."""

    name = "constants"

    def apply(self, model: Any) -> tuple[Any, int]:
        total = 0
        while True:
            model, places = super().apply(model)
            if not places:
                return model, total
            total += places

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        numbers = _numbers(layer)
        if numbers is None:
            return None
        takes = reads_no_padding if np.any(numbers[1]) else folds_forward
        between = (layers.Flatten,) if np.any(numbers[1]) else (layers.Flatten, *_PADDINGS)
        chain = graph.chain(layer, lambda each: isinstance(each, between) and _is_channels_last(each), takes)
        if len(chain) == 1 or not takes(chain[-1]):
            return None
        return Match(chain, lambda x: folded_forward(_opened(layer, x), numbers, *chain[1:]))


def _is_channels_last(layer):
    return getattr(layer, "data_format", None) in (None, "channels_last")


def _numbers(operation):
    """(scale, offset), float64 (c,) each, of an operation that is x times scale plus offset; None for any other."""
    shape = keras.tree.flatten(operation.output)[0].shape
    if _is_hard_sigmoid(operation):
        found = 1 / 6, 0.0
    elif isinstance(operation, layers.Average):
        found = 1 / len(operation.input), 0.0
    else:
        found = _affine(operation)
    if found is None or len(shape) < 2 or not shape[-1]:
        return None
    channels = shape[-1]
    scale, offset = (np.asarray(each, np.float64) for each in found)
    if any(each.size not in (1, channels) or each.shape not in ((), each.shape[-1:]) for each in (scale, offset)):
        return None
    return np.broadcast_to(scale, channels), np.broadcast_to(offset, channels)


def _affine(operation):
    if isinstance(operation, layers.Rescaling):
        return operation.scale, operation.offset
    if isinstance(operation, layers.Normalization):
        if operation.axis not in ((-1,), (len(operation.input.shape) - 1,)) or operation.invert:
            return None
        deviation = np.maximum(np.sqrt(np.asarray(operation.variance, np.float64)), keras.config.epsilon())
        return 1 / deviation.ravel(), -np.asarray(operation.mean, np.float64).ravel() / deviation.ravel()
    name = type(operation).__name__
    if isinstance(operation, layers.Layer) or name not in ("Multiply", "Add", "Subtract", "Divide", "TrueDivide"):
        return None
    both = nodes_of(operation)[0].given()
    if len(both) != 2 or sum(isinstance(each, keras.KerasTensor) for each in both) != 1:
        return None
    first = isinstance(both[0], keras.KerasTensor)
    number = np.asarray(both[first], np.float64)
    if name == "Multiply":
        return number, 0.0
    if name == "Add":
        return 1.0, number
    if name == "Subtract":
        return (1.0, -number) if first else (-1.0, number)
    return (1 / number, 0.0) if first and number.all() else None


def _is_hard_sigmoid(operation):
    return isinstance(operation, layers.Layer) and activation_of(operation) is keras.activations.hard_sigmoid


def _opened(layer, x):
    """An operation without what is folded: of a hard-sigmoid relu6(x + 3) is left, of an average the sum."""
    if isinstance(layer, layers.Average):
        return layers.Add(name=layer.name)(x)
    if not _is_hard_sigmoid(layer):
        return x
    return layers.ReLU(6.0, name=f"{layer.name}_relu6")(ops.add(before_activation(layer, x), 3.0))
