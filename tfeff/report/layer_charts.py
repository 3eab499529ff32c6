"""The pictures of one network from its input to its output: each layer's error, and how it uses its range."""

from tfeff.record.schema import DebugLayer
from tfeff.report.svg import Axis, Picture
from tfeff.report.text import decibels, share

_LEFT, _RIGHT, _PANEL, _HEAD = 40, 10, 120, 34
_CEILING_DB = 60.0  # of the axis; better is no matter
WORST = 5  # layers that are marked and named


def worst_layers(layers: list[DebugLayer]) -> list[DebugLayer]:
    """The layers that make most of the outputs' error, the worst first."""
    return sorted((row for row in layers if (row.error_share or 0) > 0), key=lambda row: -(row.error_share or 0))[
        :WORST
    ]


def errors(layers: list[DebugLayer], hints: bool = True) -> Picture:
    """SQNR along the network: bars for each layer alone, a line for the file up to there.

    Args:
        layers: of a record's `debug`.
        hints: whether each bar says its layer when a pointer rests on it.
    """
    rows, worst = _along(layers), worst_layers(layers)
    marked = {id(row) for row in worst}
    picture, pitch = _picture(
        rows, 1, "Signal to quantization noise, layer by layer along the network",
        "Bars: each layer alone, its inputs in float. Line: the int8 file up to that layer. Low is bad. "
        f"The layers that make most of the outputs' error: {_list(worst, 'error_share', 0)}.",
    )  # fmt: skip
    y = Axis(0.0, _CEILING_DB, _HEAD + _PANEL, _HEAD)
    _frame(picture, y, (0, 20, 40, 60), "{:g}", "dB")
    points = []
    for number, row in enumerate(rows):
        x, alone, here = _LEFT + number * pitch, _db(row, "local_sqnr_db"), _db(row, "sqnr_db")
        said = f"{row.layer} ({row.op}): alone {decibels(row.local_sqnr_db)}"
        said += f", here {decibels(row.sqnr_db)}"
        style = "worst" if id(row) in marked else "bar"
        picture.box(x + 0.12 * pitch, y(alone), 0.76 * pitch, y(0) - y(alone), style, said if hints else "")
        points.append((x + pitch / 2, y(here)))
    picture.lines(points, "trace")
    _marks(picture, rows, worst, pitch)
    return picture


def ranges(layers: list[DebugLayer], hints: bool = True) -> Picture:
    """Two rows of bars along the network: how much of its 256 levels a layer uses, and what share of it is clipped."""
    rows, worst = _along(layers), most_clipped(layers)
    marked = {id(row) for row in worst}
    most = max((row.clipped_share or 0.0 for row in rows), default=0.0)
    picture, pitch = _picture(
        rows, 2, "Use of the quantized range, and clipping, layer by layer along the network",
        "Above: share of the levels between the lowest and the highest that occurred. Below: share of values beyond "
        f"the range: {_list(worst, 'clipped_share', 2)}.",
    )  # fmt: skip
    use = Axis(0.0, 1.0, _HEAD + _PANEL, _HEAD)
    second = 2 * _HEAD + _PANEL
    clipped = Axis(0.0, most or 1e-4, second + _PANEL, second)
    _frame(picture, use, (0, 0.5, 1), "{:.0%}", "range use")
    _frame(picture, clipped, clipped.ticks(3), "{:.3g}", "clipped, %", scale=100)
    for number, row in enumerate(rows):
        x, cut = _LEFT + (number + 0.12) * pitch, row.clipped_share or 0.0
        said = f"{row.layer} ({row.op}): range use {share(row.range_use, 0)}, clipped {share(cut, 3)}" if hints else ""
        if row.range_use is not None:
            used = min(1.0, row.range_use)
            picture.box(x, use(used), 0.76 * pitch, use(0) - use(used), "worst" if used < 0.25 else "bar", said)
        if cut:
            style = "worst" if id(row) in marked else "bar"
            picture.box(x, clipped(cut), 0.76 * pitch, clipped(0) - clipped(cut), style, said)
    _marks(picture, rows, worst, pitch, second)
    return picture


def most_clipped(layers: list[DebugLayer]) -> list[DebugLayer]:
    """The layers whose values lie most beyond their range, the worst first."""
    return sorted((row for row in layers if row.clipped_share), key=lambda row: -(row.clipped_share or 0))[:WORST]


def _list(rows, key, digits):
    """The marked layers in words."""
    named = [f"{number} {row.layer}, {share(getattr(row, key), digits)}" for number, row in enumerate(rows, 1)]
    return "; ".join(named) or "none"


def _along(layers):
    return sorted(layers, key=lambda row: row.position)


def _db(row, key):
    value = getattr(row, key)
    return _CEILING_DB if value is None else min(max(value, 0.0), _CEILING_DB)


def _picture(rows, panels, title, text):
    pitch = min(24.0, max(6.0, 900 / max(1, len(rows))))
    width = _LEFT + pitch * len(rows) + _RIGHT
    return Picture(max(width, 160), panels * (_HEAD + _PANEL) + 10, title, text, natural=True), pitch


def _frame(picture, y, ticks, form, word, scale=1):
    for value in ticks:
        picture.line(_LEFT, y(value), picture.width - _RIGHT, y(value), "axis" if value == 0 else "grid")
        picture.write(_LEFT - 5, y(value) + 4, form.format(value * scale), "t faint", "end")
    picture.write(2, y.end - 20, word, "t faint")


def _marks(picture, rows, worst, pitch, top=0.0):
    """The worst layers' numbers above their bars, alternately higher where two are close."""
    place_of = {id(row): place for place, row in enumerate(rows)}
    places = sorted((place_of[id(row)], number) for number, row in enumerate(worst, 1))
    last, raised = -1e9, False
    for place, number in places:
        x = _LEFT + (place + 0.5) * pitch
        raised = not raised if x - last < 12 else False
        last = x
        picture.write(x, (top or _HEAD) - (14 if raised else 3), str(number), "t bad", "middle")
