"""What `bench` tells, as values; `Outcome.as_dict` is the JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tfeff.bench.answer import Answer
from tfeff.bench.intervals import Verdict
from tfeff.record.schema import Browser, Kernels

SCHEMA_VERSION = 1
Interval = tuple[float, float]
_IN_APP = ("preprocessing_ms", "postprocessing_ms")


@dataclass(frozen=True)
class Times:
    """Of one file on one device.

    Attributes:
        median_ms: of the rounds' medians; `ci95_ms` its bootstrap interval.
        p90_ms: over all timed invocations; None where a phone's tool does not tell it.
        runs: invocations that were timed.
        rounds: of which the median is.
    """

    median_ms: float
    ci95_ms: Interval
    p90_ms: float | None
    runs: int
    rounds: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it."""
        return asdict(self)


@dataclass(frozen=True)
class WorkerTimes(Times):
    """As a worker process tells them.

    Attributes:
        quantiles_ms: `protocol.QUANTILES` over all timed invocations.
        launches: how often the processes were started.
        pinned: whether each was kept on one core.
        warmup_runs: invocations before the first timed one.
        steady: whether they had come to agree by then.
    """

    quantiles_ms: tuple[float, ...]
    launches: int
    pinned: bool
    warmup_runs: int
    steady: bool


@dataclass
class Block:
    """One run of a phone's tool, or of the demo app; what is not told is None.

    Attributes:
        median_ms, mean_ms, p5_ms, p90_ms, p95_ms: of its invocations.
        runs, warmup_runs: how many there were.
        init_ms, first_ms: loading the model; the very first invocation.
        preprocessing_ms, postprocessing_ms: medians, in the demo app.
        waited_s: before it, for a phone that was throttled.
        throttled: why its times are not to be trusted; empty where they are.
        before, after: the phone's state (`adb.state.State` as a dict).
    """

    median_ms: float | None
    mean_ms: float
    p5_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    runs: int
    warmup_runs: int
    init_ms: float | None
    first_ms: float | None
    preprocessing_ms: float | None = None
    postprocessing_ms: float | None = None
    waited_s: float = 0.0
    throttled: list[str] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PhoneTimes(Times):
    """As a phone's tool, or the demo app, tells them; what it does not tell is None.

    Attributes:
        step_ms: in which medians come.
        statistic: what `median_ms` is the median of.
        p95_ms, init_ms, first_ms: medians over the blocks: 95th percentile, loading, the very first invocation.
        p90_blocks_ms: 90th percentile of the blocks' figures.
        throttled_rounds: that were left out.
        core_class, pinned_cores: where it ran.
        blocks: all of them with the phone's state before and after.
        preprocessing_ms, postprocessing_ms: beside the inference, in the demo app.
    """

    step_ms: float
    statistic: str
    p95_ms: float | None
    p90_blocks_ms: float
    init_ms: float | None
    first_ms: float | None
    throttled_rounds: int
    launches: int
    core_class: str
    pinned_cores: list[int] | None
    warmup_runs: int
    blocks: list[Block]
    preprocessing_ms: float | None = None
    postprocessing_ms: float | None = None

    @property
    def pinned(self) -> bool:
        """Whether it was kept on some cores."""
        return self.pinned_cores is not None

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it; the app's figures only where it is the app's."""
        told = _without_app(asdict(self)) | {"blocks": [_without_app(asdict(one)) for one in self.blocks]}
        return told | {"pinned": self.pinned, "steady": None}  # the tool does not tell whether it was


def _without_app(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key not in _IN_APP or value is not None}


@dataclass(frozen=True)
class OutputDifference:
    """One output of the device against this machine's.

    Attributes:
        name: of the output.
        equal: whether the bytes are.
        differing: share of the values that are not the same.
        max_difference: in steps where the output is quantized, else in its own unit; None where the shapes differ or
            something is no number.
    """

    name: str
    equal: bool
    differing: float
    max_difference: float | None


@dataclass(frozen=True)
class Local:
    """How far the outputs of a device are from those that this machine's own runtime computes from the same inputs.

    Attributes:
        runtime, version: of this machine.
        same_runtime: whether the device has it too, in name and version.
        same_kernels: whether both left the same operations to XNNPACK. Only where both hold, equal bytes are expected.
        outputs: each of them, in the order of the file.
    """

    runtime: str
    version: str
    same_runtime: bool
    same_kernels: bool
    outputs: tuple[OutputDifference, ...]

    @property
    def equal(self) -> bool:
        """Whether all bytes are."""
        return all(one.equal for one in self.outputs)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it; the figures of the worst output lie beside those of each."""
        apart = [one.max_difference for one in self.outputs if one.max_difference is not None]
        worst = {"equal": self.equal, "max_difference": max(apart, default=None),
                 "differing": max((one.differing for one in self.outputs), default=0.0)}  # fmt: skip
        return asdict(self) | worst

    @property
    def unequal(self) -> list[OutputDifference]:
        """The outputs that differ."""
        return [one for one in self.outputs if not one.equal]


