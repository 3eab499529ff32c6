"""Reads what `benchmark_model` prints: TensorFlow Lite's of 2019 to 2026, LiteRT's, and the one of LiteRT's wheel.

All times are given in milliseconds, memory in MB as the tool prints it.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from tfeff.errors import TfeffError

# Before the text: logcat's date, process and tag; a logger's date; a severity; the place in the tool's source.
_PREFIX = re.compile(
    r"^(?:\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +\d+ +\d+ [VDIWEF] [^:]*: "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)? )?"
    r"(?:(?:VERBOSE|DEBUG|INFO|WARNING|WARN|ERROR)(?: [\w.]+)?: ?|(?:INFO|WARNING|ERROR) [\w.]+: )?"
    r"(?:\[[\w./-]+:\d+\] ?)?"
)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(rf"(\w+)=({_NUMBER})(?=\s|$|\()")
_SUMMARY = re.compile(r"^(?:Average inference|Inference) timings in us: (.*)")
_SUMMARY_FIELD = re.compile(rf"([A-Za-z][A-Za-z ()]*): ({_NUMBER})")
_APPLIED = re.compile(
    r"^Explicitly applied (?P<name>\S+) delegate, and the model graph will be "
    r"(?P<how>completely|partially) executed by the delegate"
    r"|^Though (?P<none>\S+) delegate is explicitly applied, the model graph will not be executed"
)
_REPLACED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(([^)]+)\) node")
_FOOTPRINT = re.compile(
    rf"^(?:Peak memory footprint|Memory footprint delta[^(]*) \(MB\): init=({_NUMBER}) overall=({_NUMBER})"
)
_PEAK = re.compile(rf"^Overall peak memory footprint \(MB\) via periodic monitoring: ({_NUMBER})")
_LITERT = re.compile(
    rf"^(?P<label>[A-Z][\w ]*(?: ?\(\w+\))?): +(?P<value>{_NUMBER})(?: (?P<unit>us|ms|s|MB))?"
    r"(?: \((?P<runs>\d+) runs?\))?$"
)
_TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, None: 1.0}  # LiteRT's prints the spread without its unit, in ms


@dataclass(frozen=True)
class Times:
    """Of a number of invocations; what a tool does not tell is None.

    Attributes:
        count: of them.
        first, min, max, mean, std, p5, median, p95: in ms.
    """

    count: int
    mean: float
    first: float | None = None
    min: float | None = None
    max: float | None = None
    std: float | None = None
    p5: float | None = None
    median: float | None = None
    p95: float | None = None


@dataclass
class Log:
    """What one run of the tool told.

    Attributes:
        times, warmup: of the timed invocations; of the warm-up.
        init_ms, first_ms: loading the model; the very first invocation.
        init_mb, overall_mb, peak_mb: memory: what loading added, what all added, the highest seen.
        delegates: by name, whether it took "all", "partly" or "none" of the graph.
        replaced: by the delegate's own name, the nodes that it took and how many there were.
        default_xnnpack: whether a runtime made itself an XNNPACK delegate.
        ignored: flags that the tool did not know.
        tables: the profile's tables, in order: `title`, `part` ("initialization" or "run"), `rows`.
    """

    times: Times
    warmup: Times | None = None
    init_ms: float | None = None
    first_ms: float | None = None
    init_mb: float | None = None
    overall_mb: float | None = None
    peak_mb: float | None = None
    delegates: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, tuple[int, int]] = field(default_factory=dict)
    default_xnnpack: bool = False
    ignored: str = ""
    tables: list[dict[str, Any]] = field(default_factory=list)


def parse_log(text: str) -> Log:
    """Reads a tool's whole output.

    Raises:
        TfeffError: it holds no result, or one that cannot be.
    """
    lines = _lines(text)
    log = _litert(lines) if any("BENCHMARK RESULTS" in line for line in lines) else _tflite(lines)
    others = [log.times.median, log.times.min, log.times.max]  # in whole us: 0 for the very smallest models
    fine = 0 < log.times.mean < math.inf and all(one is None or 0 <= one < math.inf for one in others)
    if log.times.count < 1 or not fine:
        raise TfeffError(f"the benchmark tool tells impossible times ({log.times.count} runs, {log.times.mean} ms)")
    for line in lines:
        _facts(line.strip(), log)
    log.tables = parse_tables(text)
    return log


def _tflite(lines: list[str]) -> Log:
    counted = [found for line in lines if (found := _times(line.strip()))]
    if not counted:  # of a log that was cut, the profile's own count
        mark = "Timings (microseconds): "
        counted = [found for line in lines if mark in line and (found := _times(line.partition(mark)[2].strip()))]
    told = [match[1] for line in lines if (match := _SUMMARY.match(line.strip()))]
    if not told or not counted:
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        raise TfeffError(
            f"the benchmark tool printed no result; the last it said: {said[:120]!r}",
            "is it TensorFlow Lite's or LiteRT's benchmark_model, and can it run this model?",
        )
    summary = {name.strip().lower(): float(value) / 1e3 for name, value in _SUMMARY_FIELD.findall(told[-1])}
    log = Log(counted[-1], counted[0] if len(counted) > 1 and counted[0].count else None)
    log.init_ms = summary.get("init")
    log.first_ms = summary.get("first inference", (log.warmup or log.times).first)
    return log


def _times(line: str) -> Times | None:
    """`count=50 first=.. curr=..` in us; a line of one invocation tells only `curr`."""
    if not line.startswith("count="):
        return None
    found = {name: float(value) for name, value in _PAIR.findall(line)}
    count, current = int(found.pop("count", 0)), found.pop("curr", None)
    if count < 1:
        return Times(0, 0.0)
    if current is None:
        return None
    if "avg" not in found:  # one invocation, or all of the same length
        found |= {name: current for name in ("first", "min", "max", "avg")} | {"std": 0.0}
    names = {"avg": "mean"} | {name: name for name in ("first", "min", "max", "std", "p5", "median", "p95")}
    if count == 1 or "(all same)" in line:
        found.setdefault("median", current)
    return Times(count, **{names[name]: value / 1e3 for name, value in found.items() if name in names})


def _litert(lines: list[str]) -> Log:
    found, runs = {}, {}
    for line in lines:
        if match := _LITERT.match(line.strip()):
            label = match["label"].lower()
            found[label] = float(match["value"]) * (1.0 if match["unit"] == "MB" else _TO_MS[match["unit"]])
            runs[label] = int(match["runs"] or 0)
    if "inference (avg)" not in found:
        raise TfeffError("the benchmark tool's results lack `Inference (avg)`", "is it a benchmark_model of LiteRT?")
    figures = {name: found.get(f"inference ({name})") for name in ("min", "max", "std", "p5", "median", "p95")}
    log = Log(Times(runs["inference (avg)"], found["inference (avg)"], **figures))
    log.init_ms = found.get("model initialization")
    log.first_ms = found.get("warmup (first)", found.get("first inference"))
    if "warmup (avg)" in found:
        log.warmup = Times(runs["warmup (avg)"], found["warmup (avg)"], first=log.first_ms)
    log.init_mb, log.overall_mb = found.get("init footprint"), found.get("overall footprint")
    log.peak_mb = found.get("peak memory usage", found.get("peak memory"))
    return log


def _facts(line: str, log: Log) -> None:
    """What single lines tell of delegates, memory and flags."""
    if match := _APPLIED.match(line):
        how = {"completely": "all", "partially": "partly", None: "none"}[match["how"]]
        log.delegates[match["none"] or match["name"]] = how
    elif match := _REPLACED.search(line):
        taken, total, name = int(match[1]), int(match[2]), match[3]
        log.replaced[name] = (taken, total)
    elif match := _FOOTPRINT.match(line):
        log.init_mb, log.overall_mb = float(match[1]), float(match[2])
    elif match := _PEAK.match(line):
        log.peak_mb = float(match[1])
    elif line.startswith("Fully accelerated: "):
        log.delegates.setdefault("accelerator", "all" if line.endswith("True") else "partly")
    elif "Created TensorFlow Lite XNNPACK delegate for CPU" in line:
        log.default_xnnpack = True
    elif line.startswith("Unconsumed cmdline flags: "):
        log.ignored = line.partition(": ")[2]


def _lines(text: str) -> list[str]:
    return [_PREFIX.sub("", line.rstrip("\r"), count=1) for line in text.splitlines()]


def parse_tables(text: str) -> list[dict[str, Any]]:
    """The profile's tables, `Log.tables`: cells between tabs, names of columns in brackets."""
    tables: list[dict[str, Any]] = []
    part, columns = "run", None
    for line in _lines(text):
        text = line.strip()
        if title := re.fullmatch(r"=+ ?([A-Z][\w ]+?) ?=+", text):
            tables.append({"title": title[1], "part": part, "rows": []})
            columns = None
        elif "Profiling Info for" in text:
            part, columns = "initialization" if "Initialization" in text else "run", None
        elif not text:
            columns = None
        elif "\t" in line and tables:
            cells = [cell.strip() for cell in line.strip("\n").lstrip("\t").split("\t")]
            if columns is None:
                columns = [cell.strip("[]").lower() for cell in cells] if cells[0].startswith("[") else None
            elif len(cells) == len(columns):
                tables[-1]["rows"].append(dict(zip(columns, map(_cell, cells), strict=True)))
    return [table for table in tables if table["rows"]]


def _cell(text: str) -> float | str:
    """A figure, with or without %, or a name without the brackets around it."""
    if re.fullmatch(_NUMBER + "%?", text):
        return float(text.rstrip("%"))
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text
