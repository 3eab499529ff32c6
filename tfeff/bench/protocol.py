"""How artifacts are timed, on one device after the other.

One worker process per artifact, all alive at once. Each artifact is warmed up until it is steady; then come rounds: in
each, every artifact runs one block of invocations, in shuffled order, so that whatever the machine does to one it does
to all. A block gives one median; a round is one paired observation. Rounds go on until the 95 % interval of each median
is narrow enough, or time is up.

Two things stay with a process as long as it lives, and an interval over rounds cannot see them:

- The core it runs on. Single-threaded workers take turns, so all of a launch are kept on one and the same core. Without
  that, on a busy two-core machine, a file seemed up to 30 % faster than itself, because its process happened to be the
  one with the quiet core; with it, 1.7 % at most in 70 repetitions, and none was called a difference.
- Its memory layout, good for a percent or two in models of a few microseconds. So the processes are started anew twice
  (`LAUNCHES`), each time on the next core (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, open_artifact
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.delegate import parse_delegate
from tfeff.bench.devices import BaseDevice, Handle, find_device
from tfeff.bench.intervals import median_interval, paired_ratio, verdict
from tfeff.bench.outcome import Outcome, Ratio, Result, WorkerTimes, short_names
from tfeff.bench.part import of_the_files, parts_timed
from tfeff.bench.settings import Settings, Tick
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels
from tfeff.tflite.entry import which_runs
from tfeff.tflite.part import WHOLE, PartOptions

LAUNCHES = 3
MIN_ROUNDS = 5  # of each launch: at least 15 altogether
TARGET_WIDTH = 0.02  # of the 95 % interval, as a share of the median
BLOCK_NS = 30e6
MAX_BLOCK = 2000  # invocations
WARMUP_BLOCK_NS = 10e6
WARMUP_AGREEMENT = 1.03  # largest over smallest of three successive blocks' medians
WARMUP_SHARE = 0.25  # of a launch's time, for all artifacts together
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of all timed invocations
NOISY_LOAD = 0.5  # load average per core above which a machine is not quiet

_TAKE_LIBRARIES = ("local", "python", "ssh")  # kinds of device

Progress = Callable[[float, float], None]


@dataclass
class _Timing:
    """What has been seen of one artifact on one device."""

    artifact: Artifact
    environment: dict[str, Any] = field(default_factory=dict)
    kernels: Kernels = field(default_factory=Kernels)
    rounds_ms: list[list[float]] = field(default_factory=list)  # a list for each launch, a median for each round
    times_ns: list[np.ndarray] = field(default_factory=list)  # an array for each block
    pinned: bool = True
    warmup_runs: int = 0
    steady: bool = True

    @property
    def all_rounds_ms(self) -> np.ndarray:
        return np.concatenate(self.rounds_ms)


def bench(
    paths: Sequence[str | Path],
    devices: Sequence[str] = ("local",),
    settings: Settings | None = None,
    *,
    part: PartOptions = WHOLE,
    phone: PhoneOptions | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Times .tflite files against each other on each device.

    Args:
        paths: .tflite files (or their records); the ratios are against the first.
        devices: specs, such as "local" or "python:venv/bin/python".
        settings: for how long, with how many threads ...; None is the defaults.
        part: the signature that is timed, and the sizes that the files leave open; the same of all files.
        phone: what only phones have.
        progress: called with (seconds gone, seconds at most).

    Returns:
        Results in the order of devices, numbers of threads and files. A device that counts instructions gives counts
        in place of times; a file that a phone computes wrongly has none.

    Raises:
        TfeffError: a file, a device, its runtime or its worker is not fit for use; a file leaves sizes open.
    """
    settings = settings or Settings()
    if not paths:
        raise TfeffError("bench: no file to time", "give one or more .tflite files")
    if settings.delegate:
        parse_delegate(settings.delegate)
        if unfit := [device for device in devices if device.partition(":")[0] not in _TAKE_LIBRARIES]:
            raise TfeffError(f"{unfit[0]}: loads no delegate out of a library", "a phone takes xnnpack, gpu and nnapi")
    artifacts = [open_artifact(path) for path in paths]
    found = [find_device(spec) for spec in devices]
    outcome = Outcome(warnings=[said for one in artifacts if (said := which_runs(one.path, part, "timed"))])
    with parts_timed(artifacts, part) as timed:
        for number, device in enumerate(found):
            start = time.monotonic()

            def tick(number: int = number, start: float = start) -> None:
                if progress:
                    gone = min(time.monotonic() - start, settings.max_seconds)
                    progress(number * settings.max_seconds + gone, len(found) * settings.max_seconds)

            outcome.add(_on(device, timed, settings, phone, tick))
    return of_the_files(outcome, timed, artifacts)


