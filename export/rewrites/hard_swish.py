"""Hard-swish and hard-sigmoid as ADD with a fused RELU6, and MUL: without the sixth that they end in.

    hard_swish(x) = x relu6(x + 3) / 6        hard_sigmoid(x) = relu6(x + 3) / 6

The sixth is not computed but written down, handed on by everything that it passes through unharmed (pooling, ReLU,
slices, products), and taken by the weights of the next convolution, fully connected layer or BN. Spelled out in full,
the converter makes a HARD_SWISH of it again, which no Edge TPU knows and for which XNNPACK has no int8 kernel.

Where it meets what takes no factor (an output, a sum with something that has none), a depthwise convolution does it.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.copying import again, copy_layer
from tfeff.export.rewrites.core import Rewrite
from tfeff.export.rewrites.freeze_shift import SHIFTS
from tfeff.export.rewrites.graph import GraphView, rebuild
from tfeff.export.rewrites.matching import POOL_LIKE, is_batch_norm
from tfeff.layers import ChannelShuffle, ChannelSplit, GroupConv2D

_SWISH, _SIGMOID = keras.activations.hard_silu, keras.activations.hard_sigmoid
_ABSORBERS = (layers.Conv2D, GroupConv2D, layers.DepthwiseConv2D, layers.Dense)
# f(k x) = k f(x) for k > 0
_CARRIERS = (
    layers.LeakyReLU,
    layers.PReLU,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    ChannelShuffle,
    ChannelSplit,
    *SHIFTS,
    *POOL_LIKE,
)
# By name, for Keras does not export the classes of its operations.
_CARRYING_OPERATIONS = {"Reshape", "Transpose", "Split", "GetItem", "Take", "Squeeze", "ExpandDims", "Relu", "Mean"}
_SUMS = (layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum, layers.Concatenate)


class HardSwish(Rewrite):
    """Replaces `Activation("hard_silu")`, `Activation("hard_sigmoid")`, and layers that have them built in."""

    name = "hard_swish"
    forms = ("native", "add_mul")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _kind(layer) is _SWISH

    def apply(self, model: Any) -> tuple[Any, int]:
        places = [layer for layer in model.layers if _kind(layer) and self.form_of(layer) == "add_mul"]
        if not places:
            return model, 0
        return _Emission({id(layer) for layer in places}).build(model), len(places)


class _Emission:
    """Builds the model; `_factors` says by how much a tensor is too large: the true one is the factor times it."""

    def __init__(self, places):
        self._places = places
        self._factors: dict[int, float] = {}
        self._alive: list = []  # an id means nothing once its tensor is gone

    def build(self, model):
        return rebuild(model, self._call, finish=self._true)

    def _call(self, operation, *args, **kwargs):
        tensors = [t for t in keras.tree.flatten((args, kwargs)) if isinstance(t, keras.KerasTensor)]
        factors = [self._factor(tensor) for tensor in tensors]
        if id(operation) in self._places:
            return self._activate(operation, args[0], factors[0])
        if all(factor == 1 for factor in factors):
            return again(operation, *args, **kwargs)
        if isinstance(operation, _ABSORBERS):
            return copy_layer(operation, change=lambda w: w * np.float32(factors[0]) if w.ndim > 1 else w)(*args)
        if is_batch_norm(operation):
            return _normalize(operation, args[0], factors[0])
        if isinstance(operation, layers.Multiply):
            return self._with(again(operation, *args), float(np.prod(factors)))
        if _carries(operation) or (isinstance(operation, _SUMS) and len(set(factors)) == 1):
            return self._with(again(operation, *args, **kwargs), factors[0])
        args, kwargs = keras.tree.map_structure(self._true, (args, kwargs))
        return again(operation, *args, **kwargs)

    def _activate(self, layer, x, factor):
        kind, name = _kind(layer), layer.name
        if not isinstance(layer, layers.Activation):  # built into a convolution
            config = {**layer.get_config(), "activation": "linear", "name": f"{layer.name}_linear"}
            plain = type(layer).from_config(config)
            y = plain(x)
            plain.set_weights([w * np.float32(factor) if w.ndim > 1 else w for w in layer.get_weights()])
            x = y
        else:
            x = self._true(x)
        gate = layers.ReLU(6.0, name=f"{name}_gate")(ops.add(x, 3.0))
        return self._with(layers.Multiply(name=name)([x, gate]) if kind is _SWISH else gate, 1 / 6)

    def _with(self, outputs, factor):
        for tensor in keras.tree.flatten(outputs):
            self._factors[id(tensor)] = factor
            self._alive.append(tensor)
        return outputs

    def _factor(self, tensor):
        return self._factors.get(id(tensor), 1)

    def _true(self, tensor):
        """The tensor, multiplied by its factor."""
        if not isinstance(tensor, keras.KerasTensor) or self._factor(tensor) == 1:
            return tensor
        if len(tensor.shape) != 4:
            return layers.Rescaling(self._factor(tensor))(tensor)
        layer = layers.DepthwiseConv2D(1, use_bias=False)
        y = layer(tensor)
        layer.set_weights([np.full((1, 1, tensor.shape[-1], 1), self._factor(tensor), np.float32)])
        return y


def _normalize(layer, x, factor):
    """BN of `factor` times x: (f x - mean) / sqrt(variance + epsilon) with the factor in mean and variance."""
    copy = type(layer).from_config(layer.get_config())
    y = copy(x)
    *rest, mean, variance = layer.get_weights()
    copy.set_weights([*rest, mean / factor, (variance + layer.epsilon) / factor**2 - layer.epsilon])
    return y


def _kind(layer):
    """Which of the two activations a layer ends in; None for every other."""
    if not isinstance(layer, (layers.Activation, *_ABSORBERS)):
        return None
    return layer.activation if layer.activation in (_SWISH, _SIGMOID) else None


def _carries(operation):
    if isinstance(operation, layers.ReLU):
        return operation.max_value is None and operation.threshold == 0
    if isinstance(operation, layers.Activation):
        return operation.activation in (keras.activations.relu, keras.activations.linear)
    return isinstance(operation, _CARRIERS) or type(operation).__name__ in _CARRYING_OPERATIONS
