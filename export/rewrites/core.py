"""Rewriting a functional Keras graph, and proving that nothing changed.

A rewrite is one file with one subclass of `Rewrite`. It looks at a layer and, where it applies, says which chain of
layers it takes and builds what stands in their place. `rewrite` copies the graph around it; the model given is not
touched.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfeff.errors import TfeffError

# Float32 sums in another order differ by some 1e-7 a layer; a wrong rewrite is off by far more.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Match:
    """A place where a rewrite applies.

    Attributes:
        layers: the chain that is replaced, first to last; each has one input and feeds only the next.
        build: from the chain's input tensor to its output tensor, with new layers that hold their weights.
    """

    layers: Sequence[keras.layers.Layer]
    build: Callable[[Any], Any]


class Rewrite(ABC):
    """An equality-preserving change of a Keras graph. `name` is what the record calls it."""

    name: str

    @abstractmethod
    def match(self, layer: keras.layers.Layer, graph: "GraphView") -> Match | None:
        """The place that begins at `layer`, or None."""


@dataclass(frozen=True)
class Applied:
    """What a rewrite did: how often, and the largest difference it made to the output.

    Attributes:
        relative_error: `max_abs_error` over the largest absolute output.
    """

    name: str
    places: int
    max_abs_error: float
    relative_error: float


class GraphView:
    """Who feeds whom in a functional model."""

    def __init__(self, model):
        self._consumers: dict[int, list] = {}
        self._calls: dict[int, int] = {}
        for nodes in model._nodes_by_depth.values():
            for node in nodes:
                self._calls[id(node.operation)] = self._calls.get(id(node.operation), 0) + 1
                for tensor in node.input_tensors:
                    self._consumers.setdefault(id(tensor), []).append(node.operation)
        self._outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}

    def chain(self, first, *accepts: Callable[[Any], bool]) -> list:
        """`first`, then as many of the layers behind it as match `accepts` in order (each may be absent).

        Stops where a tensor is read twice or is an output of the model, and at layers that are called twice.
        """
        chain = [first]
        for accept in accepts:
            following = self._only_consumer(chain[-1])
            if following is not None and accept(following):
                chain.append(following)
        return chain

    def called_once(self, layer) -> bool:
        return self._calls.get(id(layer)) == 1

    def _only_consumer(self, layer):
        tensor = layer.output
        consumers = self._consumers.get(id(tensor), [])
        if len(consumers) != 1 or id(tensor) in self._outputs or not self.called_once(consumers[0]):
            return None
        return consumers[0]


def apply_rewrites(model, rewrites: Sequence[Rewrite], images: np.ndarray) -> tuple[Any, list[Applied]]:
    """Applies rewrites one after the other and proves each.

    Args:
        model: a functional Keras model.
        images: float32 (n, h, w, c), preprocessed; real ones where there are any, so that every activation is
            exercised as it will be.

    Returns:
        The rewritten model, and what each rewrite did (rewrites that found no place are left out).

    Raises:
        TfeffError: a rewrite changed the output by more than `TOLERANCE` of its range.
    """
    applied, before = [], None
    for rewrite in rewrites:
        new, places = rewrite_once(model, rewrite)
        if not places:
            continue
        before = _outputs(model, images) if before is None else before
        model, after = new, _outputs(new, images)
        error = float(np.abs(after - before).max())
        relative = error / max(float(np.abs(before).max()), 1e-12)
        if not relative <= TOLERANCE:
            raise TfeffError(
                f"rewrite {rewrite.name} changed the output of {model.name} by {relative:.1e} of its range "
                f"(at most {TOLERANCE:.0e} is rounding)",
                "this is a bug in the rewrite: export for a target that does without it, and report it",
            )
        applied.append(Applied(rewrite.name, places, error, relative))
        before = after
    return model, applied


def rewrite_once(model, rewrite: Rewrite) -> tuple[Any, int]:
    """One pass of one rewrite: the new model and the number of places. Models inside the model are rewritten too.

    Raises:
        TfeffError: the model has no graph that could be walked.
    """
    given, model = model, as_functional(model)
    if model is None:
        raise TfeffError(f"{given.name}: has no graph to rewrite", "build it functionally")
    graph = GraphView(model)
    matches: dict[int, Match] = {}
    swallowed: set[int] = set()
    for operation in model.operations:  # in topological order
        if id(operation) in swallowed or not graph.called_once(operation):
            continue
        found = rewrite.match(operation, graph)
        if found is not None:
            matches[id(operation)] = found
            swallowed |= {id(layer) for layer in found.layers[1:]}
    if not matches and not any(as_functional(operation) for operation in model.operations):
        return given, 0
    places = len(matches)
    copies: dict[int, Any] = {}

    def copy(operation):
        nonlocal places
        if id(operation) in matches or id(operation) in swallowed or not isinstance(operation, keras.layers.Layer):
            return operation
        if id(operation) not in copies:
            if as_functional(operation) is not None:
                copies[id(operation)], inner = rewrite_once(operation, rewrite)
                places += inner
            else:
                copies[id(operation)] = _copy_layer(operation)
        return copies[id(operation)]

    def call(operation, *args, **kwargs):
        if id(operation) in matches:
            return matches[id(operation)].build(args[0])
        return args[0] if id(operation) in swallowed else operation(*args, **kwargs)

    new = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for operation in model.operations:
        if id(operation) in copies and not isinstance(operation, keras.Model):
            copies[id(operation)].set_weights(operation.get_weights())
    return (new, places) if places else (given, 0)


def as_functional(model):
    """The functional form of a model, itself if it is one already, or None for layers and models without a graph."""
    if isinstance(model, keras.Sequential) and model.built and model.inputs:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model if isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth") else None


def _copy_layer(layer):
    return layer.__class__.from_config(layer.get_config())


def _outputs(model, images):
    return np.concatenate([np.asarray(model(images[i : i + 8], training=False)) for i in range(0, len(images), 8)])
