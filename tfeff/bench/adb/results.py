"""What is told of a phone's timing: the same keys as of any device, and those that only a phone has."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.bench.adb.state import Facts, State
from tfeff.bench.adb.variant import Variant, figures, has_medians
from tfeff.bench.intervals import median_interval, paired_ratio, verdict

WIDE = 0.02  # an interval wider than this share of the median is said aloud
SEEN = 0.01  # the smallest difference that a verdict calls one
APP_KEYS = ("preprocessing_ms", "postprocessing_ms")  # the demo app tells them too
LOW_BATTERY = 20  # percent: below it phones save power


def result_entry(
    variant: Variant,
    device: str,
    facts: Facts,
    timer,
    xnnpack: bool,
    seed: int,
    state: State,
    rounds: Sequence[int],
) -> dict[str, Any]:
    """One of `results`; with `void` (the reason) and no times where the answer was wrong.

    Args:
        timer: with `runtime`, `version` and `about` of what timed it.
        state: of the phone before anything was timed.
        rounds: numbers of those in which no block of any file was throttled.
    """
    entry = {
        "file": str(variant.artifact.path),
        "sha256": variant.artifact.sha256,
        "device": device,
        "runtime": timer.runtime,
        "version": timer.version,
        "threads": variant.threads,
        "xnnpack": variant.kernels["xnnpack"] != "none" if "delegate" in variant.kernels else xnnpack,
        "kernels": variant.kernels,
        "answer": variant.answer or {"ok": None, "why": variant.unchecked},
        "memory_mb": variant.memory_mb,
        "environment": {
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
    }
    if variant.wrong:
        return {**entry, "void": variant.wrong}
    return {**entry, **_times(variant, seed, rounds)}


def _times(variant: Variant, seed: int, rounds: Sequence[int]) -> dict[str, Any]:
    blocks = [variant.blocks[number] for number in rounds]
    seen = figures(variant, rounds)
    median, low, high = median_interval(seen, seed)
    return {
        "median_ms": median,
        "ci95_ms": [low, high],
        "step_ms": variant.step_ms,
        "statistic": "median of blocks' medians" if has_medians(variant) else "median of blocks' means",
        "p90_ms": _middle(blocks, "p90_ms"),
        "p95_ms": _middle(blocks, "p95_ms"),
        "p90_blocks_ms": float(np.quantile(seen, 0.9)),
        "init_ms": _middle(blocks, "init_ms"),
        "first_ms": _middle(blocks, "first_ms"),
        "runs": sum(block["runs"] for block in blocks),
        "rounds": len(rounds),
        "throttled_rounds": len(variant.blocks) - len(rounds),
        "launches": len(rounds),
        "pinned": variant.cores is not None,
        "core_class": variant.core_class,
        "pinned_cores": variant.cores,
        "warmup_runs": sum(block["warmup_runs"] for block in blocks),
        "steady": None,  # the tool does not tell it
        "blocks": variant.blocks,
        **{key: _middle(blocks, key) for key in APP_KEYS if key in blocks[0]},
    }


def _middle(blocks: Sequence[dict[str, Any]], key: str) -> float | None:
    """Median over blocks of what the tool told; None where it did not tell it each time."""
    values = [block[key] for block in blocks]
    return None if not values or None in values else float(np.median(values))


def ratio_entry(variant: Variant, first: Variant, device: str, seed: int, rounds: Sequence[int]) -> dict[str, Any]:
    """One of `ratios`: of the undisturbed `rounds`. Its `launches` are the thirds of these."""
    mine, its = figures(variant, rounds), figures(first, rounds)
    ratio, low, high = paired_ratio(mine, its, seed)
    # What rounding to whole microseconds alone can make of two equal times.
    step = variant.step_ms / min(float(np.median(mine)), float(np.median(its))) if has_medians(variant) else 0.0
    launches = [float(np.median(part)) for part in np.array_split(mine / its, min(3, len(rounds)))]
    return {
        "device": device,
        "a": str(variant.artifact.path),
        "b": str(first.artifact.path),
        "threads": variant.threads,
        "ratio": ratio,
        "ci95": [low, high],
        "launches": launches,
        "verdict": verdict(ratio, low, high, launches) if abs(ratio - 1) > 1.001 * step else "no difference",
    }


def warnings_of(results: list[dict[str, Any]], facts: Facts, states: list[State]) -> list[str]:
    """What a reader of a phone's figures must know."""
    said = []
    sweep = len({one["threads"] for one in results}) > 1
    for one in results:
        many = f", {one['threads']} threads" if sweep else ""
        name, kernels = Path(one["file"]).name, one["kernels"]
        if "void" in one:
            said.append(f"{name}: WRONG ANSWER, its time is void: {one['void']}")
            continue
        if one["answer"]["ok"] is None:
            said.append(f"{name}: its answer was not compared with this machine's: {one['answer']['why']}")
        took = kernels.get("taken") or kernels["xnnpack"]
        if took == "partly" or (took == "unknown" and one["xnnpack"]) or (took == "none" and "delegate" in kernels):
            who = kernels.get("delegate", "XNNPACK")
            part = f"{kernels['delegated']} of {kernels['total']} operations" if kernels["delegated"] else "a part"
            words = {"partly": f"took only {part}", "none": "took nothing", "unknown": "does not tell what it took"}
            said.append(f"{name}: {who} {words[took]}")
        low, high = one["ci95_ms"]
        if high - low > WIDE * one["median_ms"]:
            share = 100 * (high - low) / one["median_ms"]
            said.append(f"{name}: interval wider than {100 * WIDE:.0f} % ({share:.1f} %{many}); give it more seconds")
        if one["throttled_rounds"]:
            said.append(f"{name}: {one['throttled_rounds']} throttled rounds were left out")
        if one["statistic"] != "median of blocks' medians":
            why = "in whole microseconds" if one["blocks"][0]["median_ms"] is not None else "not at all"
            said.append(f"{name}: this benchmark tool tells medians {why}: `median` is that of the blocks' means")
        elif SEEN * one["median_ms"] < one["step_ms"]:
            share = 100 * one["step_ms"] / one["median_ms"]
            said.append(f"{name}: medians come in whole microseconds: differences below {share:.1f} % cannot be seen")
    state = states[0]
    if state.charging:
        said.append("the phone is charging, which warms it")
    if state.battery_percent is not None and state.battery_percent < LOW_BATTERY:
        said.append(f"its battery is at {state.battery_percent} %: phones save power then")
    if not facts.taskset:
        said.append("the phone has no taskset: the scheduler chose the cores")
    device = results[0]["device"]
    return [f"{device}: {one}" for one in dict.fromkeys(said)]
