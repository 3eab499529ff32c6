"""From a target's Keras graph to a fake-quant graph: the same network, rounding where its int8 file will round.

It simulates the file, is trained (quantization-aware training), is saved and loaded as any Keras model, and what is
converted is taken out of it, so that simulation, training and file cannot differ in their plan.
"""

import keras
import numpy as np
from keras import layers, ops
from tfeff.export.quantize import placement
from tfeff.export.quantize.fake_quant import ActivationRange, FakeQuantize, QuantizedWeights
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import again, rewrite_once
from tfeff.export.rewrites.graph import CannotRewrite, GraphView, walk
from tfeff.export.rewrites.matching import groups_of, relu_of

from tfeff.layers import GroupConv2D

# What the converter does by itself, done in the graph, where its roundings can be simulated.
_FIRST = ("silu:multiply", "batch_norm:fold")
INPUT = "image"  # name of the range and the point of the network's input


def fake_quant_graph(model, *, per_tensor: bool = False, train_ranges: bool = False):
    """Makes the fake-quant graph of a network that its target's rewrites have been applied to.

    Args:
        model: a functional Keras model with one image input; it is not touched.
        per_tensor: one scale for all of a layer's weights, for hardware that has no scales by channel.
        train_ranges: whether ranges are trained with the weights.

    Returns:
        A functional Keras model of the same input and output. Batch normalization is folded. Its ranges are those of an
        untouched network, -1 to 1, until `simulation.set_ranges` gives them theirs.

    Raises:
        CannotRewrite: the model has no graph, several inputs, or a layer that cannot be copied.
    """
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise CannotRewrite(f"{model.name}: quantization takes one image input", "build a functional model with one")
    for spec in _FIRST:
        model, _ = rewrite_once(model, load_rewrite(spec))
    return _Builder(model, per_tensor, train_ranges).build()


