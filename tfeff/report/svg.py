"""Drawing: a picture is a list of SVG elements in the page's own colours (`style.py`), so that it fits light and dark.

Lengths are in pixels of the picture's own width; text stands on its base line.
"""

import math
from html import escape

from tfeff.report.text import short

LETTER = 11.0  # height of text, pixels
WIDE = 6.1  # of one letter of it, about


class Picture:
    """An SVG under construction.

    Args:
        width, height: pixels.
        title: what it shows, for those who do not see it.
        text: what can be read off it, in a sentence or two.
        natural: whether it keeps its width on a narrow screen (and is scrolled) in place of shrinking.
    """

    def __init__(self, width: float, height: float, title: str, text: str, natural: bool = False):
        self.width, self.height, self.title, self.text, self.natural = width, height, title, text, natural
        self._parts: list[str] = []

    def line(self, x: float, y: float, to_x: float, to_y: float, style: str) -> None:
        self._parts.append(f'<path class="{style}" d="M{_n(x)} {_n(y)}L{_n(to_x)} {_n(to_y)}"/>')

    def lines(self, points: list[tuple[float, float]], style: str) -> None:
        """One line through all points."""
        if points:
            path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
            self._parts.append(f'<path class="{style}" d="M{path}"/>')

    def box(self, x: float, y: float, width: float, height: float, style: str, said: str = "") -> None:
        """A filled box; `said` is shown when a pointer rests on it."""
        body = f"<title>{escape(short(said))}</title>" if said else ""
        shape = f'class="{style}" d="M{_n(x)} {_n(y)}h{_n(width)}v{_n(height)}h{_n(-width)}z"'
        self._parts.append(f"<path {shape}>{body}</path>" if body else f"<path {shape}/>")

    def dot(self, x: float, y: float, radius: float, style: str, said: str = "") -> None:
        body = f"<title>{escape(short(said))}</title>" if said else ""
        self._parts.append(f'<circle class="{style}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}">{body}</circle>')

    def write(self, x: float, y: float, text: str, style: str = "t", anchor: str = "start", limit: int = 200) -> None:
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text class="{style}" x="{_n(x)}" y="{_n(y)}"{where}>{escape(short(text, limit))}</text>')

    def svg(self, name: str) -> str:
        """The element; `name` tells its parts from those of the page's other pictures."""
        wide = f' style="width:{_n(self.width)}px;max-width:none"' if self.natural else ""
        box = f"0 0 {_n(self.width)} {_n(self.height)}"
        return (
            f'<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="{box}"{wide}>'
            f'<title id="{name}-t">{escape(short(self.title, 300))}</title>'
            f'<desc id="{name}-d">{escape(short(self.text, 900))}</desc>{"".join(self._parts)}</svg>'
        )


class Axis:
    """Maps values to pixels.

    Args:
        low, high: of the values.
        start, end: of the pixels; the larger may come first.
        log: whether equal ratios get equal lengths; values are then above 0.
    """

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False):
        if high <= low:  # a single value stands in the middle
            spread = abs(low) * 0.1 or 1.0
            low, high = (low / 1.3, high * 1.3) if log else (low - spread, high + spread)
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within, at most about `most`."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)) - 1, math.ceil(math.log10(self.high)) + 1)
            for leads in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                found = [v for p in powers for lead in leads if self.low <= (v := lead * 10.0**p) <= self.high]
                if len(found) <= most:
                    break
            if len(found) >= 2:
                return found[:: math.ceil(len(found) / most)]
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(lead * power for lead in (1, 2, 5, 10) if lead * power >= raw * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _n(value: float) -> str:
    """A length without needless digits."""
    return f"{value:.1f}".removesuffix(".0") if value else "0"
