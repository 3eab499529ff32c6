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
from tfeff.export.rewrites.channels_last import with_channels_last
from tfeff.export.rewrites.copying import CannotRewrite, again
from tfeff.export.rewrites.graph import GraphView, as_functional, inline, rebuild, run_model
from tfeff.export.rewrites.proving import (
    FLOORS,
    MOST,
    TOLERANCE,
    Distance,
    Outputs,
    distance,
    distances,
    floors,
)
from tfeff.layers.keras_private import flat_layers

_INLINED = "_tfeff_inlined"  # set on a model that rewrites made of an inlined one


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
        kinds: of layers, one of which a model must hold for the rewrite to find a place; None where others may do.
    """

    name: str
    forms: tuple[str, ...] = ()
    exact: str | None = None
    kinds: tuple[type, ...] | None = None

    def __init__(self, form: str | None = None, choices: Mapping[str, str] | None = None):
        if form is not None and not self.knows(form):
            raise ValueError(f"rewrite {self.name} has no form {form!r}, it has {', '.join(self.forms) or 'one only'}")
        self.form = form if form is not None or not self.forms else self.forms[-1]
        self.choices = dict(choices or {})

    def knows(self, form: str) -> bool:
        """Whether it can make that form; one with a number in its forms overrides this."""
        return form in self.forms

    def may_apply(self, model: Any) -> bool:
        """Whether the model holds a layer of `kinds`, at whatever depth: told without a copy of it."""
        return self.kinds is None or any(isinstance(layer, self.kinds) for layer in flat_layers(model))

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


@dataclass(frozen=True)
class Rewriting:
    """What became of a model.

    Attributes:
        model: rewritten; as it was given where no rewrite found a place.
        applied: what each rewrite did that found a place.
        left_out: why a rewrite that found one was not applied, a sentence each.
        inlined: how far the inlined model is from the one that was given; None where that was not measured.
        rewritten: how far the rewritten one is from that, all rewrites together; None where nothing was applied.
        allowed: how far that may be, relative.
    """

    model: Any
    applied: tuple[Applied, ...] = ()
    left_out: tuple[str, ...] = ()
    inlined: Distance | None = None
    rewritten: Distance | None = None
    allowed: float = 0.0


def apply_rewrites(
    model: Any, rewrites: Sequence[Rewrite], proof: Mapping[str, np.ndarray]
) -> tuple[Any, list[Applied]]:
    """The rewritten model and what each rewrite did; see `rewrite_proven`."""
    made = rewrite_proven(model, rewrites, proof)
    return made.model, list(made.applied)


def rewrite_proven(
    model: Any, rewrites: Sequence[Rewrite], proof: Mapping[str, np.ndarray], *, measured: bool = False
) -> Rewriting:
    """Applies rewrites one after the other and proves each on the one before; the first on the model as it was given.

    An output may move by `TOLERANCE` of its range; in a network that magnifies rounding by what the last bit of its
    input does to that output, up to `MOST`. A rewrite that misses that by less than `FLOORS` times what rounding alone
    does is left out.

    Args:
        model: a functional Keras model.
        proof: by input, in the order of the model's, (n, ...) each, preprocessed; real ones where there are any, so
            that every activation is exercised as it will be.
        measured: whether the inlined model is compared even where no rewrite finds a place.

    Raises:
        TfeffError: a rewrite changed an output by more than it may, the model has no graph, or one of its layers cannot
        be copied.
    """
    if not any(rewrite.may_apply(model) for rewrite in rewrites) and not measured:
        return Rewriting(model)
    given, model = model, inlined(model)
    chain = _Chain(given, proof)
    applied, left_out, allowed = [], [], 0.0
    if measured:
        chain.begin(model)
    for rewrite in rewrites:
        new, places = rewrite.apply(model)
        if not places:
            continue
        chain.begin(model)
        found = chain.judge(new)
        if not found.is_rounding and rewrite.exact not in (None, rewrite.form):
            rewrite = type(rewrite)(rewrite.exact)
            new, places = rewrite.apply(model)
            found = chain.judge(new)
        if found.is_rounding or chain.is_as_the_last_bit():
            applied.append(Applied(rewrite.name, rewrite.form, places, found.largest, found.relative))
            model, allowed = new, allowed + max(TOLERANCE, found.relative)
            chain.take()
        elif chain.says_nothing():
            left_out.append(
                f"rewrite {rewrite.name} was left out: it moves an output by {found.relative:.1e} of its range, and "
                f"2e-7 more input alone by {max(chain.floors):.1e}"
            )
        else:
            raise TfeffError(
                f"rewrite {rewrite.name} changed the output of {model.name} by {found.relative:.1e} of its range "
                f"(at most {TOLERANCE:.0e} is rounding)",
                _blame(max(chain.floors)),
            )
    if not applied:
        return Rewriting(given, left_out=tuple(left_out), inlined=chain.inlined)
    setattr(model, _INLINED, True)
    return Rewriting(model, tuple(applied), tuple(left_out), chain.inlined, chain.rewritten, allowed)


class _Chain:
    """Outputs from the model as it was given to the last rewrite of it."""

    def __init__(self, given: Any, proof: Mapping[str, np.ndarray]):
        self._given, self._proof = as_functional(given), proof
        self._first: Outputs = []
        self._inlined: Outputs = []
        self._before: Outputs = []
        self._after: Outputs = []
        self._floors: list[float] = []
        self.inlined: Distance | None = None

    def begin(self, model: Any) -> None:
        """Runs the model as it was given, and inlined, once there is something to compare with it."""
        if self.inlined is None:
            self._first = self._before = run_model(self._given, self._proof)
            self._inlined = run_model(model, self._proof)
            self.inlined = distance(self._inlined, self._first)

    def judge(self, new: Any) -> Distance:
        """How far a rewritten model is from the one before."""
        self._after = run_model(new, self._proof)
        return distance(self._after, self._before)

    def take(self) -> None:
        """The one that was judged last is the one before from here on."""
        self._before = self._after

    def is_as_the_last_bit(self) -> bool:
        """Whether the one that was judged last moves no output by more than the last bit of the input does, and none by
        more than `MOST`."""
        found = distances(self._after, self._before)
        if not all(each.is_rounding or each.relative <= MOST for each in found):
            return False  # told without running the network again
        return all(each.is_rounding or each.relative <= floor
                   for each, floor in zip(found, self.floors, strict=True))  # fmt: skip

    def says_nothing(self) -> bool:
        """Whether every output of the one that was judged last differs by no more than rounding may."""
        found = distances(self._after, self._before)
        return all(each.is_rounding or each.relative < FLOORS * floor
                   for each, floor in zip(found, self.floors, strict=True))  # fmt: skip

    @property
    def rewritten(self) -> Distance:
        """How far the last that was taken is from the inlined model."""
        return distance(self._before, self._inlined)

    @property
    def floors(self) -> list[float]:
        """Of each output."""
        if not self._floors:
            self._floors = floors(lambda moved: run_model(self._given, moved), self._proof, self._first)
        return self._floors


def rewrite_once(model: Any, rewrite: Rewrite) -> tuple[Any, int]:
    """One pass of one rewrite, unproven: the new model and the number of places.

    Raises:
        TfeffError: the model has no graph that could be walked, or a layer that cannot be copied.
    """
    new, places = rewrite.apply(inlined(model))
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


def _blame(floor):
    """What to say of a rewrite that failed."""
    if floor > TOLERANCE / 10:
        return (
            f"this network magnifies rounding: 2e-7 more input moves its output by {floor:.1e} of its range; train "
            "it, or see that its calibration images are preprocessed as it expects"
        )
    return "this is a bug in the rewrite: export for a target that does without it, and report it"


def inlined(model: Any) -> Any:
    """A copy of a model in which every layer is called once and holds its channels last, without models in the model;
    the model itself where it is what rewrites made of such a copy.

    Raises:
        CannotRewrite: it has no graph, or a layer that cannot be copied.
    """
    if getattr(model, _INLINED, False):
        return model
    functional = as_functional(model)
    if functional is None:
        raise CannotRewrite(f"{model.name}: has no graph to rewrite", "build it functionally")
    return with_channels_last(inline(functional))
