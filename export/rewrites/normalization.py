"""Normalization of each sample by itself, of operations whose int8 ranges are benign.

Keras writes `LayerNormalization` with a NEG, which has no int8 kernel, and all of them with a variance. An int8 tensor
of variances says nothing of a pixel ten times weaker than the strongest: its variance is a hundredth. So the deviations
d are brought to about one size first, with whatever int8 makes of their mean absolute value:

    q = 1 / (mean |d| + floor),  u = d q,  y = u / sqrt(mean(u u) + epsilon q q)

This is d / sqrt(mean(d d) + epsilon) for every q: what int8 does to q cancels. And mean(u u) is near 1.5 for all pixels
but those that are far below `floor`, a fraction of what the network sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView, run_model
from tfeff.layers.reciprocal_root import ReciprocalRoot

_USUAL = 0.9  # quantile of the pixels' mean deviations that is called usual
_FLOORS = 1 / 16, 1 / 64  # of the usual mean deviation, and of the largest, whichever is more
_UNKNOWN = 0.03  # floor where nothing was seen
_HIGHEST = 4.0  # 1 / sqrt(mean(u u)) of a pixel a hundredth of the usual; what lies beyond is below int8's steps
_KINDS = (layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization, layers.UnitNormalization)


@dataclass(frozen=True)
class _Norm:
    """What a layer does: axes that are averaged over in `shape` (without the batch), and what follows."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    epsilon: float
    centered: bool
    count: int | None = None  # of what a unit norm sums; None where it averages


class Normalization(Rewrite):
    """Replaces `LayerNormalization`, `GroupNormalization`, `RMSNormalization` and `UnitNormalization` of known size."""

    name = "normalization"

    def __init__(self, form: str | None = None, choices: Mapping[str, str] | None = None,
                 seen: Mapping[str, np.ndarray] | None = None):  # fmt: skip
        """`seen`: inputs of the model by name, in its order, (n, ...) each, from which the floors are taken."""
        super().__init__(form, choices)
        self._seen = seen
        self._floors: dict[str, float] = {}

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _norm(layer) is not None

    def apply(self, model: Any) -> tuple[Any, int]:
        places = [layer for layer in model.layers if _norm(layer) is not None]
        self._floors = _floors(model, places, self._seen) if places and self._seen else {}
        return super().apply(model)

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        norm = _norm(layer)
        if norm is None:
            return None
        floor = self._floors.get(layer.name, max(_UNKNOWN, norm.epsilon**0.5))
        return Match([layer], lambda x: _build(x, layer, norm, floor))


def _norm(layer):
    """What it does; None for any other layer, and for sizes that are not known."""
    if type(layer) not in _KINDS or getattr(layer, "rms_scaling", False):
        return None
    shape = tuple(layer.input.shape[1:])
    if None in shape:
        return None
    if isinstance(layer, layers.GroupNormalization):
        return _of_groups(layer, shape)
    given = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    axes = tuple(sorted(axis % (len(shape) + 1) for axis in given))
    if 0 in axes:
        return None
    if (
        len(shape) == 2
    ):  # the converter's layout pass fails on such sums of three dimensions before a fully connected layer
        shape, axes = (1, *shape), tuple(axis + 1 for axis in axes)
    if isinstance(layer, layers.UnitNormalization):
        return _Norm(shape, axes, 1e-12, False, int(np.prod([shape[axis - 1] for axis in axes])))
    return _Norm(shape, axes, layer.epsilon, isinstance(layer, layers.LayerNormalization))


def _of_groups(layer, shape):
    if layer.axis not in (-1, len(shape)):
        return None
    *spatial, channels = shape
    pixels = int(np.prod(spatial, dtype=int))
    if layer.groups == channels and spatial:
        return _Norm(shape, tuple(range(1, len(shape))), layer.epsilon, True)
    if layer.groups == 1:
        return _Norm(shape, tuple(range(1, len(shape) + 1)), layer.epsilon, True)
    return _Norm((pixels, layer.groups, channels // layer.groups), (1, 3), layer.epsilon, True)


def _build(x, layer, norm, floor):
    """The shape stays."""
    name, whole = layer.name, (-1, *layer.input.shape[1:])
    if norm.shape != whole[1:]:
        x = ops.reshape(x, (-1, *norm.shape))
    if norm.centered:
        x = ops.subtract(x, ops.mean(x, norm.axes, keepdims=True))
    size = ops.add(ops.mean(ops.absolute(x), norm.axes, keepdims=True), floor)
    root = ReciprocalRoot(name=f"{name}_size")(size)
    inverse = ops.multiply(root, root)
    x = ops.multiply(x, inverse)
    square = ops.mean(ops.multiply(x, x), norm.axes, keepdims=True)
    if norm.epsilon:
        least = ops.multiply(inverse, norm.epsilon**0.5)
        square = ops.add(square, ops.multiply(least, least))
    if norm.count is not None:
        square = ops.multiply(square, float(norm.count))
    highest = _HIGHEST / (norm.count or 1) ** 0.5
    x = ops.multiply(x, ReciprocalRoot(highest, name=f"{name}_deviation")(square))
    if norm.shape != whole[1:]:
        x = ops.reshape(x, whole)
    return _weighted(x, layer)


def _weighted(x, layer):
    """`x` times gamma plus beta."""
    gamma, beta = (_held(layer, words) for words in (("gamma", "scale"), ("beta",)))
    rank = len(layer.input.shape)
    if (gamma is None or np.all(gamma == 1)) and (beta is None or not beta.any()):
        return x
    if max(each.ndim for each in (gamma, beta) if each is not None) == 1 and rank in (3, 4) and _is_last(layer):
        norm = layers.BatchNormalization(epsilon=0.0, name=layer.name)  # goes into the weights of what is around it
        y, size = norm(x), layer.input.shape[-1]
        norm.set_weights([np.ones(size) if gamma is None else gamma, np.zeros(size) if beta is None else beta,
                          np.zeros(size), np.ones(size)])  # fmt: skip
        return y
    if gamma is not None:
        x = ops.multiply(x, _spread(gamma, layer))
    return x if beta is None else ops.add(x, _spread(beta, layer))


def _held(layer, words):
    """A weight of the layer, None where it has none."""
    for word in words:
        value = getattr(layer, word, None)
        if isinstance(value, keras.Variable):
            return np.asarray(value, np.float32)
    return None


def _is_last(layer):
    """Whether its weights are those of the last axis."""
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    return axis in (-1, len(layer.input.shape) - 1)


def _spread(weight, layer):
    """The weight in a shape that goes with the layer's input."""
    rank, shape = len(layer.input.shape), layer.input.shape
    given = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    axes = {axis % rank for axis in given}
    return weight.reshape([shape[axis] if axis in axes else 1 for axis in range(1, rank)])


def _floors(model, places, seen):
    """By layer: what is added to the mean deviation of a pixel."""
    made = run_model(keras.Model(model.inputs, [layer.input for layer in places]), seen)
    found = {}
    for layer, values in zip(places, made, strict=True):
        norm = _norm(layer)
        values = values.reshape(-1, *norm.shape)
        if norm.centered:
            values = values - values.mean(norm.axes, keepdims=True)
        sizes = np.abs(values).mean(norm.axes)
        usual, largest = (share * size for share, size in zip(_FLOORS, (np.quantile(sizes, _USUAL), sizes.max()),
                                                              strict=True))  # fmt: skip
        found[layer.name] = float(max(usual, largest, 1e-6)) if sizes.any() else _UNKNOWN
    return found
