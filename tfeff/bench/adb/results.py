"""What is told of a phone's timing: the same as of any device, and what only a phone has."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.adb.state import Facts, State
from tfeff.bench.adb.variant import Variant, figures, has_medians
from tfeff.bench.answer import Answer
from tfeff.bench.intervals import median_interval, paired_ratio, verdict
from tfeff.bench.outcome import Block, PhoneTimes, Ratio, Result
from tfeff.bench.settings import Settings

WIDE = 0.02  # an interval wider than this share of the median is said aloud
SEEN = 0.01  # the smallest difference that a verdict calls one
LOW_BATTERY = 20  # percent: below it phones save power


class Timer(Protocol):
    """What times files on a phone: the benchmark tool or the demo app.

    Attributes:
        runtime, version: that ran them.
        about: what a result tells of it.
    """

    runtime: str
    version: str
    about: dict[str, Any]

    def put(self, artifact: Artifact, threads: Sequence[int]) -> list[Variant]:
        """An artifact on the phone, once for each number of threads."""

    def check(self, variant: Variant) -> None:
        """The run whose answer is compared."""

    def require_full(self, device: str, variants: list[Variant]) -> None:
        """Raises where a delegate left operations to the runtime."""

    def measure(self, variant: Variant) -> Block:
        """One timed block."""


@dataclass(frozen=True)
class Session:
    """One phone, while files are timed on it.

    Attributes:
        device: as it was named.
        facts: what does not change.
        timer: what timed them.
        settings: for how long, with how many threads ...
        state: of the phone before anything was timed.
        rounds: numbers of those in which no block of any file was throttled.
    """

    device: str
    facts: Facts
    timer: Timer
    settings: Settings
    state: State
    rounds: Sequence[int]


def result_entry(variant: Variant, session: Session) -> Result:
    """One of `results`; without times where the answer was wrong."""
    facts, timer, state = session.facts, session.timer, session.state
    kernels = variant.kernels
    return Result(
        file=str(variant.artifact.path),
        sha256=variant.artifact.sha256,
        device=session.device,
        runtime=timer.runtime,
        version=timer.version,
        threads=variant.threads,
        xnnpack=kernels.xnnpack != "none" if kernels.delegate is not None else session.settings.xnnpack,
        kernels=kernels,
        answer=variant.answer or Answer(None, variant.unchecked),
        memory_mb=variant.memory_mb,
        environment={
            "cpu": facts.cpu,
            "model": facts.model,
            "os": facts.os,
            "fingerprint": facts.fingerprint,
            "machine": facts.abi,
            "cores": len(facts.capacities),
            "capacities": {str(core): value for core, value in facts.capacities.items()},
            "governor": next((one["governor"] for one in state.policies), None),
            "load_average": state.load_average,
            "tool": timer.about,
            "state": asdict(state),
        },
        times=None if variant.wrong else _times(variant, session),
    )


def _times(variant: Variant, session: Session) -> PhoneTimes:
    blocks = [variant.blocks[number] for number in session.rounds]
    seen = figures(variant, session.rounds)
    median, low, high = median_interval(seen, session.settings.seed)
    return PhoneTimes(
        median_ms=median,
        ci95_ms=(low, high),
        step_ms=variant.step_ms,
        statistic="median of blocks' medians" if has_medians(variant) else "median of blocks' means",
        p90_ms=_middle(block.p90_ms for block in blocks),
        p95_ms=_middle(block.p95_ms for block in blocks),
        p90_blocks_ms=float(np.quantile(seen, 0.9)),
        init_ms=_middle(block.init_ms for block in blocks),
        first_ms=_middle(block.first_ms for block in blocks),
        runs=sum(block.runs for block in blocks),
        rounds=len(blocks),
        throttled_rounds=len(variant.blocks) - len(blocks),
        launches=len(blocks),
        core_class=variant.core_class,
        pinned_cores=variant.cores,
        warmup_runs=sum(block.warmup_runs for block in blocks),
        blocks=variant.blocks,
        preprocessing_ms=_middle(block.preprocessing_ms for block in blocks),
        postprocessing_ms=_middle(block.postprocessing_ms for block in blocks),
    )


def _middle(figures: Iterable[float | None]) -> float | None:
    """Median of what the tool told in each block; None where it did not tell it each time."""
    told = list(figures)
    return None if not told or None in told else float(np.median(np.array(told, np.float64)))


def ratio_entry(variant: Variant, first: Variant, session: Session) -> Ratio:
    """One of `ratios`, of the undisturbed rounds. Its `launches` are the thirds of these."""
    mine, its = figures(variant, session.rounds), figures(first, session.rounds)
    ratio, low, high = paired_ratio(mine, its, session.settings.seed)
    # What rounding to whole microseconds alone can make of two equal times.
    step = variant.step_ms / min(float(np.median(mine)), float(np.median(its))) if has_medians(variant) else 0.0
    launches = [float(np.median(part)) for part in np.array_split(mine / its, min(3, len(session.rounds)))]
    return Ratio(
        device=session.device,
        a=str(variant.artifact.path),
        b=str(first.artifact.path),
        threads=variant.threads,
        ratio=ratio,
        ci95=(low, high),
        launches=launches,
        verdict=verdict(ratio, low, high, launches) if abs(ratio - 1) > 1.001 * step else "no difference",
    )


def warnings_of(results: list[Result], facts: Facts, state: State) -> list[str]:
    """What a reader of a phone's figures must know; `state` is the phone's before anything was timed."""
    sweep = len({one.threads for one in results}) > 1
    said = [f"{one.name}: {line}" for one in results for line in _odd(one, sweep)]
    if state.charging:
        said.append("the phone is charging, which warms it")
    if state.battery_percent is not None and state.battery_percent < LOW_BATTERY:
        said.append(f"its battery is at {state.battery_percent} %: phones save power then")
    if not facts.taskset:
        said.append("the phone has no taskset: the scheduler chose the cores")
    return [f"{results[0].device}: {one}" for one in dict.fromkeys(said)]


def _odd(one: Result, sweep: bool) -> list[str]:
    """What is odd about one file's figures; `sweep`: it was timed with several numbers of threads."""
    if one.void:
        return [f"WRONG ANSWER, its time is void: {one.void}"]
    said, kernels, times = [], one.kernels, one.times
    if one.answer is not None and one.answer.ok is None:
        said.append(f"its answer was not compared with this machine's: {one.answer.why}")
    took = kernels.taken or kernels.xnnpack
    if took == "partly" or (took == "unknown" and one.xnnpack) or (took == "none" and kernels.delegate is not None):
        part = f"{kernels.delegated} of {kernels.total} operations" if kernels.delegated else "a part"
        words = {"partly": f"took only {part}", "none": "took nothing", "unknown": "does not tell what it took"}
        said.append(f"{kernels.delegate or 'XNNPACK'} {words[took]}")
    if not isinstance(times, PhoneTimes):
        return said
    low, high = times.ci95_ms
    if high - low > WIDE * times.median_ms:
        many = f", {one.threads} threads" if sweep else ""
        share = 100 * (high - low) / times.median_ms
        said.append(f"interval wider than {100 * WIDE:.0f} % ({share:.1f} %{many}); give it more seconds")
    if times.throttled_rounds:
        said.append(f"{times.throttled_rounds} throttled rounds were left out")
    if times.statistic != "median of blocks' medians":
        why = "in whole microseconds" if times.blocks[0].median_ms is not None else "not at all"
        said.append(f"this benchmark tool tells medians {why}: `median` is that of the blocks' means")
    elif SEEN * times.median_ms < times.step_ms:
        share = 100 * times.step_ms / times.median_ms
        said.append(f"medians come in whole microseconds: differences below {share:.1f} % cannot be seen")
    return said
