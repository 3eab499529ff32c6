"""Between float and int8: the samples are audited on the network as it will run, and every tensor gets its range."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration import (
    DEFAULT_METHOD,
    Activations,
    Calibration,
    Plan,
    audit,
    collect,
    grave,
    observe,
    parse_method,
    parse_rules,
    text_of,
)
from tfeff.calibration.methods import PLAIN, Method
from tfeff.calibration.ranges import Range, Rule
from tfeff.data import Preprocessing
from tfeff.errors import GateFailed, TfeffError
from tfeff.export import quantize, steps
from tfeff.export.context import ExportContext, Progress, no_progress
from tfeff.export.model import Model
from tfeff.export.quantize import choosing
from tfeff.export.quantize.trial import Trial
from tfeff.export.targets import get_target
from tfeff.record import schema
from tfeff.tasks import get_task
from tfeff.tasks.criteria import Criterion

_LOOKED_AT = 64  # samples


@dataclass(frozen=True)
class Measured:
    """What came of the calibration samples.

    Attributes:
        calibration: with the audit's findings.
        ranges: of every tensor that is quantized.
        choice: what was found by trying; None where nothing was tried.
        seen: the smallest and the largest value of every tensor, by its number.
    """

    calibration: Calibration
    ranges: list[Range]
    choice: choosing.Choice | None = None
    seen: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def corrected(self) -> bool:
        """Whether biases are to be corrected, where they may be."""
        return self.choice is None or self.choice.corrected

    @property
    def rounded(self) -> bool:
        """Whether weights are to be those that were rounded together."""
        return self.choice is not None and self.choice.rounded

    @property
    def by_tensor(self) -> dict[int, tuple[float, float]]:
        """(low, high) by the tensor's number."""
        return {each.tensor.index: (each.low, each.high) for each in self.ranges}


@dataclass(frozen=True)
class Search:
    """How ranges are found.

    Attributes:
        method, rules: see `calibration.methods` and `calibration.ranges`.
        said: whether the method is the user's word; where it is not, a model may have one of its own.
        seed: of the audit's shuffles.
        progress: called with (step, done, total).
    """

    method: Method = field(default_factory=lambda: parse_method(DEFAULT_METHOD))
    rules: tuple[Rule, ...] = ()
    seed: int = 0
    progress: Progress = no_progress
    said: bool = False

    @classmethod
    def of(cls, method: str | None, rules: Sequence[str], seed: int, progress: Progress) -> "Search":
        """From words; raises TfeffError for those that mean nothing."""
        return cls(*parse_choice(method, tuple(rules)), seed, progress, method is not None)

    def aligns(self, model: Model) -> bool:
        """Whether ranges may be moved a little so that they go together: not those of a method that the user chose."""
        return bool(self.method_of(model)[0].candidates) and steps.is_tried(model)

    def method_of(self, model: Model) -> tuple[Method, bool]:
        """The method, and whether it is known: a preset's own, which nothing need be tried for."""
        own = None if self.said else model.calibration_method
        return (self.method, False) if own is None else (parse_method(own), True)


@dataclass(frozen=True)
class GraphOptions:
    """How a fake-quant graph is made.

    Attributes:
        target: whose rewrites the network gets.
        per_tensor, train_ranges: see `graph.fake_quant_graph`.
        try_out: whether a method that is found by trying is, and biases are corrected, as in an export; else the method
            is what it means without.
        required: whether the graph is to be trained: a layer that is called twice stays one, and a network that has no
            such graph is an error; else the graph is None there, and every tensor of its file is measured.
    """

    target: str = "litert"
    per_tensor: bool = False
    train_ranges: bool = False
    try_out: bool = True
    required: bool = False


def parse_choice(method: str | None, rules: tuple[str, ...]) -> tuple[Method, tuple[Rule, ...]]:
    """The method (the default without one) and the rules by layer; raises TfeffError for words that mean nothing."""
    return parse_method(method or DEFAULT_METHOD), parse_rules(rules)


def train_ranges_by(method: str | None, wanted: bool | None) -> bool:
    """Whether ranges are trained: by default with every method that clips, and with `auto`.

    From the whole range of all samples there is nothing to learn: no value lies beyond it.

    Raises:
        TfeffError: an unknown method, or training of ranges that do not clip.
    """
    clips = parse_method(method or DEFAULT_METHOD).name != "minmax"
    if wanted and not clips:
        raise TfeffError(
            "ranges by minmax clip nothing and cannot be trained", "choose percentile, image-percentile, mse or entropy"
        )
    return clips if wanted is None else wanted


