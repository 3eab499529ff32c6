"""How artifacts are timed on a phone.

A block is one run of the benchmark tool (or of the demo app), so each has a process and a memory layout of its own. A
round is one block of every artifact (at every number of threads) in shuffled order. Before and after each block the
phone is asked for its heat, clocks and battery; a round with a block that was throttled is left out, and the next waits
for the phone to cool down. Before all of that each artifact runs a known input, and what comes out is compared with
this machine's answer: a wrong answer has no time.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.adb.app import AppTimer
from tfeff.bench.adb.client import Phone
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.adb.results import Session, Timer, ratio_entry, result_entry, warnings_of
from tfeff.bench.adb.state import Facts, State, read_facts, read_state
from tfeff.bench.adb.tool_timer import ToolTimer
from tfeff.bench.adb.variant import Variant, figures, good_rounds
from tfeff.bench.devices import BaseDevice
from tfeff.bench.intervals import median_interval
from tfeff.bench.outcome import Outcome
from tfeff.bench.settings import Settings, Tick
from tfeff.errors import TfeffError

MIN_ROUNDS = 5
MAX_BAD_ROUNDS = 15  # throttled ones, before it is given up
TARGET_WIDTH = 0.02  # of the 95 % interval, as a share of the median
pause = time.sleep
COOLING_S = 2.0  # between looks at a phone that cools down


def bench_on_phone(
    device: BaseDevice, artifacts: Sequence[Artifact], settings: Settings, options: PhoneOptions, tick: Tick
) -> Outcome:
    """Times artifacts on one phone; each is timed at each number of threads, all in the same rounds.

    Args:
        device: one that `has_tool`.

    Raises:
        TfeffError: the phone, its tool or a file is not fit for use, or the phone does not cool down.
        GateFailed: `options.require_full_delegation`, and the delegate did not take a graph whole.
    """
    start = time.monotonic()
    with device.connect() as phone:
        facts = read_facts(phone)
        timer: Timer = (AppTimer if options.app else ToolTimer)(phone, facts, options, settings)
        variants: list[Variant] = []
        for artifact in artifacts:
            variants += timer.put(artifact, settings.counts)
            tick()
        runner = _Runner(phone, timer, options, facts, tick)
        for variant in variants:
            timer.check(variant)
            tick()
        if options.require_full_delegation:
            timer.require_full(device.name, variants)
        timed = [variant for variant in variants if not variant.wrong]
        if timed:
            _rounds(runner, timed, np.random.default_rng(settings.seed), start + settings.max_seconds)
    session = Session(device.name, facts, timer, settings, runner.states[0], good_rounds(timed) if timed else [])
    outcome = Outcome([result_entry(one, session) for one in variants])
    for count in settings.counts:
        first, *others = (one for one in variants if one.threads == count)
        right = [one for one in others if not one.wrong and not first.wrong]
        outcome.ratios += [ratio_entry(one, first, session) for one in right]
    outcome.warnings = warnings_of(outcome.results, facts, session.state)
    return outcome


class _Runner:
    """Runs blocks, and keeps what the phone told of itself."""

    def __init__(self, phone: Phone, timer: Timer, options: PhoneOptions, facts: Facts, tick: Tick):
        self.phone, self.timer, self.options, self.facts, self.tick = phone, timer, options, facts, tick
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

    def block(self, variant: Variant) -> bool:
        """One timed block; false when the phone was throttled before or after it."""
        before, waited = self.states[-1], 0.0
        while self.why_throttled(variant, before) and waited < self.options.cool_down_s:
            pause(min(COOLING_S, self.options.cool_down_s))
            waited += COOLING_S
            before = self.look()
            self.tick()
        seen = self.timer.measure(variant)
        after = self.look()
        why = self.why_throttled(variant, before) + self.why_throttled(variant, after)
        seen.waited_s, seen.throttled = waited, list(dict.fromkeys(why))
        seen.before, seen.after = asdict(before), asdict(after)
        variant.blocks.append(seen)
        return not why


def _rounds(runner: _Runner, variants: list[Variant], random: np.random.Generator, deadline: float) -> None:
    good = bad = 0
    while not _enough(variants, good, deadline):
        well = True
        for which in random.permutation(len(variants)):
            well &= runner.block(variants[which])
            runner.tick()
        good, bad = good + well, bad + (not well)
        if bad > MAX_BAD_ROUNDS and good < MIN_ROUNDS:
            why = next(why for one in variants for why in one.blocks[-1].throttled)
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
