"""SiLU as x * sigmoid(x): LOGISTIC and MUL, which every target has.

It is also what the converter makes of it. But TensorFlow's `tf.nn.silu`, which Keras calls, carries a gradient of its
own that `tf.saved_model.save` may stumble over, and int8 forms are chosen on the graph that is really converted.
"""

from typing import Any

import keras
from keras import layers

from tfeff.export.rewrites.building import activation_of, before_activation
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView


class Silu(Rewrite):
    """Replaces SiLU as a layer, as another layer's activation and as `keras.ops.silu`."""

    name = "silu"
    forms = ("native", "multiply")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _is_silu(layer)

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if not _is_silu(layer) or self.form_of(layer) == "native":
            return None
        return Match([layer], lambda x: _build(before_activation(layer, x), layer.name))


def _build(x, name):
    """The shape stays."""
    gate = layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)
    return layers.Multiply(name=f"{name}_multiply")([x, gate])


def _is_silu(layer):
    if not isinstance(layer, layers.Layer):
        return type(layer).__name__ == "Silu"  # Keras does not export the class of its operation
    return activation_of(layer) is keras.activations.silu
