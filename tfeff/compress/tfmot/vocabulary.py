"""Which Keras 3 layers and operations a plan has words for, and how each is written down.

Ours are taken apart: a group convolution is a convolution with groups, a shuffle is reshape, permute, reshape, a split
is slices, hard-sigmoid is arithmetic (tf_keras' own is another function).
"""

import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.compress.tfmot.plan import Plan, Ref, Refusal
from tfeff.layers import (
    BatchNorm,
    ChannelShuffle,
    ChannelSplit,
    GroupConv2D,
    NearestUpSampling2D,
    StridedDilatedDepthwiseConv2D,
)

# Functions that both Keras have under the same name, computing the same.
_ACTIVATIONS = {"sigmoid", "tanh", "softmax", "elu", "selu", "softplus", "softsign", "gelu", "exponential"}
_MERGES = {
    layers.Add: "add",
    layers.Subtract: "subtract",
    layers.Multiply: "multiply",
    layers.Maximum: "maximum",
    layers.Minimum: "minimum",
}
_MERGE_OPERATIONS = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Maximum": "maximum",
                     "Minimum": "minimum"}  # fmt: skip
_ACTIVATION_OPERATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax", "Silu": "silu",
    "HardSilu": "hard_silu", "HardSigmoid": "hard_sigmoid", "Elu": "elu", "Gelu": "gelu",
}  # fmt: skip
_POOLS = {layers.MaxPooling2D: "max_pool", layers.AveragePooling2D: "average_pool"}
_GLOBAL_POOLS = {layers.GlobalAveragePooling2D: "global_average_pool", layers.GlobalMaxPooling2D: "global_max_pool"}


class _NoWord(Exception):
    """Why a layer cannot be written down."""


