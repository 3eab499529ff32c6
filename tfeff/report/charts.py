"""The pictures of a comparison: a metric against cost, and latencies."""

import math
from collections.abc import Sequence
from itertools import pairwise

from tfeff.record.schema import Latency
from tfeff.record.words import figure
from tfeff.report.comparison import BEHIND, FRONT, UNDECIDED, Comparison, Measure
from tfeff.report.svg import LETTER, WIDE, Axis, Picture
from tfeff.report.text import begun, ms, plural, short

_WIDTH = 360  # as wide as a phone's screen lets it be
_STYLES = {FRONT: "dot front", UNDECIDED: "dot undecided", BEHIND: "dot behind"}


def scatter(comparison: Comparison) -> Picture:
    """A metric against size or latency, up is better; the front's steps, numbers that the table below explains."""
    points, latency, measure = comparison.points, comparison.cost == "latency_ms", comparison.measure
    front = sorted((p for p in points if p.standing == FRONT), key=lambda p: p.cost)
    cost = f"latency on {comparison.device}" if latency else "size of the file"
    picture = Picture(
        _WIDTH, 300, f"{measure_words(measure)} against {cost}",
        f"{plural(len(points), 'artifact')}. On the Pareto front, from the lowest cost: "
        + "; ".join(
            f"{p.number} {p.name}, {figure(p.value, measure.unit)}, {_cost(p.cost, latency)}" for p in front
        ) + ".",
    )  # fmt: skip
    left, right, top, floor = 44, _WIDTH - 14, 14, 258
    low, high = min(p.cost_ci95[0] for p in points), max(p.cost_ci95[1] for p in points)
    wide = high > 3 * low
    room = (low / 1.15, high * 1.15) if wide else (low - 0.08 * (high - low), high + 0.08 * (high - low))
    x = Axis(*room, left, right, log=wide)
    spreads = [p.value_ci95 or (p.value, p.value) for p in points]
    ends = (floor - 6, top + 6) if measure.higher_is_better else (top + 6, floor - 6)
    y = Axis(min(low for low, _ in spreads), max(high for _, high in spreads), *ends)
    _scales(picture, x, y, (left, top, right, floor), latency)
    less = "" if measure.higher_is_better else ": less is better"
    unit = f", {measure.unit}" if measure.unit else ""
    picture.write(left + 4, top - 3, f"{short(measure.metric, 30)}{unit}{less}", "t faint")
    scale = "ms" if latency else "kB"
    picture.write(right, floor + 31, f"{scale}{', logarithmic' if wide else ''}: left is better", "t faint", "end")
    steps: list[tuple[float, float]] = []
    for point in front:
        steps += [(x(point.cost), steps[-1][1])] if steps else []
        steps.append((x(point.cost), y(point.value)))
    picture.lines(steps, "frontline")
    for point, spread in zip(points, spreads, strict=True):
        picture.line(x(point.cost), y(spread[0]), x(point.cost), y(spread[1]), "whisker")
        if latency:
            picture.line(x(point.cost_ci95[0]), y(point.value), x(point.cost_ci95[1]), y(point.value), "whisker")
    for point in points:
        said = f"{point.number} {point.name}: {figure(point.value, measure.unit)}, {_cost(point.cost, latency)}"
        picture.dot(x(point.cost), y(point.value), 4.5, _STYLES[point.standing], f"{said}, {point.standing}")
    _numbers(picture, [(x(p.cost), y(p.value), str(p.number)) for p in points], (left, top, right, floor))
    return picture


def measure_words(measure: Measure) -> str:
    """`Top-1`, `MAE in px of depth`."""
    unit = f" in {measure.unit}" if measure.unit not in ("", "%") else ""
    of = f" of {measure.output}" if measure.output else ""
    return short(f"{begun(measure.metric)}{unit}{of}", 120)


def _scales(picture: Picture, x: Axis, y: Axis, room: tuple[float, float, float, float], latency: bool) -> None:
    left, top, right, floor = room
    for value in y.ticks():
        picture.line(left, y(value), right, y(value), "grid")
        picture.write(left - 6, y(value) + 4, f"{value:g}", "t faint", "end")
    marks = x.ticks(5)
    for value, label in zip(marks, _labels(marks, latency), strict=True):
        picture.line(x(value), top, x(value), floor, "grid")
        picture.write(x(value), floor + 15, label, "t faint", "middle")
    picture.line(left, floor, right, floor, "axis")
    picture.line(left, top, left, floor, "axis")


