"""Enlarging to the nearest value."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfeff.layers import NearestUpSampling2D


@pytest.mark.parametrize("size", [2, (3, 1), 4])
def test_repeats_as_keras_does(size):
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")
    layer, theirs = NearestUpSampling2D(size), keras.layers.UpSampling2D(size)
    np.testing.assert_array_equal(layer(x), theirs(x))
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(x), layer(x))


def test_open_sides():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, NearestUpSampling2D()(image))
    assert model.output_shape == (None, None, None, 3)
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 3)).astype("float32")
    np.testing.assert_array_equal(model(x), x.repeat(2, axis=1).repeat(2, axis=2))


def test_is_one_operation_in_the_file():
    from ai_edge_litert.interpreter import Interpreter

    image = keras.Input((3, 4, 2), batch_size=1)
    model = keras.Model(image, NearestUpSampling2D()(image))
    file = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = Interpreter(model_content=file)
    assert [op["op_name"] for op in interpreter._get_ops_details()] == ["RESIZE_NEAREST_NEIGHBOR"]
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    given = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(given, x.repeat(2, axis=1).repeat(2, axis=2))


def test_what_it_cannot_do():
    with pytest.raises(ValueError, match="to the nearest"):
        NearestUpSampling2D(2, interpolation="bilinear")