def calibrate(
    model: Model,
    source: str,
    folder: Path,
    search: Search,
    options: GraphOptions | None = None,
    *,
    samples: int | None = None,
) -> Measured:
    """What `export_model` would find of these samples, without an artifact.

    Args:
        model: the model.
        source: see `calibration.sources`.
        folder: a scratch folder.
        samples: how many are wanted; None takes up to 512.

    Raises:
        TfeffError: bad input.
    """
    calibration = collect(
        source, model.inputs, folder, samples=samples, seed=search.seed,
        progress=lambda done, total: search.progress("reading", done, total),
    )  # fmt: skip
    return ranged_graph(model, calibration, folder, search, options or GraphOptions())[1]


def ranged_graph(
    model: Model, calibration: Calibration, folder: Path, search: Search, options: GraphOptions
) -> tuple[Any, Measured]:
    """The fake-quant graph of a model as a target gets it, with the ranges that samples give it, as in an export.

    Args:
        calibration: the samples.
        folder: a scratch folder.

    Raises:
        TfeffError: bad input, or a model without a graph where it is required.
    """
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.rewrites.copying import CannotRewrite

    search.progress("converting", 0, 0)
    proof = calibration.batch(steps.PROOF_SAMPLES)
    target = get_target(options.target)
    specs = steps.specs_for(model, target) if options.try_out else target.rewrites
    rewritten = steps.rewrite(model, specs, proof).callable
    graph = None
    try:
        if options.required or model.is_keras:
            graph = fake_quant_graph(
                rewritten, [port.name for port in model.inputs], per_tensor=options.per_tensor,
                train_ranges=options.train_ranges, tied=options.required, proof=proof,
            )  # fmt: skip
    except CannotRewrite:
        if options.required:
            raise
    int8 = quantize.Int8File(
        rewritten, graph, folder / "int8", model.inputs, model.outputs,
        aligned=options.try_out and search.aligns(model),
    )  # fmt: skip
    with quantize.Converter(folder) as converter:
        converter.convert([int8.job(calibration.paths)])
        int8.take()
        trial = Trial(int8, folder, converter, round_weights=not options.required)
        measured = measure(int8.path, model, calibration, folder, search, trial if options.try_out else None)
        if graph is not None and options.try_out:
            made_of(measured, trial, int8)
        elif graph is not None:
            int8.set_ranges(measured.by_tensor)
    return graph, measured


def measure(
    calibrated: Path, model: Model, calibration: Calibration, folder: Path, search: Search, trial: Trial | None = None
) -> Measured:
    """Runs the samples through a calibrated float file, audits them, and finds the ranges.

    The range of an image input is not measured: its preprocessing knows it.

    Args:
        calibrated: what a `Job` with the step "calibrate" left.
        folder: a scratch folder.
        trial: makes int8 files, for what is found by trying: the method, and whether biases are to be corrected. None
            takes what the method means without. So does a model that was not trained: nothing is near its outputs; and
            one that has a method of its own.

    Raises:
        TfeffError: a layer that gives NaN, or a rule for a layer that is not there.
    """
    network, (method, known) = Activations(calibrated), search.method_of(model)
    doors = {port.name: door_of(port.preprocessing) for port in model.inputs if port.preprocessing is not None}
    # What the user chose is done; what is chosen for him leaves answers whole.
    whole = network.outputs if method.candidates else ()
    candidates = method.candidates or (method,)
    plans = [Plan(network.tensors, each, search.rules, doors, whole) for each in candidates]
    alone = Plan(network.tensors, method, search.rules, doors, whole)
    seen = observe(
        network, calibration.feeds(), calibration.names, folder,
        histograms=sorted({position for plan in (alone, *plans) for position in plan.histograms}),
        progress=lambda done: search.progress("measuring", done, calibration.used),
    )  # fmt: skip
    search.progress("auditing", 0, 0)
    audited, seen = audit(
        calibration, network, seen, method, folder, tasks=() if model.random_weights else model.tasks,
        seed=search.seed,
    )  # fmt: skip
    ends = {tensor.index: (each.low, each.high)
            for tensor, each in zip(seen.tensors, seen.statistics(), strict=True)}  # fmt: skip
    if trial is None or model.random_weights or (known and not trial.judged):
        return Measured(audited, alone.ranges(seen), seen=ends)
    if not (method.candidates or trial.correctable or trial.judged):
        return Measured(audited, alone.ranges(seen), seen=ends)
    criteria = [each for _, each in criteria_of(model, network)]

    def plain(path: Path) -> list[Range]:
        other, place = Activations(path), folder / "plain"
        place.mkdir(exist_ok=True)
        plan = Plan(other.tensors, parse_method(PLAIN), search.rules, doors, other.outputs)
        every = observe(other, audited.feeds(), audited.names, place, histograms=plan.histograms)
        which = np.array(list(audited.left_out), int)
        return plan.ranges(every.without(other, audited.feeds(which), which))

    found = choosing.choose(
        plans, choosing.Samples(network, audited, seen, plain), criteria, trial,
        lambda done, total: search.progress("trying ranges", done, total),
    )  # fmt: skip
    return Measured(found.calibration, found.ranges, found, ends)