def _on(
    device: BaseDevice, artifacts: list[Artifact], settings: Settings, phone: PhoneOptions | None, tick: Tick
) -> Outcome:
    """What one device tells, in its own way."""
    if device.counts:
        from tfeff.bench.instructions import count_on

        return count_on(device, artifacts, settings, tick)
    if device.has_tool:
        from tfeff.bench.adb.protocol import bench_on_phone

        return bench_on_phone(device, artifacts, settings, phone or PhoneOptions(), tick)
    outcome = Outcome()
    with device:
        for threads in settings.counts:
            timings = _time_on(device, artifacts, settings, threads, tick)
            results = [_result(timing, device.name, settings, threads) for timing in timings]
            ratios = [_ratio(timing, timings[0], device.name, settings, threads) for timing in timings[1:]]
            outcome.add(Outcome(results, ratios, warnings=_warnings(results)))
    return outcome


def _time_on(
    device: BaseDevice, artifacts: list[Artifact], settings: Settings, threads: int, tick: Tick
) -> list[_Timing]:
    timings = [_Timing(artifact) for artifact in artifacts]
    random = np.random.default_rng(settings.seed)
    start, share = time.monotonic(), settings.max_seconds / len(settings.counts) / LAUNCHES
    for launch in range(LAUNCHES):
        deadline = start + (launch + 1) * share
        with ExitStack() as stack:
            handles: list[Handle] = []
            for timing in timings:
                handles.append(stack.enter_context(device.start()))
                core = _core(handles[0].environment.get("fast_cores"), threads, settings.seed + launch)
                _load(handles[-1], timing, device.name, settings.load_options(threads) | {"core": core})
                tick()
            expected_ns = []
            for timing, handle in zip(timings, handles, strict=True):
                median_ns, runs, steady = warm_up(handle.run, share * WARMUP_SHARE / len(timings))
                expected_ns.append(median_ns)
                timing.warmup_runs += runs
                timing.steady &= steady
                timing.rounds_ms.append([])
                tick()
            while not _enough(timings, deadline):
                for which in random.permutation(len(timings)):
                    expected_ns[which] = _block(handles[which], timings[which], expected_ns[which])
                tick()
    return timings


def _core(fast_cores: list[int] | None, threads: int, number: int) -> int | None:
    """The core that all workers of a launch are kept on; None for several threads, or where it cannot be done."""
    return fast_cores[number % len(fast_cores)] if fast_cores and threads == 1 else None


def _load(handle: Handle, timing: _Timing, device: str, options: dict[str, Any]) -> None:
    loaded = handle.load(timing.artifact.path, **options)
    if loaded.sha256 != timing.artifact.sha256:
        raise TfeffError(f"{device}: {timing.artifact.path} was replaced while it was timed", "run the command again")
    timing.environment = timing.environment or handle.environment
    timing.kernels = loaded.kernels
    timing.pinned &= loaded.pinned


def warm_up(run: Callable[[int], list[int]], max_seconds: float) -> tuple[float, int, bool]:
    """Invokes until three successive blocks' medians agree, or time is up.

    Args:
        run: invokes so many times and returns nanoseconds.

    Returns:
        the last block's median in ns; how many invocations it took; whether they agreed.
    """
    deadline = time.monotonic() + max_seconds
    medians = [float(np.median(run(1)))]  # alone: it pays for what a runtime does once
    runs = 1
    while True:
        count = _block_size(WARMUP_BLOCK_NS, medians[-1])
        medians.append(float(np.median(run(count))))
        runs += count
        last = medians[-3:]
        steady = len(medians) > 3 and max(last) <= WARMUP_AGREEMENT * min(last)
        if steady or time.monotonic() >= deadline:
            return medians[-1], runs, steady


def _block_size(block_ns: float, invocation_ns: float) -> int:
    return int(np.clip(block_ns / max(invocation_ns, 1.0), 1, MAX_BLOCK))


