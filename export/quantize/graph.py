"""From a target's Keras graph to a fake-quant graph: the same network, rounding where its int8 file will round.

It simulates the file, is trained (quantization-aware training), is saved and loaded as any Keras model, and what is
converted is taken out of it, so that simulation, training and file cannot differ in their plan.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.quantize import placement
from tfeff.export.quantize.constants import Constants
from tfeff.export.quantize.fake_quant import ActivationRange, FakeQuantize, QuantizedWeights
from tfeff.export.quantize.simulation import float_network
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.copying import SHARED, CannotRewrite, again
from tfeff.export.rewrites.core import inlined
from tfeff.export.rewrites.graph import (
    GraphView,
    as_functional,
    name_operations,
    pack_inputs,
    run_model,
    walk,
)
from tfeff.export.rewrites.matching import groups_of
from tfeff.export.rewrites.normalization import Normalization
from tfeff.export.rewrites.proving import Distance, distance, floors
from tfeff.layers import GroupConv2D

# What the converter does by itself, done in the graph, where its roundings can be simulated; and what it cannot
# quantize as it is.
_FIRST = ("attention", "silu:multiply", "curves", "unroll", "batch_norm:fold")
INPUT = "image"  # what the input of a network of one image is called
_TOLERANCE = 1e-3  # of an output's range: what folding and unfolding may move it by
_MAGNIFIED = 100  # times what 2e-7 more input moves it by


def fake_quant_graph(
    model: Any,
    inputs: Sequence[str] = (INPUT,),
    *,
    per_tensor: bool = False,
    train_ranges: bool = False,
    tied: bool = False,
    proof: Mapping[str, np.ndarray] | None = None,
    seen: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """Makes the fake-quant graph of a network that its target's rewrites have been applied to.

    Args:
        model: a functional Keras model; it is not touched.
        inputs: names of its inputs, in its order: their ranges and points are called so.
        per_tensor: one scale for all of a layer's weights, for hardware that has no scales by channel.
        train_ranges: whether ranges are trained with the weights.
        tied: whether a layer that is called more than once is one unit with one kernel and one bias, as it must be
            where it is trained; else each call has its own, which can be corrected for it.
        proof: by input, in the model's order, (n, ...) each; on these the float network in the graph is proven to
            compute what the model does. None leaves it unproven.
        seen: the same, for sizes that normalizations are built for; None is those of `proof`, if it is given.

    Returns:
        A functional Keras model of the same inputs and outputs. Batch normalization is folded. Its ranges are those of
        an untouched network, -1 to 1, until `simulation.set_ranges` gives them theirs. What is no floating point
        (numbers of words, classes) is not rounded.

    Raises:
        CannotRewrite: the model has no graph, a layer that cannot be copied, or what was made is not the same.
    """
    functional = as_functional(model)
    if functional is None:
        name = getattr(model, "name", "the model")
        raise CannotRewrite(f"{name}: has no graph of layers to quantize", "build it as keras.Model(inputs, outputs)")
    if len(functional.inputs) != len(inputs):
        raise CannotRewrite(f"{model.name}: takes {len(functional.inputs)} inputs, not {', '.join(inputs)}")
    network = inlined(functional)
    normalization = Normalization(seen=proof if seen is None else seen)
    for rewrite in (normalization, *map(load_rewrite, _FIRST), Constants()):
        network, _ = rewrite.apply(network)
    graph = _Builder(network, inputs, per_tensor, train_ranges, tied).build()
    if proof is not None:
        prove_graph(graph, functional, proof)
    return graph


def prove_graph(graph: Any, model: Any, proof: Mapping[str, np.ndarray]) -> tuple[Distance, float]:
    """That the float network in a fake-quant graph is the model; what magnifies rounding is told by what rounding does
    to it.

    Args:
        graph: of `fake_quant_graph`.
        model: the functional model that it was made of.
        proof: see there.

    Returns:
        How far they are apart, and how far they may be, relative.

    Raises:
        CannotRewrite: it is not.
    """
    expected = run_model(model, proof)
    made, _ = float_network(graph, rounded_weights=False)([keras.ops.convert_to_tensor(v) for v in proof.values()])
    found = distance([np.asarray(each) for each in keras.tree.flatten(made)], expected, _TOLERANCE)
    if found.is_rounding:
        return found, _TOLERANCE
    allowed = _MAGNIFIED * max(floors(lambda moved: run_model(model, moved), proof, expected))
    if found.relative <= allowed:
        return found, allowed
    raise CannotRewrite(
        f"{model.name}: its fake-quant graph differs from it by {found.relative:.1e} of its output",
        "see whether a layer computes something else when it is copied by its config and its weights",
    )


class _Builder:
    def __init__(self, model, inputs, per_tensor, train_ranges, tied):
        self._model, self._inputs = model, inputs
        self._per_tensor, self._train_ranges = per_tensor, train_ranges
        self._units: dict[Any, list[Any]] | None = {} if tied else None  # by what copies of a layer have in common
        self._view = GraphView(model)
        self._relus = {}  # id of an operation -> the ReLU that is fused into it
        self._swallowed = set()
        self._groups = _Groups()
        self._sources: list[tuple[Any, Any]] = []
        for operation in model.operations:
            self._plan(operation)
        self._limits = self._find_limits()
        # group -> what its values come from: a range that the specification fixes, None for any other
        self._kinds: dict[Any, set[Any]] = {}
        for tensor, bounds in self._sources:
            self._kinds.setdefault(self._groups.of(tensor), set()).add(bounds)
        self._ranges = {}  # group -> (low, high) of its range
        self._names = {f"{name}_fq" for name, old in zip(inputs, model.inputs, strict=True) if not _is_float(old)}

    def build(self):
        new = [keras.Input(batch_shape=old.shape, dtype=old.dtype, name=old.name) for old in self._model.inputs]
        self._anchor = new[0]  # what ranges hang on
        values = [
            self._quantize(tensor, name, self._groups.of(old), door=True) if _is_float(old) else tensor
            for tensor, name, old in zip(new, self._inputs, self._model.inputs, strict=True)
        ]
        outputs = walk(self._model, values, self._call)
        structure = keras.tree.map_structure(lambda tensor: tensor, outputs)
        name_operations(structure, self._model)
        return keras.Model(pack_inputs(self._model, new), structure, name=self._model.name)

    def _plan(self, operation):
        """Which tensors have one range, and which ReLU is part of what stands in front of it."""
        if id(operation) in self._swallowed:
            return
        if isinstance(operation, layers.InputLayer):
            self._sources += [(tensor, None) for tensor in keras.tree.flatten(operation.output)]
            return
        inputs, outputs = (keras.tree.flatten(t) for t in (operation.input, operation.output))
        following = self._view.only_consumer(operation) if len(outputs) == 1 else None
        if following is not None and placement.fuses_relu(operation) and placement.is_fusible_relu(following):
            self._relus[id(operation)] = following
            self._swallowed.add(id(following))
            outputs = keras.tree.flatten(following.output)
        if placement.kind_of(operation) == "same-scale":
            first, *others = [tensor for tensor in (*inputs, *outputs) if _is_float(tensor)] or [None]
            for tensor in others:
                self._groups.join(first, tensor)
        else:
            self._sources += [(tensor, placement.fixed_range(operation)) for tensor in outputs]

    def _find_limits(self):
        """Limits of ranges, by group: a tensor that goes into hard-swishes alone need not say what lies below -3."""
        found = {}
        for operation in self._model.operations:
            for tensor in keras.tree.flatten(operation.output):
                limits = placement.useful_range(tensor, self._view)
                if limits is not None and self._groups.is_single(tensor):
                    found[self._groups.of(tensor)] = limits
        return found

    def _call(self, operation, *args, **kwargs):
        if id(operation) in self._swallowed:
            return args[0]
        kind, relu = placement.kind_of(operation), self._relus.get(id(operation))
        last = relu if relu is not None else operation
        if kind == "weighted" and _is_float(operation.input):
            return self._weighted(operation, relu, args[0])
        if kind == "fixed":
            y = again(operation, *args, **kwargs)
            return self._fixed(y, operation.name, operation.output, placement.fixed_range(operation))
        if placement.is_hard_sigmoid(operation):
            return self._hard_sigmoid(operation, args[0])
        outputs = again(operation, *args, **kwargs)
        if relu is not None:
            outputs = again(relu, outputs)
        if kind == "same-scale" and not placement.rounds(operation):
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
            config["activation"] = placement.fused_relu(relu)
        elif not placement.is_fused_activation(layer):
            config["activation"], behind = "linear", layer.activation
        y = self._unit(layer, config, x)
        out = (relu if relu is not None else layer).output
        if behind is None:
            return self._quantize(y, layer.name, self._groups.of(out))
        y = self._quantize(y, f"{layer.name}_linear", ("linear", layer.name))
        activation = layers.Activation(behind, name=f"{layer.name}_activation")
        if placement.is_hard_sigmoid(activation):
            return self._hard_sigmoid(activation, y, self._groups.of(out))
        if (fixed := placement.fixed_range(activation)) is not None:
            return self._fixed(activation(y), layer.name, out, fixed)
        return self._quantize(activation(y), layer.name, self._groups.of(out))

    def _unit(self, layer, config, x):
        """`x` through the unit of a layer: where these are to be one, that of another call of the same layer."""
        ends, weights = self._range_of(layer.input), layer.get_weights()
        known = self._units.setdefault(getattr(layer, SHARED, layer), []) if self._units is not None else []
        for unit in known:
            if _is_same(unit.layer, config, weights):
                return unit(x, *ends)
        inner = _inner(layer, config)
        unit = QuantizedWeights(inner, self._per_tensor, name=layer.name)
        y = unit(x, *ends)
        if inner.bias is not None and len(weights) == 1:
            weights = [*weights, np.zeros(inner.bias.shape, np.float32)]
        inner.set_weights(weights)
        known.append(unit)
        return y

    def _fixed(self, y, label, tensor, bounds):
        """The output of an operation whose range the specification fixes. Where others, in a concatenation, have one
        scale with it, its values are rounded once more to theirs."""
        group = self._groups.of(tensor)
        if self._kinds[group] == {bounds}:
            return self._quantize(y, label, group, bounds)
        y = self._quantize(y, label, ("fixed", label), bounds)
        return self._quantize(y, f"{label}_requantized", group)

    def _hard_sigmoid(self, layer, x, group=None):
        """relu6(x + 3) / 6 as the converter spells it, with the rounding between ADD and MUL."""
        y = layers.ReLU(6.0, name=f"{layer.name}_relu6")(ops.add(x, 3.0))
        y = self._quantize(y, f"{layer.name}_add", ("add", layer.name))
        return self._quantize(ops.multiply(y, 1 / 6), layer.name, group or self._groups.of(layer.output))

    def _range_of(self, tensor):
        return self._ranges[self._groups.of(tensor)]

    def _quantize(self, x, label, group, bounds=None, *, door=False):
        """`x` rounded by the range of its group; `door`: it is an input."""
        trains = self._train_ranges and bounds is None and not door
        if group not in self._ranges:
            low, high = bounds or (-1.0, 1.0)
            fixed, name = bounds is not None, self._fresh(f"{label}_range")
            limits = self._limits.get(group, (None, None))
            layer = ActivationRange(low, high, fixed, limits, trainable=trains, name=name)
            self._ranges[group] = layer(self._anchor)
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

    def is_single(self, tensor):
        """Whether nothing was joined with it."""
        root = self._root(id(tensor))
        return root == id(tensor) and root not in self._parent.values()

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


def _is_same(inner, config, weights):
    """Whether a unit's layer has this config, but for its name, and these weights; a bias that it alone has is 0."""
    own = inner.get_config()
    if any(own[key] != config[key] for key in own.keys() & config.keys() - {"name"}):
        return False
    missing = [0.0] * (len(inner.get_weights()) - len(weights))
    return all(np.array_equal(a, np.broadcast_to(b, a.shape))
               for a, b in zip(inner.get_weights(), [*weights, *missing], strict=True))  # fmt: skip


def _is_float(tensor):
    return keras.backend.standardize_dtype(tensor.dtype).startswith("float")
