"""Which ranges and whether to correct biases: tried on samples held out, then made of all and held against the plain
way, so that what is exported is never farther from float than what TensorFlow's own converter would make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfeff.calibration import Activations, Calibration, Chosen, Judge, Plan, Search, held_out
from tfeff.calibration.choice import key, plain_of
from tfeff.calibration.judging import Verdict
from tfeff.calibration.observe import Observation
from tfeff.calibration.ranges import Range
from tfeff.export.quantize.trial import Trial
from tfeff.record import schema
from tfeff.tasks.criteria import Criterion

_NOT_KEPT = "made of all samples, an output was farther from float than by min-max with biases as they are"
_CHECKED = 256  # samples on which what was chosen is held against the plain way


@dataclass(frozen=True)
class Samples:
    """What ranges are found of.

    Attributes:
        network: the float one.
        calibration: as the audit gave it.
        seen: what `observe` saw, without the samples that are left out.
    """

    network: Activations
    calibration: Calibration
    seen: Observation

    def judge(self, which: Any, criteria: Sequence[Criterion]) -> Judge:
        """By samples of these numbers."""
        return Judge(self.network, self.calibration, which, criteria)


@dataclass(frozen=True)
class Choice:
    """What to do.

    Attributes:
        calibration: with what was tried.
        ranges: of every tensor.
        corrected: whether biases are to be corrected.
        correction: what that was judged by, for the record; None where there was no choice.
        losses: of the file on the samples that were held out, one a criterion; None where there were none.
        criteria: those.
    """

    calibration: Calibration
    ranges: list[Range]
    corrected: bool
    correction: dict[str, Any] | None = None
    losses: tuple[float, ...] | None = None
    criteria: tuple[Criterion, ...] = ()


def choose(
    plans: Sequence[Plan],
    samples: Samples,
    criteria: Sequence[Criterion],
    trial: Trial,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Choice:
    """Ranges of all samples by the plan, and biases by the way, that cost least on samples held out.

    Args:
        plans: the candidates; of several one is plain min-max.
        samples: that ranges are found of, and judged on.
        criteria: one a task.
        trial: makes int8 files.
        progress: called with (done, total).
    """
    audited, plain = samples.calibration, plain_of(plans)
    which = held_out(audited)
    if not len(which):  # a single sample: nothing to judge by
        return Choice(replace(audited, method=plain.method.name), plain.ranges(samples.seen), False)
    fit = audited.without(which)
    seen = samples.seen.without(samples.network, audited.feeds(which), which)
    search = Search(
        samples.judge(which, criteria), seen, lambda ranges, corrected: trial.run(ranges, fit, corrected),
        trial.correctable,
    )  # fmt: skip
    chosen = search.choose(plans, progress=progress)
    best, refit = chosen.trials[0], None
    if best.plan is not plain or best.corrected:
        refit = _refit(chosen, plain, samples, criteria, trial)
    kept = refit is None or refit.kept
    plan, corrected = (best.plan, best.corrected) if kept else (plain, False)
    tried = None
    if len(plans) > 1:
        tried = tuple(_recorded(each, loss) for each, loss in zip(chosen.trials, chosen.losses, strict=True))
    calibration = replace(
        audited, method=plan.method.name, criterion=chosen.criterion if tried else None, tried=tried,
        held_out=len(which), refit=refit,
    )  # fmt: skip
    taken = best if kept else next(each for each in chosen.trials if each.plan is plain and not each.corrected)
    return Choice(
        calibration, plan.ranges(samples.seen), corrected, _of_correction(chosen, corrected, kept, len(which)),
        taken.verdict.losses, tuple(criteria),
    )  # fmt: skip


def pays(before: Choice, after: Choice) -> tuple[bool, dict[str, Any]]:
    """Whether a step lowers the loss on the samples that were held out, and the figures for the record.

    Args:
        before, after: what was chosen without the step, and with it. Where nothing was judged, the step is as wanted.
    """
    if before.losses is None or after.losses is None:
        return True, {"kept": True}
    first, second = (key(each.losses, before.losses, before.criteria) for each in (before, after) if each.losses)
    name = "; ".join(dict.fromkeys(each.name for each in before.criteria))
    if len(before.criteria) > 1:
        name = f"largest loss of a task, relative to that without: {name}"
    told = {"samples": before.calibration.held_out, "criterion": name, "before": first[0], "after": second[0]}
    return second < first, {"kept": second < first, "held_out": told}


def _refit(chosen, plain, samples, criteria, trial):
    """What was chosen, of all samples, against the plain way."""
    best, audited = chosen.trials[0], samples.calibration
    which = audited.typical(_CHECKED)
    judge = samples.judge(which, criteria)
    wanted = judge(trial.run(plain.ranges(samples.seen), audited, False))
    made = judge(trial.run(best.plan.ranges(samples.seen), audited, best.corrected))
    return schema.Refit(
        samples=len(which), method=best.method, bias_correction=best.corrected, kept=made.is_no_worse(wanted),
        outputs=_ratios(made), plain=_ratios(wanted),
    )  # fmt: skip


def _recorded(trial, loss):
    return schema.Trial(method=trial.method, loss=loss, bias_correction=trial.corrected, outputs=_ratios(trial.verdict))


def _ratios(verdict: Verdict) -> list[schema.OutputRatio]:
    return [schema.OutputRatio(name=name, sqnr_db=ratio) for name, ratio in verdict.sqnr_db().items()]


def _of_correction(chosen: Chosen, corrected: bool, as_chosen: bool, held: int) -> dict[str, Any] | None:
    if chosen.correction is None:
        return None
    before, after = chosen.correction
    ratios = {"before": before.verdict.sqnr_db(), "after": after.verdict.sqnr_db()}
    told = {
        "samples": held, "criterion": chosen.criterion, "before": chosen.loss_of(before),
        "after": chosen.loss_of(after), "sqnr_db": ratios,
    }  # fmt: skip
    return {"kept": corrected, "held_out": told} | ({} if as_chosen else {"why": _NOT_KEPT})
