"""What every channel of every tensor really is, and in which order convolutions should write: see `channel_shuffle`."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import ELEMENT_WISE, POOL_LIKE, is_batch_norm, is_dense_conv
from tfeff.export.rewrites.selection import selection

_CARRIERS = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU, *POOL_LIKE)


@dataclass(eq=False)
class Source:
    """A tensor that is really there. Its channels have numbers; `order` says which lies where.

    Attributes:
        root: the source that it takes its numbers and order from; itself for the first of a line.
        free: whether the order may be chosen.
        demands: for each reader that may take any order, the channels it reads.
        order: (c,), the number of the channel at each place; known when the tensor is made.
    """

    channels: int
    root: "Source | None" = None
    free: bool = False
    demands: list[np.ndarray] = field(default_factory=list)
    order: np.ndarray | None = None
    tensor: Any = None

    def __post_init__(self):
        self.root = self.root or self

    def choose_order(self) -> None:
        """Channels with the same readers side by side, those of the first reader first."""
        readers: list[list[int]] = [[] for _ in range(self.channels)]
        for reader, numbers in enumerate(self.demands):
            for number in numbers:
                readers[number].append(reader)
        chosen = sorted(range(self.channels), key=lambda number: (readers[number], number))
        self.order = np.array(chosen) if self.free else np.arange(self.channels)


@dataclass(eq=False)
class View:
    """What the channels of a tensor are: of each the source and the number there."""

    sources: list[Source]
    numbers: np.ndarray  # (c,)

    @classmethod
    def of(cls, source: Source) -> "View":
        return cls([source] * source.channels, np.arange(source.channels))

    def take(self, indices: Any) -> "View":
        return View([self.sources[i] for i in indices], self.numbers[indices])

    def names(self) -> list[tuple[int, int]]:
        """What tells each channel from every other."""
        return [(id(source), int(number)) for source, number in zip(self.sources, self.numbers, strict=True)]

    def pieces(self) -> list[tuple[Source, np.ndarray]]:
        """Each source, and the places in this view that come from it, in order of appearance."""
        places: dict[int, tuple[Source, list[int]]] = {}
        for place, source in enumerate(self.sources):
            places.setdefault(id(source), (source, []))[1].append(place)
        return [(source, np.array(at)) for source, at in places.values()]

    def whole(self) -> Source | None:
        """The one source that this is, each channel once, in any order."""
        first = self.sources[0]
        if len(self.sources) != first.channels or any(source is not first for source in self.sources):
            return None
        return first if len(np.unique(self.numbers)) == first.channels else None


class Plan:
    """What becomes of every operation of an inlined model.

    Attributes:
        actions: by `id` of the operation: "alias" (nothing is computed), "convolve" (reads and writes in any order),
            "carry" (keeps the order it is given) or "as it is" (wants its channels in their own order).
        views: by `id` of the tensor.
        shuffles: permutations that are folded.
    """

    def __init__(self, model: Any):
        self.views: dict[int, View] = {}
        self.actions: dict[int, str] = {}
        self.shuffles = 0
        self._graph = GraphView(model)
        for operation in model.operations:
            if not isinstance(operation, layers.InputLayer) and id(operation) not in self.actions:
                self.actions[id(operation)] = self._plan(operation)
        for tensor in keras.tree.flatten(model.outputs):
            self._pin(tensor)
        for view in self.views.values():
            for source, _ in view.pieces():
                if source.root is source:
                    source.choose_order()

    def view(self, tensor: Any) -> View:
        """The view of a tensor; one that nothing was said of is a source."""
        if id(tensor) not in self.views:
            # One of no known width is never taken apart.
            self.views[id(tensor)] = View.of(Source((tensor.shape[-1] if len(tensor.shape) > 1 else None) or 1))
        return self.views[id(tensor)]

    def _plan(self, operation):
        inputs, outputs = keras.tree.flatten(operation.input), keras.tree.flatten(operation.output)
        if self._alias(operation, inputs, outputs):
            return "alias"
        if len(inputs) == len(outputs) == 1 and None not in (inputs[0].shape[-1], outputs[0].shape[-1]):
            view, channels = self.view(inputs[0]), outputs[0].shape[-1]
            if _reads_any_order(operation):
                self._demand(view)
                self.views[id(outputs[0])] = View.of(Source(channels, free=_writes_any_order(operation)))
                return "convolve"
            if _carries(operation):
                self.views[id(outputs[0])] = self._carried(view)
                return "carry"
        for tensor in inputs:
            self._pin(tensor)
        return "as it is"

    def _alias(self, operation, inputs, outputs):
        """Whether the operation only picks channels; the views of its outputs are then known."""
        if isinstance(operation, layers.Concatenate):
            if operation.axis not in (-1, len(outputs[0].shape) - 1) or len(outputs[0].shape) != 4:
                return False
            views = [self.view(tensor) for tensor in inputs]
            sources = [source for view in views for source in view.sources]
            self.views[id(outputs[0])] = View(sources, np.concatenate([view.numbers for view in views]))
            return True
        found = selection(operation, self._graph)
        if found is None:
            return False
        chain, picks = found
        view = self.view(inputs[0])
        for tensor, pick in zip(keras.tree.flatten(chain[-1].output), picks, strict=True):
            self.views[id(tensor)] = view.take(pick)
        self.actions.update((id(layer), "alias") for layer in chain)
        self.shuffles += any(bool(np.any(np.diff(pick) != 1)) for pick in picks)
        return True

    def _carried(self, view):
        source = view.whole()
        if source is not None:
            same = Source(source.channels, root=source.root)
            return View([same] * source.channels, view.numbers)
        self._demand(view)
        return View.of(Source(len(view.sources)))

    def _demand(self, view):
        for source, places in view.pieces():
            source.root.demands.append(view.numbers[places])

    def _pin(self, tensor):
        """Something reads this tensor in its own order: what it is made of had better lie so."""
        for source, _ in self.view(tensor).pieces():
            source.root.free = False


def _reads_any_order(operation):
    return is_dense_conv(operation) or (type(operation) is layers.Dense and len(operation.input.shape) == 2)


def _writes_any_order(operation):
    return operation.activation in ELEMENT_WISE


def _carries(operation):
    if isinstance(operation, layers.DepthwiseConv2D):
        return operation.depth_multiplier == 1 and operation.activation in ELEMENT_WISE
    if isinstance(operation, layers.Activation):
        return operation.activation in ELEMENT_WISE
    if isinstance(operation, layers.Flatten):  # of one pixel
        return operation.input.shape[1:-1] == (1,) * (len(operation.input.shape) - 2)
    return isinstance(operation, _CARRIERS) or is_batch_norm(operation)
