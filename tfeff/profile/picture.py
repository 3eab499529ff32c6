"""A profile as horizontal bars, one a block: time, with the share that is overhead in another colour. SVG or PNG."""

import io
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tfeff.errors import TfeffError

_WIDTH, _LEFT, _BAR, _TOP = 1000, 250, 20, 70  # pixels
_INK, _WORK, _OVERHEAD = "#222222", "#7a9cc6", "#c0392b"


def check_suffix(path: Path) -> None:
    """Raises TfeffError for a picture's name that ends in neither .png nor .svg."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise TfeffError(f"{path}: a picture's name ends in .png or .svg", "--picture profile.png")


def draw_picture(profile: dict[str, Any], path: Path) -> bytes:
    """Draws what `join` gave; the bytes of a picture in the format of the path's suffix.

    Args:
        profile: of `join`, with `device` and `runtime` added.
        path: ends in .png or .svg; nothing is written.

    Raises:
        TfeffError: another suffix.
    """
    check_suffix(path)
    order = list(dict.fromkeys(one["block"] for one in profile["operations"]))  # as they run
    blocks = sorted(profile["blocks"], key=lambda row: order.index(row["block"]))
    over = {
        name: sum(one["ms"] for one in profile["operations"] if one["block"] == name and one["overhead"])
        for name in order
    }
    shapes = [("text", 20, 26, f"{profile['file']} on {profile['device']}, {profile['runtime']}", 17)]
    said = f"{profile['total_ms']:.3g} ms in operations; red: transposes, pads, conversions, moves"
    shapes.append(("text", 20, 50, said, 13))
    room, most = _WIDTH - _LEFT - 150, max(row["ms"] for row in blocks) or 1e-12
    for number, row in enumerate(blocks):
        top = _TOP + number * (_BAR + 6)
        whole, bad = room * row["ms"] / most, room * over[row["block"]] / most
        shapes.append(("text", 20, top + 15, row["block"][:34], 13))
        shapes.append(("box", _LEFT, top, max(whole, 1), _WORK))
        if bad:
            shapes.append(("box", _LEFT + whole - bad, top, bad, _OVERHEAD))
        shapes.append(("text", _LEFT + whole + 8, top + 15, f"{row['ms']:.3g} ms, {row['share']:.1f} %", 13))
    height = _TOP + len(blocks) * (_BAR + 6) + 16
    return _png(shapes, height) if path.suffix.lower() == ".png" else _svg(shapes, height)


def _svg(shapes, height):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">']
    parts.append(f'<rect width="{_WIDTH}" height="{height}" fill="white"/>')
    for kind, x, y, value, last in shapes:
        if kind == "text":
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{last}" fill="{_INK}">{escape(value)}</text>')
        else:
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{value:.1f}" height="{_BAR}" fill="{last}"/>')
    return ("\n".join([*parts, "</svg>"]) + "\n").encode()


def _png(shapes, height):
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    for kind, x, y, value, last in shapes:
        if kind == "text":
            draw.text((x, y), value, _INK, ImageFont.load_default(last), anchor="ls")
        else:
            draw.rectangle((x, y, x + value, y + _BAR), last)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
