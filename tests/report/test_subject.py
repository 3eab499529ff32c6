"""Reading records for a report: what is taken, what is refused and how."""

import copy
import json

import pytest
from report_records import FLOAT, QUANTIZED, record, write

from tfeff.errors import TfeffError
from tfeff.report import read_subjects


def test_records_alone_suffice(tmp_path):
    path = write(tmp_path)
    for file in tmp_path.glob("*.tflite"):
        file.unlink()
    (subject,) = read_subjects([path])
    assert (subject.name, subject.sha256, subject.verified) == ("net.int8", record()["sha256"], ())


def test_an_artifact_leads_to_its_record_and_each_is_read_once(tmp_path):
    path = write(tmp_path)
    subjects = read_subjects([path, path.with_suffix(".tflite"), tmp_path / "." / path.name])
    assert [subject.path.name for subject in subjects] == [path.name]


def test_verify_hashes_the_file_its_twin_and_the_compiled_one(tmp_path):
    made = record()
    made["compiled"] = {"file": "net_vela.tflite", "sha256": made["sha256"], "size_bytes": len(QUANTIZED)}
    path = write(tmp_path, made)
    (tmp_path / "net_vela.tflite").write_bytes(QUANTIZED)
    assert read_subjects([path], verify=True)[0].verified == (
        "net.int8.tflite",
        "net.int8.twin.tflite",
        "net_vela.tflite",
    )
    (tmp_path / "net_vela.tflite").write_bytes(QUANTIZED + b"!")
    with pytest.raises(TfeffError, match="not the file that was compiled"):
        read_subjects([path], verify=True)
    (tmp_path / "net_vela.tflite").unlink()
    with pytest.raises(TfeffError, match=r"net_vela\.tflite: cannot be read"):
        read_subjects([path], verify=True)


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
        read_subjects([path], verify=True)
    assert caught.value.mend


def test_verify_refuses_another_size(tmp_path):
    path = write(tmp_path, record() | {"size_bytes": 3})
    with pytest.raises(TfeffError, match="the record says 3"):
        read_subjects([path], verify=True)


def test_verify_refuses_a_record_that_was_renamed(tmp_path):
    path = write(tmp_path)
    other = path.rename(tmp_path / "other.json")
    (tmp_path / "other.tflite").write_bytes(QUANTIZED)
    with pytest.raises(TfeffError, match=r"describes net\.int8\.tflite"):
        read_subjects([other], verify=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(record())[:700], "not a readable record"),
        ("", "not a readable record"),
        ("[1, 2]", "not a tfeff record"),
        ('{"schema_version": 1}', "not a tfeff record"),
        (json.dumps(record() | {"schema_version": 2}), "schema version 2, this tfeff reads 1"),
        ("[" * 200_000, "not a readable record"),
        (json.dumps(record() | {"macs": float("nan")}), "macs is nan"),
        (json.dumps(record() | {"notes": [{"deep": [[[[float("inf")]]]]}]}), "deep is inf"),
        (json.dumps(record() | {"size_bytes": 10**30}), "size_bytes is a number of 31 digits"),
    ],
    ids=["cut", "empty", "list", "bare", "newer", "deep", "nan", "infinity", "digits"],
)
def test_refuses_what_is_no_record(tmp_path, text, said):
    path = tmp_path / "net.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TfeffError, match=said) as caught:
        read_subjects([path])
    assert "net.json" in caught.value.what
    assert caught.value.mend


def test_refuses_a_record_that_is_gone_or_a_folder(tmp_path):
    with pytest.raises(TfeffError, match="no such record"):
        read_subjects([tmp_path / "gone.json"])
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TfeffError, match="not a readable record"):
        read_subjects([tmp_path / "folder.json"])
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(40 * 2**20)
    with pytest.raises(TfeffError, match="larger than 33,554,432 bytes"):
        read_subjects([tmp_path / "large.json"])
    with pytest.raises(TfeffError, match="names no file"):
        read_subjects(["."])
    with pytest.raises(TfeffError, match="no record to tell of"):
        read_subjects([])


