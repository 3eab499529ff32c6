"""Fully connected layers behind a global pooling, as convolutions of 1x1 over the one pixel that is left.

tflite-runtime 2.14 computes them some three times as fast, and their int8 weights have a scale an output without
FULLY_CONNECTED having to (the Edge TPU's compiler may not take that). A RESHAPE at the end drops h and w.
"""

from typing import Any

import keras
from keras import layers

from tfeff.export.rewrites.building import rebuilt
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import ELEMENT_WISE


class Classifier(Rewrite):
    """Replaces `Dense` layers, with what is element-wise between, behind a pooling or flattening to one pixel."""

    name = "classifier"
    forms = ("dense", "conv")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return len(_chain(layer, graph)) > 1

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        chain = _chain(layer, graph)
        if len(chain) < 2 or self.form_of(layer) == "dense":
            return None
        return Match(chain, lambda x: _build(x, *chain))


def _chain(first, graph):
    """The layer that drops h and w, and those behind it up to the last `Dense` that can be a convolution."""
    if not _drops_space(first):
        return []
    chain, end, following = [first], 1, graph.only_consumer(first)
    while following is not None and (isinstance(following, layers.Dense) or _is_element_wise(following)):
        chain.append(following)
        if isinstance(following, layers.Dense):
            end = len(chain)
            if following.activation not in ELEMENT_WISE:
                break
        following = graph.only_consumer(following)
    return chain[:end]


def _build(x, first, *rest):
    """(n, h, w, c) -> (n, classes)"""
    if isinstance(first, layers.GlobalAveragePooling2D):
        x = rebuilt(first, x, keepdims=True)  # -> (n, 1, 1, c)
    for layer in rest:
        x = _convolution(x, layer) if isinstance(layer, layers.Dense) else rebuilt(layer, x)  # -> (n, 1, 1, units)
    last = rest[-1]
    x = layers.Reshape((last.units,), name=f"{last.name}_flat")(x)
    if last.activation in ELEMENT_WISE:
        return x
    return layers.Activation(last.activation, name=f"{last.name}_activation")(x)  # softmax: over (n, classes)


def _convolution(x, dense):
    activation = dense.activation if dense.activation in ELEMENT_WISE else None
    conv = layers.Conv2D(dense.units, 1, use_bias=dense.use_bias, activation=activation, name=dense.name)
    y = conv(x)
    kernel, *bias = dense.get_weights()
    conv.set_weights([kernel[None, None], *bias])  # (c, units) -> (1, 1, c, units)
    return y


def _drops_space(layer):
    if isinstance(layer, layers.GlobalAveragePooling2D):
        return layer.data_format == "channels_last" and not layer.keepdims
    if not isinstance(layer, (layers.Flatten, layers.Reshape)):
        return False
    return layer.input.shape[1:3] == (1, 1) and layer.output.shape[1:] == layer.input.shape[3:]


def _is_element_wise(layer):
    if isinstance(layer, (layers.ReLU, layers.LeakyReLU)):
        return True
    return isinstance(layer, layers.Activation) and (
        layer.activation in ELEMENT_WISE or layer.activation is keras.activations.leaky_relu
    )