class _Builder:
    def __init__(self, model, per_tensor, train_ranges):
        self._model, self._per_tensor, self._train_ranges = model, per_tensor, train_ranges
        self._view = GraphView(model)
        self._relus = {}  # id of an operation -> the ReLU that is fused into it
        self._swallowed = set()
        self._groups = _Groups()
        for operation in model.operations:
            self._plan(operation)
        self._ranges = {}  # group -> (low, high) of its range
        self._names = set()

    def build(self):
        (old,) = self._model.inputs
        image = keras.Input(batch_shape=old.shape, dtype=old.dtype, name=old.name)
        self._image = image
        x = self._quantize(image, INPUT, self._groups.of(old))
        outputs = walk(self._model, [x], self._call)
        structure = keras.tree.map_structure(lambda tensor: tensor, outputs)
        return keras.Model(image, structure, name=self._model.name)

    def _plan(self, operation):
        """Which tensors have one range, and which ReLU is part of what stands in front of it."""
        if id(operation) in self._swallowed or isinstance(operation, layers.InputLayer):
            return
        inputs, outputs = (keras.tree.flatten(t) for t in (operation.input, operation.output))
        following = self._view.only_consumer(operation) if len(outputs) == 1 else None
        if following is not None and placement.fuses_relu(operation) and placement.is_fusible_relu(following):
            self._relus[id(operation)] = following
            self._swallowed.add(id(following))
            outputs = keras.tree.flatten(following.output)
        if placement.kind_of(operation) == "same-scale":
            for tensor in (*inputs, *outputs):
                self._groups.join(inputs[0], tensor)

    def _call(self, operation, *args, **kwargs):
        if id(operation) in self._swallowed:
            return args[0]
        kind, relu = placement.kind_of(operation), self._relus.get(id(operation))
        last = relu if relu is not None else operation
        if kind == "weighted":
            return self._weighted(operation, relu, args[0])
        if kind == "fixed":
            y = again(operation, *args, **kwargs)
            return self._quantize(y, operation.name, ("fixed", operation.name), placement.fixed_range(operation))
        if isinstance(operation, layers.Activation) and placement.activation_name(operation) == "hard_sigmoid":
            return self._hard_sigmoid(operation, args[0])
        outputs = again(operation, *args, **kwargs)
        if relu is not None:
            outputs = again(relu, outputs)
        if kind == "same-scale" and not isinstance(operation, layers.AveragePooling2D):
            return outputs  # the values are those that came in
        made = [
            self._quantize(tensor, operation.name, self._groups.of(old)) if _is_float(tensor) else tensor
            for tensor, old in zip(keras.tree.flatten(outputs), keras.tree.flatten(last.output), strict=True)
        ]
        return keras.tree.pack_sequence_as(outputs, made)

    def _weighted(self, layer, relu, x):
        """A layer with weights, its ReLU inside; an activation that is no ReLU comes behind."""
        config = {**layer.get_config(), "name": f"{layer.name}_float"}
        if "use_bias" in config:
            config["use_bias"] = True
        behind = None
        if relu is not None:
            config["activation"] = relu_of(relu)
        elif not placement.is_fused_activation(layer):
            config["activation"], behind = "linear", layer.activation
        inner = _inner(layer, config)
        unit = QuantizedWeights(inner, self._per_tensor, name=layer.name)
        y = unit(x, *self._range_of(layer.input))
        weights = layer.get_weights()
        if inner.bias is not None and len(weights) == 1:
            weights = [*weights, np.zeros(inner.bias.shape, np.float32)]
        inner.set_weights(weights)
        out = (relu if relu is not None else layer).output
        if behind is None:
            return self._quantize(y, layer.name, self._groups.of(out))
        y = self._quantize(y, f"{layer.name}_linear", ("linear", layer.name))
        activation = layers.Activation(behind, name=f"{layer.name}_activation")
        if placement.activation_name(activation) == "hard_sigmoid":
            return self._hard_sigmoid(activation, y, self._groups.of(out))
        fixed = placement.fixed_range(activation)
        group = self._groups.of(out) if fixed is None else ("fixed", layer.name)
        return self._quantize(activation(y), layer.name, group, fixed)

    def _hard_sigmoid(self, layer, x, group=None):
        """relu6(x + 3) / 6 as the converter spells it, with the rounding between ADD and MUL."""
        y = layers.ReLU(6.0, name=f"{layer.name}_relu6")(ops.add(x, 3.0))
        y = self._quantize(y, f"{layer.name}_add", ("add", layer.name))
        return self._quantize(ops.multiply(y, 1 / 6), layer.name, group or self._groups.of(layer.output))

    def _range_of(self, tensor):
        return self._ranges[self._groups.of(tensor)]

    def _quantize(self, x, label, group, bounds=None):
        """`x` rounded by the range of its group."""
        if group not in self._ranges:
            low, high = bounds or (-1.0, 1.0)
            trainable = self._train_ranges and bounds is None and label != INPUT
            fixed, name = bounds is not None, self._fresh(f"{label}_range")
            layer = ActivationRange(low, high, fixed, trainable=trainable, name=name)
            self._ranges[group] = layer(self._image)
        trains = self._train_ranges and bounds is None and label != INPUT
        return FakeQuantize(trains, name=self._fresh(f"{label}_fq"))(x, *self._ranges[group])

    def _fresh(self, name):
        fresh, number = name, 1
        while fresh in self._names:
            number += 1
            fresh = f"{name}_{number}"
        self._names.add(fresh)
        return fresh


class _Groups:
    """Tensors that must have one range: union and find."""

    def __init__(self):
        self._parent, self._alive = {}, []

    def of(self, tensor):
        self._alive.append(tensor)  # an id means nothing once its tensor is gone
        return self._root(id(tensor))

    def join(self, one, other):
        self._alive += [one, other]
        self._parent[self._root(id(other))] = self._root(id(one))

    def _root(self, key):
        while self._parent.get(key, key) != key:
            key = self._parent[key]
        return key


def _inner(layer, config):
    """The layer inside a unit. A grouped `Conv2D` becomes our own, which does not go through XLA."""
    if type(layer) is layers.Conv2D and groups_of(layer) > 1:
        kept = ("filters", "kernel_size", "strides", "padding", "dilation_rate", "use_bias", "activation", "name")
        per_group = layer.input.shape[-1] // layer.groups
        return GroupConv2D(channels_per_group=per_group, **{key: config[key] for key in kept})
    return type(layer).from_config(config)


def _is_float(tensor):
    return keras.backend.standardize_dtype(tensor.dtype).startswith("float")
