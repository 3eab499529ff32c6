"""One convolution of a head whose output is taken apart, as one convolution for each part.

Detectors often compute the scores of a place and its boxes in one convolution and slice them afterwards. In int8 all of
what a convolution gives has one scale, the slices too: that of the scores and that of the boxes, whichever is coarser.
Each part computed by its own convolution has a range of its own. The kernel is sliced in place of the output, so every
value is the same.

Only what ends in the network's outputs without another weight is taken: elsewhere a slice costs less than a second
convolution.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.copying import again, copy_layer
from tfeff.export.rewrites.core import Rewrite
from tfeff.export.rewrites.graph import GraphView, rebuild
from tfeff.export.rewrites.matching import ELEMENT_WISE, is_dense_conv
from tfeff.export.rewrites.selection import run_as_called

_EXACT = 2**24  # float32 holds every whole number up to here


@dataclass(frozen=True)
class _Place:
    """A convolution, the reshape behind it where there is one, and what takes its output apart.

    Attributes:
        parts: by `id` of an operation that slices: for each of its outputs, the channels that it holds.
    """

    conv: Any
    reshape: Any
    parts: dict[int, list[np.ndarray]]


class SplitOutput(Rewrite):
    """Splits the last convolutions of a network where their output is sliced by channels."""

    name = "split_output"
    kinds = (layers.Conv2D,)

    def apply(self, model: Any) -> tuple[Any, int]:
        graph = GraphView(model)
        places = [found for layer in model.operations if (found := _place(layer, graph)) is not None]
        if not places:
            return model, 0
        handed_on = {id(each) for place in places for each in (place.conv, place.reshape) if each is not None}
        slicing = {key: (place.conv, picks) for place in places for key, picks in place.parts.items()}
        made: dict[str, int] = {}

        def call(operation, *args, **kwargs):
            if id(operation) in handed_on:
                return args[0]  # the convolution's own input, for the parts
            if id(operation) not in slicing:
                return again(operation, *args, **kwargs)
            conv, picks = slicing[id(operation)]
            parts = []
            for pick, old in zip(picks, keras.tree.flatten(operation.output), strict=True):
                number = made[conv.name] = made.get(conv.name, 0) + 1
                parts.append(_part(conv, f"{conv.name}_part{number}", pick, old.shape)(args[0]))
            return parts

        return rebuild(model, call), len(places)


def _part(conv, name, pick, shape):
    """What gives the channels `pick` of a convolution's output, (n, h, w, c) -> (n, *shape[1:])."""
    copy = copy_layer(conv, name, lambda weight: weight[..., pick], {"filters": len(pick)})

    def call(x):
        y = copy(x)
        return y if y.shape[1:] == shape[1:] else ops.reshape(y, (-1, *shape[1:]))

    return call


def _place(conv: Any, graph: GraphView) -> _Place | None:
    if not (is_dense_conv(conv) and isinstance(conv, layers.Conv2D) and conv.activation in ELEMENT_WISE):
        return None
    shape = conv.output.shape[1:]
    if None in shape or np.prod(shape) >= _EXACT or graph.is_output(conv.output):
        return None
    last, following = conv, graph.only_consumer(conv)
    if type(following).__name__ == "Reshape" and not graph.is_output(following.output):
        last = following
    parts: dict[int, list[np.ndarray]] = {}
    for operation in graph.consumers(last.output):
        picks = _picks(operation, last if last is not conv else None, shape)
        if picks is None:
            return None
        parts[id(operation)] = picks
    every = [pick for picks in parts.values() for pick in picks]
    if len(every) < 2 or sum(map(len, every)) > shape[-1] or not _ends(graph.consumers(last.output), graph):
        return None
    return _Place(conv, last if last is not conv else None, parts)


def _picks(operation, reshape, shape):
    """For each output of an operation on a convolution's output the channels that it holds, whole and in the order in
    which a convolution of these alone would give them; None where it holds anything else."""
    channels = shape[-1]
    numbered = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    try:
        values = numbered if reshape is None else run_as_called(reshape, numbered)
        made = [np.asarray(value) for value in keras.tree.flatten(run_as_called(operation, values))]
    except (ValueError, TypeError):
        return None
    found = []
    for value in made:
        pick = np.unique(value.astype(int) % channels) if value.size else np.zeros(0, int)
        if not len(pick) or value.shape[:1] != (1,) or not np.array_equal(
            value.reshape(-1), numbered[..., pick].reshape(-1)
        ):  # fmt: skip
            return None
        found.append(pick)
    return found


def _ends(operations, graph):
    """Whether what operations give reaches the outputs and no further weights."""
    waiting, seen = list(operations), set[int]()
    while waiting:
        operation = waiting.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        if getattr(operation, "weights", ()):
            return False
        for tensor in keras.tree.flatten(operation.output):
            waiting += graph.consumers(tensor)
    return True
