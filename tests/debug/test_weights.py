"""Constants found again in the float file: files of the converter whose weights were changed in known ways."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from checking_files import edit
from debug_models import weights

from tfeff.debug.file import LayeredFile
from tfeff.debug.weights import find_exact

pytest_plugins = ["debug_fixtures"]


def changed_float(debug_files, change):
    """The float file with `change(values (8, 3, 3, 3), tensor)` in place of the weights of `stem`; a flat array."""

    def edited(model):
        graph = model.subgraphs[0]
        op = next(op for op in graph.operators if list(graph.tensors[op.inputs[1]].shape) == [8, 3, 3, 3])
        tensor = graph.tensors[op.inputs[1]]
        buffer = schema.BufferT()
        values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32).reshape(8, 3, 3, 3)
        buffer.data = np.ascontiguousarray(change(values, tensor), np.float32).reshape(-1).view(np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
        filters, bias = tensor.shape[0], graph.tensors[op.inputs[2]]
        if filters != bias.shape[0]:  # as many biases as filters, as a file must have
            bias.shape, bias.buffer = np.int32([filters]), len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.zeros(4 * filters, np.uint8)

    path = debug_files.float.with_name("changed.tflite")
    path.write_bytes(edit(debug_files.float.read_bytes(), edited))
    return LayeredFile(path)


def found_stem(debug_files, floats):
    file = LayeredFile(debug_files.int8)
    found = find_exact(file, floats)
    (stem,) = [i for i in file.constants() if file.shape(i) == (8, 3, 3, 3)]
    return found.get(stem)


STEM = weights()["stem"][0].transpose((3, 0, 1, 2))  # Keras (h, w, i, o) -> TFLite (o, h, w, i)


def test_all_constants_of_the_twin(debug_files):
    file, floats = LayeredFile(debug_files.int8), LayeredFile(debug_files.float)
    found = find_exact(file, floats)
    assert len(found) == 8
    np.testing.assert_array_equal(found_stem(debug_files, floats), STEM)


@pytest.mark.parametrize("factor", [6, 1 / 6, 1 / 9])
def test_a_factor_that_was_moved(debug_files, factor):
    floats = changed_float(debug_files, lambda values, tensor: values * np.float32(factor))
    np.testing.assert_allclose(found_stem(debug_files, floats), STEM, rtol=1e-5)


def test_a_group_of_a_grouped_convolution(debug_files):
    def widen(values, tensor):
        tensor.shape = np.int32([16, 3, 3, 3])
        return np.concatenate([values[::-1], values])

    np.testing.assert_array_equal(found_stem(debug_files, changed_float(debug_files, widen)), STEM)


def test_other_weights_are_not_taken(debug_files):
    step = np.abs(STEM).max() / 127
    noise = np.random.default_rng(0).normal(0, 2 * step, STEM.shape)
    assert found_stem(debug_files, changed_float(debug_files, lambda values, tensor: values + noise)) is None
