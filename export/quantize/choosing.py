"""Which ranges, whether to correct biases and whether to round weights together: tried on samples held out, then made
of all and held against the plain way, so that what is exported is never farther from float than what TensorFlow's own
converter would make."""

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
_ROUNDED = "weights that were rounded together are no nearer by it"
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
        rounded: whether weights are to be those that were rounded together.
        rounding: what that did and was judged by, for the record; None where it was not tried.
        file: of which these ranges are, where the plain way is taken: nothing in it is rounded, so that they are the
            very ranges of TensorFlow's own converter; None elsewhere.
        losses: of the file on the samples that were held out, one a criterion; None where there were none.
        criteria: those.
    """

    calibration: Calibration
    ranges: list[Range]
    corrected: bool
    correction: dict[str, Any] | None = None
    rounded: bool = False
    rounding: dict[str, Any] | None = None
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
    """Ranges of all samples by the plan, biases by the way, and weights that cost least on samples held out.

    Weights are rounded together with whatever else cost least, by the samples that were not held out; those that the
    user's own method is for are each rounded to the nearest step.

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
    judge = samples.judge(file, which, criteria)
    search = Search(judge, seen, lambda ranges, corrected: trial.run(ranges, fit, corrected), trial.correctable)
    chosen = search.choose(plans, progress=progress)
    best, base = chosen.trials[0], chosen.base
    told = replace(audited, held_out=len(which))
    if len(plans) == 1:  # the user's own
        done = Choice(told, best.plan.ranges(samples.seen), best.corrected)
        return _judged(done, chosen, best.verdict, criteria)
    rounding = None
    if trial.roundable:
        best, rounding = _rounded(best, base, judge, trial, seen, fit)
    tried = tuple(_recorded(each, loss) for each, loss in zip(chosen.trials, chosen.losses, strict=True))
    told = replace(told, criterion=chosen.criterion, tried=tried)
    done = replace(_as_it_was(told, file, samples, plain), rounding=rounding)
    if best is base:
        return _judged(done, chosen, base.verdict, criteria)
    ranges, rounded = best.plan.ranges(samples.seen), rounding is not None and rounding["kept"]
    made = Choice(replace(told, method=best.method), ranges, best.corrected, rounded=rounded, rounding=rounding)
    refit = _refit(made, done, samples, criteria, trial)
    if refit.kept:
        return _judged(_with(made, refit), chosen, best.verdict, criteria)
    if rounded:
        done = replace(done, rounding={**done.rounding, "kept": False, "why": _NOT_KEPT})
    return _judged(_with(done, refit), chosen, base.verdict, criteria)


def _rounded(best, base, judge, trial, seen, fit):
    """The best way with its weights rounded together (the best way, where that is no nearer), and the figures for the
    record. Biases are corrected where that brings these weights nearer, too: together they may need none."""

    def tried(corrected):
        return replace(best, corrected=corrected, verdict=judge(trial.run(ranges, fit, corrected, rounded=True)))

    def loss(way):
        return key(way.verdict.losses, base.verdict.losses, judge.criteria)

    ranges, report = best.plan.ranges(seen), trial.round_weights(fit)
    way = tried(False)
    if best.corrected:
        other = tried(True)
        way = other if loss(other) < loss(way) and other.verdict.is_nearer(way.verdict) else way
    less, ours = loss(way) < loss(best), way.verdict
    kept = less and ours.is_nearer(best.verdict) and all(ours.is_no_worse(each.verdict) for each in (best, base))
    told = {
        "samples": judge.count, "criterion": judge.named, "before": loss(best)[0], "after": loss(way)[0],
        "sqnr_db": {"before": best.verdict.sqnr_db(), "after": ours.sqnr_db()},
    }  # fmt: skip
    why = {"why": _BY_CHANCE} if less and not kept else {}
    return way if kept else best, {"kept": kept, "bias_correction": way.corrected, **report, "held_out": told} | why


def _as_it_was(calibration, file, samples, plain):
    """The plain way, of all samples."""
    ranges = plain.ranges(samples.seen) if file.graph is None else samples.plain(file.path)
    return Choice(replace(calibration, method=plain.method.name), ranges, False, file=file)


def _with(choice, refit):
    return replace(choice, calibration=replace(choice.calibration, refit=refit))


def _judged(choice, chosen, verdict, criteria):
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
        elif choice.rounded and not choice.corrected:
            why = {"why": _ROUNDED}
        elif not choice.corrected and told["after"] < told["before"]:
            why = {"why": _BY_CHANCE}
        correction = {"kept": choice.corrected, "held_out": told} | why
    return replace(choice, correction=correction, losses=verdict.losses, criteria=tuple(criteria))


def steps_told(choice: Choice | None, corrected: dict[str, Any] | None) -> dict[str, Any]:
    """What the record says of biases and weights: `bias_correction` and `weight_rounding`.

    Args:
        choice: what was chosen; None where nothing was tried.
        corrected: what `correct_biases` said, None where biases are as they were.
    """
    judged = None if choice is None else choice.correction
    done = corrected is not None or judged is not None
    return {
        "bias_correction": (corrected or {}) | (judged or {}) if done else None,
        "weight_rounding": None if choice is None else choice.rounding,
    }


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


def not_rounded(rounding: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the record says of weights rounded together once layers were kept in float."""
    if rounding is None or not rounding["kept"]:
        return rounding
    return {**rounding, "kept": False, "why": "where layers stay in float, each weight is to its nearest step"}


def _refit(choice, plain, samples, criteria, trial):
    """What was chosen, of all samples, against the plain way."""
    audited = samples.calibration
    which = audited.typical(_CHECKED)
    judge = samples.judge(plain.file, which, criteria)
    wanted = judge(trial.run_as_it_was(plain.file, plain.ranges))
    made = judge(trial.run(choice.ranges, audited, choice.corrected, choice.rounded))
    return schema.Refit(
        samples=len(which), method=choice.calibration.method, bias_correction=choice.corrected,
        kept=made.is_no_worse(wanted), outputs=_ratios(made), plain=_ratios(wanted),
    )  # fmt: skip


def _recorded(trial, loss):
    return schema.Trial(method=trial.method, loss=loss, bias_correction=trial.corrected, outputs=_ratios(trial.verdict))


def _ratios(verdict: Verdict) -> list[schema.OutputRatio]:
    return [schema.OutputRatio(name=name, sqnr_db=ratio) for name, ratio in verdict.sqnr_db().items()]
