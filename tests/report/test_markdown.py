"""The same as Markdown, read by markdown-it, another's parser."""

import pytest
from markdown_it import MarkdownIt
from report_records import HOSTILE, in_json, poisoned, record, several, write

from tfeff.report import read_reported, report


def tokens(text):
    found = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").parse(text)
    return [each for token in found for each in (token, *(token.children or ()))]


def rows(text):
    """Cells of all tables, row by row."""
    found, row = [], None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            found.append(row := [])
        elif token.type == "inline" and row is not None:
            row.append("".join(child.content for child in token.children))
        elif token.type == "table_close":
            row = None
    return found


def test_figures_are_the_records(tmp_path):
    made = record(top1=(91.25, 90.5))
    found = rows(report(read_reported([write(tmp_path, made)]), "md"))
    assert ["quantized top-1", "90.50 %"] in found
    assert ["difference", "-0.75 points, 95 % [-1.15, -0.35]"] in found
    assert any(row[1:3] == ["net.int8.tflite", f"{made['size_bytes']:,} B"] and made["sha256"] in row for row in found)
    assert any("0.420 [0.410, 0.435], faster" in row for row in found)
    assert any(row[:2] == ["shoe", "91.25 %"] for row in found)


def test_every_task_is_told_in_its_metric(tmp_path):
    found = rows(report(read_reported([write(tmp_path, several())]), "md"))
    assert ["float MAE", "0.5 m"] in found
    assert ["metric", "MAE in m, less is better"] in found
    assert any(row[:3] == ["rank", "float file", ""] and "75.00 % equal" in row for row in found)


def test_no_picture_and_no_html(tmp_path):
    text = report(read_reported([write(tmp_path)]), "md")
    assert not {"html_block", "html_inline", "image", "link_open"} & {token.type for token in tokens(text)}
    assert "<svg" not in text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_markup_in_names_and_labels_does_nothing(tmp_path, text):
    harmless = report(in_json(tmp_path, poisoned("harmless")), "md", title="harmless")
    page = report(in_json(tmp_path, poisoned(text)), "md", title=text)
    inline = {"text", "softbreak", "code_inline", "inline"}
    shape = [token.type for token in tokens(page) if token.type not in inline]
    assert shape == [token.type for token in tokens(harmless) if token.type not in inline]
    assert "http://" not in "".join(token.content for token in tokens(page) if token.type == "text")
