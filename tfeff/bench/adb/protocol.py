"""How artifacts are timed on a phone.

A block is one run of the benchmark tool, so each has a process and a memory layout of its own. A round is one block of
every artifact (at every number of threads) in shuffled order. Before and after each block the phone is asked for its
heat, clocks and battery; a round with a block that was throttled is left out, and the next waits for the phone to cool
down. Before all of that each artifact runs a known input, and what comes out is compared with this machine's answer: a
wrong answer has no time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from tfeff.artifact import Artifact, check_tflite
from tfeff.bench.adb.answer import Reference
from tfeff.bench.adb.client import Phone
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.adb.results import ratio_entry, result_entry, warnings_of
from tfeff.bench.adb.state import Facts, State, read_facts, read_state
from tfeff.bench.adb.tool import Tool, input_flags, kernels, put_tool
from tfeff.bench.adb.variant import Variant, figures, good_rounds
from tfeff.bench.intervals import median_interval
from tfeff.errors import GateFailed, TfeffError

MIN_ROUNDS = 5
MAX_BAD_ROUNDS = 15  # throttled ones, before it is given up
TARGET_WIDTH = 0.02  # of the 95 % interval, as a share of the median
BLOCK = {"warmup_runs": 1, "warmup_min_secs": 0.1, "num_runs": 5, "min_secs": 0.3, "max_secs": 30}
CHECK = {"warmup_runs": 1, "warmup_min_secs": 0, "num_runs": 1, "min_secs": 0, "max_secs": 30}
GRACE_S = 120.0  # that a run may take beyond its `max_secs`: for the start of the tool and loading the model
pause = time.sleep
COOLING_S = 2.0  # between looks at a phone that cools down


def bench_on_phone(
    device,
    artifacts: Sequence[Artifact],
    *,
    threads: Sequence[int],
    xnnpack: bool,
    max_seconds: float,
    seed: int,
    options: PhoneOptions,
    tick: Callable[[], None],
) -> dict[str, list]:
    """Times artifacts on one phone; arguments and what it gives are those of `tfeff.bench.bench`.

    Args:
        device: with `name` and `connect()`.
        threads: numbers of threads; each artifact is timed at each, all in the same rounds.

    Raises:
        TfeffError: the phone, its tool or a file is not fit for use, or the phone does not cool down.
        GateFailed: `options.require_full_delegation`, and the delegate did not take a graph whole.
    """
    start = time.monotonic()
    delegate = options.delegate or ("xnnpack" if xnnpack else "none")
    with device.connect() as phone:
        facts = read_facts(phone)
        tool = put_tool(phone, facts.abi, options.benchmark_binary)
        asked = tool.delegate_flags(delegate)
        variants = []
        for artifact in artifacts:
            variants += _put(phone, facts, artifact, threads, options, seed)
            tick()
        runner = _Runner(phone, tool, asked, delegate, options, facts, tick)
        for variant in variants:
            runner.check(variant)
            tick()
        if options.require_full_delegation:
            _require_full(device.name, variants, delegate)
        timed = [variant for variant in variants if not variant.wrong]
        if timed:
            _rounds(runner, timed, np.random.default_rng(seed), start + max_seconds)
    rounds = good_rounds(timed) if timed else []
    results = [result_entry(one, device.name, facts, tool, xnnpack, seed, runner.states[0], rounds) for one in variants]
    ratios = []
    for count in threads:
        first, *others = (one for one in variants if one.threads == count)
        right = [one for one in others if not one.wrong and not first.wrong]
        ratios += [ratio_entry(one, first, device.name, seed, rounds) for one in right]
    return {"results": results, "ratios": ratios, "warnings": warnings_of(results, facts, runner.states)}


class _Runner:
    """Runs blocks, and keeps what the phone told of itself."""

    def __init__(self, phone, tool: Tool, asked, delegate: str, options: PhoneOptions, facts: Facts, tick):
        self.phone, self.tool, self.asked, self.delegate, self.options = phone, tool, asked, delegate, options
        self.facts, self.tick = facts, tick
        self.states: list[State] = [read_state(phone)]
        self.limits: dict[int, float] = dict(self.states[0].limits())

    def look(self) -> State:
        state = read_state(self.phone)
        self.states.append(state)
        for core, mhz in state.limits().items():
            self.limits[core] = max(mhz, self.limits.get(core, 0.0))
        return state

    def why_throttled(self, variant: Variant, state: State) -> list[str]:
        return state.throttled(self.limits, variant.cores or list(self.facts.capacities))

    def run(self, variant: Variant, **flags):
        image = input_flags(variant.reference.values, variant.image) if variant.reference else {}
        timeout_s = flags["max_secs"] + GRACE_S
        flags = {**self.asked, **image, **flags, "num_threads": variant.threads}
        return self.tool.run(variant.there, cores=variant.cores, timeout_s=timeout_s, **flags)[0]

    def check(self, variant: Variant) -> None:
        """The run whose answer is compared; memory is watched in it, which would disturb a timed one."""
        output = f"{self.phone.folder}/output"
        self.phone.shell(f"rm -f {output}")
        flags = {"output_filepath": output} if variant.image and self.tool.writes_outputs else {}
        variant.check = self.run(variant, **CHECK, **flags, report_peak_memory_footprint="true")
        variant.kernels = kernels(variant.check, self.delegate)
        if not self.tool.writes_outputs:
            variant.unchecked = variant.unchecked or "this benchmark tool takes no input and writes no output"
        elif flags:
            if self.phone.shell(f"[ -s {output} ]")[0]:
                variant.unchecked = "the benchmark tool wrote no output"
            else:
                variant.answer = variant.reference.compare(self.phone.pull(output), variant.kernels)

    def block(self, variant: Variant) -> bool:
        """One timed block; false when the phone was throttled before or after it."""
        before, waited = self.states[-1], 0.0
        while self.why_throttled(variant, before) and waited < self.options.cool_down_s:
            pause(min(COOLING_S, self.options.cool_down_s))
            waited += COOLING_S
            before = self.look()
            self.tick()
        log = self.run(variant, **BLOCK)
        after = self.look()
        why = self.why_throttled(variant, before) + self.why_throttled(variant, after)
        times = log.times
        variant.blocks.append(
            {
                "median_ms": times.median,
                "mean_ms": times.mean,
                "p5_ms": times.p5,
                "p95_ms": times.p95,
                "runs": times.count,
                "warmup_runs": log.warmup.count if log.warmup else 0,
                "init_ms": log.init_ms,
                "first_ms": log.first_ms,
                "waited_s": waited,
                "throttled": list(dict.fromkeys(why)),
                "before": asdict(before),
                "after": asdict(after),
            }
        )
        return not why


def _put(
    phone: Phone, facts: Facts, artifact: Artifact, threads: Sequence[int], options: PhoneOptions, seed: int
) -> list[Variant]:
    """An artifact and its input on the phone."""
    there = phone.push(artifact.path)
    if check_tflite(artifact.path) != artifact.sha256:
        raise TfeffError(f"{phone.name}: {artifact.path} was replaced while it was timed", "run the command again")
    reference, unchecked, image = None, "", None
    try:
        reference = Reference(artifact, options.inputs.get(artifact.sha256), seed)
    except TfeffError as error:
        unchecked = f"this machine has no answer to compare with ({error.what})"
    if reference:
        image = phone.put_bytes(np.ascontiguousarray(reference.values).tobytes())
    found = []
    for count in threads:
        name, cores = choose_cores(phone.name, facts, count, options.cores)
        found.append(Variant(artifact, count, there, image, reference, cores, name, unchecked=unchecked))
    return found


def choose_cores(name: str, facts: Facts, threads: int, wanted: str) -> tuple[str, list[int] | None]:
    """The class of cores to stay on and their numbers; None where any will do or none can be chosen.

    Raises:
        TfeffError: the phone has no such class, or cannot keep a program on some cores.
    """
    classes = facts.classes
    if wanted not in ("auto", "all"):
        if wanted not in classes:
            there = ", ".join(f"{key} {numbers}" for key, numbers in classes.items())
            raise TfeffError(f"{name}: the phone has no {wanted} cores", f"its cores: {there}")
        if not facts.taskset:
            raise TfeffError(f"{name}: the phone has no taskset, so cores cannot be chosen", "leave --cores out")
        return wanted, classes[wanted]
    if wanted == "auto" and facts.taskset and "big" in classes:
        big, middle = classes["big"], classes.get("middle", [])
        if threads <= len(big):
            return "big", big
        if threads <= len(big) + len(middle):
            return "big and middle", sorted(big + middle)
    return "all", None


def _require_full(device: str, variants: list[Variant], delegate: str) -> None:
    missed = []
    for one in variants:
        how = one.kernels.get("taken") or one.kernels["xnnpack"]
        if how != "all":
            words = {"none": "none of", "partly": "only a part of", "unknown": "an unknown part of"}[how]
            missed.append(f"{one.artifact.path.name}: {one.kernels.get('delegate', 'XNNPACK')} took {words} the graph")
    if delegate == "none":
        raise TfeffError(f"{device}: full delegation is required, but no delegate asked for", "leave out --no-xnnpack")
    if missed:
        raise GateFailed(f"{device}: {'; '.join(dict.fromkeys(missed))}", "`tfeff check FILE` names the operations")


def _rounds(runner: _Runner, variants: list[Variant], random, deadline: float) -> None:
    good = bad = 0
    while not _enough(variants, good, deadline):
        well = True
        for which in random.permutation(len(variants)):
            well &= runner.block(variants[which])
            runner.tick()
        good, bad = good + well, bad + (not well)
        if bad > MAX_BAD_ROUNDS and good < MIN_ROUNDS:
            why = next(why for one in variants for why in one.blocks[-1]["throttled"])
            raise TfeffError(
                f"{runner.phone.name}: the phone stays throttled ({why}): {bad} of {bad + good} rounds",
                "let it cool down, take it out of its case and off the charger, then run the command again",
            )


def _enough(variants: list[Variant], good: int, deadline: float) -> bool:
    if good < MIN_ROUNDS:
        return False
    if time.monotonic() >= deadline:
        return True
    rounds = good_rounds(variants)
    intervals = (median_interval(figures(one, rounds)) for one in variants)
    return all(high - low <= TARGET_WIDTH * median for median, low, high in intervals)
