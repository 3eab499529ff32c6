"""Functional Keras graphs: walking one, copying one, and who feeds whom in it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.copying import COPIED, copy_layer, copy_operation
from tfeff.export.rewrites.proving import batch_size
from tfeff.layers.keras_private import (
    computes_its_graph,
    has_graph,
    input_structure,
    maker,
    nodes,
    nodes_of,
    output_structure,
)

# They pass their input on when a network does not train; by name, for not every Keras has all of them.
_IDLE = tuple(
    getattr(layers, name)
    for name in (
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianNoise",
        "GaussianDropout", "ActivityRegularization", "Identity", "AugMix", "CutMix", "MixUp", "RandAugment",
        "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform",
        "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
        "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
        "RandomShear", "RandomTranslation", "RandomZoom",
    )
    if hasattr(layers, name)
)  # fmt: skip

_NUMBER = re.compile(r"_\d+$")


def as_functional(model: Any) -> Any:
    """The functional form of a model, itself if it is one already, or None for layers and models without a graph.

    A model that is built functionally and has a `call` of its own does not compute what its graph says: None too.
    """
    if isinstance(model, keras.Sequential) and model.built and model.inputs:
        outputs = model.outputs
        return keras.Model(model.inputs[0], outputs[0] if len(outputs) == 1 else outputs, name=model.name)
    return model if has_graph(model) and computes_its_graph(model) else None


def pack_inputs(model: Any, values: Sequence[Any]) -> Any:
    """Values in the order of `model.inputs`, in the structure in which a functional model takes them."""
    return keras.tree.pack_sequence_as(input_structure(model), list(values))


def run_model(model: Any, batch: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What a functional model gives, as `predict` calls it, some samples at a time.

    Args:
        batch: by input, in the order of the model's inputs, (n, ...) each.

    Returns:
        Its outputs, flattened as Keras does, (n, ...) each.
    """
    arrays, parts, size = list(batch.values()), [], batch_size(batch)
    for start in range(0, len(arrays[0]), size):
        made = model(pack_inputs(model, [each[start : start + size] for each in arrays]), training=False)
        parts.append([np.asarray(each) for each in keras.tree.flatten(made)])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def walk(model: Any, inputs: Sequence[Any], call: Callable[..., Any]) -> Any:
    """Runs a functional model's graph on other tensors.

    Args:
        inputs: tensors that take the place of `model.inputs`.
        call: `call(operation, *args, **kwargs)`, once a node in topological order; its answer takes the place of the
            node's outputs.

    Returns:
        What takes the place of the model's outputs, in their structure.
    """
    tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    every = list(nodes(model))
    last = {id(tensor): number for number, node in enumerate(every) for tensor in node.inputs}
    kept = {id(tensor) for tensor in keras.tree.flatten(output_structure(model))}
    for number, node in enumerate(every):
        args, kwargs = node.arguments(tensors)
        outputs = keras.tree.flatten(call(node.operation, *args, **kwargs))
        tensors.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
        del args, kwargs, outputs
        for read in {id(tensor) for tensor in node.inputs} - kept:
            # Values are let go once they are read; a symbolic tensor is known by its `id` for as long as it lives.
            if last[read] == number and not isinstance(tensors[read], keras.KerasTensor):
                del tensors[read]
    return keras.tree.map_structure(lambda tensor: tensors[id(tensor)], output_structure(model))


def rebuild(model: Any, call: Callable[..., Any], finish: Callable[[Any], Any] = lambda tensor: tensor) -> Any:
    """A new model: `walk` from new inputs of the same names, shapes and types; `finish` makes the outputs."""
    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in model.inputs]
    outputs = keras.tree.map_structure(finish, walk(model, inputs, call))
    name_operations(outputs, model)
    return keras.Model(keras.tree.pack_sequence_as(input_structure(model), inputs), outputs, name=model.name)


def name_operations(outputs: Any, model: Any = None) -> None:
    """Names the operations behind some tensors that nobody named, such as the `ops.add(x, 3.0)` of a rewrite.

    Keras counts its own names through the life of a process: a network that was loaded may have an `add` already, and
    the file of a network that is exported twice would not be the same. `model` is what they were made from: a layer
    that takes the place of one of its layers has that one's name and keeps it. None where they were made from nothing.
    """
    known = {operation.name for operation in model.operations} if model is not None else set()
    found, waiting, seen = [], [maker(tensor) for tensor in keras.tree.flatten(outputs)], set()
    while waiting:
        operation = waiting.pop()
        if id(operation) not in seen:
            seen.add(id(operation))
            found.append(operation)
            waiting += [maker(tensor) for node in nodes_of(operation) for tensor in node.inputs]
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
    return not hasattr(operation, COPIED) and plain == type(operation).__name__.lower()


def _numbered(name, taken):
    """The name as Keras would number it, `add`, `add_1`, where it is taken."""
    fresh, number = name, 0
    while fresh in taken:
        number += 1
        fresh = f"{name}_{number}"
    taken.add(fresh)
    return fresh