def _block(handle: Handle, timing: _Timing, expected_ns: float) -> float:
    count = _block_size(BLOCK_NS, expected_ns)
    # The first invocation finds the caches full of another artifact, so it is left out, unless it is the whole block.
    times = np.array(handle.run(count + 1)[1:] if count > 1 else handle.run(1))
    timing.times_ns.append(times)
    median_ns = float(np.median(times))
    timing.rounds_ms[-1].append(median_ns / 1e6)
    return median_ns


def _enough(timings: list[_Timing], deadline: float) -> bool:
    rounds = len(timings[0].rounds_ms[-1])
    if rounds < MIN_ROUNDS:
        return False
    if time.monotonic() >= deadline:
        return True
    if rounds % MIN_ROUNDS:  # looked at now and then only
        return False
    # Three launches together are narrower than one by the root of three.
    target = TARGET_WIDTH * LAUNCHES**0.5
    intervals = (median_interval(timing.rounds_ms[-1]) for timing in timings)
    return all(high - low <= target * median for median, low, high in intervals)


def _result(timing: _Timing, device: str, settings: Settings, threads: int) -> Result:
    median, low, high = median_interval(timing.all_rounds_ms, settings.seed)
    times_ns = np.concatenate(timing.times_ns)
    environment = {key: value for key, value in timing.environment.items() if key != "fast_cores"}
    times = WorkerTimes(
        median_ms=median,
        ci95_ms=(low, high),
        p90_ms=float(np.quantile(times_ns, 0.9)) / 1e6,
        quantiles_ms=tuple(float(value) / 1e6 for value in np.quantile(times_ns, QUANTILES)),
        runs=len(times_ns),
        rounds=len(timing.all_rounds_ms),
        launches=LAUNCHES,
        pinned=timing.pinned,
        warmup_runs=timing.warmup_runs,
        steady=timing.steady,
    )
    return Result(
        file=str(timing.artifact.path),
        sha256=timing.artifact.sha256,
        device=device,
        runtime=environment.pop("runtime"),
        version=environment.pop("version"),
        threads=threads,
        xnnpack=settings.xnnpack,
        kernels=timing.kernels,
        environment=environment,
        times=times,
    )


def _ratio(timing: _Timing, first: _Timing, device: str, settings: Settings, threads: int) -> Ratio:
    ratio, low, high = paired_ratio(timing.all_rounds_ms, first.all_rounds_ms, settings.seed)
    pairs = zip(timing.rounds_ms, first.rounds_ms, strict=True)
    launches = [float(np.median(np.divide(mine, its))) for mine, its in pairs]
    return Ratio(
        device=device,
        a=str(timing.artifact.path),
        b=str(first.artifact.path),
        threads=threads,
        ratio=ratio,
        ci95=(low, high),
        launches=launches,
        verdict=verdict(ratio, low, high, launches),
    )


def _warnings(results: list[Result]) -> list[str]:
    """What a reader of one device's figures must know."""
    first, environment = results[0], results[0].environment
    names = short_names([one.file for one in results])
    unsteady, wide, alone, said = [], [], [], []
    load, cores = environment.get("load_average"), environment.get("cores")
    if load is not None and cores and load > NOISY_LOAD * cores:
        said.append(f"other programs keep this machine busy (load average {load:.1f}, {cores} cores)")
    for name, one in zip(names, results, strict=True):
        kernels, times = one.kernels, one.times
        if kernels.xnnpack == "partly":
            left = ", ".join(f"{op['count']} {op['op']}" for op in kernels.left)
            taken = f"{kernels.delegated} of {kernels.total} operations"
            said.append(f"{name}: XNNPACK took only {taken}; left to built-in kernels: {left}")
        if kernels.xnnpack == "none":
            alone.append(name)
        if not isinstance(times, WorkerTimes):
            continue
        low, high = times.ci95_ms
        if not times.steady:
            unsteady.append(name)
        if high - low > TARGET_WIDTH * times.median_ms:
            wide.append(f"{name} ({100 * (high - low) / times.median_ms:.1f} %)")
    if 0 < len(alone) < len(results):
        said.append(
            f"{first.runtime} {first.version} ran {', '.join(alone)} without XNNPACK, the rest with it: ratios compare "
            f"both at once"
        )
    if unsteady:
        said.append(f"not yet steady when the warm-up time ended: {', '.join(unsteady)}")
    if wide:
        said.append(
            f"intervals wider than {100 * TARGET_WIDTH:.0f} %: {', '.join(wide)}; give it more seconds or quiet"
        )
    return [f"{first.device}: {one}" for one in dict.fromkeys(said)]
