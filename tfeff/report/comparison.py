"""Artifacts against each other: a metric against what it costs, and which of them are on the Pareto front."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tfeff.record.schema import Accuracy, Latency
from tfeff.report.reported import Reported

_Z = 1.959963984540054  # of a 95 % interval
FRONT, UNDECIDED, BEHIND = "front", "within the intervals", "behind"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One artifact in a comparison.

    Attributes:
        number: of the artifact in the report, from 1.
        name, sha256: of the artifact.
        value: of the quantized file, in the metric's unit; `value_ci95` its 95 % interval, None where the record does
            not allow one (it has that of the difference only).
        cost: in ms or bytes; `cost_ci95` its interval, of no width for bytes.
        standing: `FRONT` when no other artifact is at least as good in both and better in one; `BEHIND` when another
            one is better in both beyond the intervals; else `UNDECIDED`.
    """

    number: int
    name: str
    sha256: str
    value: float
    value_ci95: Interval | None
    cost: float
    cost_ci95: Interval
    standing: str = UNDECIDED


@dataclass(frozen=True)
class Measure:
    """What the metrics of artifacts must have in common to be compared.

    Attributes:
        metric, unit, higher_is_better: of the task.
        output: which of several outputs it is of; "" where an artifact has one such figure.
        dataset, samples: what it was measured on.
    """

    metric: str
    unit: str
    higher_is_better: bool
    output: str
    dataset: str
    samples: int


@dataclass(frozen=True)
class Comparison:
    """Artifacts that were measured alike.

    Attributes:
        cost: "size_bytes" or "latency_ms".
        measure: what their metric is.
        device: what the latency was measured on (see `device_words`); "" for the size.
        points: in the report's order.
    """

    cost: str
    measure: Measure
    device: str
    points: tuple[Point, ...]


def wilson(percent: float, samples: int) -> Interval:
    """95 % interval of a share of `samples`, in percent (Wilson, JASA 22, 1927)."""
    p, z2 = percent / 100, _Z**2 / samples
    middle, half = p + z2 / 2, _Z * math.sqrt(p * (1 - p) / samples + z2 / (4 * samples))
    return 100 * max(0.0, middle - half) / (1 + z2), 100 * min(1 + z2, middle + half) / (1 + z2)


def device_words(entry: Latency) -> str:
    """Where a latency was measured; entries of the same words may be compared."""
    parts = [entry.device, entry.cpu, " ".join(filter(None, (entry.runtime, entry.version)))]
    if entry.threads is not None:
        parts.append(f"{entry.threads} thread{'' if entry.threads == 1 else 's'}")
    if core_class := entry.core_class:  # of a phone
        parts.append({"all": "any core", "app's": "an app's cores"}.get(core_class, f"{core_class} cores"))
    if entry.kernels is not None and entry.kernels.delegate:
        parts.append(entry.kernels.delegate)
    elif entry.xnnpack is False:
        parts.append("XNNPACK off")
    return ", ".join(part for part in parts if part)


def by_device(items: Sequence[Reported]) -> dict[str, list[tuple[int, Reported, Latency]]]:
    """(number of the artifact from 1, artifact, latency entry), by where it was measured."""
    found: dict[str, list[tuple[int, Reported, Latency]]] = {}
    for number, item in enumerate(items, 1):
        for entry in item.record.latency:
            found.setdefault(device_words(entry), []).append((number, item, entry))
    return found


def comparisons(items: Sequence[Reported]) -> list[Comparison]:
    """All comparisons that the records allow: each metric against size, and against the latency of each device.

    Artifacts stand together only where they have the same metric of the same number of samples of the same data set.
    """
    made, devices = [], by_device(items)
    for measure, group in _by_measure(items).items():
        sized = [
            _point(number, item, accuracy, float(bytes_), (float(bytes_), float(bytes_)))
            for number, (item, accuracy) in group.items()
            if (bytes_ := item.record.size_bytes)
        ]
        if sized:
            made.append(Comparison("size_bytes", measure, "", standings(sized, measure.higher_is_better)))
        for device, entries in devices.items():
            timed = [
                _point(number, item, group[number][1], entry.median_ms, entry.ci95_ms)
                for number, item, entry in entries
                if number in group
            ]
            if timed:
                made.append(Comparison("latency_ms", measure, device, standings(timed, measure.higher_is_better)))
    return made


def _by_measure(items: Sequence[Reported]) -> dict[Measure, dict[int, tuple[Reported, Accuracy]]]:
    groups: dict[Measure, dict[int, tuple[Reported, Accuracy]]] = {}
    for number, item in enumerate(items, 1):
        entries = item.record.accuracy
        for one in entries:
            alike = [other for other in entries if (other.metric, other.unit) == (one.metric, one.unit)]
            output = ", ".join(one.outputs) if len(alike) > 1 else ""
            measure = Measure(one.metric, one.unit, one.higher_is_better, output, one.dataset, one.samples)
            groups.setdefault(measure, {})[number] = (item, one)
    return groups


def _point(number: int, item: Reported, accuracy: Accuracy, cost: float, interval: Interval) -> Point:
    value = accuracy.quantized
    spread = wilson(value, accuracy.samples) if accuracy.is_share and accuracy.unit == "%" else None
    return Point(number, item.name, item.sha256, value, spread, cost, interval)


def standings(points: Sequence[Point], higher_is_better: bool = True) -> tuple[Point, ...]:
    """The points with their `standing` among each other."""
    return tuple(_stand(point, points, 1 if higher_is_better else -1) for point in points)


def _stand(point: Point, points: Sequence[Point], sign: int) -> Point:
    def any_other(better: Callable[[Point], bool]) -> bool:
        return any(better(other) for other in points if other is not point)

    def ahead(other):
        gain, saved = sign * (other.value - point.value), point.cost - other.cost
        return gain >= 0 and saved >= 0 and (gain > 0 or saved > 0)

    def far_ahead(other):
        theirs, own = other.value_ci95, point.value_ci95
        if theirs is None or own is None:
            return False
        apart = theirs[0] > own[1] if sign > 0 else theirs[1] < own[0]
        return apart and other.cost_ci95[1] < point.cost_ci95[0]

    standing = BEHIND if any_other(far_ahead) else UNDECIDED if any_other(ahead) else FRONT
    return replace(point, standing=standing)
