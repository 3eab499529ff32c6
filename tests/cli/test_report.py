"""`tfeff report` as a user runs it."""

import json

import pytest
from cli_runner import assert_refused, tfeff
from report_page import parse
from report_records import QUANTIZED, old_record, record, write

from tfeff.record import decode, to_dict


@pytest.fixture
def path(tmp_path):
    return write(tmp_path)


def test_a_page(path, tmp_path, capfd):
    page = tmp_path / "report.html"
    ran = tfeff(capfd, "report", path, "--out", page)
    assert (ran.code, ran.out) == (0, "")
    assert "not hashed again" in ran.err
    title = next(each for each in parse(page.read_text(encoding="utf-8")).all() if each.tag == "title")
    assert title.text == "net.int8"
    assert not list(tmp_path.glob(".*tmp"))
    assert_refused(tfeff(capfd, "report", path, "--out", page), "exists", "--force")
    ran = tfeff(capfd, "report", path, "--out", page, "--force", "--title", "Shoes & <b>", "--verify", "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == {
        "file": str(page), "format": "html", "size_bytes": page.stat().st_size,
        "artifacts": [
            {"name": "net.int8", "sha256": record()["sha256"], "verified": ["net.int8.tflite", "net.int8.twin.tflite"]}
        ],
    }  # fmt: skip
    text = page.read_text(encoding="utf-8")
    assert next(each.text for each in parse(text).all() if each.tag == "h1") == "Shoes & <b>"
    assert "All of these files were hashed again" in text


def test_markdown_and_json_to_stdout_or_by_the_ending(path, tmp_path, capfd):
    ran = tfeff(capfd, "report", path, "--format", "md")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# net.int8\n")
    ran = tfeff(capfd, "report", path, "--format", "json")
    assert ran.json["artifacts"][0]["record"] == to_dict(decode(path.read_bytes(), "x"))
    assert ran.json["artifacts"][0]["missing"] == []
    for end, start in ((".md", "# net.int8\n"), (".JSON", "{")):
        assert tfeff(capfd, "report", path, "--out", tmp_path / f"card{end}", "-q").code == 0
        assert (tmp_path / f"card{end}").read_text(encoding="utf-8").startswith(start)


def test_an_old_record(tmp_path, capfd):
    path = write(tmp_path, old_record())
    ran = tfeff(capfd, "report", path, "--format", "json")
    assert ran.json["artifacts"][0]["record"]["schema_version"] == 2
    assert ran.json["comparisons"][0]["metric"] == "top-1"
    assert tfeff(capfd, "report", path, "--out", tmp_path / "old.html", "--verify", "-q").code == 0
    assert json.loads(path.read_text(encoding="utf-8")) == old_record()  # reading changes nothing


def test_json_says_what_is_missing_and_how_artifacts_compare(path, tmp_path, capfd):
    other = record("other", latency=5.0)
    other["debug"] = None
    ran = tfeff(capfd, "report", path, write(tmp_path, other), "--format", "json")
    assert ran.json["artifacts"][1]["missing"] == [{"what": "layers", "command": "tfeff debug other.tflite --record"}]
    latency = next(each for each in ran.json["comparisons"] if each["cost"] == "latency_ms")
    assert [(point["number"], point["standing"]) for point in latency["points"]] == [
        (1, "front"),
        (2, "within the intervals"),
    ]


def test_refuses_usage(path, tmp_path, capfd):
    assert_refused(tfeff(capfd, "report", path), "no file to write the page to", "--out")
    assert_refused(tfeff(capfd, "report", path, "--format", "md", "--json"), "--json", "--out")
    assert_refused(tfeff(capfd, "report", path, "--out", tmp_path), "is a folder")
    assert_refused(tfeff(capfd, "report", path, "--out", tmp_path / "no" / "page.html"), "folder does not exist")
    assert_refused(tfeff(capfd, "report", path, "--out", path, "--force"), "is one of the artifacts")
    artifact = path.with_suffix(".tflite")
    assert_refused(tfeff(capfd, "report", path, "--out", artifact, "--force"), "is one of the artifacts")
    assert artifact.read_bytes() == QUANTIZED
    assert tfeff(capfd, "report").code == 2


def test_refused_records_leave_nothing(path, tmp_path, capfd):
    page, before = tmp_path / "report.html", path.read_text(encoding="utf-8")
    for text, said in (
        (before[: len(before) // 2], "not a readable record"),
        (json.dumps(record() | {"schema_version": 3}), "update tfeff"),
        (before.replace('"quantized": 90.5, "delta"', '"quantized": 97.5, "delta"'), "differ by 6.5"),
    ):
        path.write_text(text, encoding="utf-8")
        assert_refused(tfeff(capfd, "report", path, "--out", page), str(path), said)
        assert not page.exists()
    path.write_text(before, encoding="utf-8")
    path.with_suffix(".tflite").write_bytes(QUANTIZED + b"!")
    assert_refused(
        tfeff(capfd, "report", path, "--out", page, "--verify"), "is not the file that net.int8.json describes"
    )
    path.with_suffix(".tflite").unlink()
    assert_refused(tfeff(capfd, "report", path, "--out", page, "--verify"), "no such file")
    path.unlink()
    assert_refused(tfeff(capfd, "report", path, "--out", page), "no such record")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.int8.twin.tflite"]


def test_an_unwritable_place_is_told(path, tmp_path, capfd):
    longest = tmp_path / ("x" * 252 + ".md")  # as long as a disk takes: no temporary name is longer
    assert tfeff(capfd, "report", path, "--out", longest).code == 0
    assert longest.is_file()
    longer = tmp_path / ("x" * 300 + ".json")
    assert_refused(tfeff(capfd, "report", path, "--out", longer), "cannot be written")
    assert_refused(tfeff(capfd, "report", longer, "--format", "md"), "cannot be read")
