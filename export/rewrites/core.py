"""Rewriting a functional Keras graph, and proving that nothing changed.

A rewrite is one file with one subclass of `Rewrite`. Most look at a layer and, where they apply, say which chain of
layers they take and build what stands in their place (`match`); one that carries something through the whole graph
overrides `apply`. The model given is not touched.
"""

import json
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfeff.errors import TfeffError
from tfeff.export.rewrites.copying import CannotRewrite, again
from tfeff.export.rewrites.graph import GraphView, as_functional, inline, rebuild, run_model

# Float32 sums in another order differ by some 1e-7 a layer; a wrong rewrite is off by far more.
TOLERANCE = 1e-5
INTEGER_TOLERANCE = 0.01  # of an output of whole numbers, the share that may differ: classes whose scores are equal


@dataclass(frozen=True)
class Match:
    """A place where a rewrite applies.

    Attributes:
        layers: the chain that is replaced, first to last: what its members make is read by its members alone, but for
            the last, and only the first reads anything else.
        build: from the chain's input tensor to its output tensor, with new layers that hold their weights.
    """

    layers: Sequence[keras.layers.Layer]
    build: Callable[[Any], Any]


class Rewrite(ABC):
    """An equality-preserving change of a Keras graph.

    Attributes:
        name: what the record calls it; the name of its file.
        forms: what it can make of a place, where there is more than one; the first leaves the place as it is.
        form: the one to make.
        choices: forms of single places, by `shape_key`, that were chosen by measurement.
        exact: a form that rounds nothing, taken where a network magnifies the rounding of the one asked for.
    """

    name: str
    forms: tuple[str, ...] = ()
    exact: str | None = None

    def __init__(self, form: str | None = None, choices: Mapping[str, str] | None = None):
        if form is not None and not self.knows(form):
            raise ValueError(f"rewrite {self.name} has no form {form!r}, it has {', '.join(self.forms) or 'one only'}")
        self.form = form if form is not None or not self.forms else self.forms[-1]
        self.choices = dict(choices or {})

    def knows(self, form: str) -> bool:
        """Whether it can make that form; one with a number in its forms overrides this."""
        return form in self.forms

    def form_of(self, layer: Any) -> str | None:
        """The form to make of this layer."""
        return self.choices.get(shape_key(layer), self.form) if self.choices else self.form

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        """Whether the forms differ at this layer, so that there is something to choose."""
        return False

    def candidates(self, layer: Any) -> tuple[str, ...]:
        """The forms worth a measurement at a place."""
        return self.forms

    def match(self, layer: keras.layers.Layer, graph: GraphView) -> Match | None:
        """The place that begins at `layer`, or None."""
        raise NotImplementedError

    def apply(self, model: Any) -> tuple[Any, int]:
        """The rewritten copy of an inlined model, and the number of places; the model itself when there are none."""
        graph = GraphView(model)
        matches: dict[int, Match] = {}
        swallowed: set[int] = set()
        for operation in model.operations:  # in topological order
            if id(operation) in swallowed:
                continue
            found = self.match(operation, graph)
            if found is not None:
                matches[id(operation)] = found
                swallowed |= {id(layer) for layer in found.layers[1:]}
        if not matches:
            return model, 0

        def call(operation, *args, **kwargs):
            if id(operation) in matches:
                return matches[id(operation)].build(_given(args, kwargs))
            # What a swallowed layer would be given is what stands in its place already; a merge is given it twice.
            if id(operation) in swallowed:
                return keras.tree.flatten(_given(args, kwargs))[0]
            return again(operation, *args, **kwargs)

        return rebuild(model, call), len(matches)


@dataclass(frozen=True)
class Applied:
    """What a rewrite did: how often, and the largest difference it made to an output.

    Attributes:
        form: what it made, where it can make several things.
        relative_error: `max_abs_error` over the largest absolute value of that output; of an output of whole numbers
            the share that differs.
    """

    name: str
    form: str | None
    places: int
    max_abs_error: float
    relative_error: float


