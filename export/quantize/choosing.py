"""Which ranges and whether to correct biases: tried on samples held out, then made of all and held against the plain
way, so that what is exported is never farther from float than what TensorFlow's own converter would make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfeff.calibration import Activations, Calibration, Judge, Plan, Search, held_out
from tfeff.calibration.choice import key, plain_of
from tfeff.calibration.judging import Verdict
from tfeff.calibration.observe import Observation
from tfeff.calibration.ranges import Range
from tfeff.export.quantize.int8_file import Int8File
from tfeff.export.quantize.trial import Trial
from tfeff.record import schema
from tfeff.tasks.criteria import Criterion

_NOT_KEPT = "made of all samples, an output was farther from float than by min-max with biases as they are"
_BY_CHANCE = "on the samples held out it gains no more than chance would"
_CHECKED = 256  # samples on which what was chosen is held against the plain way


@dataclass(frozen=True)
class Samples:
    """What ranges are found of.

    Attributes:
        network: the float one that they were run through; its weights are rounded where it is of a fake-quant graph.
        calibration: as the audit gave it.
        seen: what `observe` saw, without the samples that are left out.
        plain: of another float file of the network: the range of each tensor from its smallest to its largest value.
    """

    network: Activations
    calibration: Calibration
    seen: Observation
    plain: Callable[[Path], list[Range]]

    def judge(self, file: Int8File, which: Any, criteria: Sequence[Criterion]) -> Judge:
        """By samples of these numbers, against the float network in `file`: of `Trial.as_it_was`, as what rounded
        weights cost must be seen too."""
        network = self.network if file.graph is None else Activations(file.path)
        return Judge(network, self.calibration, which, criteria)


@dataclass(frozen=True)
class Choice:
    """What to do.

    Attributes:
        calibration: with what was tried.
        ranges: of every tensor.
        corrected: whether biases are to be corrected.
        correction: what that was judged by, for the record; None where there was no choice.
        file: of which these ranges are, where the plain way is taken: nothing in it is rounded, so that they are the
            very ranges of TensorFlow's own converter; None elsewhere.
        losses: of the file on the samples that were held out, one a criterion; None where there were none.
        criteria: those.
    """

    calibration: Calibration
    ranges: list[Range]
    corrected: bool
    correction: dict[str, Any] | None = None
    file: Int8File | None = None
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
        if len(plans) == 1:
            return Choice(audited, plain.ranges(samples.seen), False)
        return _as_it_was(audited, trial.as_it_was(audited), samples, plain)
    file = trial.as_it_was(audited)
    fit = audited.without(which)
    seen = samples.seen.without(samples.network, audited.feeds(which), which)
    search = Search(
        samples.judge(file, which, criteria), seen, lambda ranges, corrected: trial.run(ranges, fit, corrected),
        trial.correctable,
    )  # fmt: skip
    chosen = search.choose(plans, progress=progress)
    best, base = chosen.trials[0], chosen.base
    told = replace(audited, held_out=len(which))
    if len(plans) == 1:  # the user's own
        done = Choice(told, best.plan.ranges(samples.seen), best.corrected)
        return _judged(done, chosen, best, criteria)
    tried = tuple(_recorded(each, loss) for each, loss in zip(chosen.trials, chosen.losses, strict=True))
    told = replace(told, criterion=chosen.criterion, tried=tried)
    done = _as_it_was(told, file, samples, plain)
    if best is not base:
        refit = _refit(best, done, samples, criteria, trial)
        told = replace(told, refit=refit)
        if refit.kept:
            told = replace(told, method=best.method)
            return _judged(Choice(told, best.plan.ranges(samples.seen), best.corrected), chosen, best, criteria)
        done = replace(done, calibration=replace(told, method=plain.method.name))
    return _judged(done, chosen, base, criteria)


def _as_it_was(calibration, file, samples, plain):
    """The plain way, of all samples."""
    ranges = plain.ranges(samples.seen) if file.graph is None else samples.plain(file.path)
    return Choice(replace(calibration, method=plain.method.name), ranges, False, file=file)


def _judged(choice, chosen, trial, criteria):
    """With what was seen of it on the samples held out."""
    correction = None
    if chosen.correction is not None:
        before, after = chosen.correction
        ratios = {"before": before.verdict.sqnr_db(), "after": after.verdict.sqnr_db()}
        told = {
            "samples": choice.calibration.held_out, "criterion": chosen.criterion, "before": chosen.loss_of(before),
            "after": chosen.loss_of(after), "sqnr_db": ratios,
        }  # fmt: skip
        refit = choice.calibration.refit
        why = {}
        if refit is not None and not refit.kept:
            why = {"why": _NOT_KEPT}
        elif not choice.corrected and told["after"] < told["before"]:
            why = {"why": _BY_CHANCE}
        correction = {"kept": choice.corrected, "held_out": told} | why
    return replace(choice, correction=correction, losses=trial.verdict.losses, criteria=tuple(criteria))


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


def _refit(best, plain, samples, criteria, trial):
    """What was chosen, of all samples, against the plain way."""
    audited = samples.calibration
    which = audited.typical(_CHECKED)
    judge = samples.judge(plain.file, which, criteria)
    wanted = judge(trial.run_as_it_was(plain.file, plain.ranges))
    made = judge(trial.run(best.plan.ranges(samples.seen), audited, best.corrected))
    return schema.Refit(
        samples=len(which), method=best.method, bias_correction=best.corrected, kept=made.is_no_worse(wanted),
        outputs=_ratios(made), plain=_ratios(wanted),
    )  # fmt: skip


def _recorded(trial, loss):
    return schema.Trial(method=trial.method, loss=loss, bias_correction=trial.corrected, outputs=_ratios(trial.verdict))


def _ratios(verdict: Verdict) -> list[schema.OutputRatio]:
    return [schema.OutputRatio(name=name, sqnr_db=ratio) for name, ratio in verdict.sqnr_db().items()]
