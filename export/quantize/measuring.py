"""Between float and int8: the images are audited on the network as it will run, and every tensor gets its range."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration import (
    DEFAULT_METHOD,
    Activations,
    Calibration,
    Plan,
    audit,
    choose,
    collect,
    grave,
    observe,
    parse_method,
    parse_rules,
    text_of,
)
from tfeff.calibration.methods import Method
from tfeff.calibration.ranges import Range, Rule
from tfeff.errors import GateFailed, TfeffError
from tfeff.export import quantize, steps
from tfeff.export.model import Model
from tfeff.export.quantize.trial import Trial
from tfeff.export.targets import get_target


@dataclass(frozen=True)
class Measured:
    """What came of the calibration images.

    Attributes:
        calibration: with the audit's findings.
        ranges: of every tensor that is quantized.
    """

    calibration: Calibration
    ranges: list[Range]


def parse_choice(method: str | None, rules: tuple[str, ...]) -> tuple[Method, tuple[Rule, ...]]:
    """The method (the default without one) and the rules by layer; raises TfeffError for words that mean nothing."""
    return parse_method(method or DEFAULT_METHOD), parse_rules(rules)


def train_ranges_by(method: str | None, wanted: bool | None) -> bool:
    """Whether ranges are trained: by default with every method that clips, and with `auto`.

    From the whole range of all images there is nothing to learn: no value lies beyond it.

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
    subject: Model,
    source: str,
    folder: Path,
    *,
    target: str = "litert",
    samples: int | None = None,
    method: str | None = None,
    rules: tuple[str, ...] = (),
    try_out: bool = True,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Measured:
    """What `export_model` would find of these images, without an artifact.

    Args:
        subject: the network.
        source: see `calibration.sources`.
        folder: a scratch folder.
        target: whose rewrites the network gets.
        samples, method, rules, try_out, seed, progress: as for `ranged_graph` and `collect`.

    Raises:
        TfeffError: bad input.
    """
    parse_choice(method, rules)
    calibration = collect(
        source,
        subject.preprocessing,
        folder / "calibration.npy",
        samples=samples,
        seed=seed,
        progress=lambda done, total: progress("reading", done, total),
    )
    _, measured = ranged_graph(
        subject, calibration, folder, target=target, method=method, rules=rules, try_out=try_out, seed=seed,
        progress=progress,
    )  # fmt: skip
    return measured


def ranged_graph(
    subject: Model,
    calibration: Calibration,
    folder: Path,
    *,
    target: str = "litert",
    method: str | None = None,
    rules: tuple[str, ...] = (),
    per_tensor: bool = False,
    train_ranges: bool = False,
    required: bool = False,
    try_out: bool = True,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> tuple[Any, Measured]:
    """The fake-quant graph of a network as a target gets it, with the ranges that images give it, as in an export.

    Args:
        calibration: the images.
        folder: a scratch folder.
        per_tensor, train_ranges: see `graph.fake_quant_graph`.
        try_out: whether a method that is found by trying is, and biases are corrected, as in an export; else the method
            is what it means without.
        required: whether a network that has no such graph is an error; else the graph is None, and every tensor of its
            file is measured.
        target, method, rules, seed, progress: as for `calibrate`.

    Raises:
        TfeffError: bad input, or a network without a graph where it is required.
    """
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.rewrites.copying import CannotRewrite

    progress("converting", 0, 0)
    model, _, _ = steps.rewrite(subject, get_target(target).rewrites, calibration.inputs(steps.PROOF_SAMPLES))
    graph = None
    try:
        if required or subject.is_keras:
            graph = fake_quant_graph(model, per_tensor=per_tensor, train_ranges=train_ranges)
    except CannotRewrite:
        if required:
            raise
    int8 = quantize.Int8File(model, graph, folder / "int8", subject.preprocessing.shape)
    with quantize.Converter(folder) as converter:
        converter.convert([int8.job(calibration.path)])
        int8.take()
        trial = Trial(int8, calibration, folder, converter)
        measured = measure(
            int8.path, subject, calibration, method, rules, folder,
            trial=trial if try_out else None, seed=seed, progress=progress,
        )  # fmt: skip
        if graph is not None and try_out:
            trial.make({each.tensor.index: (each.low, each.high) for each in measured.ranges})
        elif graph is not None:
            int8.set_ranges({each.tensor.index: (each.low, each.high) for each in measured.ranges})
    return graph, measured


def measure(
    calibrated: Path,
    subject: Model,
    calibration: Calibration,
    method: str | None,
    rules: tuple[str, ...],
    folder: Path,
    *,
    trial: Trial | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Measured:
    """Runs the images through a calibrated float file, audits them, and finds the ranges.

    The input's range is not measured: its preprocessing knows it.

    Args:
        calibrated: what a `Job` with the step "calibrate" left.
        method, rules: see `calibration.methods` and `calibration.ranges`.
        folder: a scratch folder.
        trial: makes int8 files, for a method that is found by trying; it is given the audited images. None takes what
            the method means without. So does a network that was not trained: nothing is near its outputs.
        seed: of the audit's shuffles.
        progress: called with (step, done, total).

    Raises:
        TfeffError: a layer that gives NaN, or a rule for a layer that is not there.
    """
    chosen, by_layer = parse_choice(method, rules)
    network = Activations(calibrated)
    door = door_of(subject.preprocessing)
    plan = Plan(network.tensors, chosen, by_layer, door)
    seen = observe(
        network,
        calibration.images(),
        calibration.names,
        folder,
        histograms=plan.histograms,
        progress=lambda done: progress("measuring", done, calibration.used),
    )
    progress("auditing", 0, 0)
    audited, seen = audit(
        calibration,
        subject.preprocessing,
        network,
        seen,
        chosen,
        folder,
        labels=subject.labels,
        trained=not subject.random_weights,
        seed=seed,
    )
    if trial is not None:
        trial.calibration = audited
    if not chosen.candidates or trial is None or subject.random_weights:
        return Measured(audited, plan.ranges(seen))
    trials = choose(
        chosen, by_layer, door, network, seen, audited, trial.run,
        progress=lambda done, total: progress("trying ranges", done, total),
    )  # fmt: skip
    return Measured(audited.with_trials(trials), trials[0].ranges)


def door_of(preprocessing) -> tuple[float, float]:
    """The input's range, as its preprocessing gives it."""
    ends = [preprocessing.normalize(np.full(preprocessing.shape, v, np.uint8)) for v in (0, 255)]
    return float(ends[0].min()), float(ends[1].max())


def audited(ranged, subject, request, calibration, folder, progress) -> Calibration:
    """The calibration with the audit's findings, for a precision whose ranges are the converter's own.

    Raises:
        GateFailed: a grave finding that the user has not allowed.
    """
    measured = measure(ranged, subject, calibration, "minmax", (), folder, seed=request.seed, progress=progress)
    gate_audit(measured.calibration, request.allow_audit)
    return measured.calibration


def gate_audit(calibration: Calibration, allowed: bool) -> None:
    """Raises GateFailed for a grave finding unless the user has allowed it."""
    found = grave(calibration.findings)
    if found and not allowed:
        shown = "; ".join(text_of(each.as_dict()) for each in found)
        raise GateFailed(
            f"calibration {calibration.source}: {shown}",
            "mend the images (all findings: `tfeff calibrate --audit`), or give --allow-audit; nothing was written",
        )
