"""The same as Markdown, for model cards. Pictures are left out; what records hold is escaped."""

import re
from collections.abc import Iterator, Sequence

from tfeff.report.blocks import Chart, Commands, Facts, Measured, Missing, Photo, Section, Table, Words
from tfeff.report.svg import Picture
from tfeff.report.text import Mono, clean


def markdown(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """The whole document; GitHub's dialect."""
    return "".join(
        [f"# {_plain(title)}\n\n{_plain(lead)}\n", *(p for s in sections for p in _section(s)), f"\n{_plain(foot)}\n"]
    )


def _section(section: Section, level: int = 2) -> Iterator[str]:
    blocks = [block for block in section.blocks if not isinstance(block, Chart)]
    yield f"\n{'#' * level} {_plain(section.title)}\n"
    for block in blocks:
        yield "\n" + _block(block) + "\n"
    for part in section.sections:
        yield from _section(part, level + 1)


def _block(block) -> str:
    match block:
        case Facts(rows):
            return "\n".join(["| | |", "|---|---|", *(f"| {_plain(k)} | {_plain(v)} |" for k, v in rows)])
        case Table():
            return _table(block)
        case Photo(_, text):
            return f"- {_plain(text)}"
        case Words(text, warning):
            return f"**{_plain(text)}**" if warning else _plain(text)
        case Commands(lines):
            fence = "`" * max(3, 1 + _longest_run("\n".join(lines)))
            return "\n".join([f"{fence}sh", *(clean(line, "\n\t") for line in lines), fence])
        case Missing(what, command):
            return f"Not measured: {_plain(what)}. {_code(command)} measures it."
        case Measured(files):
            return "Measured on sha256: " + ", ".join(
                f"{_plain(what)} {_code(sha)}" for what, sha in dict.fromkeys(files)
            )
    raise TypeError(f"no block of a report: {block!r}")


def _table(table: Table) -> str:
    pictures = {n for row in table.rows for n, cell in enumerate(row) if isinstance(cell, Picture)}
    kept = [n for n in range(len(table.columns)) if n not in pictures]
    align = ["---:" if table.columns[n] in table.numbers else "---" for n in kept]
    lines = [f"{_plain(table.caption)}:", "", _row(_plain(table.columns[n]) for n in kept), f"|{'|'.join(align)}|"]
    for row in table.rows:
        lines.append(_row(_code(row[n]) if isinstance(row[n], Mono) and row[n] else _plain(row[n]) for n in kept))
    return "\n".join(lines)


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(text: str) -> str:
    """A text that is no markup: characters that Markdown or HTML would read are escaped, lines are joined."""
    text = " ".join(clean(text, "\n\t").split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~!#])", r"\\\1", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # inside a word it is no markup
    return re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", "\\1\u200b", text)  # an address in a label is no link


def _code(text: str) -> str:
    """A text in letters of one width; a bar would end a table's cell even there."""
    text = " ".join(clean(text, "\n\t").split()).replace("|", "\\|")
    ticks = "`" * (1 + _longest_run(text))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