def made_of(
    measured: Measured, trial: Trial, int8: quantize.Int8File
) -> tuple[quantize.Int8File, dict[int, tuple[float, float]]]:
    """The file in the making that a choice is of, and its ranges by tensor; its graph, if it has one, gets them.

    Args:
        measured: what was chosen.
        trial, int8: that it was tried with.
    """
    if measured.choice is not None and (made := measured.choice.file) is not None:
        return made, trial.ranges_as_it_was(made, measured.ranges)
    if int8.graph is None:
        return int8, measured.by_tensor
    made = trial.make(measured.by_tensor, measured.calibration, measured.corrected, measured.rounded)
    return made, made.own_ranges(measured.by_tensor, int8)


def smallest_to_largest(calibrated: Path, calibration: Calibration) -> dict[int, tuple[float, float]]:
    """The range of every tensor from its smallest to its largest value, by its number, on up to 64 samples: for what
    lies within the units of a graph that has its own ranges."""
    network = Activations(calibrated)
    ends: dict[int, tuple[float, float]] = {}
    for feed in calibration.feeds(range(min(calibration.used, _LOOKED_AT))):
        network.run(feed)
        for tensor in network.tensors:
            value, (low, high) = network.value(tensor), ends.get(tensor.index, (0.0, 0.0))
            ends[tensor.index] = min(low, float(value.min())), max(high, float(value.max()))
    return ends


def criteria_of(model: Model, network: Activations) -> list[tuple[schema.TaskSpec, Criterion]]:
    """What calibration makes small, of each task."""
    shapes = {tensor.output: list(tensor.shape) for tensor in network.tensors if tensor.output is not None}
    ports = {name: schema.Port(name=name, shape=shapes.get(name, [1]), dtype="float32") for name in network.outputs}
    return [(spec, get_task(spec.name).criterion(spec, [ports[name] for name in spec.outputs])) for spec in model.tasks]


def door_of(preprocessing: Preprocessing) -> tuple[float, float]:
    """The input's range, as its preprocessing gives it."""
    ends = [preprocessing.normalize(np.full(preprocessing.shape, v, np.uint8)) for v in (0, 255)]
    return float(ends[0].min()), float(ends[1].max())


def audited(context: ExportContext, ranged: Path, calibration: Calibration) -> Calibration:
    """The calibration with the audit's findings, for a precision whose ranges are the converter's own.

    Raises:
        GateFailed: a grave finding that the user has not allowed.
    """
    search = Search.of("minmax", (), context.request.seed, context.progress)
    measured = measure(ranged, context.model, calibration, context.folder, search)
    gate_audit(measured.calibration, context.request.allow_audit)
    return measured.calibration


def gate_audit(calibration: Calibration, allowed: bool) -> None:
    """Raises GateFailed for a grave finding unless the user has allowed it."""
    found = grave(calibration.findings)
    if found and not allowed:
        raise GateFailed(
            f"calibration {calibration.source}: {'; '.join(text_of(each) for each in found)}",
            f"mend the {calibration.noun}s (all findings: `tfeff calibrate --audit`), or give --allow-audit; nothing "
            "was written",
        )