def apply_rewrites(
    model: Any, rewrites: Sequence[Rewrite], proof: Mapping[str, np.ndarray]
) -> tuple[Any, list[Applied]]:
    """Applies rewrites one after the other and proves each.

    Args:
        model: a functional Keras model.
        proof: by input, in the order of the model's, (n, ...) each, preprocessed; real ones where there are any, so
            that every activation is exercised as it will be.

    Returns:
        The rewritten model, and what each rewrite did (rewrites that found no place are left out).

    Raises:
        TfeffError: a rewrite changed an output by more than `TOLERANCE` of its range, the model has no graph, or one of
        its layers cannot be copied.
    """
    applied: list[Applied] = []
    before, given = None, model
    model = _inlined(model)
    for rewrite in rewrites:
        new, places = rewrite.apply(model)
        if not places:
            continue
        before = run_model(as_functional(given), proof) if before is None else before
        after = run_model(new, proof)
        worst = distance(after, before)
        if not worst.is_rounding and rewrite.exact not in (None, rewrite.form):
            rewrite = type(rewrite)(rewrite.exact)
            new, places = rewrite.apply(model)
            after = run_model(new, proof)
            worst = distance(after, before)
        if not worst.is_rounding:
            raise TfeffError(
                f"rewrite {rewrite.name} changed the output of {model.name} by {worst.relative:.1e} of its range "
                f"(at most {TOLERANCE:.0e} is rounding)",
                _blame(as_functional(given), proof, before),
            )
        applied.append(Applied(rewrite.name, rewrite.form, places, worst.largest, worst.relative))
        model, before = new, after
    return (model if applied else given), applied


@dataclass(frozen=True)
class Distance:
    """How far outputs are from what was expected.

    Attributes:
        largest: the largest difference.
        relative: over the largest absolute value expected; of whole numbers the share that differs.
        is_rounding: whether that is no more than float32 sums in another order give.
    """

    largest: float
    relative: float
    is_rounding: bool


def distance(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float = TOLERANCE) -> Distance:
    """Of several outputs the one that is farthest by what it allows."""
    found = [_distance(one, other, tolerance) for one, other in zip(outputs, expected, strict=True)]
    # NaN is further than anything
    return max(found, key=lambda each: (not each.is_rounding, np.nan_to_num(each.relative, nan=np.inf)))


def _distance(outputs, expected, tolerance):
    if not np.issubdtype(expected.dtype, np.floating):
        share = float(np.mean(outputs != expected))
        largest = float(np.abs(outputs.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
        return Distance(largest, share, share <= INTEGER_TOLERANCE)
    error = float(np.abs(outputs - expected).max())
    relative = error / max(float(np.abs(expected).max()), 1e-12)
    return Distance(error, relative, relative <= tolerance)


def rewrite_once(model: Any, rewrite: Rewrite) -> tuple[Any, int]:
    """One pass of one rewrite, unproven: the new model and the number of places.

    Raises:
        TfeffError: the model has no graph that could be walked, or a layer that cannot be copied.
    """
    new, places = rewrite.apply(_inlined(model))
    return (new, places) if places else (model, 0)


def shape_key(layer: Any) -> str:
    """What a layer has in common with those that cost the same: its kind, its config but for names, its input."""
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable", "dtype")}
    config = {k: v for k, v in config.items() if not k.endswith(("initializer", "regularizer", "constraint"))}
    shapes = [list(tensor.shape[1:]) for tensor in keras.tree.flatten(layer.input)]
    return json.dumps([type(layer).__name__, config, shapes], sort_keys=True, default=str)


def _given(args, kwargs):
    """The first argument with a tensor in it: of `2 - x` that is the second."""
    arguments = (*args, *kwargs.values())
    return next(a for a in arguments if any(isinstance(each, keras.KerasTensor) for each in keras.tree.flatten(a)))


def rounding_of(model: Any, proof: Mapping[str, np.ndarray], outputs: Sequence[np.ndarray]) -> float:
    """What 2e-7 more input does to the outputs of a functional model, of their range: some networks make much of the
    last bit of their input."""
    moved = {
        name: value * np.float32(1 + 2e-7) if np.issubdtype(value.dtype, np.floating) else value
        for name, value in proof.items()
    }
    return distance(run_model(model, moved), outputs).relative


def _blame(model, proof, outputs):
    """What to say of a rewrite that failed."""
    relative = rounding_of(model, proof, outputs)
    if relative > TOLERANCE / 10:
        return (
            f"this network magnifies rounding: 2e-7 more input moves its output by {relative:.1e} of its range; train "
            "it, or see that its calibration images are preprocessed as it expects"
        )
    return "this is a bug in the rewrite: export for a target that does without it, and report it"


def _inlined(model):
    functional = as_functional(model)
    if functional is None:
        raise CannotRewrite(f"{model.name}: has no graph to rewrite", "build it functionally")
    return inline(functional)
