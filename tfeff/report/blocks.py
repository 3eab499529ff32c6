"""What a report is made of, whatever its format: sections of facts, tables, pictures, commands and gaps."""

from dataclasses import dataclass, field
from typing import Any

from tfeff.report.svg import Picture


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table; `numbers` are the columns that are aligned right. A cell may be a `Picture` (left out in Markdown)."""

    caption: str
    columns: list[str]
    rows: list[list[Any]]
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Chart:
    """A picture; `text` says how to read it."""

    picture: Picture
    text: str = ""


@dataclass(frozen=True)
class Photo:
    """A picture of pixels: PNG in base64, and what it shows in words (in Markdown these alone)."""

    data: str
    text: str


@dataclass(frozen=True)
class Words:
    """A paragraph; a `warning` is set off."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Commands:
    """Lines to type."""

    lines: list[str]


@dataclass(frozen=True)
class Missing:
    """What was not measured, and the command that measures it."""

    what: str
    command: str


@dataclass(frozen=True)
class Measured:
    """The files, by sha256, that the figures of a section belong to: (what, sha256)."""

    files: list[tuple[str, str]]


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it; `folded` sections are opened by the reader."""

    title: str
    blocks: list[Any] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)
    folded: bool = False
