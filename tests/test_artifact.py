"""The record beside an artifact."""

import hashlib
import json
import os
import shutil

import msgspec
import pytest
from compare_models import write_old_record, write_test_record

from tfeff.artifact import (
    open_artifact,
    read_record,
    record_path,
    update_record,
    verify_twin,
    write_record,
)
from tfeff.errors import TfeffError
from tfeff.record import Record

pytest_plugins = ["compare_fixtures"]


@pytest.fixture
def artifact(compared_files, tmp_path):
    """An int8 file, its float twin and its record in a folder of their own."""
    shutil.copy(compared_files.float, tmp_path)
    path = tmp_path / "int8.tflite"
    shutil.copy(compared_files.int8, path)
    write_test_record(path)
    return path


def refused(call, *arguments):
    with pytest.raises(TfeffError) as error:
        call(*arguments)
    return str(error.value)


def test_opens_by_either_file(artifact):
    by_file, by_record = open_artifact(artifact), open_artifact(artifact.with_suffix(".json"))
    assert by_file == by_record
    assert by_file.path == artifact
    assert by_file.sha256 == hashlib.sha256(artifact.read_bytes()).hexdigest() == by_file.record.sha256
    assert by_file.twin == verify_twin(by_file) == artifact.with_name("float.tflite")


def test_a_file_without_a_record(artifact):
    record_path(artifact).unlink()
    opened = open_artifact(str(artifact))
    assert opened.record is None
    assert opened.twin is None
    assert verify_twin(opened) is None
    assert update_record(opened, lambda record: record.notes.clear()) is False
    assert not record_path(artifact).exists()
    assert "no such record" in refused(open_artifact, artifact.with_suffix(".json"))


def test_a_file_that_is_not_the_records(artifact, compared_files):
    shutil.copy(compared_files.wrong, artifact)
    message = refused(open_artifact, artifact)
    assert "is not the file that int8.json describes" in message
    assert "mend: export it anew" in message


def test_records_that_cannot_be_read(artifact):
    path = record_path(artifact)
    for text, message in [
        ('{"schema_version": 1', "not a readable record"),
        ("[]", "not a tfeff record"),
        ('{"labels": []}', "not a tfeff record"),
        ('{"schema_version": 3, "file": "a", "sha256": "b"}', "schema version 3, this tfeff reads 1 to 2"),
        ('{"schema_version": 1, "file": "a", "sha256": null}', "sha256"),
        (json.dumps({"schema_version": 1, "file": "a", "sha256": "0" * 64}), "is not the file"),
    ]:
        path.write_text(text, encoding="utf-8")
        assert message in refused(open_artifact, artifact)
    path.write_bytes(b"\xff\xfe\x00")
    assert "not a readable record" in refused(open_artifact, artifact)


def test_a_twin_that_is_missing_changed_or_not_understood(artifact, compared_files):
    twin = artifact.with_name("float.tflite")
    shutil.copy(compared_files.wrong, twin)
    assert "is not the float twin of int8.tflite" in refused(verify_twin, open_artifact(artifact))
    twin.unlink()
    message = refused(verify_twin, open_artifact(artifact))
    assert f"its float twin {twin} is missing" in message
    assert "mend:" in message
    record = json.loads(record_path(artifact).read_text())
    for entry in ("float.tflite", {"sha256": "a"}, {"file": "../float.tflite"}, {"file": ""}, {"file": 3}):
        record_path(artifact).write_text(json.dumps(record | {"float_twin": entry}))
        assert "float_twin" in refused(open_artifact, artifact)


def test_a_record_of_before_schema_2_opens(artifact):
    path = write_old_record(artifact)
    opened = open_artifact(artifact)
    assert verify_twin(opened) == artifact.with_name("float.tflite")
    assert [port.name for port in (*opened.record.inputs, *opened.record.outputs)] == ["image", "logits"]
    assert update_record(opened, lambda record: record.notes.append("seen")) is True
    assert json.loads(path.read_text())["schema_version"] == 2
    assert open_artifact(artifact).record.notes == ["seen"]


def test_update_changes_what_is_there_now_and_only_that(artifact):
    opened = open_artifact(artifact)
    other = read_record(record_path(artifact))
    other.notes = ["meanwhile another command appended"]
    write_record(record_path(artifact), other)

    def change(record):
        record.macs = 7

    assert update_record(opened, change) is True
    assert read_record(record_path(artifact)) == msgspec.structs.replace(other, macs=7)
    assert sorted(path.name for path in artifact.parent.iterdir()) == ["float.tflite", "int8.json", "int8.tflite"]


def test_update_refuses_a_record_of_another_file(artifact):
    opened = open_artifact(artifact)
    write_record(record_path(artifact), msgspec.structs.replace(opened.record, sha256="0" * 64))
    assert "was replaced while" in refused(update_record, opened, lambda record: None)


def test_a_record_is_written_whole_or_not_at_all(artifact, monkeypatch):
    path, before = record_path(artifact), record_path(artifact).read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    record = Record(file="a.tflite", sha256="0" * 64, network="ä")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert "No space left on device" in refused(write_record, path, record)
    with pytest.raises(ValueError):
        write_record(path, msgspec.structs.replace(record, pruning={"loss": float("nan")}))  # JSON has no NaN
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 3
    write_record(path, record)
    first = path.read_bytes()
    write_record(path, read_record(path))
    assert path.read_bytes() == first
    assert json.loads(first)["network"] == "ä"


def test_a_folder_that_is_missing(tmp_path):
    record = Record(file="a.tflite", sha256="0" * 64)
    assert "choose a folder you can write to" in refused(write_record, tmp_path / "none" / "a.json", record)
