"""`auto`: several methods are tried in the runtime, and the one that costs least is kept.

How much a range costs a network cannot be told from its values: ranges of PP-LCNet that differ by three thousandths
cost 0.3 and 0.9 points, for its images' constant background falls onto a step or between two. What can be told is how
far an int8 file's outputs are from the float network's on the calibration samples themselves, by the criterion of the
model's task; labels are not needed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration, Feed
from tfeff.calibration.observe import Observation
from tfeff.calibration.ranges import Plan, Range
from tfeff.tasks.criteria import Criterion

SAMPLES = 512  # at most so many are run
_KEPT_BYTES = 2**26  # of the float network's outputs
BASELINE = "minmax"  # no choice is worse than this by any task's criterion

Run = Callable[[Feed], dict[str, np.ndarray]]  # inputs -> outputs by name, as real numbers


@dataclass(frozen=True)
class Trial:
    """What came of one method.

    Attributes:
        method: which.
        losses: of its int8 file against the float network, one a criterion.
        ranges: of every tensor.
    """

    method: str
    losses: tuple[float, ...]
    ranges: list[Range]


@dataclass(frozen=True)
class Chosen:
    """What was tried.

    Attributes:
        criterion: what is compared, with its unit.
        trials: the best first.
        losses: of each of them, in what `criterion` says.
    """

    criterion: str
    trials: tuple[Trial, ...]
    losses: tuple[float, ...]


def choose(
    plans: Sequence[Plan],
    criteria: Sequence[Criterion],
    network: Activations,
    seen: Observation,
    calibration: Calibration,
    quantized: Callable[[list[Range]], Run],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Chosen:
    """Tries plans, on samples that are not left out, until one costs nothing that could be measured.

    One criterion: the least loss. Several: of each plan the largest loss relative to min-max's counts, so that no task
    pays for another, and among equals the mean. The first plan of equal loss is kept.

    Args:
        plans: the candidates, plain min-max among them.
        criteria: one a task.
        network: the float network.
        seen: what `observe` saw of the samples, without those that are left out.
        calibration: as the audit gave it.
        quantized: makes an int8 file with these ranges, and gives what runs it.
        progress: called with (done, total).
    """
    samples = calibration.typical(SAMPLES)
    wanted = _Wanted(network, calibration, samples)
    trials: list[Trial] = []
    for number, plan in enumerate(plans):
        progress(number, len(plans))
        ranges = plan.ranges(seen)
        run = quantized(ranges)
        terms = [
            [each.terms(outputs, given) for each in criteria]
            for outputs, given in zip(wanted, map(run, calibration.feeds(samples)), strict=True)
        ]
        losses = tuple(each.loss(column) for each, column in zip(criteria, zip(*terms, strict=True), strict=True))
        trials.append(Trial(plan.method.name, losses, ranges))
        if all(_is_enough(loss, each) for loss, each in zip(losses, criteria, strict=True)):
            break
    return _ranked(trials, criteria)


class _Wanted:
    """What the float network gives: kept where it is small, computed anew for each plan where it is not."""

    def __init__(self, network: Activations, calibration: Calibration, samples: np.ndarray):
        self._network, self._calibration, self._samples = network, calibration, samples
        self._kept: list[dict[str, np.ndarray]] | None = None

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        if self._kept is not None:
            yield from self._kept
            return
        kept, size = [], 0
        for feed in self._calibration.feeds(self._samples):
            outputs = self._network.run(feed)
            size += sum(each.nbytes for each in outputs.values())
            if size <= _KEPT_BYTES:
                kept.append(outputs)
            yield outputs
        self._kept = kept if len(kept) == len(self._samples) else None


def _is_enough(loss, criterion):
    return criterion.enough is not None and loss <= criterion.enough


def _ranked(trials, criteria):
    if len(criteria) == 1:
        ordered = sorted(trials, key=lambda trial: trial.losses[0])
        return Chosen(criteria[0].name, tuple(ordered), tuple(trial.losses[0] for trial in ordered))
    # A search that ended early has no min-max: what it ended with is as good.
    base = next((trial for trial in trials if trial.method == BASELINE), trials[-1])
    keys = {id(trial): _relative(trial.losses, base.losses, criteria) for trial in trials}
    ordered = sorted(trials, key=lambda trial: keys[id(trial)])
    names = "; ".join(dict.fromkeys(each.name for each in criteria))
    name = f"largest loss of a task, relative to that of {base.method}'s ranges: {names}"
    return Chosen(name, tuple(ordered), tuple(keys[id(trial)][0] for trial in ordered))


def _relative(losses, base, criteria):
    """(the largest, the mean) of the losses over the base's; what is enough counts as equal."""
    ratios = []
    for loss, other, criterion in zip(losses, base, criteria, strict=True):
        least = criterion.enough or 1e-30
        ratios.append(max(loss, least) / max(other, least))
    return max(ratios), math.fsum(ratios) / len(ratios)
