"""Which channels of a network can be scaled together without changing what it computes, and doing so.

A convolution can make one of its channels s times as large if all that read this channel take it s times smaller. What
treats channels alone and gives k times the output for k times the input (ReLU, pooling, slices, shuffles) hands the
factor on; sums and concatenations join what they read. So the channels of all tensors fall into groups with one factor
each, and those that meet anything else (ReLU6, a sigmoid, the input, an output) have the factor 1.

Factors are powers of two: float32 then rounds every product and sum as before, and the outputs stay the same bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.errors import TfeffError
from tfeff.export.quantize.placement import fuses_relu, is_fusible_relu, kind_of
from tfeff.export.rewrites.copying import CannotRewrite, again
from tfeff.export.rewrites.graph import GraphView, rebuild
from tfeff.export.rewrites.matching import DEPTHWISE, POOL_LIKE, TRANSPOSED, groups_of
from tfeff.export.rewrites.selection import selection
from tfeff.layers.keras_private import maker, only_node

_HOMOGENEOUS = tuple(keras.activations.get(name) for name in ("linear", "relu", "leaky_relu"))
# By name, for Keras does not export the classes of its operations; its layers are called the same.
_SUMS = {"Add", "Subtract", "Maximum", "Minimum"}
_MOVERS = {"Flatten", "Reshape", "GetItem", "Squeeze", "ExpandDims", "Permute", "Transpose"}


@dataclass(eq=False)
class Weights:
    """The kernel of a layer as an edge from each channel that it reads to each that it writes.

    Attributes:
        layer: it.
        largest: (a, b), the largest absolute weight of each edge.
        reads: (a, b), the group of the channel that is read.
        writes: (a, b), the group of the channel that is written.
        outputs: (a, b), the number of the channel that is written.
    """

    layer: keras.layers.Layer
    largest: np.ndarray
    reads: np.ndarray
    writes: np.ndarray
    outputs: np.ndarray


class ChannelScales:
    """The groups of an inlined model.

    Attributes:
        model: it.
        count: of the groups; group 0 is that of all channels that stay as they are.
        tensors: those that are quantized: all but what goes into a ReLU that the converter fuses.
        weights: of every layer that has a kernel and takes part.
        refused: names of the kinds of operations in whose way channels would have been free, and how often.
    """

    def __init__(self, model: Any):
        self.model = model
        self._graph = GraphView(model)
        self._first: dict[int, int] = {}  # id of a tensor -> number of its first channel
        self._tensors: list = []
        self._parent = [0]
        self._weighted: list[keras.layers.Layer] = []
        self._ranges: dict[int, int] = {}  # id of a tensor -> id of one that has the same range
        self.refused: dict[str, int] = {}
        done: set[int] = set()
        for tensor in model.inputs:
            self._pin(tensor)
        for operation in model.operations:
            if not isinstance(operation, layers.InputLayer) and id(operation) not in done:
                done |= {id(each) for each in self._visit(operation)}
        for tensor in keras.tree.flatten(model.outputs):
            self._pin(tensor)
        self._number()

    def groups(self, tensor: Any) -> np.ndarray:
        """(c,): the group of each channel of a tensor of the model."""
        first = self._first[id(tensor)]
        return self._group[first : first + tensor.shape[-1]]

    def range_of(self, tensor: Any) -> int:
        """A number that tensors with one range in the file have in common."""
        key = id(tensor)
        while self._ranges.get(key, key) != key:
            key = self._ranges[key]
        return key

    def rescaled(self, exponents: np.ndarray) -> tuple[keras.Model, int]:
        """A copy of the model in which the channels of group g are 2^exponents[g] times as large, and the number of
        layers whose weights are others.

        Raises:
            ValueError: group 0 would change.
        """
        if exponents[0] != 0:
            raise ValueError("channels of group 0 cannot be scaled")
        new = {id(each.layer): self._new_weights(each, exponents) for each in self.weights}
        changed = {key for key, weights in new.items() if weights is not None}

        def call(operation, *args, **kwargs):
            if id(operation) not in changed:
                return again(operation, *args, **kwargs)
            layer = type(operation).from_config(operation.get_config())
            outputs = layer(*args, **kwargs)
            layer.set_weights(new[id(operation)])
            return outputs

        return rebuild(self.model, call), len(changed)

    def _new_weights(self, weights, exponents):
        """Those of a rescaled layer; None if they are the same."""
        layer = weights.layer
        steps = exponents[weights.writes] - exponents[weights.reads]  # (a, b)
        kernel, *bias = layer.get_weights()
        if isinstance(layer, TRANSPOSED):
            steps = steps.T  # (kh, kw, f, c)
        out = exponents[self.groups(layer.output)]
        if not steps.any() and not out.any():
            return None
        return [np.ldexp(kernel, steps), *(np.ldexp(value, out) for value in bias)]

    def _visit(self, operation):
        """Joins or pins the channels around an operation; the operations that this has dealt with."""
        inputs, outputs = keras.tree.flatten(operation.input), keras.tree.flatten(operation.output)
        name = type(operation).__name__ if type(operation).__module__.startswith("keras.") else ""
        if kind_of(operation) == "same-scale":
            for tensor in outputs + inputs[1:]:
                self._same_range(tensor, inputs[0])
        if getattr(operation, "data_format", "channels_last") != "channels_last":
            return self._refuse(operation, inputs, outputs)
        if is_weighted(operation):
            self._weighted.append(operation)
            self._channels(inputs[0]), self._channels(outputs[0])
            if operation.activation not in _HOMOGENEOUS:
                self._refuse(operation, [], outputs)
            return [operation]
        found = selection(operation, self._graph)
        if found is not None:
            chain, picks = found
            for tensor, pick in zip(keras.tree.flatten(chain[-1].output), picks, strict=True):
                self._join(tensor, inputs[0], pick)
                self._same_range(tensor, inputs[0])  # what is between is not looked at
            return chain
        if len(inputs) == len(outputs) == 1 and _carries(operation):
            self._join(outputs[0], inputs[0])
            return [operation]
        if name in _MOVERS and (pick := _moved(operation)) is not None:
            self._join(outputs[0], inputs[0], pick)
            return [operation]
        if isinstance(operation, layers.Concatenate) and operation.axis in (-1, len(outputs[0].shape) - 1):
            start = 0
            for tensor in inputs:
                self._join(tensor, outputs[0], np.arange(start, start + tensor.shape[-1]))
                start += tensor.shape[-1]
            return [operation]
        if len(inputs) > 1 and {tensor.shape[-1] for tensor in inputs} == {outputs[0].shape[-1]}:
            if name in _SUMS or isinstance(operation, layers.Average):
                for tensor in inputs:
                    self._join(tensor, outputs[0])
                return [operation]
            if name == "Multiply" and len(free := [t for t in inputs if not self._pinned(t)]) == 1:
                self._join(free[0], outputs[0])  # by factors that stay as they are, such as a gate's
                return [operation]
        return self._refuse(operation, inputs, outputs)

    def _channels(self, tensor):
        """The numbers of a tensor's channels; new ones for a tensor that was not met before."""
        if id(tensor) not in self._first:
            self._first[id(tensor)] = len(self._parent)
            self._tensors.append(tensor)
            channels = tensor.shape[-1] if len(tensor.shape) > 1 else None
            self._parent += range(len(self._parent), len(self._parent) + (channels or 0))
        first = self._first[id(tensor)]
        return np.arange(first, first + (tensor.shape[-1] or 0)) if len(tensor.shape) > 1 else np.arange(0)

    def _find(self, channel):
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel

    def _join(self, tensor, other, pick=slice(None)):
        """Channel i of `tensor` with channel pick[i] of `other`."""
        for one, two in zip(self._channels(tensor), self._channels(other)[pick], strict=True):
            roots = sorted((self._find(int(one)), self._find(int(two))))
            self._parent[roots[1]] = roots[0]  # 0, that of the pinned ones, is always a root

    def _pin(self, tensor):
        for channel in self._channels(tensor):
            self._parent[self._find(int(channel))] = 0

    def _pinned(self, tensor):
        return all(self._find(int(channel)) == 0 for channel in self._channels(tensor))

    def _refuse(self, operation, inputs, outputs):
        if any(id(t) in self._first and not self._pinned(t) for t in inputs):
            kind = _kind(operation)
            self.refused[kind] = self.refused.get(kind, 0) + 1
        for tensor in (*inputs, *outputs):
            self._pin(tensor)
        return [operation]

    def _same_range(self, tensor, other):
        self._ranges[self.range_of(tensor)] = self.range_of(other)

    def _number(self):
        """Numbers the groups, and reads the kernels by them."""
        roots = np.array([self._find(channel) for channel in range(len(self._parent))])
        _, self._group = np.unique(roots, return_inverse=True)  # 0 stays 0
        self.count = int(self._group.max()) + 1
        known = [t for t in self._tensors if len(t.shape) > 1 and t.shape[-1] is not None and "float" in t.dtype]
        self.tensors = [tensor for tensor in known if not self._is_fused(tensor)]
        self.weights = [self._edges(operation) for operation in self._weighted]

    def _edges(self, layer):
        kernel = np.abs(np.asarray(layer.kernel))
        reads, writes = self.groups(layer.input), self.groups(layer.output)
        largest = kernel.max(axis=tuple(range(kernel.ndim - 2)))  # (c, f), (c/groups, f), (c, multiplier), (f, c)
        if isinstance(layer, DEPTHWISE):
            outputs = np.arange(largest.size).reshape(largest.shape)
            return Weights(layer, largest, np.broadcast_to(reads[:, None], largest.shape), writes[outputs], outputs)
        if isinstance(layer, TRANSPOSED):
            largest = largest.T
        within, filters = largest.shape
        group = np.arange(filters) // (filters // groups_of(layer))
        outputs = np.broadcast_to(np.arange(filters), largest.shape)
        return Weights(layer, largest, reads[group * within + np.arange(within)[:, None]], writes[outputs], outputs)

    def _is_fused(self, tensor):
        """Whether it goes into a ReLU alone, and so is never there."""
        producer = maker(tensor)
        if isinstance(producer, layers.InputLayer) or len(keras.tree.flatten(producer.output)) != 1:
            return False
        following = self._graph.only_consumer(producer)
        return fuses_relu(producer) and following is not None and is_fusible_relu(following)


