"""Figures and names as a report writes them."""

import unicodedata
from collections.abc import Callable, Sequence

# Overrides of the writing direction could make one name look like another.
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
LONGEST = 160


class Mono(str):
    """A cell that is shown in letters of one width: a sha256, a command, a layer."""


def clean(text: str, keep: str = "") -> str:
    """A text of somebody else's without characters that have no shape of their own.

    Args:
        keep: control characters that stay, such as a newline in a command.
    """
    return "".join(
        c
        if c in keep or (unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn") and c not in _DIRECTION)
        else "\ufffd"
        for c in text
    )


def short(text: str, length: int = LONGEST) -> str:
    """A name on one line, of at most `length` characters."""
    text = " ".join(clean(text, "\n\t").split())
    return text if len(text) <= length else text[: length - 1] + "…"


def begun(text: str) -> str:
    """A text as the beginning of a sentence: `Top-1`, but `mAP`, whose capitals are its own."""
    return text if any(letter.isupper() for letter in text.partition(" ")[0]) else text[:1].upper() + text[1:]


def sha(value: str) -> Mono:
    return Mono(value[:12])


def count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    return "" if value is None else f"{value:,} B"


def ms(value: float) -> str:
    """Four figures: 0.004123, 0.4871, 12.35, 1235."""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def between(interval: Sequence[float], form: Callable[[float], str]) -> str:
    return f"[{form(interval[0])}, {form(interval[1])}]"


def number(value: float) -> str:
    return f"{value:.3g}"


def share(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{100 * value:.{digits}f} %"


def decibels(value: float | None) -> str:
    return "no error" if value is None else f"{value:.1f} dB"


def plural(count: int, word: str) -> str:
    ending = "" if count == 1 else "es" if word.endswith("s") else "s"
    return f"{count:,} {word}{ending}"
