"""A profile as horizontal bars, one a block: time, with the share that is overhead in another colour. SVG or PNG."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tfeff.errors import TfeffError
from tfeff.profile.join import Profile

_WIDTH, _LEFT, _BAR, _TOP = 1000, 250, 20, 70  # pixels
_INK, _WORK, _OVERHEAD = "#222222", "#7a9cc6", "#c0392b"


def check_suffix(path: Path) -> None:
    """Raises TfeffError for a picture's name that ends in neither .png nor .svg."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise TfeffError(f"{path}: a picture's name ends in .png or .svg", "--picture profile.png")


def draw_picture(profile: Profile, title: str, path: Path) -> bytes:
    """The bytes of a picture of a profile, in the format of the path's suffix.

    Args:
        title: what stands above it.
        path: ends in .png or .svg; nothing is written.

    Raises:
        TfeffError: another suffix.
    """
    check_suffix(path)
    order = list(dict.fromkeys(one.block for one in profile.operations))  # as they run
    blocks = sorted(profile.blocks, key=lambda total: order.index(total.name))
    over = {name: sum(one.ms for one in profile.operations if one.block == name and one.overhead) for name in order}
    said = f"{profile.total_ms:.3g} ms in operations; red: transposes, pads, conversions, moves"
    shapes: list[Shape] = [_Text(20, 26, title, 17), _Text(20, 50, said, 13)]
    room, most = _WIDTH - _LEFT - 150, max(total.ms for total in blocks) or 1e-12
    for number, total in enumerate(blocks):
        top = _TOP + number * (_BAR + 6)
        whole, bad = room * total.ms / most, room * over[total.name] / most
        shapes += [_Text(20, top + 15, total.name[:34], 13), _Box(_LEFT, top, max(whole, 1), _WORK)]
        if bad:
            shapes.append(_Box(_LEFT + whole - bad, top, bad, _OVERHEAD))
        shapes.append(_Text(_LEFT + whole + 8, top + 15, f"{total.ms:.3g} ms, {total.share:.1f} %", 13))
    height = _TOP + len(blocks) * (_BAR + 6) + 16
    return _png(shapes, height) if path.suffix.lower() == ".png" else _svg(shapes, height)


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    text: str
    size: int


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    colour: str


Shape = _Text | _Box


def _svg(shapes: Iterable[Shape], height: int) -> bytes:
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">']
    parts.append(f'<rect width="{_WIDTH}" height="{height}" fill="white"/>')
    for one in shapes:
        at = f'x="{one.x:.1f}" y="{one.y:.1f}"'
        if isinstance(one, _Text):
            parts.append(f'<text {at} font-size="{one.size}" fill="{_INK}">{escape(one.text)}</text>')
        else:
            parts.append(f'<rect {at} width="{one.width:.1f}" height="{_BAR}" fill="{one.colour}"/>')
    return ("\n".join([*parts, "</svg>"]) + "\n").encode()


def _png(shapes: Iterable[Shape], height: int) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    for one in shapes:
        if isinstance(one, _Text):
            draw.text((one.x, one.y), one.text, _INK, ImageFont.load_default(one.size), anchor="ls")
        else:
            draw.rectangle((one.x, one.y, one.x + one.width, one.y + _BAR), one.colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
