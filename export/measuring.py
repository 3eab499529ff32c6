"""Between float and int8: the images are audited on the network as it will run, and every tensor gets its range."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
from tfeff.calibration.methods import Method
from tfeff.calibration.ranges import Range, Rule
from tfeff.export import quantize, steps
from tfeff.export.subject import Subject
from tfeff.export.targets import get_target

from tfeff.errors import GateFailed


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


def calibrate(
    subject: Subject,
    source: str,
    folder: Path,
    *,
    target: str = "litert",
    samples: int | None = None,
    method: str | None = None,
    rules: tuple[str, ...] = (),
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Measured:
    """What `export_model` would find of these images, without an artifact.

    Args:
        subject: the network.
        source: see `calibration.sources`.
        folder: a scratch folder.
        target: whose rewrites the network gets.
        samples, method, rules, seed, progress: as for `measure` and `collect`.

    Raises:
        TfeffError: bad input.
    """
    parse_choice(method, rules)
    specs = get_target(target).rewrites
    calibration = collect(
        source,
        subject.preprocessing,
        folder / "calibration.npy",
        samples=samples,
        seed=seed,
        progress=lambda done, total: progress("reading", done, total),
    )
    progress("converting", 0, 0)
    model, _, _ = steps.rewrite(subject, specs, calibration.inputs(steps.PROOF_IMAGES))
    int8 = quantize.Int8File(model, _graph(subject, model), folder / "int8", subject.preprocessing.shape)
    quantize.convert([int8.job(calibration.path)], None, folder)
    int8.take()
    return measure(int8.path, subject, calibration, method, rules, folder, seed=seed, progress=progress)


def _graph(subject, model):
    """The fake-quant graph; None where the network has none."""
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.rewrites.graph import CannotRewrite

    try:
        return fake_quant_graph(model) if subject.is_keras else None
    except CannotRewrite:
        return None


def measure(
    calibrated: Path,
    subject: Subject,
    calibration: Calibration,
    method: str | None,
    rules: tuple[str, ...],
    folder: Path,
    *,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Measured:
    """Runs the images through a calibrated float file, audits them, and finds the ranges.

    The input's range is not measured: its preprocessing knows it.

    Args:
        calibrated: what a `Job` with the step "calibrate" left.
        method, rules: see `calibration.methods` and `calibration.ranges`.
        folder: a scratch folder.
        seed: of the audit's shuffles.
        progress: called with (step, done, total).

    Raises:
        TfeffError: a layer that gives NaN, or a rule for a layer that is not there.
    """
    chosen, by_layer = parse_choice(method, rules)
    network = Activations(calibrated)
    ends = [subject.preprocessing.normalize(np.full(subject.preprocessing.shape, v, np.uint8)) for v in (0, 255)]
    plan = Plan(network.tensors, chosen, by_layer, (float(ends[0].min()), float(ends[1].max())))
    seen = observe(
        network,
        calibration.images(),
        calibration.names,
        folder,
        histograms=plan.histograms,
        progress=lambda done: progress("measuring", done, calibration.used),
    )
    progress("auditing", 0, 0)
    audited = audit(
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
    return Measured(audited, plan.ranges(seen))


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


def write_measured(calibrated: Path, ranges: list[Range], path: Path) -> None:
    """Writes the calibrated file anew with these ranges, ready for a `Job` with the step "quantize"."""
    path.write_bytes(quantize.write_ranges(calibrated.read_bytes(), {r.tensor.index: (r.low, r.high) for r in ranges}))
