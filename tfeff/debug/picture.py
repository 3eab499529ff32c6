"""The layers' figures as bars along the network, as PNG (Pillow) or SVG."""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from tfeff.debug.result import DebugResult, LayerError
from tfeff.errors import TfeffError

_WIDTH, _LEFT, _RIGHT, _TOP = 1200, 70, 20, 76
_PANEL, _GAP, _LABELS = 190, 34, 26  # heights in pixels: a panel, what is between two, a row of names
_INK, _FAINT_INK, _FAINT = "#222222", "#666666", "#c8c8c8"
_BAR, _WORST, _LINE = "#7a9cc6", "#c0392b", "#e08e0b"
_SIZE, _DIGIT = 13, 7.2  # of the letters, pixels; how wide one is, about
_CEILING_DB = 60.0  # of the picture's axis; better is no matter

Rows = Sequence[LayerError]


def draw_picture(result: DebugResult, path: Path, top: int = 5) -> bytes:
    """Draws what `debug` gave; the bytes of a picture in the format of the path's suffix.

    Args:
        result: of `debug`.
        path: ends in .png or .svg; nothing is written.
        top: how many of the worst layers are named.

    Raises:
        TfeffError: another suffix.
    """
    check_suffix(path)
    rows = sorted(result.layers, key=lambda row: row.position)
    worst = [row.position for row in result.layers[:top]]
    height = _TOP + _LABELS * len(worst) + 2 * (_PANEL + _GAP) + 10
    canvas = _Png(_WIDTH, height) if path.suffix.lower() == ".png" else _Svg(_WIDTH, height)
    canvas.text(_LEFT, 18, f"{result.file}: where the outputs' error comes from", size=_SIZE + 3)
    snr = result.output_sqnr_db
    said = "no error" if snr is None else f"outputs' SQNR {snr:.1f} dB"
    against = result.float_file or "the file without its grids"
    canvas.text(_LEFT, 38, f"{said} against {against}, {result.samples} samples of {result.images}", _FAINT_INK)
    canvas.text(_LEFT, 66, "share of the outputs' error that goes when a layer alone is in float", colour=_FAINT_INK)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(rows))
    middles = {row.position: _LEFT + (number + 0.5) * step for number, row in enumerate(rows)}
    floor = _shares(canvas, rows, middles, step, worst, _TOP + _LABELS * len(worst))
    _decibels(canvas, rows, middles, step, worst, floor + _GAP)
    return canvas.data()


def check_suffix(path: Path) -> None:
    """Raises TfeffError for a picture's name that ends in neither .png nor .svg."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise TfeffError(f"{path}: a picture's name ends in .png or .svg", "--picture layers.png")


def _shares(
    canvas: "_Png | _Svg", rows: Rows, middles: Mapping[int, float], step: float, worst: Sequence[int], top: float
) -> float:
    """Bars of `error_share`; the worst layers' names stand above, each on a line of its own. Returns the lower end."""
    values = [row.error_share for row in rows]
    high, low = max(0.05, *values), min(0.0, *values)
    floor = top + _PANEL

    def y(value: float) -> float:
        return floor - (value - low) / (high - low) * _PANEL

    _axis(canvas, top, floor)
    for value in _ticks(low, high):
        _grid_line(canvas, y(value), f"{100 * value:.0f} %", value == 0)
    by_position = {row.position: row for row in rows}
    for line, position in enumerate(sorted(worst, key=lambda p: middles[p])):
        row, x = by_position[position], middles[position]
        text = f"{row.layer} {100 * row.error_share:.0f} %"
        height = top - _LABELS * (len(worst) - line) + 6
        canvas.line(x, height + 2, x, y(max(0.0, row.error_share)), _WORST)
        wide = len(text) * _DIGIT
        canvas.text(x + 4 if x + 4 + wide < _WIDTH else x - 4 - wide, height + 4, text, _WORST)
    for row in rows:
        x, share = middles[row.position], row.error_share
        colour = _WORST if row.position in worst else _BAR
        ends = sorted((y(0.0), y(share)))
        canvas.box(x - 0.4 * step, ends[0], x + 0.4 * step, max(ends[1], ends[0] + 1), colour)
    return floor


def _decibels(
    canvas: "_Png | _Svg", rows: Rows, middles: Mapping[int, float], step: float, worst: Sequence[int], top: float
) -> None:
    """Bars of `local_sqnr_db` and a line of `sqnr_db`."""
    floor = top + _PANEL

    def y(value: float | None) -> float:
        shown = _CEILING_DB if value is None else min(max(value, 0.0), _CEILING_DB)
        return floor - shown / _CEILING_DB * _PANEL

    canvas.text(_LEFT, top - 6, "SQNR, dB: bars, this layer alone; line, the file up to here (low is bad)", _FAINT_INK)
    _axis(canvas, top, floor)
    for value in range(0, int(_CEILING_DB) + 1, 20):
        _grid_line(canvas, y(value), f"{value}", value == 0)
    for row in rows:
        x = middles[row.position]
        colour = _WORST if row.position in worst else _BAR
        canvas.box(x - 0.4 * step, y(row.local_sqnr_db), x + 0.4 * step, floor, colour)
    points = [(middles[row.position], y(row.sqnr_db)) for row in rows]
    for (x, from_y), (to_x, to_y) in pairwise(points):
        canvas.line(x, from_y, to_x, to_y, _LINE, width=2)


def _axis(canvas: "_Png | _Svg", top: float, floor: float) -> None:
    canvas.line(_LEFT, top, _LEFT, floor, _INK)


def _grid_line(canvas: "_Png | _Svg", y: float, text: str, strong: bool) -> None:
    canvas.line(_LEFT, y, _WIDTH - _RIGHT, y, _INK if strong else _FAINT)
    canvas.text(_LEFT - 8 - len(text) * _DIGIT, y + 4, text, _FAINT_INK)


def _ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1e4, 1e6) if (high - low) / s <= 6)
    first = -int(-low / step)
    return [step * n for n in range(first, int(high / step) + 1)]


class _Png:
    """Pixels by Pillow; text stands on its base line, as in SVG."""

    def __init__(self, width: int, height: int):
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width, height), "white")
        self._draw = ImageDraw.Draw(self._image)

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str, width: int = 1) -> None:
        self._draw.line((x, y, to_x, to_y), fill=colour, width=width)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        self._draw.rectangle((left, top, max(left, right - 1), max(top, bottom)), fill=colour)

    def text(self, x: float, y: float, text: str, colour: str = _INK, size: int = _SIZE) -> None:
        from PIL import ImageFont

        self._draw.text((x, y), text, fill=colour, font=ImageFont.load_default(size), anchor="ls")

    def data(self) -> bytes:
        out = io.BytesIO()
        self._image.save(out, "PNG")
        return out.getvalue()


class _Svg:
    def __init__(self, width: int, height: int):
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str, width: int = 1) -> None:
        self._parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>'
        )

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.5):.1f}" '
            f'height="{max(bottom - top, 0):.1f}" fill="{colour}"/>'
        )

    def text(self, x: float, y: float, text: str, colour: str = _INK, size: int = _SIZE) -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}">{escape(text)}</text>')

    def data(self) -> bytes:
        return "\n".join([*self._parts, "</svg>", ""]).encode()
