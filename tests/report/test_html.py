"""The page: whole, self-contained, true to its records, and deaf to what they say in HTML."""

import copy
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from report_page import parse
from report_records import HOSTILE, in_json, layer, nameless, old_record, poisoned, record, several, write

from tfeff.errors import TfeffError
from tfeff.report import read_reported, report

PLAIN = {
    "a", "body", "circle", "code", "dd", "desc", "details", "div", "dl", "dt", "figcaption", "figure", "footer", "h1",
    "h2", "h3", "head", "header", "html", "li", "main", "meta", "nav", "ol", "p", "path", "pre", "section", "style",
    "summary", "svg", "table", "tbody", "td", "text", "th", "thead", "title", "tr",
}  # fmt: skip
CLASSES = {
    "axis", "bad", "bar", "behind", "caption", "charts", "dot", "faint", "front", "frontline", "grid", "interval",
    "median", "missing", "mono", "num", "on", "scroll", "skip", "strong", "t", "trace", "undecided", "warn", "whisker",
    "wide", "worst",
}  # fmt: skip
ATTRIBUTES = {
    "aria-label", "aria-labelledby", "charset", "class", "content", "cx", "cy", "d", "height", "href", "http-equiv",
    "id", "lang", "name", "r", "role", "scope", "style", "tabindex", "text-anchor", "viewbox", "width", "x", "y",
}  # fmt: skip


def reported(tmp_path, *records):
    return read_reported([write(tmp_path, each) for each in records])