class Vocabulary:
    """Writes operations into a plan; what it has no word for goes into the plan's refusals, and the walk goes on."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def write(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Called by `walk`, once an operation, with `Ref`s in place of tensors."""
        self._plan.source = type(operation).__name__
        try:
            if not isinstance(operation, layers.Layer):
                return self._operation(operation, args, kwargs)
            self._check(operation)
            words = _LAYERS.get(type(operation))
            if words is None:
                raise _NoWord("tf_keras has no such layer, and no rewrite makes standard layers of it")
            return words(self, operation, args[0] if len(args) == 1 else list(args))
        except _NoWord as why:
            self._plan.refusals.append(Refusal(operation.name, type(operation).__name__, str(why)))
            return [Ref(-1, tuple(tensor.shape)) for tensor in keras.tree.flatten(operation.output)]

    def _check(self, layer):
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _NoWord("channels come first")
        if layer.compute_dtype != "float32" and layer.weights:
            raise _NoWord(f"it computes in {layer.compute_dtype}")

    # Layers

    def conv2d(self, layer: Any, x: Any) -> Any:
        return self._weighted("conv2d", layer, x, filters=layer.filters, groups=layer.groups)

    def depthwise(self, layer: Any, x: Any) -> Any:
        return self._weighted("depthwise", layer, x, depth_multiplier=layer.depth_multiplier)

    def transposed(self, layer: Any, x: Any) -> Any:
        if layer.output_padding not in (None, (None, None)):
            raise _NoWord("it has an output padding")
        return self._weighted("conv2d_transpose", layer, x, filters=layer.filters)

    def dense(self, layer: Any, x: Any) -> Any:
        shape = (*x.shape[:-1], layer.units)
        config = {"units": layer.units, "use_bias": layer.use_bias}
        y = self._plan.add("dense", layer.name, [x], shape, layer.get_weights(), layer.trainable, **config)
        return self._activate(y, layer.name, layer.activation)

    def strided_dilated(self, layer: Any, x: Any) -> Any:
        """(n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c), the pixels picked where the layer picks them."""
        divides = layer.dilation % layer.stride == 0
        config = {"kernel_size": list(layer.kernel_size), "strides": [1, 1], "padding": "same", "use_bias": False}
        config |= {"dilation_rate": [layer.dilation // layer.stride if divides else layer.dilation] * 2}
        picked = [slice(None), slice(None, None, layer.stride), slice(None, None, layer.stride), slice(None)]
        if divides:
            x = self._slice(x, f"{layer.name}_pick", picked)
        y = self._plan.add("depthwise", layer.name, [x], x.shape, layer.get_weights(), layer.trainable,
                           depth_multiplier=1, **config)  # fmt: skip
        if not divides:
            y = self._slice(y, f"{layer.name}_pick", picked)
        return self._activate(y, layer.name, layer.activation)

    def batch_norm(self, layer: Any, x: Any) -> Any:
        if getattr(layer, "renorm", False) or getattr(layer, "synchronized", False):
            raise _NoWord("it renormalizes, or synchronizes replicas")
        config = {"axis": layer.axis, "momentum": layer.momentum, "epsilon": layer.epsilon}
        config |= {"center": layer.center, "scale": layer.scale}
        return self._plan.add("batch_norm", layer.name, [x], x.shape, layer.get_weights(), layer.trainable, **config)

    def merge(self, layer: Any, xs: Sequence[Any]) -> Any:
        return self._merge(_MERGES[type(layer)], layer, xs)

    def average(self, layer: Any, xs: Sequence[Any]) -> Any:
        total = self._merge("add", layer, xs)
        return self._constant("multiply_constant", total, f"{layer.name}_part", 1 / len(xs))

    def concatenate(self, layer: Any, xs: Sequence[Any]) -> Any:
        return self._plan.add("concatenate", layer.name, xs, layer.output.shape, axis=layer.axis)

    def pool(self, layer: Any, x: Any) -> Any:
        config = {"pool_size": list(layer.pool_size), "strides": list(layer.strides), "padding": layer.padding}
        return self._plan.add(_POOLS[type(layer)], layer.name, [x], layer.output.shape, **config)

    def global_pool(self, layer: Any, x: Any) -> Any:
        return self._plan.add(
            _GLOBAL_POOLS[type(layer)], layer.name, [x], layer.output.shape, keepdims=bool(layer.keepdims)
        )

    def zero_padding(self, layer: Any, x: Any) -> Any:
        return self._pad(x, layer.name, layer.padding)

    def cropping(self, layer: Any, x: Any) -> Any:
        (top, bottom), (left, right) = layer.cropping
        rows, columns = slice(top, x.shape[1] - bottom), slice(left, x.shape[2] - right)
        return self._slice(x, layer.name, [slice(None), rows, columns, slice(None)])

    def up_sampling(self, layer: Any, x: Any) -> Any:
        if layer.interpolation not in ("nearest", "bilinear"):
            raise _NoWord(f"it interpolates by {layer.interpolation}")
        config = {"size": list(layer.size), "interpolation": layer.interpolation}
        return self._plan.add("up_sampling", layer.name, [x], layer.output.shape, **config)

    def reshape(self, layer: Any, x: Any) -> Any:
        return self._reshape(x, layer.name, layer.output.shape)

    def permute(self, layer: Any, x: Any) -> Any:
        return self._plan.add("permute", layer.name, [x], layer.output.shape, dims=list(layer.dims))

    def shuffle(self, layer: Any, x: Any) -> Any:
        batch, height, width, channels = x.shape
        groups, name = layer.groups, layer.name
        apart = (batch, height * width, groups, channels // groups)
        x = self._reshape(x, f"{name}_apart", apart)  # -> (n, h*w, g, c/g)
        across = (*apart[:2], apart[3], apart[2])
        x = self._plan.add("permute", f"{name}_across", [x], across, dims=[1, 3, 2])  # -> (n, h*w, c/g, g)
        return self._reshape(x, name, (batch, height, width, channels))

    def split(self, layer: Any, x: Any) -> Any:
        return self._parts(x, layer.name, layer.parts, -1)

    def relu(self, layer: Any, x: Any) -> Any:
        return self._relu(x, layer.name, layer.max_value, layer.negative_slope, layer.threshold)

    def leaky_relu(self, layer: Any, x: Any) -> Any:
        return self._relu(x, layer.name, None, layer.negative_slope, 0.0)

    def prelu(self, layer: Any, x: Any) -> Any:
        axes = None if layer.shared_axes is None else list(layer.shared_axes)
        return self._plan.add("prelu", layer.name, [x], x.shape, layer.get_weights(), layer.trainable, shared_axes=axes)

    def activation(self, layer: Any, x: Any) -> Any:
        return self._activate(x, layer.name, layer.activation, own=True)

    def softmax(self, layer: Any, x: Any) -> Any:
        if layer.axis not in (-1, len(x.shape) - 1):
            raise _NoWord("not over the last axis")
        return self._plan.add("activation", layer.name, [x], x.shape, function="softmax")

    def elu(self, layer: Any, x: Any) -> Any:
        if layer.alpha != 1:
            raise _NoWord(f"alpha is {layer.alpha}, tf_keras' function has 1")
        return self._plan.add("activation", layer.name, [x], x.shape, function="elu")

    def rescaling(self, layer: Any, x: Any) -> Any:
        y = self._constant("multiply_constant", x, layer.name, layer.scale)
        return y if not np.any(layer.offset) else self._constant("add_constant", y, f"{layer.name}_add", layer.offset)

    # Operations that are no layers: `x + 3`, `x[..., 8:]`, `keras.ops.split(x, 2)`

    def _operation(self, operation, args, kwargs):
        kind, name = type(operation).__name__, operation.name
        shape = keras.tree.flatten(operation.output)[0].shape
        given = [*args, *kwargs.values()]
        x = given[0]
        if kind in _MERGE_OPERATIONS and isinstance(x, Ref) and isinstance(given[1], Ref):
            return self._merge(_MERGE_OPERATIONS[kind], operation, given[:2])
        if kind in ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"):
            return self._arithmetic(kind, name, *given)
        if kind in ("Maximum", "Minimum"):
            x, y = (x, given[1]) if isinstance(x, Ref) else (given[1], x)
            return self._constant(f"{kind.lower()}_constant", x, name, y)
        if kind in _ACTIVATION_OPERATIONS:
            if getattr(operation, "axis", -1) not in (-1, len(shape) - 1):
                raise _NoWord("not over the last axis")
            function = keras.activations.get(_ACTIVATION_OPERATIONS[kind])
            return self._activate(x, name, function, own=True)
        if kind == "LeakyRelu":
            return self._relu(x, name, None, operation.negative_slope, 0.0)
        if kind in ("Reshape", "ExpandDims", "Squeeze", "Ravel"):
            return self._reshape(x, name, shape)
        if kind == "Transpose":
            axes = list(operation.axes or reversed(range(len(x.shape))))
            if axes[0] != 0:
                raise _NoWord("it moves the batch")
            return self._plan.add("permute", name, [x], shape, dims=axes[1:])
        if kind == "Concatenate":
            return self._plan.add("concatenate", name, keras.tree.flatten(x), shape, axis=operation.axis)
        if kind == "GetItem":
            return self._item(x, name, given[1], shape)
        if kind == "Split":
            return self._parts(x, name, operation.indices_or_sections, operation.axis)
        if kind == "Take":
            axis = operation.axis % len(x.shape)
            indices = given[1] if len(given) > 1 else operation.indices
            return self._plan.add("take", name, [x], shape, indices=np.asarray(indices).tolist(), axis=axis)
        if kind == "Mean" and _axes(operation.axis, x) == (1, 2) and len(x.shape) == 4:
            return self._plan.add("global_average_pool", name, [x], shape, keepdims=bool(operation.keepdims))
        if kind == "Pad":
            width = [tuple(map(int, ends)) for ends in operation.pad_width]
            fill = kwargs.get("constant_values", args[1] if len(args) > 1 else None)
            if operation.mode != "constant" or fill not in (None, 0) or any(map(any, (width[0], *width[3:]))):
                raise _NoWord("it does not only put zeros around the map")
            return self._pad(x, name, width[1:3])
        raise _NoWord("a plan has no word for this operation")

    def _arithmetic(self, kind, name, x, y=None):
        """`x + 3`, `3 - x`, `x / 6`, `-x`."""
        if kind == "Negative":
            return self._constant("multiply_constant", x, name, -1.0)
        if isinstance(x, Ref) and not isinstance(y, Ref):
            value = np.asarray(y, np.float32)
            if kind in ("Divide", "TrueDivide"):
                return self._constant("multiply_constant", x, name, 1 / value)
            if kind == "Multiply":
                return self._constant("multiply_constant", x, name, value)
            return self._constant("add_constant", x, name, value if kind == "Add" else -value)
        if not isinstance(y, Ref) or kind not in ("Add", "Subtract", "Multiply"):
            raise _NoWord("it divides by something computed")
        if kind == "Subtract":
            y = self._constant("multiply_constant", y, f"{name}_negative", -1.0)
        return self._constant("multiply_constant" if kind == "Multiply" else "add_constant", y, name, x)

    # Words

    def _weighted(self, kind, layer, x, **config):
        config |= {"kernel_size": list(layer.kernel_size), "strides": list(layer.strides), "padding": layer.padding}
        config |= {"dilation_rate": list(layer.dilation_rate), "use_bias": layer.use_bias}
        y = self._plan.add(kind, layer.name, [x], layer.output.shape, layer.get_weights(), layer.trainable, **config)
        return self._activate(y, layer.name, layer.activation)

    def _merge(self, kind, operation, xs):
        xs = keras.tree.flatten(xs)
        if kind == "subtract" and len(xs) != 2:
            raise _NoWord("it has not two inputs")
        return self._plan.add(kind, operation.name, xs, operation.output.shape)

    def _activate(self, x, name, function, own=False):
        """`function` behind a layer, under the layer's name if it is all that the layer is."""
        word = getattr(function, "__name__", type(function).__name__)
        name = name if own or word == "linear" else f"{name}_{word}"
        if word == "linear":
            return x
        if word in ("relu", "relu6"):
            return self._relu(x, name, 6.0 if word == "relu6" else None, 0.0, 0.0)
        if word == "leaky_relu":
            return self._relu(x, name, None, 0.2, 0.0)
        if word == "hard_silu":
            return self._plan.add("hard_swish", name, [x], x.shape)
        if word == "hard_sigmoid":
            x = self._constant("add_constant", x, f"{name}_add", 3.0)
            x = self._relu(x, f"{name}_relu6", 6.0, 0.0, 0.0)
            return self._constant("multiply_constant", x, name, 1 / 6)
        if word == "silu":
            gate = self._plan.add("activation", f"{name}_sigmoid", [x], x.shape, function="sigmoid")
            return self._plan.add("multiply", name, [x, gate], x.shape)
        if word in _ACTIVATIONS and function is keras.activations.get(word):
            return self._plan.add("activation", name, [x], x.shape, function=word)
        raise _NoWord(f"activation {word}")

    def _relu(self, x, name, max_value, negative_slope, threshold):
        numbers = {"max_value": max_value, "negative_slope": negative_slope, "threshold": threshold}
        numbers = {word: None if value is None else float(value) for word, value in numbers.items()}
        return self._plan.add("relu", name, [x], x.shape, **numbers)

    def _constant(self, kind, x, name, value):
        value = np.asarray(value, np.float32)
        if value.ndim > len(x.shape) or (value.ndim == len(x.shape) and value.shape[0] != 1):
            raise _NoWord("its constant has a batch of its own")
        shape = (x.shape[0], *np.broadcast_shapes(x.shape[1:], value.shape[1:] if value.ndim == len(x.shape) else
                                                  value.shape))  # fmt: skip
        return self._plan.add(kind, name, [x], shape, value=value.tolist())

    def _reshape(self, x, name, shape):
        if None in shape[1:] or np.prod(shape[1:]) != np.prod(x.shape[1:]):
            raise _NoWord("its shape is open, or mixes the images of a batch")
        return self._plan.add("reshape", name, [x], (x.shape[0], *shape[1:]), target_shape=list(shape[1:]))

    def _pad(self, x, name, ends):
        (top, bottom), (left, right) = ends
        shape = (x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3])
        return self._plan.add("zero_padding", name, [x], shape, padding=[[top, bottom], [left, right]])

    def _slice(self, x, name, slices):
        """`slices`: one for each axis, the batch included."""
        ranges = [each.indices(size) for each, size in zip(slices[1:], x.shape[1:], strict=True)]
        if any(step < 1 for _, _, step in ranges):
            raise _NoWord("it goes backwards")
        shape = (x.shape[0], *(len(range(*each)) for each in ranges))
        begin, end, step = (list(each) for each in zip(*ranges, strict=True))
        return self._plan.add("slice", name, [x], shape, begin=begin, end=end, step=step)

    def _parts(self, x, name, where, axis):
        """Slices along an axis: `where` is a number of equal ones, or where each but the first begins."""
        axis %= len(x.shape)
        size = x.shape[axis]
        cuts = [size * k // where for k in range(1, where)] if isinstance(where, int) else list(map(int, where))
        parts = []
        for number, (first, end) in enumerate(zip([0, *cuts], [*cuts, size], strict=True)):
            slices = [slice(None)] * len(x.shape)
            slices[axis] = slice(first, end)
            parts.append(self._slice(x, f"{name}_{number}", slices))
        return parts

    def _item(self, x, name, key, shape):
        """`x[key]`"""
        key = key if isinstance(key, tuple) else (key,)
        if any(each is None or not (each is Ellipsis or isinstance(each, slice | int)) for each in key):
            raise _NoWord("a subscript that is no slice")
        rest = [slice(None)] * (len(x.shape) - len(key) + (Ellipsis in key))
        at = key.index(Ellipsis) if Ellipsis in key else len(key)
        slices = [*key[:at], *rest, *key[at + 1 :]]
        if slices[0] != slice(None) and slices[0] != slice(None, None, 1):
            raise _NoWord("it picks images of the batch")
        whole = [each if isinstance(each, slice) else slice(each, each + 1 or None) for each in slices]
        y = self._slice(x, name, whole)
        return y if len(y.shape) == len(shape) else self._reshape(y, f"{name}_squeeze", shape)


def _axes(axis, x):
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(sorted(operator.index(a) % len(x.shape) for a in axes if a is not None))


# By the class itself: one that is derived from it may compute something else.
_LAYERS = {
    layers.Conv2D: Vocabulary.conv2d,
    GroupConv2D: Vocabulary.conv2d,
    layers.DepthwiseConv2D: Vocabulary.depthwise,
    StridedDilatedDepthwiseConv2D: Vocabulary.strided_dilated,
    layers.Conv2DTranspose: Vocabulary.transposed,
    layers.Dense: Vocabulary.dense,
    layers.BatchNormalization: Vocabulary.batch_norm,
    BatchNorm: Vocabulary.batch_norm,
    layers.Average: Vocabulary.average,
    layers.Concatenate: Vocabulary.concatenate,
    layers.ZeroPadding2D: Vocabulary.zero_padding,
    layers.Cropping2D: Vocabulary.cropping,
    layers.UpSampling2D: Vocabulary.up_sampling,
    NearestUpSampling2D: Vocabulary.up_sampling,
    layers.Reshape: Vocabulary.reshape,
    layers.Flatten: Vocabulary.reshape,
    layers.Permute: Vocabulary.permute,
    ChannelShuffle: Vocabulary.shuffle,
    ChannelSplit: Vocabulary.split,
    layers.ReLU: Vocabulary.relu,
    layers.LeakyReLU: Vocabulary.leaky_relu,
    layers.PReLU: Vocabulary.prelu,
    layers.Activation: Vocabulary.activation,
    layers.Softmax: Vocabulary.softmax,
    layers.ELU: Vocabulary.elu,
    layers.Rescaling: Vocabulary.rescaling,
    **dict.fromkeys(_MERGES, Vocabulary.merge),
    **dict.fromkeys(_POOLS, Vocabulary.pool),
    **dict.fromkeys(_GLOBAL_POOLS, Vocabulary.global_pool),
}
