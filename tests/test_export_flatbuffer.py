"""Reading `.tflite` files: what the graph holds, against the interpreter's own account of the same file."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from tfeff.export.flatbuffer import describe_operations, read_graph
from tfeff.export.quantize import Job, convert, write_saved_model

from tfeff.errors import TfeffError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One network in several precisions: precision-io -> path; a sine in the middle keeps `island` partly float."""
    folder = tmp_path_factory.mktemp("flatbuffer")
    image = keras.Input((8, 8, 8), name="image")
    x = layers.ReLU()(layers.Conv2D(8, 3, name="first")(image))
    plain = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    island = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(keras.ops.sin(x))))
    np.save(folder / "c.npy", np.random.default_rng(0).standard_normal((8, 8, 8, 8)).astype(np.float32))
    jobs = []
    for name, model, wanted in (
        ("plain", plain, [("float32", "float32"), ("int8", "int8"), ("int8", "float32"), ("int16x8", "int16")]),
        ("island", island, [("int8", "int8"), ("int16x8", "int16")]),
    ):
        write_saved_model(model, folder / name, (8, 8, 8))
        jobs += [Job(str(folder / name), p, io, str(folder / f"{name}-{p}-{io}.tflite")) for p, io in wanted]
    convert(jobs, folder / "c.npy", folder)
    return {Path(job.path).stem: Path(job.path) for job in jobs}


def test_agrees_with_the_interpreter(files):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for path in files.values():
        interpreter = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        graph = read_graph(path)
        assert [op.name for op in graph.operations] == [op["op_name"] for op in interpreter._get_ops_details()]
        for side in ("input", "output"):
            (theirs,) = getattr(interpreter, f"get_{side}_details")()
            (ours,) = getattr(graph, f"{side}s")
            assert ours.dtype.lower() == np.dtype(theirs["dtype"]).name
            assert ours.shape == tuple(theirs["shape"])
            scale, zero_point = theirs["quantization"]
            if scale:
                assert ours.scale == pytest.approx(scale)
                assert ours.zero_point == zero_point


def test_static_batch_and_signature(files):
    from ai_edge_litert.interpreter import Interpreter

    for path in files.values():
        assert read_graph(path).inputs[0].shape == (1, 8, 8, 8)
        signatures = Interpreter(str(path)).get_signature_list()
        assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["logits"]}}


def test_integer_files_have_no_float_operation(files):
    for name in ("plain-int8-int8", "plain-int16x8-int16"):
        graph = read_graph(files[name])
        assert graph.float_operations() == []
        assert describe_operations(graph)["float"] == []
        assert graph.min_runtime_version


def test_float_at_the_door_is_no_island(files):
    graph = read_graph(files["plain-int8-float32"])
    assert {"QUANTIZE", "DEQUANTIZE"} <= {op.name for op in graph.operations}
    assert graph.float_operations() == []


@pytest.mark.parametrize("name", ["island-int8-int8", "island-int16x8-int16"])
def test_island_is_found_and_named(files, name):
    found = read_graph(files[name]).float_operations()
    assert [op.name for op in found] == ["DEQUANTIZE", "SIN", "QUANTIZE"]
    assert any("Sin" in op.label for op in found)


def test_every_operation_of_a_float_file_is_float(files):
    graph = read_graph(files["plain-float32-float32"])
    assert graph.float_operations() == list(graph.operations)
    assert graph.int8_operations() == []


def test_not_a_file_of_ours(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"PNG or whatever, longer than eight")
    with pytest.raises(TfeffError, match="not a TFLite file"):
        read_graph(path)


def test_cut_anywhere_it_is_damaged_not_a_crash(files, tmp_path):
    data = files["plain-int8-int8"].read_bytes()
    path = tmp_path / "cut.tflite"
    refused = 0
    for length in range(8, len(data), 211):
        path.write_bytes(data[:length])
        try:
            read_graph(path)
        except TfeffError:
            refused += 1
    assert refused > 0.5 * len(data) / 211  # cuts in the tail may leave the graph itself readable
