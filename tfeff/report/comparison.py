"""Artifacts against each other: accuracy against what it costs, and which of them are on the Pareto front."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfeff.report.subject import Subject

_Z = 1.959963984540054  # of a 95 % interval
FRONT, UNDECIDED, BEHIND = "front", "within the intervals", "behind"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One artifact in a comparison.

    Attributes:
        number: of the artifact in the report, from 1.
        name, sha256: of the artifact.
        top1: percent; `top1_ci95` its 95 % interval.
        cost: in ms or bytes; `cost_ci95` its interval, of no width for bytes.
        standing: `FRONT` when no other artifact is at least as good in both and better in one; `BEHIND` when another
            one is better in both beyond the intervals; else `UNDECIDED`.
    """

    number: int
    name: str
    sha256: str
    top1: float
    top1_ci95: Interval
    cost: float
    cost_ci95: Interval
    standing: str = UNDECIDED


@dataclass(frozen=True)
class Comparison:
    """Artifacts that were measured alike.

    Attributes:
        cost: "size_bytes" or "latency_ms".
        dataset, samples: what the accuracy was measured on.
        device: what the latency was measured on (see `device_words`); "" for the size.
        points: in the report's order.
    """

    cost: str
    dataset: str
    samples: int
    device: str
    points: tuple[Point, ...]


def wilson(percent: float, samples: int) -> Interval:
    """95 % interval of a share of `samples` images, in percent (Wilson, JASA 22, 1927)."""
    p, z2 = percent / 100, _Z**2 / samples
    middle, half = p + z2 / 2, _Z * math.sqrt(p * (1 - p) / samples + z2 / (4 * samples))
    return 100 * max(0.0, middle - half) / (1 + z2), 100 * min(1 + z2, middle + half) / (1 + z2)


def device_words(entry: dict[str, Any]) -> str:
    """Where a latency was measured; entries of the same words may be compared."""
    parts = [entry["device"], entry.get("cpu"), " ".join(filter(None, (entry.get("runtime"), entry.get("version"))))]
    if (threads := entry.get("threads")) is not None:
        parts.append(f"{threads} thread{'' if threads == 1 else 's'}")
    if core_class := entry.get("core_class"):  # of a phone
        parts.append({"all": "any core", "app's": "an app's cores"}.get(core_class, f"{core_class} cores"))
    if delegate := (entry.get("kernels") or {}).get("delegate"):
        parts.append(delegate)
    elif entry.get("xnnpack") is False:
        parts.append("XNNPACK off")
    return ", ".join(part for part in parts if part)


def by_device(subjects: Sequence[Subject]) -> dict[str, list[tuple[int, Subject, dict[str, Any]]]]:
    """(number of the artifact from 1, artifact, latency entry), by where it was measured."""
    found: dict[str, list] = {}
    for number, subject in enumerate(subjects, 1):
        for entry in subject.part("latency") or ():
            found.setdefault(device_words(entry), []).append((number, subject, entry))
    return found


def comparisons(subjects: Sequence[Subject]) -> list[Comparison]:
    """All comparisons that the records allow: top-1 against size, and against the latency of each device.

    Artifacts stand together only where they saw the same number of images of the same data set.
    """
    made = []
    for (dataset, samples), group in _by_images(subjects).items():
        sized = [(n, s, s.record["size_bytes"], None) for n, s in group if s.record.get("size_bytes")]
        if sized:
            made.append(Comparison("size_bytes", dataset, samples, "", _points(sized)))
        numbers = {number for number, _ in group}
        for device, entries in by_device(subjects).items():
            timed = [(n, s, e["median_ms"], tuple(e["ci95_ms"])) for n, s, e in entries if n in numbers]
            if timed:
                made.append(Comparison("latency_ms", dataset, samples, device, _points(timed)))
    return made


def _by_images(subjects):
    groups: dict[tuple[str, int], list[tuple[int, Subject]]] = {}
    for number, subject in enumerate(subjects, 1):
        if accuracy := subject.part("accuracy"):
            groups.setdefault((accuracy["dataset"], accuracy["samples"]), []).append((number, subject))
    return groups


def _points(rows: list[tuple[int, Subject, float, Interval | None]]) -> tuple[Point, ...]:
    points = []
    for number, subject, cost, interval in rows:
        accuracy = subject.record["accuracy"]
        top1, samples = accuracy["quantized_top1"], accuracy["samples"]
        points.append(
            Point(number, subject.name, subject.sha256, top1, wilson(top1, samples), cost, interval or (cost, cost))
        )
    return standings(points)


def standings(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points with their `standing` among each other."""
    return tuple(_stand(point, points) for point in points)


def _stand(point: Point, points: Sequence[Point]) -> Point:
    def any_other(better: Callable[[Point], bool]) -> bool:
        return any(better(other) for other in points if other is not point)

    def ahead(other):
        at_least = other.top1 >= point.top1 and other.cost <= point.cost
        return at_least and (other.top1 > point.top1 or other.cost < point.cost)

    def far_ahead(other):
        costs_less = other.cost_ci95[1] < point.cost_ci95[0]
        return other.top1_ci95[0] > point.top1_ci95[1] and costs_less

    standing = BEHIND if any_other(far_ahead) else UNDECIDED if any_other(ahead) else FRONT
    return Point(**{**point.__dict__, "standing": standing})