def inline(model: Any) -> Any:
    """A copy of a functional model in which every layer is called once and there are no models within the model.

    A layer that is called twice becomes two with equal weights, a separable convolution the two that it is, a ReLU with
    another ceiling than 6 a ReLU and a minimum. Layers that do nothing outside training are left out, and so is what a
    layer was told of training when it was called: `predict` tells all of them the same.

    Raises:
        CannotRewrite: a layer that cannot be copied.
    """
    taken: set[str] = set()
    origins: dict[int, object] = {}  # by id of a layer: what its copies have in common

    def call(operation, *args, **kwargs):
        kwargs.pop("training", None)
        inner = as_functional(operation)
        if inner is not None:
            return walk(inner, keras.tree.flatten((args, kwargs.get("inputs", ()))), call)
        if _is_idle(operation, args):
            return args[0]
        if not isinstance(operation, layers.Layer):
            return copy_operation(operation)(*args, **kwargs)
        name = _fresh(operation.name, taken)
        if type(operation) in _SEPARABLE and operation.padding != "causal":
            return _separated(operation, args[0], name, _fresh(f"{name}_depthwise", taken))
        if isinstance(operation, layers.ReLU) and operation.max_value not in (None, 6) and not operation.threshold:
            slope = operation.negative_slope
            return keras.ops.minimum(layers.ReLU(negative_slope=slope, name=name)(*args), float(operation.max_value))
        return copy_layer(operation, name, shared=origins.setdefault(id(operation), object()))(*args, **kwargs)

    return rebuild(model, call)


def _is_idle(operation, args):
    """Whether it hands on its input as it is, shape and type included."""
    if not isinstance(operation, _IDLE) or len(args) != 1 or not isinstance(args[0], keras.KerasTensor):
        return False
    made = operation.compute_output_spec(args[0])
    return isinstance(made, keras.KerasTensor) and (made.shape, made.dtype) == (args[0].shape, args[0].dtype)


# What each is as a depthwise and a pointwise convolution.
_SEPARABLE = {
    layers.SeparableConv1D: (layers.DepthwiseConv1D, layers.Conv1D),
    layers.SeparableConv2D: (layers.DepthwiseConv2D, layers.Conv2D),
}


def _separated(layer, x, name, depthwise_name):
    """A separable convolution as a depthwise and one of 1x1, which quantize, and take a norm, each for itself."""
    config = layer.get_config()
    shared = {key: config[key] for key in ("data_format", "dtype")}
    spatial = {key: config[key] for key in ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier")}
    depthwise_kind, pointwise_kind = _SEPARABLE[type(layer)]
    first = depthwise_kind(**spatial, **shared, use_bias=False, name=depthwise_name)
    pointwise = {key: config[key] for key in ("filters", "use_bias", "activation")}
    second = pointwise_kind(kernel_size=1, **pointwise, **shared, name=name)
    y = second(first(x))
    depthwise_kernel, *weights = layer.get_weights()
    first.set_weights([depthwise_kernel])
    second.set_weights(weights)
    return y


class GraphView:
    """Who feeds whom in an inlined model."""

    def __init__(self, model: Any):
        self._consumers: dict[int, list] = {}
        self._outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
        for node in nodes(model):
            for tensor in node.inputs:
                self._consumers.setdefault(id(tensor), []).append(node.operation)

    def chain(self, first: Any, *accepts: Callable[[Any], bool]) -> list:
        """`first`, then as many of the layers behind it as match `accepts` in order (each may be absent).

        Stops where a tensor is read twice or is an output of the model.
        """
        chain = [first]
        for accept in accepts:
            following = self.only_consumer(chain[-1])
            if following is not None and accept(following):
                chain.append(following)
        return chain

    def consumers(self, tensor: Any) -> list:
        """The operations that read a tensor of the model."""
        return self._consumers.get(id(tensor), [])

    def is_output(self, tensor: Any) -> bool:
        return id(tensor) in self._outputs

    def only_consumer(self, layer: Any) -> Any:
        """The operation that alone reads the one output of `layer`; None when there are several, or it is an output."""
        tensors = keras.tree.flatten(layer.output)
        consumers = self.consumers(tensors[0])
        if len(tensors) != 1 or len(consumers) != 1 or self.is_output(tensors[0]):
            return None
        return consumers[0]

    def producer(self, layer: Any) -> Any:
        """The operation that makes the one input of `layer`, where only `layer` reads it; None else."""
        tensors = keras.tree.flatten(layer.input)
        if len(tensors) != 1 or len(self.consumers(tensors[0])) != 1 or self.is_output(tensors[0]):
            return None
        operation = maker(tensors[0])
        return None if isinstance(operation, layers.InputLayer) else operation


def _fresh(name, taken):
    """The name, with a number behind it where it is taken."""
    fresh, number = name, 1
    while fresh in taken:
        number += 1
        fresh = f"{name}_{number}"
    taken.add(fresh)
    return fresh
