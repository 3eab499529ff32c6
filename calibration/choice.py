"""`auto`: several ways to quantize are tried in the runtime, and the one that costs least is kept.

How much a range costs a network cannot be told from its values: ranges of PP-LCNet that differ by three thousandths
cost 0.3 and 0.9 points, for its images' constant background falls onto a step or between two. What can be told is how
far an int8 file's outputs are from the float network's, by the criterion of the model's task, on samples that were
held out; labels are not needed.

One of the ways is what every converter does: from the smallest to the largest value, biases as they are. Another is
kept only where no output is farther from float by it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfeff.calibration.judging import Judge, Run, Verdict
from tfeff.calibration.methods import PLAIN
from tfeff.calibration.observe import Observation
from tfeff.calibration.ranges import Plan, Range
from tfeff.tasks.criteria import Criterion

Quantized = Callable[[list[Range], bool], Run]  # ranges, whether biases are corrected -> what runs the int8 file


@dataclass(frozen=True)
class Trial:
    """What came of one way.

    Attributes:
        plan: of its ranges.
        corrected: whether biases were corrected.
        verdict: on the samples that were held out.
    """

    plan: Plan
    corrected: bool
    verdict: Verdict

    @property
    def method(self) -> str:
        """Of the ranges."""
        return self.plan.method.name


@dataclass(frozen=True)
class Chosen:
    """What was tried.

    Attributes:
        criterion: what is compared, with its unit.
        trials: the one that is kept first, then the least loss first.
        losses: of each of them, in what `criterion` says.
        base: the plain way: what the others were held against.
        correction: of the ranges that are kept, (the trial with biases as they are, the one with corrected biases);
            None where biases are not to be corrected.
    """

    criterion: str
    trials: tuple[Trial, ...]
    losses: tuple[float, ...]
    base: Trial
    correction: tuple[Trial, Trial] | None = None

    def loss_of(self, trial: Trial) -> float:
        """In what `criterion` says."""
        return next(loss for each, loss in zip(self.trials, self.losses, strict=True) if each is trial)


class Search:
    """Tries ways to quantize, each once."""

    def __init__(self, judge: Judge, seen: Observation, quantized: Quantized, correctable: bool):
        """Begins with none.

        Args:
            judge: says what each cost.
            seen: what `observe` saw of the samples that ranges are found on.
            quantized: makes an int8 file, and gives what runs it.
            correctable: whether biases may be corrected.
        """
        self._judge, self._seen, self._quantized, self._correctable = judge, seen, quantized, correctable
        self._trials: dict[tuple[str, bool], Trial] = {}

    def choose(
        self, plans: Sequence[Plan], *, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Chosen:
        """Tries plans, and of the best one both biases: as they are and corrected.

        Of several plans one is that of the smallest to the largest value (`methods.PLAIN`). With biases as they are
        it is what the others are held against: one by which an output is farther from float is not taken. The search
        stops at the first of which more could not be measured. A plan whose method only narrows another's ranges
        further is tried where that was better than the plain one.

        Biases are corrected only where an output is nearer to float by that beyond chance: they fit the samples that
        they were found on, and what they gain on a few others by chance is lost on the next.

        One criterion: the least loss. Several: of each the largest loss relative to the plain one's counts, so that no
        task pays for another, and among equals the mean. The first of equal loss is kept.

        Args:
            plans: in this order.
            progress: called with (done, total).
        """
        plain = plain_of(plans)
        total = len(plans) + 2
        progress(0, total)
        base = self._trial(plain, False)
        fit = [base]
        for number, plan in enumerate(plans):
            progress(number + 1, total)
            if plan.method.narrows and not self._is_best(plan.method.narrows, base):
                continue
            trial = self._trial(plan, self._correctable)
            if trial is not base and trial.verdict.is_no_worse(base.verdict):
                fit.append(trial)
                if self._is_enough(trial) and len(plans) > 1:
                    fit = [trial]
                    break
        best = min(fit, key=lambda trial: self._key(trial, base))
        correction = None
        if self._correctable:
            progress(total - 1, total)
            correction = self._trial(best.plan, False), self._trial(best.plan, True)
            if best.corrected:
                best = self._with_better_biases(*correction, base)
        return self._said(best, base, correction)

    def _trial(self, plan, corrected):
        key = plan.method.name, corrected
        if key not in self._trials:
            verdict = self._judge(self._quantized(plan.ranges(self._seen), corrected))
            self._trials[key] = Trial(plan, corrected, verdict)
        return self._trials[key]

    def _is_best(self, method, base):
        """Whether this method, as tried, has cost less than all others so far."""
        trials = [trial for trial in self._trials.values() if trial.corrected == self._correctable or trial is base]
        return min(trials, key=lambda trial: self._key(trial, base)).method == method

    def _with_better_biases(self, bare, corrected, base):
        less = self._key(bare, base) <= self._key(corrected, base) or not corrected.verdict.is_nearer(bare.verdict)
        return bare if less and bare.verdict.is_no_worse(base.verdict) else corrected

    def _is_enough(self, trial):
        pairs = zip(trial.verdict.losses, self._judge.criteria, strict=True)
        return all(each.enough is not None and loss <= each.enough for loss, each in pairs)

    def _key(self, trial, base):
        return key(trial.verdict.losses, base.verdict.losses, self._judge.criteria)

    def _said(self, best, base, correction):
        others = [trial for trial in self._trials.values() if trial is not best]
        ordered = [best, *sorted(others, key=lambda trial: self._key(trial, base))]
        criteria = self._judge.criteria
        name = criteria[0].name
        if len(criteria) > 1:
            names = "; ".join(dict.fromkeys(each.name for each in criteria))
            name = f"largest loss of a task, relative to that of {base.method}'s ranges: {names}"
        losses = tuple(self._key(trial, base)[0] for trial in ordered)
        return Chosen(name, tuple(ordered), losses, base, correction)


def plain_of(plans: Sequence[Plan]) -> Plan:
    """The one of the smallest to the largest value; the first where none is."""
    return next((plan for plan in plans if plan.method.name == PLAIN), plans[0])


def key(losses: Sequence[float], base: Sequence[float], criteria: Sequence[Criterion]) -> tuple[float, ...]:
    """What is to be least: the loss; of several (the largest, the mean) relative to the base's, where what is enough
    counts as equal."""
    if len(criteria) == 1:
        return (losses[0],)
    ratios = []
    for loss, other, criterion in zip(losses, base, criteria, strict=True):
        least = criterion.enough or 1e-30
        ratios.append(max(loss, least) / max(other, least))
    return max(ratios), math.fsum(ratios) / len(ratios)
