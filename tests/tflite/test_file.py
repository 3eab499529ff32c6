"""A file as a tree: against the interpreter's account of it, its parts, and back into the same bytes."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from checking_files import converted, edit, outside
from compare_models import convert_function

from tfeff.errors import TfeffError
from tfeff.tflite.file import Grid, TfliteFile, pack, unpack
from tfeff.tflite.graph import read_graph
from tfeff.tflite.writer import rewired, with_outputs, with_ranges


def interpreter(data):
    made = Interpreter(model_content=bytes(data), num_threads=1)
    made.allocate_tensors()
    return made


def run(data, image):
    made = interpreter(data)
    made.set_tensor(made.get_input_details()[0]["index"], image)
    made.invoke()
    return [made.get_tensor(each["index"]) for each in made.get_output_details()]


IMAGE = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 8)).astype(np.int8)


def test_unpacked_and_packed_again_it_is_the_same_file():
    once = bytes(pack(unpack(converted("conv"))))
    assert bytes(pack(unpack(once))) == once
    np.testing.assert_array_equal(run(once, IMAGE), run(converted("conv"), IMAGE))


def test_agrees_with_the_interpreter():
    file, theirs = TfliteFile(converted("concat_5")), interpreter(converted("concat_5"))
    for detail in theirs.get_tensor_details():
        number = detail["index"]
        if number >= len(file.tree.tensors):
            continue  # of a delegate
        assert file.name(number) == detail["name"]
        assert file.shape(number) == tuple(detail["shape"])
        found, wanted = file.scales(number), detail["quantization_parameters"]
        assert (found is None) == (len(wanted["scales"]) == 0)
        if found is not None:
            np.testing.assert_array_equal(found.scales, wanted["scales"])
            np.testing.assert_array_equal(found.zero_points, wanted["zero_points"])
        if file.is_constant(number):
            np.testing.assert_array_equal(file.stored(number), theirs.get_tensor(number))
    assert file.signature() == ({}, {})


def test_constants_behind_the_flatbuffer_are_put_into_it():
    inside, behind = TfliteFile(converted("conv")), TfliteFile(outside(converted("conv")))
    constants = [n for n in range(len(inside.tree.tensors)) if inside.is_constant(n)]
    assert constants == [n for n in range(len(behind.tree.tensors)) if behind.is_constant(n)]
    assert all(behind.is_external(n) and not inside.is_external(n) for n in constants)
    for number in constants:
        np.testing.assert_array_equal(inside.stored(number), behind.stored(number))
    np.testing.assert_array_equal(run(pack(behind.model), IMAGE), run(converted("conv"), IMAGE))


def test_no_tflite_file():
    with pytest.raises(TfeffError, match=r"a\.bin: not a TFLite file"):
        TfliteFile(b"something else", "a.bin")


def test_numbers_that_lead_nowhere():
    def far(model):
        model.subgraphs[0].operators[0].inputs = np.int32([0, 1, 500])

    with pytest.raises(TfeffError, match="damaged"):
        TfliteFile(edit(converted("conv"), far))


def test_grid():
    grid = Grid(0.5, -28, np.dtype(np.int8))
    assert (grid.low, grid.high, grid.levels) == (-50, 77.5, 256)
    np.testing.assert_array_equal(grid.values(np.int8([-128, -28, 127])), [-50, 0, 77.5])
    assert grid.same_values(Grid(0.5, 100, np.dtype(np.uint8)))
    assert not grid.same_values(Grid(0.5, 99, np.dtype(np.uint8)))
    assert not grid.same_values(None)


def test_bodies_of_a_loop_are_read_and_counted(tmp_path):
    import tensorflow as tf

    def looped(image):
        return {"logits": tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y)), [0, image])[1]}

    path = tmp_path / "loop.tflite"
    convert_function(looped, (1, 4), path)
    graph, file = read_graph(path), TfliteFile(path.read_bytes())
    (key,) = interpreter(path.read_bytes()).get_signature_list().values()
    assert [list(side) for side in file.signature()] == [key["inputs"], key["outputs"]]
    assert [tuple(side.values()) for side in file.signature()] == [file.inputs, file.outputs]
    assert "WHILE" in {op.name for op in graph.operations}
    assert len(file.bodies) == 2
    assert {op.name for op in graph.bodies} == {op.name for body in file.bodies for op in body.operators}
    assert any(op.name == "SIN" for op in graph.float_operations())
    assert len(graph.all_operations) == len(graph.operations) + len(graph.bodies)


def test_other_outputs():
    file = TfliteFile(converted("concat_5"))
    wanted = [file.operators[0].outputs[0], *file.outputs]
    first, last = run(with_outputs(file, wanted), IMAGE)
    assert first.shape == file.shape(wanted[0])
    np.testing.assert_array_equal(last, run(converted("concat_5"), IMAGE)[0])
    assert file.outputs == TfliteFile(converted("concat_5")).outputs  # the file itself is as it was


def test_other_wires():
    """The second operator skips the first: as if that were not there."""
    data = converted("concat_5")
    file = TfliteFile(data)
    changed = TfliteFile(rewired(data, {1: (file.inputs[0], *file.operators[1].inputs[1:])}, file.operators[1].outputs))
    assert changed.operators[1].inputs[0] == file.inputs[0]
    assert changed.outputs == file.operators[1].outputs
    assert changed.operators[0] == file.operators[0]


def test_other_ranges():
    def measured(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.quantization.min, tensor.quantization.max = np.float32([-1]), np.float32([1])

    data = edit(converted("conv"), measured)
    number = TfliteFile(data).outputs[0]
    file = TfliteFile(with_ranges(data, {number: (-2.0, 3.5)}))
    assert file.measured_range(number) == (-2, 3.5)
    assert file.measured_range(file.inputs[0]) == (-1, 1)
