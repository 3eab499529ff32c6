"""The page: one file without scripts, fonts or anything else from elsewhere.

All that records hold goes through `_escape`; nothing of it becomes a tag, an attribute's name or an address. The
page forbids itself scripts and the network besides (Content-Security-Policy).
"""

import html
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from tfeff.report.blocks import Chart, Commands, Facts, Measured, Missing, Photo, Section, Table, Words
from tfeff.report.style import STYLE
from tfeff.report.svg import Picture
from tfeff.report.text import Mono, clean

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_WITH_PHOTOS = f"{_POLICY}; img-src data:"
_LINE = 60  # letters of a table's cell that stay on one line


def page(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """The whole page.

    Args:
        title: of the page.
        lead: the paragraph below it.
        sections: in order; each gets an entry in the list of contents.
        foot: the last line.
    """
    return "".join(_Page().whole(title, lead, sections, foot))


class _Page:
    def __init__(self):
        self._names: dict[str, int] = {}  # parts of the page that were named, so that no two share an id

    def whole(self, title: str, lead: str, sections: Sequence[Section], foot: str) -> Iterator[str]:
        ids = [self._id(f"s-{section.title}") for section in sections]
        yield f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_escape(title)}</title>\n'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        blocks = (block for section in sections for part in (section, *section.sections) for block in part.blocks)
        policy = _WITH_PHOTOS if any(isinstance(block, Photo) for block in blocks) else _POLICY
        yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        yield f'<meta name="referrer" content="no-referrer">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        yield '<a class="skip" href="#main">Skip to the figures</a>\n'
        yield f"<header>\n<h1>{_escape(title)}</h1>\n<p>{_escape(lead)}</p>\n"
        yield '<nav aria-label="Contents"><ol>'
        for name, section in zip(ids, sections, strict=True):
            yield f'<li><a href="#{name}">{_escape(section.title)}</a></li>'
        yield '</ol></nav>\n</header>\n<main id="main">\n'
        for name, section in zip(ids, sections, strict=True):
            yield from self._section(section, name)
        yield f"</main>\n<footer><p>{_escape(foot)}</p></footer>\n</body>\n</html>\n"

    def _section(self, section: Section, name: str) -> Iterator[str]:
        heading = f'<h2 id="{name}">{_escape(section.title)}</h2>'
        yield (
            f'<details aria-labelledby="{name}"><summary>{heading}</summary>\n'
            if section.folded
            else f"<section>\n{heading}\n"
        )
        yield from self._blocks(section.blocks, section.title)
        for part in section.sections:
            yield f"<h3>{_escape(part.title)}</h3>\n"
            yield from self._blocks(part.blocks, f"{section.title}: {part.title}")
        yield "</details>\n" if section.folded else "</section>\n"

    def _blocks(self, blocks, where: str) -> Iterator[str]:
        for is_chart, group in groupby(blocks, lambda block: isinstance(block, Chart) and not block.picture.natural):
            if is_chart:
                yield '<div class="charts">' + "".join(self._chart(block, where) for block in group) + "</div>\n"
                continue
            for block in group:
                yield self._block(block, where)

    def _block(self, block, where: str) -> str:
        match block:
            case Facts(rows):
                return "<dl>" + "".join(f"<dt>{_escape(k)}</dt><dd>{_escape(v)}</dd>" for k, v in rows) + "</dl>\n"
            case Table():
                return self._table(block, where)
            case Chart():
                return self._chart(block, where)
            case Photo(data, text):
                picture = f'<img src="data:image/png;base64,{_escape(data)}" alt="{_escape(text)}">'
                return f'<figure class="photo">{picture}{_caption(text)}</figure>\n'
            case Words(text, warning):
                style = ' class="warn"' if warning else ""
                return f"<p{style}>{_escape(text)}</p>\n"
            case Commands(lines):
                return f"<pre><code>{_escape(chr(10).join(lines))}</code></pre>\n"
            case Missing(what, command):
                said = f"Not measured: {_escape(what)}. <code>{_escape(command)}</code> measures it."
                return f'<p class="missing">{said}</p>\n'
            case Measured(files):
                said = ", ".join(
                    f"{_escape(what)} <code>{_escape(sha256)}</code>" for what, sha256 in dict.fromkeys(files)
                )
                return f'<p class="on">Measured on sha256: {said}</p>\n'
        raise TypeError(f"no block of a report: {block!r}")

    def _chart(self, chart: Chart, where: str) -> str:
        svg = chart.picture.svg(self._id("p"))
        if chart.picture.natural:  # scrolled by keyboard as well
            label = _escape(f"{where}: {chart.picture.title}")
            svg = f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{svg}</div>'
            return f"<figure>{svg}{_caption(chart.text)}</figure>\n"
        return f"<figure>{svg}{_caption(chart.text or chart.picture.title)}</figure>"

    def _table(self, table: Table, where: str) -> str:
        name = self._id("t")
        label = _escape(f"{where}: {table.caption}")
        numbers = {n for n, column in enumerate(table.columns) if column in table.numbers}
        head = "".join(
            f'<th scope="col"{_class(n in numbers)}>{_escape(column)}</th>' if column else "<td></td>"
            for n, column in enumerate(table.columns)
        )
        named = next((n for n, c in enumerate(table.columns) if c not in ("no.", "mark")), 0)
        body = "".join(
            "<tr>" + "".join(self._cell(cell, n in numbers, n == named) for n, cell in enumerate(row)) + "</tr>"
            for row in table.rows
        )
        # The caption stands outside of what is scrolled, so that a narrow screen shows all of it.
        return (
            f'<p class="caption" id="{name}">{_escape(table.caption)}</p>'
            f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table aria-labelledby="{name}">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
        )

    def _cell(self, cell, number: bool, heading: bool) -> str:
        tag = 'th scope="row"' if heading else "td"
        inside = cell.svg(self._id("p")) if isinstance(cell, Picture) else _escape(str(cell))
        wide = not isinstance(cell, Picture | Mono) and len(cell) > _LINE
        return f"<{tag}{_class(number, isinstance(cell, Mono), wide)}>{inside}</{tag.split()[0]}>"

    def _id(self, text: str) -> str:
        """An id of plain letters that no other part of the page has."""
        plain = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
        self._names[plain] = number = self._names.get(plain, 0) + 1
        return f"{plain}--{number}"


def _escape(text: str) -> str:
    """A text for between tags or in a quoted attribute."""
    return html.escape(clean(text, "\n\t"))


def _caption(text: str) -> str:
    return f"<figcaption>{_escape(text)}</figcaption>" if text else ""


def _class(number: bool, mono: bool = False, wide: bool = False) -> str:
    names = " ".join(name for name, is_so in (("num", number), ("mono", mono), ("wide", wide)) if is_so)
    return f' class="{names}"' if names else ""
