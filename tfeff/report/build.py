"""A report, from records to a text in one of the formats."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tfeff.errors import TfeffError
from tfeff.record import to_dict
from tfeff.report.accuracy_sections import group_word
from tfeff.report.artifact_sections import artifact_section
from tfeff.report.comparison import comparisons
from tfeff.report.html import page
from tfeff.report.markdown import markdown
from tfeff.report.overview import files, overview
from tfeff.report.reported import Reported
from tfeff.report.text import plural, short

FORMATS = ("html", "md", "json")
MAX_BYTES = 3_000_000  # of a page
SCHEMA_VERSION = 2
_OPEN = 3  # artifacts that are not folded


def report(items: Sequence[Reported], form: str = "html", *, title: str | None = None) -> str:
    """The report of some artifacts.

    Args:
        items: of `read_reported`; at least one.
        form: one of `FORMATS`.
        title: None makes one of the artifacts' names.

    Raises:
        TfeffError: a page of more than 3 MB.
    """
    title = short(title) if title else _title(items)
    if form == "json":
        return json.dumps(as_dict(items, title), indent=1, allow_nan=False) + "\n"
    if form == "md":
        return markdown(title, _lead(items), _sections(items, folded=False), _foot())
    folded = len(items) > _OPEN
    for hints in (True, False):
        text = page(title, _lead(items), _sections(items, folded=folded, hints=hints), _foot())
        if len(text.encode("utf-8", "replace")) <= MAX_BYTES:
            return text
    raise TfeffError(
        f"report: the page of {plural(len(items), 'record')} would have more than {MAX_BYTES:,} bytes",
        "give fewer records a page, or --format json",
    )


def as_dict(items: Sequence[Reported], title: str) -> dict[str, Any]:
    """What the page is drawn from, for programs.

    Returns:
        `schema_version`, `title`; `artifacts`: `number`, `name`, `sha256`, `verified` (files hashed again), `missing`
        (what was not measured, with the `command` that measures it), `record`, `pictures` (what each says, see
        `record.pictures`); `comparisons`: `cost` ("size_bytes" or
        "latency_ms"), what `comparison.Measure` has, `device`, `points` (see `comparison.Point`).
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "artifacts": [
            {
                "number": number,
                "name": item.name,
                "sha256": item.sha256,
                "verified": list(item.verified),
                "missing": missing(item),
                "record": to_dict(item.record),
                "pictures": [to_dict(each) for each in item.seen[0].pictures] if item.seen else [],
            }
            for number, item in enumerate(items, 1)
        ],
        "comparisons": [
            {"cost": one.cost, **asdict(one.measure), "device": one.device, "points": list(map(asdict, one.points))}
            for one in comparisons(items)
        ],
    }


def missing(item: Reported) -> list[dict[str, str]]:
    """What was not measured on an artifact, with the command that measures it."""
    record, gaps = item.record, []
    if not record.accuracy and (item.has_metric or not record.ports):
        gaps.append(("accuracy" if item.has_metric else "agreement of the outputs", item.command("compare")))
    if not record.latency:
        gaps.append(("latency", item.command("bench", "--on", "local")))
    if record.debug is None:
        gaps.append(("layers", item.command("debug", "--record")))
    for accuracy in record.accuracy:
        if accuracy.is_share and not accuracy.groups:
            gaps.append((f"accuracy by {group_word(accuracy)}", item.command("compare")))
    return [{"what": what, "command": command} for what, command in gaps]


def _sections(items, folded, hints=True):
    verified = all(item.verified for item in items)
    single = [artifact_section(item, number, folded=folded, hints=hints) for number, item in enumerate(items, 1)]
    return [*overview(items), *single, files(items, verified)]


def _title(items):
    return items[0].name if len(items) == 1 else f"{len(items)} artifacts"


def _lead(items):
    names = [short(s.name) for s in items]
    said = names[0] if len(names) == 1 else f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
    return f"What int8 cost {said}, where, and how fast it is: drawn from the records beside the files."


def _foot():
    from tfeff import __version__

    return f"Written by tfeff report {__version__}. Every figure belongs to the file of the sha256 beside it."
