"""What rewrites build with: copies of layers with other weights or options, and a factor for each channel."""

from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.copying import copy_state, mark_shared
from tfeff.layers import GroupConv2D

# Layers whose activation is the last thing they do. Recurrent ones also have one, inside.
_FUSING = (
    layers.Dense,
    layers.EinsumDense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    GroupConv2D,
)


def rebuilt(layer: Any, x: Any, weights: Any = None, **config: Any) -> Any:
    """`x` through a new layer like `layer` but for parts of its config, with other weights (its own by default)."""
    new = type(layer).from_config({**layer.get_config(), **config})
    mark_shared(new, layer)
    y = new(x)
    if weights is None:
        copy_state(layer, new)
    else:
        new.set_weights(weights)
    return y


def scaled(x: Any, scale: Any, offset: Any = None, *, name: str | None, activation: Any = None) -> Any:
    """`x` times `scale` (c,) plus `offset` (c,), then `activation`: a depthwise convolution of one pixel.

    Args:
        x: (n, h, w, c) or (n, w, c).
    """
    kind = layers.DepthwiseConv1D if len(x.shape) == 3 else layers.DepthwiseConv2D
    layer = kind(1, use_bias=offset is not None, activation=activation, name=name)
    y = layer(x)
    weights = [np.reshape(scale, (*[1] * (len(x.shape) - 2), -1, 1))]
    layer.set_weights(weights if offset is None else [*weights, np.asarray(offset)])
    return y


def activation_of(layer: Any) -> Any:
    """The function that a layer applies last, fused into it or all that it is; None for layers that have none."""
    return layer.activation if isinstance(layer, (layers.Activation, *_FUSING)) else None


def before_activation(layer: Any, x: Any) -> Any:
    """What a layer makes of `x` but for the activation that is fused into it."""
    if not isinstance(layer, _FUSING):
        return x
    return rebuilt(layer, x, activation=keras.activations.serialize(keras.activations.linear))