@dataclass(frozen=True)
class Counted:
    """What an emulated processor tells.

    Attributes:
        instructions: of an inference, the median of `runs`; None where the emulator cannot count.
        instructions_spread: largest less smallest.
        outputs_sha256: of the bytes of each output.
        local: how far these are from this machine's.
    """

    instructions: int | None
    instructions_spread: int | None
    runs: int
    outputs_sha256: dict[str, str]
    local: Local

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it."""
        return asdict(self) | {"local": self.local.as_dict()}


@dataclass
class Result:
    """One file on one device.

    Attributes:
        file, sha256: which.
        device: as it was named.
        runtime, version: that ran it there.
        xnnpack: whether the runtime might hand the graph to XNNPACK.
        kernels: who ran its operations.
        environment: what the device tells of itself; `cpu` always.
        times: None where nothing was timed: the answer was wrong, or instructions were counted.
        counted: of a device that counts instructions.
        answer: of a phone, compared with this machine's.
        memory_mb: of a phone: `init`, `overall`, `peak`.
        browser: of times that a browser sent.
    """

    file: str
    sha256: str
    device: str
    runtime: str
    version: str
    threads: int
    xnnpack: bool
    kernels: Kernels
    environment: dict[str, Any]
    times: Times | None = None
    counted: Counted | None = None
    answer: Answer | None = None
    memory_mb: dict[str, float | None] | None = None
    browser: Browser | None = None

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.file).name

    @property
    def void(self) -> str:
        """Why it has no time: the answer was wrong. Empty where it was right, or not compared."""
        return self.answer.why if self.answer is not None and self.answer.ok is False else ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it: times and counts lie beside the rest, and what a device does not have is left out."""
        told = {name: getattr(self, name) for name in _PLAIN}
        told["kernels"] = kernels_dict(self.kernels)
        if self.times is not None:
            told |= self.times.as_dict()
        if self.counted is not None:
            told |= self.counted.as_dict()
        if self.answer is not None:
            told |= {"answer": self.answer.as_dict(), "memory_mb": self.memory_mb}
        if self.void:
            told["void"] = self.void
        if self.browser is not None:
            told["browser"] = msgspec.to_builtins(self.browser)
        return told


_PLAIN = ("file", "sha256", "device", "runtime", "version", "threads", "xnnpack", "environment")


@dataclass
class Ratio:
    """The time of a file to that of the first, on the same device in the same rounds.

    Attributes:
        a, b: the file and the first one.
        ratio: of the times, below 1 where `a` is quicker; `ci95` its bootstrap interval.
        launches: the ratio within each launch.
        verdict: `faster`, `slower` or `no difference`.
    """

    device: str
    a: str
    b: str
    threads: int
    ratio: float
    ci95: Interval
    launches: list[float]
    verdict: Verdict


@dataclass
class CountRatio:
    """The instructions of a file to those of the first."""

    device: str
    a: str
    b: str
    ratio: float
    unit: str = "instructions"


@dataclass
class Outcome:
    """What `bench` measured.

    Attributes:
        results: one for each device, number of threads and file.
        ratios: of each further file to the first.
        counted: the same of devices that count instructions.
        warnings: sentences that a reader of the figures must know.
    """

    results: list[Result] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    counted: list[CountRatio] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Takes what another device told."""
        self.results += other.results
        self.ratios += other.ratios
        self.counted += other.counted
        self.warnings = list(dict.fromkeys([*self.warnings, *other.warnings]))

    def on(self, device: str, threads: int | None = None) -> list[Result]:
        """The results of one device, with one number of threads or any."""
        return [one for one in self.results if one.device == device and threads in (None, one.threads)]

    def ratios_on(self, device: str, threads: int) -> dict[str, Ratio]:
        """The ratios of one device by their file."""
        return {one.a: one for one in self.ratios if (one.device, one.threads) == (device, threads)}

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it: `schema_version`, `results`, `ratios`, `warnings`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "results": [one.as_dict() for one in self.results],
            "ratios": [*map(asdict, self.ratios), *map(asdict, self.counted)],
            "warnings": self.warnings,
        }


def kernels_dict(kernels: Kernels) -> dict[str, Any]:
    """The JSON of it: a delegate is named only where one was asked for."""
    told: dict[str, Any] = msgspec.to_builtins(kernels)
    return {key: value for key, value in told.items() if key not in ("delegate", "taken") or value is not None}


def kernel_words(kernels: Kernels) -> str:
    """Which kernels ran, for people: "XNNPACK", "built-in", "XNNPACK 4 of 5", "GPU, all" or "unknown"."""
    if kernels.delegate is not None:
        return f"{kernels.delegate}, {kernels.taken}"
    if kernels.xnnpack == "partly":
        return f"XNNPACK {kernels.delegated} of {kernels.total}" if kernels.total else "XNNPACK, a part"
    return {"all": "XNNPACK", "none": "built-in"}.get(kernels.xnnpack or "", "unknown")


def short_names(files: Iterable[str]) -> list[str]:
    """File names without their folders, where that still tells the files apart."""
    files = list(files)
    names = [Path(file).name for file in files]
    return names if len(set(names)) == len(set(files)) else files
