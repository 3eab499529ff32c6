"""Each attribute of Keras that is not its public interface, so that a version without one fails here, by name."""

import ast
import copy
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.layers import keras_private

ROOT = Path(__file__).parents[2]
# What may be named in tfeff/layers/keras_private.py alone.
PRIVATE = {
    "_nodes_by_depth", "_functional", "_inbound_nodes", "_outbound_nodes", "_keras_history", "_inputs_struct",
    "_outputs_struct", "_flatten_layers", "fill_in",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """Two inputs by name, a layer called twice, an operation with a number, a dictionary out."""
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    shared = layers.Dense(4, name="shared")
    x = keras.ops.add(shared(first), 3.0)
    y = layers.Add(name="sum")([x, shared(second)])
    return keras.Model({"first": first, "second": second}, {"wide": y, "narrow": keras.ops.split(y, 2, axis=-1)[1]})


def test_every_private_name_exists(model):
    (node, *_) = model.get_layer("sum")._inbound_nodes
    for owner, names in (
        (model, ("_nodes_by_depth", "_inputs_struct", "_outputs_struct", "_flatten_layers")),
        (model.get_layer("sum"), ("_inbound_nodes", "_outbound_nodes")),
        (model.outputs[0], ("_keras_history",)),
        (model.outputs[0]._keras_history, ("operation", "tensor_index")),
        (node, ("operation", "input_tensors", "output_tensors", "is_input", "arguments")),
        (node.arguments, ("args", "kwargs", "fill_in")),
        (keras.Sequential([keras.Input((4,)), layers.Dense(2)]), ("_functional",)),
    ):
        missing = [name for name in names if not hasattr(owner, name)]
        assert not missing, f"Keras {keras.__version__}: {type(owner).__name__} has no {missing}"


def test_no_other_file_names_them():
    for folder in ("tfeff", "export", "calibration"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name == "keras_private.py":
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & PRIVATE
            told = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} & PRIVATE
            assert not named | told, f"{path.relative_to(ROOT)}: {named | told}"
            imported = [
                each
                for each in ast.walk(tree)
                if isinstance(each, ast.ImportFrom) and "keras.src" in (each.module or "")
            ]
            assert not imported, f"{path.relative_to(ROOT)} imports keras.src"


def test_nodes_come_after_what_they_read(model):
    seen = {id(tensor) for tensor in model.inputs}
    found = list(keras_private.nodes(model))
    for node in found:
        assert {id(tensor) for tensor in node.inputs} <= seen
        seen |= {id(tensor) for tensor in node.outputs}
    assert [node.operation.name for node in found].count("shared") == 2
    assert len(found) == 5
    assert {id(tensor) for tensor in model.outputs} <= seen


def test_calls_of_an_operation(model):
    shared, joined = model.get_layer("shared"), model.get_layer("sum")
    assert len(keras_private.nodes_of(shared)) == 2
    with pytest.raises(ValueError):
        keras_private.only_node(shared)
    assert keras_private.only_node(joined).operation is joined


def test_arguments_with_other_tensors(model):
    node = next(node for node in keras_private.nodes(model) if type(node.operation).__name__ == "Add" and not
                isinstance(node.operation, layers.Layer))  # fmt: skip
    values = keras.ops.convert_to_tensor(np.float32([[1, 2, 3, 4]]))
    args, kwargs = node.arguments({id(node.inputs[0]): values})
    np.testing.assert_array_equal(node.operation.call(*args, **kwargs), [[4, 5, 6, 7]])
    assert node.given()[0] is node.inputs[0]
    assert node.given()[1] == 3.0


def test_where_a_tensor_comes_from(model):
    structure = keras_private.output_structure(model)
    operation, index = keras_private.origin(structure["narrow"])
    assert (type(operation).__name__, index) == ("Split", 1)
    assert keras_private.origin(structure["wide"]) == (model.get_layer("sum"), 0)
    inputs = keras_private.input_structure(model)
    assert isinstance(keras_private.origin(inputs["first"])[0], layers.InputLayer)


def test_a_copy_that_was_not_called_yet(model):
    operation, _ = keras_private.origin(keras_private.output_structure(model)["narrow"])
    fresh = copy.copy(operation)
    keras_private.forget_nodes(fresh)
    assert keras_private.nodes_of(fresh) == []
    assert len(keras_private.nodes_of(operation)) == 1


def test_graphs():
    chain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert keras_private.has_graph(keras_private.inside(chain))
    assert not keras_private.has_graph(layers.Dense(2))
    assert not keras_private.has_graph(keras.Sequential([layers.Dense(2)]))

    class Subclassed(keras.Model):
        def call(self, x):
            return x

    assert not keras_private.has_graph(keras_private.inside(Subclassed()))

    class Own(keras.Model):
        def call(self, x):
            return -super().call(x)

    image = keras.Input((4,))
    assert keras_private.computes_its_graph(keras.Model(image, layers.Dense(2)(image)))
    assert not keras_private.computes_its_graph(Own(image, layers.Dense(2)(image)))
    held = keras_private.flat_layers(chain)
    assert chain in held
    assert chain.layers[0] in held
