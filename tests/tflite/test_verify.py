"""Whether a file is whole: files that were cut, damaged, or made to keep their reader busy."""

import hashlib
import os
import random
import struct

import pytest

from tfeff.errors import TfeffError
from tfeff.tflite.verify import _Flatbuffer, check_tflite

pytest_plugins = ["compare_fixtures"]


def refused(call, *arguments):
    with pytest.raises(TfeffError) as error:
        call(*arguments)
    return str(error.value)


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


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.tflite")  # reading it would wait for ever
    assert "not a regular file" in refused(check_tflite, tmp_path / "a.tflite")


def table_of(fields, body):
    """A table whose vtable stands before it: (bytes, where in them the table begins)."""
    vtable = struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), 4 + len(body), *fields)
    vtable += bytes(-len(vtable) % 4)
    return vtable + struct.pack("<i", len(vtable)) + body, len(vtable)


def nested(subgraphs, tensors):
    """A file with so many times the same subgraph, which has so many times the same tensor."""

    def offsets(count, to, at):
        return struct.pack("<I", count) + b"".join(struct.pack("<I", to - at - 4 - 4 * n) for n in range(count))

    model, model_at = table_of([0, 0, 4], bytes(4))
    subgraph, subgraph_at = table_of([4], bytes(4))
    tensor, tensor_at = table_of([], b"")
    first = 8 + len(model)
    second = first + 4 + 4 * subgraphs
    third = second + len(subgraph)
    last = third + 4 + 4 * tensors
    model = model[:-4] + struct.pack("<I", 4)
    subgraph = subgraph[:-4] + struct.pack("<I", 4)
    data = struct.pack("<I4s", 8 + model_at, b"TFL3") + model + offsets(subgraphs, second + subgraph_at, first)
    return data + subgraph + offsets(tensors, last + tensor_at, third) + tensor


def test_parts_that_are_shared_for_ever_are_refused(tmp_path, monkeypatch):
    """300,000 subgraphs, all one that has 300,000 tensors, all one: 90 billion to whoever unpacks them."""
    walked, table = [], _Flatbuffer.table
    monkeypatch.setattr(_Flatbuffer, "table", lambda self, kind, at: (walked.append(kind), table(self, kind, at))[1])
    path = tmp_path / "a.tflite"
    path.write_bytes(nested(3, 4))
    assert check_tflite(path)
    assert walked == ["Model", "SubGraph", "Tensor"]  # each once
    path.write_bytes(nested(300_000, 300_000))
    assert "damaged" in refused(check_tflite, path)
    assert len(walked) <= 6


def sharing(subgraphs, tensors):
    """A file of so many subgraphs, each its own table, that share one vector of so many times the same tensor."""
    model, model_at = table_of([0, 0, 4], struct.pack("<I", 4))
    subgraph, subgraph_at = table_of([4], bytes(4))
    first = 8 + len(model)  # the vector of subgraphs, then these, then the vector of tensors, then the tensor
    second = first + 4 + 4 * subgraphs
    third = second + len(subgraph) * subgraphs
    tensor, tensor_at = table_of([], b"")
    last = third + 4 + 4 * tensors
    data = struct.pack("<I4s", 8 + model_at, b"TFL3") + model + struct.pack("<I", subgraphs)
    starts = [second + len(subgraph) * number for number in range(subgraphs)]
    data += b"".join(struct.pack("<I", s + subgraph_at - first - 4 - 4 * n) for n, s in enumerate(starts))
    data += b"".join(subgraph[:-4] + struct.pack("<I", third - (s + len(subgraph) - 4)) for s in starts)
    data += struct.pack("<I", tensors)
    return data + b"".join(struct.pack("<I", last + tensor_at - third - 4 - 4 * n) for n in range(tensors)) + tensor


def test_a_vector_that_many_tables_share_is_walked_once(tmp_path, monkeypatch):
    """1.24 MB: 3,000 subgraphs that share 300,000 tensors, 900 million to whoever walks the vector anew."""
    looked, read = [], _Flatbuffer.read
    monkeypatch.setattr(_Flatbuffer, "read", lambda self, kind, at: (looked.append(at), read(self, kind, at))[1])
    path = tmp_path / "a.tflite"
    path.write_bytes(sharing(3, 4))
    assert check_tflite(path)
    path.write_bytes(sharing(3000, 300_000))
    assert "damaged" in refused(check_tflite, path)
    assert len(looked) < 10 * path.stat().st_size


def test_vectors_that_overlap_are_refused_in_time(tmp_path, monkeypatch):
    """Every four bytes say 40,000: from each of 40,000 places a vector of 40,000 subgraphs begins."""
    looked, read = [], _Flatbuffer.read
    monkeypatch.setattr(_Flatbuffer, "read", lambda self, kind, at: (looked.append(at), read(self, kind, at))[1])
    model, model_at = table_of([0, 0, 4], struct.pack("<I", 4))
    data = struct.pack("<I4s", 8 + model_at, b"TFL3") + model + struct.pack("<I", 40_000) * 100_000
    (tmp_path / "a.tflite").write_bytes(data)
    assert "damaged" in refused(check_tflite, tmp_path / "a.tflite")
    assert len(looked) < 10 * len(data)


def test_vectors_that_overlap_and_end_well_are_refused_in_time(tmp_path, monkeypatch):
    """As above, but what they lead to is zeros, which are empty tables: nothing is ever wrong, and none is shared."""
    looked, read = [], _Flatbuffer.read
    model, model_at = table_of([0, 0, 4], struct.pack("<I", 4))
    data = struct.pack("<I4s", 8 + model_at, b"TFL3") + model + struct.pack("<I", 4000) * 10_000 + bytes(100_000)

    def counted(self, kind, at):
        looked.append(at)
        assert len(looked) < 10 * len(data)
        return read(self, kind, at)

    monkeypatch.setattr(_Flatbuffer, "read", counted)
    (tmp_path / "a.tflite").write_bytes(data)
    assert "damaged" in refused(check_tflite, tmp_path / "a.tflite")


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
