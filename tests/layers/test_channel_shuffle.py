"""Channel shuffle and split."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from tfeff.layers import ChannelShuffle, ChannelSplit


def image(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (12, 3), (6, 6), (5, 1)])
def test_shuffle_deals_the_groups_out(channels, groups):
    x = image(2, 3, 4, channels)
    expected = np.empty_like(x)
    for i in range(channels // groups):
        for j in range(groups):
            expected[..., i * groups + j] = x[..., j * channels // groups + i]
    np.testing.assert_array_equal(ChannelShuffle(groups)(x), expected)


def test_shuffle_by_the_transposed_group_count_undoes_it():
    x = image(1, 2, 2, 12)
    np.testing.assert_array_equal(ChannelShuffle(4)(ChannelShuffle(3)(x)), x)


def test_open_shapes():
    inputs = keras.Input((None, None, 8))
    model = keras.Model(inputs, ChannelShuffle(2)(inputs))
    assert model.output_shape == (None, None, None, 8)
    traced = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec([None, None, None, 8])])
    x = image(2, 3, 5, 8)
    np.testing.assert_array_equal(traced(x), ChannelShuffle(2)(x))


def test_split_cuts_first_to_last():
    x = image(2, 3, 4, 6)
    parts = ChannelSplit(3)(x)
    assert len(parts) == 3
    for number, part in enumerate(parts):
        np.testing.assert_array_equal(part, x[..., 2 * number : 2 * number + 2])


def test_save_and_load(tmp_path):
    inputs = keras.Input((4, 4, 8))
    a, b = ChannelSplit(2, name="split")(ChannelShuffle(4, name="shuffle")(inputs))
    model = keras.Model(inputs, keras.layers.Subtract()([a, b]))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert (again.get_layer("shuffle").groups, again.get_layer("split").parts) == (4, 2)
    x = image(2, 4, 4, 8)
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize("layer", [ChannelShuffle, ChannelSplit])
def test_refusals(layer):
    with pytest.raises(ValueError, match="7 channels are not a multiple of 2"):
        layer(2)(image(1, 2, 2, 7))
    with pytest.raises(ValueError, match="positive int, not 0"):
        layer(0)


def test_int8_file_is_all_int8_and_exact():
    """Nothing is computed, so the int8 file moves the very values it is given."""
    inputs = keras.Input((4, 4, 8), batch_size=1)
    a, b = ChannelSplit(2)(ChannelShuffle(2)(inputs))
    model = keras.Model(inputs, keras.layers.Concatenate()([b, a]))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image(1, 4, 4, 8)] for _ in range(2))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    (given,), (got,) = interpreter.get_input_details(), interpreter.get_output_details()
    x = np.random.default_rng(1).integers(-128, 128, (1, 4, 4, 8), dtype=np.int8)
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    assert max(len(tensor["shape"]) for tensor in interpreter.get_tensor_details()) <= 4
    expected = model(x.astype("float32")).numpy().astype(np.int8)
    np.testing.assert_array_equal(interpreter.get_tensor(got["index"]), expected)
