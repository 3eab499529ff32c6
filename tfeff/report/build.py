"""A report, from records to a text in one of the formats."""

import json
from collections.abc import Sequence
from typing import Any

from tfeff.errors import TfeffError
from tfeff.report.artifact_sections import artifact_section
from tfeff.report.comparison import comparisons
from tfeff.report.html import page
from tfeff.report.markdown import markdown
from tfeff.report.overview import files, overview
from tfeff.report.subject import Subject
from tfeff.report.text import plural, short

FORMATS = ("html", "md", "json")
MAX_BYTES = 3_000_000  # of a page
SCHEMA_VERSION = 1
_OPEN = 3  # artifacts that are not folded
_GAPS = (
    ("accuracy", "accuracy", ("compare",)),
    ("latency", "latency", ("bench", "--on", "local")),
    ("debug", "layers", ("debug", "--record")),
)


def report(subjects: Sequence[Subject], form: str = "html", *, title: str | None = None) -> str:
    """The report of some artifacts.

    Args:
        subjects: of `read_subjects`; at least one.
        form: one of `FORMATS`.
        title: None makes one of the artifacts' names.

    Raises:
        TfeffError: a page of more than 3 MB.
    """
    title = short(title) if title else _title(subjects)
    if form == "json":
        return json.dumps(as_dict(subjects, title), indent=1, allow_nan=False) + "\n"
    if form == "md":
        return markdown(title, _lead(subjects), _sections(subjects, folded=False), _foot())
    folded = len(subjects) > _OPEN
    for hints in (True, False):
        text = page(title, _lead(subjects), _sections(subjects, folded=folded, hints=hints), _foot())
        if len(text.encode("utf-8", "replace")) <= MAX_BYTES:
            return text
    raise TfeffError(
        f"report: the page of {plural(len(subjects), 'record')} would have more than {MAX_BYTES:,} bytes",
        "give fewer records a page, or --format json",
    )


def as_dict(subjects: Sequence[Subject], title: str) -> dict[str, Any]:
    """What the page is drawn from, for programs.

    Returns:
        `schema_version`, `title`; `artifacts`: `number`, `name`, `sha256`, `verified` (files hashed again), `missing`
        (what was not measured, with the `command` that measures it), `record`; `comparisons`: `cost` ("size_bytes" or
        "latency_ms"), `dataset`, `samples`, `device`, `points` (see `comparison.Point`).
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "artifacts": [
            {
                "number": number,
                "name": subject.name,
                "sha256": subject.sha256,
                "verified": list(subject.verified),
                "missing": missing(subject),
                "record": subject.record,
            }
            for number, subject in enumerate(subjects, 1)
        ],
        "comparisons": [
            {**one.__dict__, "points": [point.__dict__ for point in one.points]} for one in comparisons(subjects)
        ],
    }


def missing(subject: Subject) -> list[dict[str, str]]:
    """What was not measured on an artifact, with the command that measures it."""
    gaps = [
        {"what": what, "command": subject.command(*command)} for key, what, command in _GAPS if not subject.part(key)
    ]
    if subject.part("accuracy") and not subject.part("accuracy").get("by_class"):
        gaps.append({"what": "accuracy by class", "command": subject.command("compare")})
    return gaps


def _sections(subjects, folded, hints=True):
    verified = all(subject.verified for subject in subjects)
    single = [
        artifact_section(subject, number, folded=folded, hints=hints) for number, subject in enumerate(subjects, 1)
    ]
    return [*overview(subjects), *single, files(subjects, verified)]


def _title(subjects):
    return subjects[0].name if len(subjects) == 1 else f"{len(subjects)} artifacts"


def _lead(subjects):
    names = [short(s.name) for s in subjects]
    said = names[0] if len(names) == 1 else f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
    return f"What int8 cost {said}, where, and how fast it is: drawn from the records beside the files."


def _foot():
    from tfeff import __version__

    return f"Written by tfeff report {__version__}. Every figure belongs to the file of the sha256 beside it."