def _numbers(picture: Picture, placed: list[tuple[float, float, str]], room) -> None:
    """Each point's number beside it, where it hides neither a point nor another number."""
    left, top, right, floor = room
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y, _ in placed]
    together: dict[tuple[int, int], tuple[float, float, str]] = {}
    for x, y, number in placed:  # points on one spot share a label
        spot = round(x / 2), round(y / 2)
        together[spot] = (x, y, f"{together[spot][2]},{number}" if spot in together else number)
    for x, y, text in together.values():
        wide = WIDE * len(text) + 1
        best = None
        for dx, dy in ((7, 4), (-7 - wide, 4), (-wide / 2, -8), (-wide / 2, 16), (6, -6), (6, 14), (-6 - wide, -6),
                       (-6 - wide, 14), (16, 4), (-16 - wide, 4), (-wide / 2, -19), (-wide / 2, 27)):  # fmt: skip
            box = (x + dx, y + dy - 9, x + dx + wide, y + dy)
            if box[0] < left or box[2] > right or box[1] < top - 8 or box[3] > floor:
                continue
            hidden = sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
            if best is None or hidden < best[0]:
                best = (hidden, box)
            if not hidden:
                break
        box = best[1] if best else (x + 7, y - 5, x + 7 + wide, y + 4)
        taken.append(box)
        picture.write(box[0], box[3], text, "t strong")


def _cost(value: float, latency: bool, short_form: bool = False) -> str:
    if latency:
        return ms(value) if short_form else f"{ms(value)} ms"
    kilobytes = f"{value / 1000:,.0f}" if value >= 10_000 else f"{value / 1000:.3g}"
    return kilobytes if short_form else f"{kilobytes} kB"


def _labels(values: list[float], latency: bool) -> list[str]:
    """Of an axis, short: with more digits where neighbours would read alike."""
    labels = [_cost(value, latency, short_form=True) for value in values]
    if latency or len(set(labels)) == len(labels):
        return labels
    least = min(b - a for a, b in pairwise(values)) / 1000
    return [f"{value / 1000:,.{max(0, math.ceil(-math.log10(least)))}f}" for value in values]


def latencies(device: str, rows: Sequence[tuple[int, str, Latency]]) -> Picture:
    """Times on one device: the median, its interval, the 90th percentile, and the quantiles where they were kept.

    Args:
        device: where.
        rows: (number, name, latency entry).
    """
    left, right, row_height, top = 8, _WIDTH - 12, 34, 6
    ends = [v for _, _, e in rows for v in (*e.ci95_ms, e.p90_ms or e.median_ms, *(e.quantiles_ms or ()))]
    low, high = min(ends), max(ends)
    wide = high > 3 * low
    x = Axis(low / 1.1, high * 1.1, left, right, log=True) if wide else Axis(low * 0.97, high * 1.03, left, right)
    floor = top + row_height * len(rows)
    quickest = min(rows, key=lambda row: row[2].median_ms)
    picture = Picture(
        _WIDTH, floor + 34, f"Latency on {device}",
        f"{plural(len(rows), 'artifact')}; the quickest is {quickest[0]} {quickest[1]} with a median of "
        f"{ms(quickest[2].median_ms)} ms. The table has every figure.",
    )  # fmt: skip
    for value in x.ticks(5):
        picture.line(x(value), top, x(value), floor, "grid")
        picture.write(x(value), floor + 14, ms(value), "t faint", "middle")
    picture.line(left, floor, right, floor, "axis")
    picture.write(right, floor + 29, f"ms{', logarithmic' if wide else ''}", "t faint", "end")
    for place, (number, name, entry) in enumerate(rows):
        y = top + row_height * place + 24
        picture.write(left, y - 11, f"{number} {short(name, int((right - left) / WIDE) - 4)}", "t")
        _times(picture, x, y, entry, f"{number} {name}")
    return picture


def _times(picture: Picture, x: Axis, y: float, entry, name) -> None:
    median, (low, high), p90 = entry.median_ms, entry.ci95_ms, entry.p90_ms
    if quantiles := entry.quantiles_ms:
        p5, p25, _, p75, p95 = quantiles
        picture.line(x(p5), y, x(p95), y, "whisker")
        picture.box(
            x(p25), y - 5, max(1.0, x(p75) - x(p25)), 10, "bar", f"{name}: half of the runs {ms(p25)} to {ms(p75)} ms"
        )
    elif p90:
        picture.line(x(median), y, x(p90), y, "whisker")
    if p90:
        picture.line(x(p90), y - 4, x(p90), y + 4, "whisker")
    picture.box(x(low), y - 3, max(1.0, x(high) - x(low)), 6, "interval", f"{name}: 95 % interval of the median")
    picture.box(x(median) - 1.25, y - 7, 2.5, 14, "median", f"{name}: median {ms(median)} ms")


def change_bar(gain: float, most: float, said: str) -> Picture:
    """A small bar to the left (lost) or right (gained) of a middle line, for a cell of a table.

    Args:
        gain: below 0 where it is worse.
        most: the largest of the table.
        said: the difference in words.
    """
    middle, half = 40, 38
    length = half * min(1.0, abs(gain) / most) if most else 0.0
    picture = Picture(80, LETTER + 1, "change", said)
    picture.line(middle, 0, middle, LETTER + 1, "axis")
    if length:
        picture.box(middle - length if gain < 0 else middle, 2, length, LETTER - 3, "worst" if gain < 0 else "bar")
    return picture
