"""Functional Keras graphs: walking one, copying one, and who feeds whom in it."""

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from tfeff.errors import TfeffError

# They pass their input on when a network does not train.
_IDLE = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.GaussianDropout,
    layers.ActivityRegularization,
    layers.Identity,
)

_COPIED = "_tfeff_copied"  # set on an operation whose name is that of the one it was copied from
_NUMBER = re.compile(r"_\d+$")


class CannotRewrite(TfeffError):
    """The model has no graph that could be walked, or a layer that cannot be copied."""


def as_functional(model):
    """The functional form of a model, itself if it is one already, or None for layers and models without a graph."""
    if isinstance(model, keras.Sequential) and model.built and model.inputs:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model if isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth") else None


def walk(model, inputs: Sequence[Any], call: Callable[..., Any]):
    """Runs a functional model's graph on other tensors.

    Args:
        inputs: tensors that take the place of `model.inputs`.
        call: `call(operation, *args, **kwargs)`, once a node in topological order; its answer takes the place of the
            node's outputs.

    Returns:
        What takes the place of the model's outputs, in their structure.
    """
    tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            args, kwargs = node.arguments.fill_in(tensors)
            outputs = keras.tree.flatten(call(node.operation, *args, **kwargs))
            tensors.update((id(old), new) for old, new in zip(node.output_tensors, outputs, strict=True))
    return keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model._outputs_struct)


def rebuild(model, call: Callable[..., Any], finish: Callable[[Any], Any] = lambda tensor: tensor):
    """A new model: `walk` from new inputs of the same names, shapes and types; `finish` makes the outputs."""
    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in model.inputs]
    outputs = keras.tree.map_structure(finish, walk(model, inputs, call))
    name_operations(outputs, model)
    return keras.Model(keras.tree.pack_sequence_as(model._inputs_struct, inputs), outputs, name=model.name)


def name_operations(outputs, model) -> None:
    """Names the operations behind some tensors that nobody named, such as the `ops.add(x, 3.0)` of a rewrite.

    Keras counts its own names through the life of a process: a network that was loaded may have an `add` already, and
    the file of a network that is exported twice would not be the same. `model` is what they were made from: a layer
    that takes the place of one of its layers has that one's name and keeps it.
    """
    known = {operation.name for operation in model.operations}
    found, waiting, seen = [], [tensor._keras_history.operation for tensor in keras.tree.flatten(outputs)], set()
    while waiting:
        operation = waiting.pop()
        if id(operation) not in seen:
            seen.add(id(operation))
            found.append(operation)
            sources = [tensor for node in operation._inbound_nodes for tensor in node.input_tensors]
            waiting += [tensor._keras_history.operation for tensor in sources]
    found.reverse()  # the first in the network first
    named = [each for each in found if not _unnamed(each)]
    taken = {each.name for each in named if isinstance(each, layers.Layer)}
    for layer in found:
        if _unnamed(layer) and isinstance(layer, layers.Layer) and layer.name in known - taken:
            taken.add(layer.name)
            named.append(layer)
    # An operation of a model that is called twice was copied twice.
    for operation in [each for each in named if not isinstance(each, layers.Layer)]:
        operation.name = _numbered(operation.name, taken)
    for operation in [each for each in found if each not in named]:
        operation.name = _numbered(_NUMBER.sub("", operation.name), taken)


def _unnamed(operation):
    """Whether it has the name that Keras gives by itself."""
    plain = _NUMBER.sub("", operation.name).replace("_", "")
    return not hasattr(operation, _COPIED) and plain == type(operation).__name__.lower()


def _numbered(name, taken):
    """The name as Keras would number it, `add`, `add_1`, where it is taken."""
    fresh, number = name, 0
    while fresh in taken:
        number += 1
        fresh = f"{name}_{number}"
    taken.add(fresh)
    return fresh