OTHER = "f" * 64


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("accuracy", "quantized_sha256"), OTHER, "accuracy.quantized_sha256 is ffffffffffff, of another file"),
        (("latency", 0, "sha256"), OTHER, r"latency\[0\].sha256 is ffffffffffff, of another file"),
        (("debug", "sha256"), OTHER, "debug.sha256 is ffffffffffff, of another file"),
        (("sha256",), OTHER, "of another file"),
        (("sha256",), "abc", "sha256 is 'abc', not a sha256"),
        (("accuracy", "quantized_top1"), 99.0, "the two top-1 differ by 8"),
        (("accuracy", "float_top1"), "91", "accuracy.float_top1 is '91', not a number"),
        (("accuracy", "float_top1"), True, "accuracy.float_top1 is True, not a number"),
        (("accuracy", "float_top1"), 101.0, "outside of 0 .. 100"),
        (("accuracy", "samples"), 0, "accuracy.samples is 0, outside"),
        (("accuracy", "ci95"), [1.0, -1.0], "its low end lies above"),
        (("accuracy", "by_class", 0, "samples"), 1, "by_class has other images"),
        (("accuracy", "by_class", 0, "float_top1"), 1.0, "by_class gives float_top1"),
        (("accuracy",), [], r"accuracy is \[\], not an object"),
        (("accuracy",), "good", "accuracy is 'good', not an object"),
        (("latency",), {"a": 1}, "latency is .* not a list"),
        (("latency", 0, "median_ms"), 9.0, "median_ms is 9, its interval is"),
        (("latency", 0, "median_ms"), -1, "median_ms is -1, outside"),
        (("latency", 0, "quantiles_ms"), [5, 4, 3, 2, 1], "do not rise"),
        (("latency", 0, "of_float", "ratio"), 0.5, r"of_float.ratio is 0.5, its interval is \[0.41, 0.435\]"),
        (("latency", 0, "of_float", "ci95"), [0.5, 0.4], "its low end lies above"),
        (
            ("latency", 0, "of_float", "sha256"),
            OTHER,
            "of_float.sha256 is ffffffffffff, not the float twin: the record",
        ),
        (("float_twin",), None, "not the float twin: the record names none"),
        (("latency", 0, "of_float", "verdict"), "slower", "verdict is 'slower', its interval is"),
        (("latency", 0, "of_float", "verdict"), "much faster", "verdict is 'much faster'"),
        (("latency", 0, "of_float"), 0.4, "of_float is 0.4, not an object"),
        (("latency", 0, "device"), None, "device is None, not a text"),
        (("debug", "layers", 3, "range_use"), None, r"debug.layers\[3\].range_use is None"),
        (("ops", "int8"), 12, "ops names 13 operations of 12"),
        (("check", "mapped"), 13, "check maps 13 operations of 12"),
        (("file",), "../net.tflite", "not the name of a file beside the record"),
        (("float_twin", "file"), "/etc/passwd", "not the name of a file beside the record"),
        (("labels",), [1, 2], r"labels\[0\] is 1, not a text"),
        (("rewrites", 0, "places"), 1.5, "not a whole number"),
        (("versions",), {"tfeff": {}}, "versions.tfeff is {}"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_refuses_figures_that_were_changed(tmp_path, at, value, said):
    made = copy.deepcopy(record())
    place = made
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    path = write(tmp_path)
    path.write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(TfeffError, match=said) as caught:
        read_subjects([path])
    assert caught.value.what.startswith(str(path))


def test_a_record_with_nothing_measured_is_taken(tmp_path):
    bare = {key: record()[key] for key in ("schema_version", "file", "sha256")}
    path = tmp_path / "net.int8.json"
    path.write_text(json.dumps(bare), encoding="utf-8")
    assert read_subjects([path])[0].part("latency") == {}