def is_weighted(layer: Any) -> bool:
    """Whether it is a convolution or fully connected layer over the last axis that can take factors into its kernel."""
    return kind_of(layer) == "weighted" and getattr(layer, "data_format", "channels_last") == "channels_last"


def some(batch: Mapping[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """At most so many of the samples, evenly spread, the first among them.

    Raises:
        TfeffError: there are none.
    """
    count = min(len(values) for values in batch.values())
    if not count:
        raise TfeffError("equalization: no calibration images", "give --calibration with images")
    chosen = np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))
    return {name: values[chosen] for name, values in batch.items()}


def measure(scales: ChannelScales, batch: Mapping[str, np.ndarray], size: int = 8) -> list[np.ndarray]:
    """Of each of `scales.tensors` the largest absolute value of every channel in each sample, float32 (n, c).

    Args:
        batch: by input, in the model's order, (n, ...) each.

    Raises:
        TfeffError: a layer gives NaN or infinity, or there is none.
    """
    import tensorflow as tf

    tensors, model = scales.tensors, scales.model
    if not tensors:
        raise CannotRewrite(f"{model.name}: has no tensors", "give a network with layers")
    probe = keras.Model(model.inputs, tensors)

    @tf.function(reduce_retracing=True)
    def largest(*inputs):
        values = probe(list(inputs), training=False)
        values = values if isinstance(values, (list, tuple)) else [values]
        return [tf.reduce_max(tf.abs(v), axis=list(range(1, len(v.shape) - 1))) for v in values]

    arrays = list(batch.values())
    parts = [largest(*(tf.constant(each[i : i + size]) for each in arrays)) for i in range(0, len(arrays[0]), size)]
    measured = [np.concatenate([np.asarray(part) for part in column]) for column in zip(*parts, strict=True)]
    for tensor, values in zip(tensors, measured, strict=True):
        if not np.isfinite(values).all():
            raise TfeffError(
                f"layer {maker(tensor).name!r} gives NaN or infinity for calibration images",
                "`tfeff calibrate --audit` names them",
            )
    return measured


