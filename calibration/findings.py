"""What an audit says: one record a finding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

NOTE, GRAVE = "note", "grave"
_NAMED = 20  # images that a finding names; their number is in its text


@dataclass(frozen=True)
class Finding:
    """Something odd about calibration images.

    Attributes:
        code: what kind it is, a word with hyphens that stays the same over versions.
        severity: "note", or "grave": nothing should be quantized with these images.
        text: one sentence for people.
        images: names of the images that it is about, 20 at most; empty when it is about all of them.
    """

    code: str
    severity: str
    text: str
    images: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The record's form."""
        return {"code": self.code, "severity": self.severity, "text": self.text, "images": list(self.images)}


def finding(code: str, severity: str, text: str, names: Sequence[str] = (), which: Iterable[int] = ()) -> Finding:
    """A finding about the images of these numbers."""
    return Finding(code, severity, text, tuple(names[int(number)] for number in list(which)[:_NAMED]))


def grave(findings: Iterable[Finding]) -> list[Finding]:
    """Those that should stop an export."""
    return [each for each in findings if each.severity == GRAVE]


def text_of(entry: Any) -> str:
    """A finding of a record, as a line for people; older records hold the line itself."""
    if isinstance(entry, str):
        return entry
    images = entry["images"]
    shown = ", ".join(images[:5]) + (", ..." if len(images) > 5 else "")
    return f"{entry['severity']}, {entry['code']}: {entry['text']}" + (f" ({shown})" if images else "")
