"""Reading records for a report: what is taken, what is refused and how."""

import json

import msgspec
import pytest
from report_records import FLOAT, QUANTIZED, nameless, old_record, record, several, write

from tfeff.errors import TfeffError
from tfeff.report import read_reported


def test_records_alone_suffice(tmp_path):
    path = write(tmp_path)
    for file in tmp_path.glob("*.tflite"):
        file.unlink()
    (found,) = read_reported([path])
    assert (found.name, found.sha256, found.verified) == ("net.int8", record()["sha256"], ())


def test_an_artifact_leads_to_its_record_and_each_is_read_once(tmp_path):
    path = write(tmp_path)
    found = read_reported([path, path.with_suffix(".tflite"), tmp_path / "." / path.name])
    assert [each.path.name for each in found] == [path.name]


def test_verify_hashes_the_file_its_twin_and_the_compiled_one(tmp_path):
    made = record()
    made["compiled"] = {"file": "net_vela.tflite", "sha256": made["sha256"], "size_bytes": len(QUANTIZED)}
    path = write(tmp_path, made)
    (tmp_path / "net_vela.tflite").write_bytes(QUANTIZED)
    assert read_reported([path], verify=True)[0].verified == (
        "net.int8.tflite",
        "net.int8.twin.tflite",
        "net_vela.tflite",
    )
    (tmp_path / "net_vela.tflite").write_bytes(QUANTIZED + b"!")
    with pytest.raises(TfeffError, match="not the file that was compiled"):
        read_reported([path], verify=True)
    (tmp_path / "net_vela.tflite").unlink()
    with pytest.raises(TfeffError, match=r"net_vela\.tflite: cannot be read"):
        read_reported([path], verify=True)


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("net.int8.tflite", None, "no such file"),
        ("net.int8.tflite", QUANTIZED + b"!", "not the file that net.int8.json describes"),
        ("net.int8.tflite", QUANTIZED[:18], "cut short or damaged"),
        ("net.int8.twin.tflite", None, "float twin .* is missing"),
        ("net.int8.twin.tflite", FLOAT + b"!", "not the float twin"),
    ],
)
def test_verify_refuses_files_that_are_gone_or_others(tmp_path, file, data, said):
    path = write(tmp_path)
    (tmp_path / file).unlink() if data is None else (tmp_path / file).write_bytes(data)
    with pytest.raises(TfeffError, match=said) as caught:
        read_reported([path], verify=True)
    assert caught.value.mend


def test_verify_refuses_another_size(tmp_path):
    path = write(tmp_path, record() | {"size_bytes": 3})
    with pytest.raises(TfeffError, match="the record says 3"):
        read_reported([path], verify=True)


def test_verify_refuses_a_record_that_was_renamed(tmp_path):
    path = write(tmp_path)
    other = path.rename(tmp_path / "other.json")
    (tmp_path / "other.tflite").write_bytes(QUANTIZED)
    with pytest.raises(TfeffError, match=r"describes net\.int8\.tflite"):
        read_reported([other], verify=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(record())[:700], "not a readable record"),
        ("", "not a readable record"),
        ("[1, 2]", "not a tfeff record"),
        ('{"schema_version": 1}', "not a tfeff record"),
        (json.dumps(record() | {"schema_version": 3}), "schema version 3, this tfeff reads 1 to 2"),
        ("[" * 200_000, "nested too deep"),
        (json.dumps(record() | {"macs": float("nan")}), "holds NaN"),
        (json.dumps(record() | {"pruning": {"deep": [0.5]}}).replace("0.5]", "1e999]"), "not finite"),
        (json.dumps(record() | {"size_bytes": 10**30}), "size_bytes: a number of too many digits"),
    ],
    ids=["cut", "empty", "list", "bare", "newer", "deep", "nan", "infinity", "digits"],
)
def test_refuses_what_is_no_record(tmp_path, text, said):
    path = tmp_path / "net.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TfeffError, match=said) as caught:
        read_reported([path])
    assert "net.json" in caught.value.what
    assert caught.value.mend


def test_refuses_a_record_that_is_gone_or_a_folder(tmp_path):
    with pytest.raises(TfeffError, match="no such record"):
        read_reported([tmp_path / "gone.json"])
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TfeffError, match="cannot be read"):
        read_reported([tmp_path / "folder.json"])
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(40 * 2**20)
    with pytest.raises(TfeffError, match="larger than 8,388,608 bytes"):
        read_reported([tmp_path / "large.json"])
    with pytest.raises(TfeffError, match="names no file"):
        read_reported(["."])
    with pytest.raises(TfeffError, match="no record to tell of"):
        read_reported([])


OTHER = "f" * 64


@pytest.mark.parametrize(
    ("made", "at", "value", "said"),
    [
        (
            record,
            ("accuracy", 0, "quantized_sha256"),
            OTHER,
            r"quantized_sha256: is ffffffffffff, of another",
        ),
        (record, ("accuracy", 0, "quantized"), 99.0, r"accuracy\[0\].delta: is -0.5, the two figures differ by 8"),
        (record, ("ports", 0, "name"), "mask", "names 'mask', which is none of the file's outputs"),
        (
            old_record,
            ("accuracy", "quantized_top1"),
            99.0,
            r"accuracy\[0\].delta: is -0.5, the two figures differ by 8",
        ),
        (old_record, ("accuracy", "by_class", 0, "samples"), 1, "has other samples than"),
        (old_record, ("labels",), [1, 2], "labels.* expected str, got int"),
    ],
)
def test_refuses_figures_that_were_changed(tmp_path, made, at, value, said):
    """`tests/record` tries every part."""
    changed = made()
    place = changed
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    path = write(tmp_path)
    path.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(TfeffError, match=said) as caught:
        read_reported([path])
    assert caught.value.what.startswith(str(path))


@pytest.mark.parametrize(
    ("name", "decode", "said"),
    [
        ("detection", {}, "missing required field"),
        ("detection", {"kind": ["anchors"]}, "kind"),
        ("classification", {"kind": {"a": 1}}, "task classification: kind {'a': 1}"),
        ("classification", {"kind": "multi-label", "threshold": "high"}, "threshold 'high'"),
    ],
)
def test_refuses_a_meaning_that_is_none(tmp_path, name, decode, said):
    changed = record()
    changed["tasks"][0] |= {"name": name, "decode": decode}
    path = write(tmp_path)
    path.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(TfeffError, match=said) as caught:
        read_reported([path])
    assert caught.value.what.startswith(str(path))


def test_a_record_with_nothing_measured_is_taken(tmp_path):
    for made in (record(), old_record()):
        bare = {key: made[key] for key in ("schema_version", "file", "sha256")}
        path = tmp_path / "net.int8.json"
        path.write_text(json.dumps(bare), encoding="utf-8")
        (found,) = read_reported([path])
        assert (found.record.latency, found.record.accuracy, found.has_metric) == ([], [], True)


def test_an_old_record_says_what_a_new_one_says(tmp_path):
    one, other = (read_reported([write(tmp_path, made)])[0].record for made in (record(), old_record()))
    lost = msgspec.structs.replace(one.ports[0], max_abs_error=None, cosine=None)  # schema 1 had none
    assert other == msgspec.structs.replace(one, ports=[lost])


def test_whether_there_is_a_metric_to_measure(tmp_path):
    for made, has in ((record(), True), (several(), True), (nameless(), False)):
        assert read_reported([write(tmp_path, made)])[0].has_metric == has
    made = nameless()
    made["tasks"][0]["name"] = "of a later tfeff"
    assert read_reported([write(tmp_path, made)])[0].has_metric