def _carries(operation):
    """Whether each channel of the output is that channel of the input, k times as large for one k times as large."""
    if isinstance(operation, layers.ReLU):
        return operation.max_value is None and operation.threshold == 0
    if isinstance(operation, layers.Activation):
        return operation.activation in _HOMOGENEOUS
    return isinstance(operation, (layers.LeakyReLU, layers.PReLU, *POOL_LIKE))


def _moved(operation):
    """For each channel of the output the channel of the input whose values it has; None if they are mixed."""
    shape = operation.input.shape[1:]
    if None in shape or len(keras.tree.flatten(operation.output)) != 1:
        return None
    numbers = np.broadcast_to(np.arange(shape[-1], dtype=np.float32), (1, *shape))
    try:
        if isinstance(operation, layers.Layer):
            values = operation(numbers)
        else:
            node = only_node(operation)
            args, kwargs = node.arguments({id(node.inputs[0]): keras.ops.convert_to_tensor(numbers)})
            values = operation.call(*args, **kwargs)
    except (ValueError, TypeError):
        return None
    values = np.asarray(values)
    if values.ndim < 2 or values.shape[1:] != tuple(operation.output.shape[1:]):
        return None
    values = values.reshape(-1, values.shape[-1])
    return values[0].astype(int) if (values == values[0]).all() else None


def _kind(operation):
    """What a report calls it."""
    if isinstance(operation, layers.ReLU) and operation.max_value is not None:
        return f"ReLU{operation.max_value:g}"
    activation = getattr(operation, "activation", None)
    name = type(operation).__name__
    return f"{name} {activation.__name__}" if activation is not None else name
