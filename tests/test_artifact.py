"""The record beside an artifact, and whether a file is whole."""

import hashlib
import json
import os
import random
import shutil
import struct

import pytest
from compare_models import write_test_record

from tfeff.artifact import (
    check_tflite,
    open_artifact,
    read_record,
    record_path,
    update_record,
    verify_twin,
    write_record,
)
from tfeff.errors import TfeffError
from tfeff.tflite.verify import _Flatbuffer

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
    assert by_file.sha256 == hashlib.sha256(artifact.read_bytes()).hexdigest() == by_file.record["sha256"]
    assert by_file.twin == verify_twin(by_file) == artifact.with_name("float.tflite")


def test_a_file_without_a_record(artifact):
    record_path(artifact).unlink()
    opened = open_artifact(str(artifact))
    assert opened.record is None
    assert opened.twin is None
    assert verify_twin(opened) is None
    assert update_record(opened, lambda record: record.clear()) is False
    assert not record_path(artifact).exists()
    assert "no such record" in refused(open_artifact, artifact.with_suffix(".json"))


def test_what_is_no_tflite_file(tmp_path):
    assert "no such file" in refused(check_tflite, tmp_path / "a.tflite")
    assert "cannot be read" in refused(check_tflite, tmp_path)
    for data in (b"", b"TFL3", b"\0\0\0\0TFL", b"PK\x03\x04 not a model at all"):
        (tmp_path / "a.tflite").write_bytes(data)
        assert "not a TFLite file" in refused(check_tflite, tmp_path / "a.tflite")


@pytest.mark.parametrize("which", ["int8", "float"])
def test_a_file_cut_anywhere_is_refused(compared_files, tmp_path, which):
    data, part = getattr(compared_files, which).read_bytes(), tmp_path / "part.tflite"
    assert check_tflite(getattr(compared_files, which)) == hashlib.sha256(data).hexdigest()
    for size in [*range(8, len(data), 7), *range(len(data) - 64, len(data))]:
        part.write_bytes(data[:size])
        assert "cut short or damaged" in refused(check_tflite, part)


def test_a_damaged_file_is_refused_or_whole_but_never_an_error_of_ours(compared_files, tmp_path):
    data, part, generator = compared_files.int8.read_bytes(), tmp_path / "part.tflite", random.Random(0)
    found = 0
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 4, 40])):
            damaged[generator.randrange(8, len(data))] = generator.randrange(256)
        part.write_bytes(damaged)
        try:
            check_tflite(part)
        except TfeffError:
            found += 1
    assert found > 300


def test_offsets_before_the_beginning_are_refused(tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(struct.pack("<I4siHH", 8, b"TFL3", 12, 4, 4))  # a vtable at -4, which would be the end
    assert "cut short or damaged" in refused(check_tflite, path)


def test_shared_tables_are_walked_once(tmp_path, monkeypatch):
    """2,000 times the same subgraph with 2,000 times the same tensor: four million if each were walked."""
    count = 2000

    def offsets(to, at):
        return struct.pack("<I", count) + b"".join(struct.pack("<I", to - at - 4 - 4 * n) for n in range(count))

    vector = 4 + 4 * count
    model = 24  # root: a vtable of 10 bytes at 8 (padded), the table at 24
    subgraphs, subgraph = model + 8, model + 8 + vector + 8
    tensors, tensor = subgraph + 8, subgraph + 8 + vector + 8
    data = struct.pack("<I4s", model, b"TFL3") + struct.pack("<HHHHHHHH", 10, 8, 0, 0, 4, 0, 0, 0)
    data += struct.pack("<iI", model - 8, subgraphs - model - 4) + offsets(subgraph, subgraphs)
    data += struct.pack("<HHHH", 6, 8, 4, 0) + struct.pack("<iI", 8, tensors - subgraph - 4) + offsets(tensor, tensors)
    data += struct.pack("<HHHH", 4, 4, 0, 0) + struct.pack("<i", 8)
    (tmp_path / "a.tflite").write_bytes(data)
    walked, table = [], _Flatbuffer.table
    monkeypatch.setattr(_Flatbuffer, "table", lambda self, kind, at: (walked.append(kind), table(self, kind, at)))
    assert check_tflite(tmp_path / "a.tflite") == hashlib.sha256(data).hexdigest()
    assert walked == ["Model", "SubGraph", "Tensor"]


def test_data_behind_the_flatbuffer_is_checked(compared_files, tmp_path):
    """Files above 2 GB keep their buffers behind the flatbuffer, by absolute place and size."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(compared_files.int8.read_bytes()))
    path = tmp_path / "large.tflite"
    for size, whole in ((16, True), (10**6, False)):
        model.buffers[-1].data, model.buffers[-1].offset, model.buffers[-1].size = None, 64, size
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())
        if whole:
            assert check_tflite(path)
        else:
            assert "cut short or damaged" in refused(check_tflite, path)


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
        ('{"schema_version": 2, "file": "a", "sha256": "b"}', "schema version 2, this tfeff reads 1"),
        ('{"schema_version": 1, "file": "a", "sha256": null}', "is not the file"),
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
    for entry in ("float.tflite", {"sha256": "a"}, {"file": "../float.tflite"}, {"file": ""}, {"file": 3}):
        write_record(record_path(artifact), read_record(record_path(artifact)) | {"float_twin": entry})
        assert "float_twin is not understood" in refused(verify_twin, open_artifact(artifact))


def test_update_changes_what_is_there_now_and_only_that(artifact):
    opened = open_artifact(artifact)
    other = read_record(record_path(artifact)) | {"latency": [1]}  # meanwhile another command appended
    write_record(record_path(artifact), other)
    assert update_record(opened, lambda record: record.update(accuracy={"delta": -0.5})) is True
    assert read_record(record_path(artifact)) == other | {"accuracy": {"delta": -0.5}}
    assert sorted(path.name for path in artifact.parent.iterdir()) == ["float.tflite", "int8.json", "int8.tflite"]


def test_update_refuses_a_record_of_another_file(artifact):
    opened = open_artifact(artifact)
    write_record(record_path(artifact), opened.record | {"sha256": "0" * 64})
    assert "was replaced while" in refused(update_record, opened, lambda record: None)


def test_a_record_is_written_whole_or_not_at_all(artifact, monkeypatch):
    path, before = record_path(artifact), record_path(artifact).read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert "No space left on device" in refused(write_record, path, {"a": 1})
    with pytest.raises(ValueError):
        write_record(path, {"a": float("nan")})  # JSON has no NaN
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 3
    write_record(path, {"schema_version": 1, "labels": ["ä"]})
    first = path.read_bytes()
    write_record(path, {"schema_version": 1, "labels": ["ä"]})
    assert path.read_bytes() == first
    assert json.loads(first) == {"schema_version": 1, "labels": ["ä"]}


def test_a_folder_that_is_missing(tmp_path):
    assert "choose a folder you can write to" in refused(write_record, tmp_path / "none" / "a.json", {})