def inline(model):
    """A copy of a functional model in which every layer is called once and there are no models within the model.

    A layer that is called twice becomes two with equal weights, a separable convolution the two that it is, a ReLU with
    another ceiling than 6 a ReLU and a minimum. Layers that do nothing outside training are left out.

    Raises:
        CannotRewrite: a layer that cannot be copied.
    """
    taken: set[str] = set()

    def call(operation, *args, **kwargs):
        inner = as_functional(operation)
        if inner is not None:
            return walk(inner, keras.tree.flatten((args, kwargs.get("inputs", ()))), call)
        if isinstance(operation, _IDLE):
            return args[0]
        if not isinstance(operation, layers.Layer):
            return copy_operation(operation)(*args, **kwargs)
        name = _fresh(operation.name, taken)
        if type(operation) is layers.SeparableConv2D:
            return _separated(operation, args[0], name, _fresh(f"{name}_depthwise", taken))
        if isinstance(operation, layers.ReLU) and operation.max_value not in (None, 6) and not operation.threshold:
            slope = operation.negative_slope
            return keras.ops.minimum(layers.ReLU(negative_slope=slope, name=name)(*args), float(operation.max_value))
        return copy_layer(operation, name)(*args, **kwargs)

    return rebuild(model, call)


def _separated(layer, x, name, depthwise_name):
    """A separable convolution as a depthwise and one of 1x1, which quantize, and take a norm, each for itself."""
    config = layer.get_config()
    shared = {key: config[key] for key in ("data_format", "dtype")}
    spatial = {key: config[key] for key in ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier")}
    first = layers.DepthwiseConv2D(**spatial, **shared, use_bias=False, name=depthwise_name)
    pointwise = {key: config[key] for key in ("filters", "use_bias", "activation")}
    second = layers.Conv2D(kernel_size=1, **pointwise, **shared, name=name)
    y = second(first(x))
    depthwise_kernel, *weights = layer.get_weights()
    first.set_weights([depthwise_kernel])
    second.set_weights(weights)
    return y


def copy_operation(operation):
    """A Keras operation that is no layer (`x[..., 1:]`, `ops.reshape`) as if it had not been called yet."""
    fresh = copy.copy(operation)
    fresh._inbound_nodes, fresh._outbound_nodes = [], []
    setattr(fresh, _COPIED, True)
    return fresh


def copy_layer(layer, name: str | None = None, change: Callable[[Any], Any] = lambda weight: weight):
    """What calls a new layer with the config of `layer`, and gives it `layer`'s weights, each passed through `change`.

    Raises:
        CannotRewrite: a layer that does not say its config.
    """

    def call(*args, **kwargs):
        try:
            new = type(layer).from_config({**layer.get_config(), "name": name or layer.name})
        except (NotImplementedError, TypeError, ValueError) as error:
            raise CannotRewrite(
                f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied: {str(error).splitlines()[0][:200]}",
                "give it a complete get_config()",
            ) from None
        setattr(new, _COPIED, True)
        outputs = new(*args, **kwargs)
        new.set_weights([change(weight) for weight in layer.get_weights()])
        return outputs

    return call


class GraphView:
    """Who feeds whom in an inlined model."""

    def __init__(self, model):
        self._consumers: dict[int, list] = {}
        self._outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
        for nodes in model._nodes_by_depth.values():
            for node in nodes:
                for tensor in node.input_tensors:
                    self._consumers.setdefault(id(tensor), []).append(node.operation)

    def chain(self, first, *accepts: Callable[[Any], bool]) -> list:
        """`first`, then as many of the layers behind it as match `accepts` in order (each may be absent).

        Stops where a tensor is read twice or is an output of the model.
        """
        chain = [first]
        for accept in accepts:
            following = self.only_consumer(chain[-1])
            if following is not None and accept(following):
                chain.append(following)
        return chain

    def consumers(self, tensor) -> list:
        """The operations that read a tensor of the model."""
        return self._consumers.get(id(tensor), [])

    def is_output(self, tensor) -> bool:
        return id(tensor) in self._outputs

    def only_consumer(self, layer):
        """The operation that alone reads the one output of `layer`; None when there are several, or it is an output."""
        tensors = keras.tree.flatten(layer.output)
        consumers = self.consumers(tensors[0])
        if len(tensors) != 1 or len(consumers) != 1 or self.is_output(tensors[0]):
            return None
        return consumers[0]

    def producer(self, layer):
        """The operation that makes the one input of `layer`, where only `layer` reads it; None else."""
        tensors = keras.tree.flatten(layer.input)
        if len(tensors) != 1 or len(self.consumers(tensors[0])) != 1 or self.is_output(tensors[0]):
            return None
        operation = tensors[0]._keras_history.operation
        return None if isinstance(operation, layers.InputLayer) else operation


def _fresh(name, taken):
    """The name, with a number behind it where it is taken."""
    fresh, number = name, 1
    while fresh in taken:
        number += 1
        fresh = f"{name}_{number}"
    taken.add(fresh)
    return fresh
