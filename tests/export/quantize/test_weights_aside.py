"""Weights that are put aside while a network is saved are in the file as if they had not been."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfeff.data import InputPort
from tfeff.export.quantize import weights_aside
from tfeff.export.quantize.convert import freeze, write_saved_model


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(4)
    given = keras.Input((130,), name="given")
    x = layers.Dense(140, "relu")(given)  # 72,800 bytes: large enough
    return keras.Model(given, [layers.Dense(3, name="small")(x), layers.Dense(150, name="large")(x)])


def saved(folder):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return lambda values: {name: value.numpy() for name, value in signature(given=tf.constant(values)).items()}


def test_the_saved_network_is_the_model(model, tmp_path):
    write_saved_model(model, tmp_path / "saved", [InputPort("given", (130,))], ["small", "large"])
    x = np.random.default_rng(0).normal(size=(1, 130)).astype(np.float32)
    made, wanted = saved(tmp_path / "saved")(x), model.predict(x, verbose=0)
    for name, each in zip(("small", "large"), wanted, strict=True):
        np.testing.assert_allclose(made[name], each, rtol=1e-5, atol=1e-6)


def test_the_file_is_what_it_would_have_been(model, tmp_path, monkeypatch):
    """But for the numbers that TensorFlow gives its functions."""
    from tensorflow.core.protobuf import saved_model_pb2

    graphs, put = [], []
    take_out = weights_aside._take_out
    monkeypatch.setattr(
        weights_aside, "_take_out", lambda graph, aside: (take_out(graph, aside), put.append(len(aside)))
    )
    for folder in ("aside", "whole"):
        if folder == "whole":
            monkeypatch.setattr(weights_aside, "_LEAST", 2**60)
        write_saved_model(model, tmp_path / folder, [InputPort("given", (130,))], ["small", "large"])
        read = saved_model_pb2.SavedModel()
        read.ParseFromString((tmp_path / folder / "saved_model.pb").read_bytes())
        library = read.meta_graphs[0].graph_def.library.function
        graphs.append([[(node.op, node.name, node.attr["value"].SerializeToString(deterministic=True))
                        for node in each.node_def if node.op == "Const"] for each in library])  # fmt: skip
    assert put == [2, 0]
    key = str
    assert sorted(graphs[0], key=key) == sorted(graphs[1], key=key)
    assert any(graphs[0])


def test_a_constant_of_the_trace_is_put_back(tmp_path):
    values = np.random.default_rng(1).normal(size=(130, 140)).astype(np.float32)

    def network(given):
        return {"y": given[0] @ weights_aside.constant(values)}

    freeze(network, tmp_path / "saved", [InputPort("given", (130,))])
    x = np.ones((1, 130), np.float32)
    np.testing.assert_allclose(saved(tmp_path / "saved")(x)["y"], x @ values, rtol=1e-4, atol=1e-4)
    assert np.array_equal(weights_aside.constant(values), values)  # outside it is what it is