def check_page(text):
    """What holds for every page; its document."""
    page = parse(text)
    elements = list(page.all())
    assert {each.tag for each in elements} <= PLAIN
    assert {name for each in elements for name in each.attributes} <= ATTRIBUTES
    ids = [each.attributes["id"] for each in elements if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    for each in elements:
        for name in each.attributes.get("aria-labelledby", "").split():
            assert name in ids, name
        if "href" in each.attributes:
            assert each.attributes["href"][:1] == "#"
            assert each.attributes["href"][1:] in ids
        if each.tag == "svg":
            assert each.attributes["role"] == "img"
            assert [inner.tag for inner in each.inside[:2]] == ["title", "desc"]
        if each.tag == "table":
            columns = [len(row.inside) for row in each.all() if row.tag == "tr"]
            assert len(set(columns)) == 1, "rows of different length"
    (policy,) = [e.attributes["content"] for e in elements if e.attributes.get("http-equiv")]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    for each in elements:  # nothing that a browser would fetch
        said = " ".join(value for name, value in each.attributes.items() if name != "aria-label")
        said += each.text if each.tag == "style" else ""
        assert not re.search(r"url\(|@import|https?:|javascript:", said)
        assert set(each.attributes.get("class", "").split()) <= CLASSES
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ET.fromstring(svg)
    return page


def figures(page):
    """Names and values of all lists of facts; the last of each name."""
    found = {}
    for facts in (each for each in page.all() if each.tag == "dl"):
        cells = [each.words.strip() for each in facts.inside]
        found |= dict(zip(cells[::2], cells[1::2], strict=True))
    return found


def tables(page):
    """Rows of each table as dictionaries by column, by caption."""
    named = {each.attributes["id"]: each.text for each in page.all() if each.attributes.get("class") == "caption"}
    found = {}
    for table in (each for each in page.all() if each.tag == "table"):
        head, *rows = [[cell.words.strip() for cell in row.inside] for row in table.all() if row.tag == "tr"]
        found[named[table.attributes["aria-labelledby"]]] = [dict(zip(head, row, strict=True)) for row in rows]
    return found


def test_figures_are_the_records(tmp_path):
    made = record(top1=(91.25, 90.5), samples=800, latency=0.4)
    page = check_page(report(reported(tmp_path, made)))
    found, rows = figures(page), tables(page)
    assert found["float top-1"] == "91.25 %"
    assert found["quantized top-1"] == "90.50 %"
    assert found["difference"] == "-0.75 points, 95 % [-1.15, -0.35]"
    assert found["in float"] == "1"
    assert found["verdict"] == "taken: 12 of 12 operations mapped, predicted"
    (time,) = rows["Latency on local, Some CPU, ai-edge-litert 2.3.0, 1 thread"]
    assert (time["median, ms"], time["95 %"], time["90 % below, ms"]) == ("0.4", "[0.392, 0.412]", "0.48")
    assert time["of the float time, 95 %"] == "0.420 [0.410, 0.435], faster"
    assert time["sha256"] == made["sha256"][:12]
    classes = rows["Top-1 by class, the largest loss first"]
    assert [(row["class"], row["difference, points"]) for row in classes] == [("shoe", "-1.50"), ("bag", "+0.00")]
    worst = next(table for name, table in rows.items() if name.startswith("The worst of 8 layers"))
    assert [row["layer"] for row in worst[:2]] == ["block7", "block6"]
    assert worst[0]["share of the outputs' error"] == "25.0 % ± 1.0 %"
    clipped = rows["The most clipped of 8 layers"]
    assert (clipped[0]["layer"], clipped[0]["clipped"]) == ("block7", "0.700 %")
    assert clipped[0]["range of the file"] == "[-12.5, 13]"
    (rewrite,) = next(table for name, table in rows.items() if name.startswith("Rewrites"))
    assert (rewrite["rewrite"], rewrite["form"], rewrite["places"]) == ("group_conv", "split", "3")
    files = {row["file"]: row["sha256"] for row in rows["Files"]}
    assert files == {made["file"]: made["sha256"], made["float_twin"]["file"]: made["float_twin"]["sha256"]}
    assert made["command"] in page.words


def test_an_old_record_makes_the_same_page(tmp_path):
    pages = [check_page(report(reported(tmp_path, made))) for made in (record(), old_record())]
    (found, rows), (old, old_rows) = ((figures(page), tables(page)) for page in pages)
    assert found == old
    caption = "Outputs as numbers, whatever they mean"
    (port,), (old_port,) = rows.pop(caption), old_rows.pop(caption)
    assert rows == old_rows
    assert old_port == port | {"largest error": "", "alike": ""}  # schema 1 had none


def test_every_task_is_told_in_its_metric(tmp_path):
    made = several()
    page = check_page(report(reported(tmp_path, made)))
    found, rows, words = figures(page), tables(page), " ".join(page.words.split())
    assert (found["float mean F1"], found["quantized mean F1"]) == ("91.00 %", "90.50 %")
    assert (found["float MAE"], found["quantized MAE"]) == ("0.5 m", "0.625 m")
    assert found["difference"] == "+0.125 m, 95 % [+0.025, +0.225]"  # of the last, which is the depth
    assert found["metric"] == "MAE in m, less is better"
    assert (found["p (bootstrap)"], found["p (sign flips)"], found["R2"]) == ("0.03", "0.2", "0.9000 -> 0.8750")
    assert (found["input 1"], found["input 2"]) == (
        "image 1x32x32x3 int8, scale 0.0078125, zero point 0", "words 1x16 int32",
    )  # fmt: skip
    assert "classification (multi-label) of labels, 2 labels" in words
    ports = rows["Outputs as numbers, whatever they mean"]
    assert [(row["output"], row["SQNR"], row["alike"]) for row in ports] == [
        ("labels", "25.5 dB", "cosine 0.99910"), ("depth", "25.5 dB", "cosine 0.99910"), ("rank", "", "75.00 % equal"),
    ]  # fmt: skip
    values = rows["MAE by value, the largest loss first"]
    assert [(row["value"], row["float MAE"], row["difference"]) for row in values] == [
        ("x", "0.5 m", "+0.125"), ("y", "0.5 m", "+0"),
    ]  # fmt: skip
    assert "Mean F1 by class, the largest loss first" in rows
    (summary,) = rows["1 artifact, as measured on the files named"]
    assert (summary["metric"], summary["float"], summary["quantized"]) == (
        "mean F1; MAE", "91.00 %; 0.5 m", "90.50 %; 0.625 m",
    )  # fmt: skip
    assert "MAE in m against size; 1,000 samples of shoes" in rows


def test_outputs_that_mean_nothing_known_are_numbers(tmp_path):
    made = nameless()
    page = check_page(report(reported(tmp_path, made)))
    said = [" ".join(each.words.split()) for each in page.all() if each.attributes.get("class") == "missing"]
    assert not any("accuracy" in one for one in said)
    (summary,) = tables(page)["1 artifact, as measured on the files named"]
    assert summary["top-1"] == "logits 25.5 dB"
    assert "no accuracy" in page.words
    made["ports"] = []
    page = check_page(report(reported(tmp_path, made)))
    said = [" ".join(each.words.split()) for each in page.all() if each.attributes.get("class") == "missing"]
    assert any("the outputs against the float twin's" in one and "compare plain.int8.tflite" in one for one in said)


def test_every_section_names_the_file_it_was_measured_on(tmp_path):
    made = record()
    page = check_page(report(reported(tmp_path, made)))
    single = next(s for s in page.all() if s.tag == "section" and s.inside[0].text == "1 net.int8")
    parts, current = {}, None
    for each in single.inside:
        if each.tag == "h3":
            current = parts.setdefault(each.text, [])
        elif current is not None:
            current.append(each.words)
    assert len(parts) == 11
    for title, words in parts.items():
        assert made["sha256"] in " ".join(words), title


def test_what_was_not_measured_is_said_with_its_command(tmp_path):
    bare = {key: record()[key] for key in ("schema_version", "file", "sha256", "float_twin")}
    page = check_page(report(reported(tmp_path, bare)))
    said = [" ".join(each.words.split()) for each in page.all() if each.attributes.get("class") == "missing"]
    for command in ("tfeff compare net.int8.tflite", "tfeff bench net.int8.tflite --on local",
                    "tfeff debug net.int8.tflite --record", "tfeff check net.int8.tflite --target"):  # fmt: skip
        assert any(command in one and one.startswith("Not measured: ") for one in said), command


def test_without_every_class_the_worst_are_shown_and_said_to_be(tmp_path):
    made = record()
    del made["accuracy"][0]["groups"]
    page = check_page(report(reported(tmp_path, made)))
    assert [row["class"] for row in tables(page)["Top-1 by class, the largest loss first"]] == ["shoe"]
    assert "names only the classes that lost most" in page.words


def test_a_time_that_no_run_paired_with_the_float_twins_has_no_ratio(tmp_path):
    made = [record("paired"), record("alone", latency=0.5)]
    del made[1]["latency"][0]["of_float"]
    where = "Latency on local, Some CPU, ai-edge-litert 2.3.0, 1 thread"
    both = tables(check_page(report(reported(tmp_path, *made))))[where]
    assert [row["of the float time, 95 %"] for row in both] == ["0.420 [0.410, 0.435], faster", "-"]
    (alone,) = tables(check_page(report(reported(tmp_path, made[1]))))[where]  # a record older than the key
    assert "of the float time, 95 %" not in alone


def test_a_browsers_times_say_whether_it_computed_the_same(tmp_path):
    made = record()
    entry = made["latency"][0] | {"device": "browser", "cpu": "Mozilla/5.0 (Phone), wasm", "runtime": "litert.js"}
    entry |= {"kernels": {"xnnpack": "unknown", "delegated": None, "total": None, "left": []}}
    entry["browser"] = {"same_top1": 99, "images": 100, "max_abs_difference": 0.25}
    made["latency"].append(entry)
    rows = tables(check_page(report(reported(tmp_path, made))))
    (sent,) = rows["Latency on browser, Mozilla/5.0 (Phone), wasm, litert.js 2.3.0, 1 thread"]
    assert sent["same class as here"] == "99 of 100, outputs at most 0.25 apart"
    (own,) = rows["Latency on local, Some CPU, ai-edge-litert 2.3.0, 1 thread"]
    assert "same class as here" not in own


def test_many_artifacts_are_folded_and_stay_small(tmp_path):
    made = []
    for n in range(30):
        one = record(f"net{n}", latency=0.1 + n)
        one["debug"]["layers"] = [layer(i, local=20) for i in range(350)]
        made.append(one)
    text = report(reported(tmp_path, *made))
    page = check_page(text)
    assert len([each for each in page.all() if each.tag == "details"]) == 30
    assert len(text.encode()) < 3_000_000


def test_a_page_of_more_than_3_mb_is_refused(tmp_path):
    one = record() | {"notes": [f"{n} " + "note " * 100 for n in range(6000)]}
    found = reported(tmp_path, one)
    with pytest.raises(TfeffError, match="more than 3,000,000 bytes"):
        report(found)
    assert json.loads(report(found, "json"))["artifacts"][0]["record"]["notes"] == one["notes"]


def luminance(colour):
    """Relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_in_light_and_dark(tmp_path):
    style = next(e.text for e in parse(report(reported(tmp_path, record()))).all() if e.tag == "style")
    light, dark = (dict(re.findall(r"--(\w+):(#\w+)", part)) for part in re.findall(r":root\{(.*?)\}", style, re.S)[:2])
    assert light.keys() == dark.keys()
    for palette in (light, dark):
        pairs = [(ink, "paper", 4.5) for ink in ("ink", "faint", "link", "bad")]
        pairs += [("ink", "card", 4.5), ("ink", "warn", 4.5), ("bar", "paper", 3), ("good", "paper", 3)]
        for ink, paper, least in pairs:
            bright, dim = sorted((luminance(palette[ink]), luminance(palette[paper])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= least, (ink, paper)


def test_same_records_same_bytes(tmp_path):
    made = [record("a"), record("b", latency=2.0)]
    assert report(reported(tmp_path, *made)) == report(reported(tmp_path, *copy.deepcopy(made)))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_html_in_names_and_labels_does_nothing(tmp_path, text):
    harmless = check_page(report(in_json(tmp_path, poisoned("harmless")), title="harmless"))
    page = check_page(report(in_json(tmp_path, poisoned(text)), title=text))
    shape, other = ([(each.tag, set(each.attributes) - {"class"}) for each in one.all()] for one in (page, harmless))
    assert shape == other
    assert not {"\0", "\x1b", "\u202e"} & set(page.words)


@pytest.mark.skipif(not (CHROMIUM := shutil.which("chromium")), reason="chromium is not installed")
def test_chromium_runs_nothing_of_it(tmp_path):
    text = "".join(each for each in HOSTILE if "\ud800" not in each)
    path = tmp_path / "page.html"
    path.write_text(report(in_json(tmp_path, poisoned(text)), title="still"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
             "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    ran = subprocess.run(
        [CHROMIUM, *flags, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=300,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    page = parse(ran.stdout.strip())
    tags = {each.tag for each in page.all()}
    assert "svg" in tags
    assert not tags & {"script", "img", "b", "iframe", "object", "link"}
    assert next(each.text for each in page.all() if each.tag == "title") == "still"
