"""Channel shuffle folded away: a permutation of channels costs nothing where a convolution can read or write in any
order.

No tensor is permuted. For each, it is written down which channel of which earlier tensor its channels are; shuffles,
slices and concatenations only change what is written. What works on each channel alone (BN, depthwise convolution,
pooling, activations) carries the order on, a convolution takes the channels it needs in the order in which they lie.
Convolutions write first what is needed first, so that what a later one needs of them lies side by side: a slice.

What must have its own order after all (an addition, a group convolution, an output) gets it by slices, or, where those
would be many, by a 1x1 convolution of ones and zeros.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.channel_plan import Plan, Source, View
from tfeff.export.rewrites.copying import again, copy_layer
from tfeff.export.rewrites.core import Rewrite
from tfeff.export.rewrites.graph import name_operations
from tfeff.layers.keras_private import input_structure, only_node, output_structure

_FEW_SLICES = 8  # beyond, a 1x1 convolution is cheaper than the copies
_CONCATENATED = 4  # at once; XNNPACK takes no more than five


class ChannelShuffle(Rewrite):
    """Folds every permutation of channels, `ChannelShuffle` layers and reshape-transpose-reshape alike."""

    name = "channel_shuffle"
    forms = ("native", "fold")

    def apply(self, model: Any) -> tuple[Any, int]:
        if self.form == "native":
            return model, 0
        plan = Plan(model)
        return (_Emission(plan).build(model), plan.shuffles) if plan.shuffles else (model, 0)


class _Emission:
    """Builds the model that a plan describes."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._gathered: dict[bytes, tuple[Any, list]] = {}
        self._ordered: dict[int, Any] = {}

    def build(self, model):
        inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in model.inputs]
        for old, new in zip(model.inputs, inputs, strict=True):
            self._put(old, new)
        for operation in model.operations:
            if not isinstance(operation, layers.InputLayer):
                self._emit(operation, self._plan.actions[id(operation)])
        outputs = keras.tree.map_structure(self._in_its_order, output_structure(model))
        name_operations(outputs, model)
        return keras.Model(keras.tree.pack_sequence_as(input_structure(model), inputs), outputs, name=model.name)

    def _emit(self, operation, action):
        if action == "alias":
            return
        if action == "as it is":
            node = only_node(operation)
            args, kwargs = node.arguments({id(tensor): self._in_its_order(tensor) for tensor in node.inputs})
            made = keras.tree.flatten(again(operation, *args, **kwargs))
            for old, new in zip(keras.tree.flatten(operation.output), made, strict=True):
                self._put(old, new)
            return
        view = self._plan.views[id(operation.output)]
        source = view.sources[0]
        before = self._plan.views[id(operation.input)]
        x, order = self._in_any_order(before)
        if action == "convolve":
            made = copy_layer(operation, change=lambda weight: _rewired(weight, order, source.order))(x)
        else:
            axis = 2 if isinstance(operation, layers.DepthwiseConv2D) else -1
            made = copy_layer(operation, change=lambda w: np.take(w, order, axis if w.ndim == 4 else -1))(x)
            # Of a whole source the numbers are that source's; else they are the places in what it was gathered from.
            source.order = before.sources[0].order if source.root is not source else order
        source.tensor = made

    def _put(self, old, new):
        """A tensor that lies as it did."""
        view = self._plan.view(old)
        view.sources[0].tensor = new
        view.sources[0].order = np.arange(view.sources[0].channels)

    def _in_any_order(self, view: View):
        """A tensor of exactly the channels of a view, and which of them lies at each place."""
        source = view.whole()
        if source is not None:
            return source.tensor, np.argsort(view.numbers)[source.order]
        names = view.names()
        if len(set(names)) < len(names):  # a channel is there twice
            return self._arrange(view), np.arange(len(names))
        key = repr(sorted(names))
        if key not in self._gathered:
            parts, lying = [], []
            for source, places in view.pieces():
                at = np.argsort(source.order)[view.numbers[places]]  # where each lies in the source
                for first, end in _runs(np.sort(at)):
                    parts.append(_slice(source, first, end))
                    lying += [(id(source), int(number)) for number in source.order[first:end]]
            self._gathered[key] = _concatenate(parts), lying
        tensor, lying = self._gathered[key]
        place = {name: number for number, name in enumerate(names)}
        return tensor, np.array([place[name] for name in lying])

    def _in_its_order(self, old):
        """The tensor that takes the place of `old`, channels in their own order."""
        view = self._plan.view(old)
        if id(old) not in self._ordered:
            self._ordered[id(old)] = self._arrange(view)
        return self._ordered[id(old)]

    def _arrange(self, view):
        parts, seen = [], None
        for source, number in zip(view.sources, view.numbers, strict=True):
            at = int(np.flatnonzero(source.order == number)[0])
            if seen == (source, at):
                parts[-1][2] += 1
            else:
                parts.append([source, at, at + 1])
            seen = (source, at + 1)
        if len(parts) <= _FEW_SLICES:
            return _concatenate([_slice(*part) for part in parts])
        names = view.names()
        once = view.take([names.index(name) for name in dict.fromkeys(names)])
        tensor, order = self._in_any_order(once)
        lying = [once.names()[number] for number in order]
        return _permuted(tensor, [lying.index(name) for name in names])


def _slice(source: Source, first, end):
    return source.tensor if end - first == source.channels else source.tensor[..., first:end]


def _concatenate(parts):
    """(n, h, w, c_i) each -> (n, h, w, sum c_i), a few at a time."""
    while len(parts) > 1:
        groups = [parts[i : i + _CONCATENATED] for i in range(0, len(parts), _CONCATENATED)]
        parts = [layers.Concatenate()(group) if len(group) > 1 else group[0] for group in groups]
    return parts[0]


def _permuted(x, places):
    """(n, h, w, c) -> (n, h, w, len(places)): the channels at these places."""
    kernel = np.zeros((x.shape[-1], len(places)), np.float32)
    kernel[places, np.arange(len(places))] = 1
    if len(x.shape) == 2:
        layer = layers.Dense(len(places), use_bias=False)
        y = layer(x)
        layer.set_weights([kernel])
        return y
    layer = layers.Conv2D(len(places), 1, use_bias=False)
    y = layer(x)
    layer.set_weights([kernel[None, None]])
    return y


def _rewired(weight, inputs, outputs):
    """Kernel (..., c, f) or bias (f,) that reads and writes in another order."""
    return weight[..., inputs, :][..., outputs] if weight.ndim > 1 else weight[outputs]


def _runs(places):
    """[3, 4, 5, 9] -> [(3, 6), (9, 10)]"""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(places, breaks)]
