"""Networks to a float file and back: layers, weights and names as they were, outputs as LiteRT gives them."""

import keras
import numpy as np
import pytest
from float_files import converted, rebuilt
from keras import layers
from random_models import draw
from toy_models import TOYS

from tfeff.errors import TfeffError
from tfeff.export.rebuild.reading import read_float_file
from tfeff.layers import GroupConv2D

NEAR = 3e-6  # of the largest output: sums of other kernels


@pytest.mark.parametrize("name", TOYS)
def test_toys(name, tmp_path):
    keras.utils.set_random_seed(7)
    _, _, apart = rebuilt(converted(TOYS[name].build(), tmp_path / "m.tflite"))
    assert max(apart.values()) < NEAR, apart


@pytest.mark.parametrize("seed", range(8))
def test_networks_drawn_at_random(seed, tmp_path):
    model, _ = draw(seed)
    _, _, apart = rebuilt(converted(model, tmp_path / "m.tflite"))
    assert max(apart.values()) < NEAR, apart


def small(image, filters=8):
    x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    return layers.ReLU(6.0, name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))


def test_layers_weights_and_names_come_back(tmp_path):
    keras.utils.set_random_seed(1)
    image = keras.Input((12, 12, 3), name="photo")
    x = small(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="wide")(x)
    x = GroupConv2D(12, 3, 2, padding="same", name="grouped")(x)
    x = layers.Activation("hard_silu", name="swish")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(12, 1, activation="hard_sigmoid", name="gate")(gate)])
    x = layers.PReLU(shared_axes=[1, 2], name="slopes")(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu", name="larger")(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="kind")(layers.GlobalAveragePooling2D()(x)))
    model.get_layer("slopes").set_weights([np.full((1, 1, 12), 0.2, "float32")])
    file, network, apart = rebuilt(converted(model, tmp_path / "m.tflite"))
    assert max(apart.values()) < NEAR
    assert [*file.inputs] == ["photo"]
    kinds = {layer.name: type(layer).__name__ for layer in network.layers}
    kept = {name: kinds.get(name) for name in ("stem", "wide", "grouped", "larger", "kind")}
    assert kept == {"stem": "Conv2D", "wide": "DepthwiseConv2D", "grouped": "GroupConv2D",
                    "larger": "Conv2DTranspose", "kind": "Dense"}  # fmt: skip
    assert [*kinds.values()].count("PReLU") == 1
    activations = [layer.activation.__name__ for layer in network.layers if type(layer) is layers.Activation]
    assert activations == ["hard_silu"]  # the 3 of the gate's hard-sigmoid is in its bias already
    assert network.get_layer("stem").activation is keras.activations.relu6
    for name in ("wide", "grouped", "larger", "kind"):  # their biases are zeros, some of which the converter leaves out
        kernels = [each.get_layer(name).get_weights()[0] for each in (network, model)]
        np.testing.assert_array_equal(*kernels)


def test_weights_in_float16_are_the_numbers_that_they_are(tmp_path):
    keras.utils.set_random_seed(2)
    image = keras.Input((12, 12, 3), name="photo")
    x = layers.GlobalAveragePooling2D()(small(image))
    model = keras.Model(image, layers.Dense(4, name="out")(x))
    _, network, apart = rebuilt(converted(model, tmp_path / "m.tflite", float16=True))
    assert max(apart.values()) < NEAR
    half = model.get_layer("out").get_weights()[0].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(network.layers[-1].get_weights()[0], half)


def test_sizes_that_a_file_leaves_open(tmp_path):
    photo = keras.Input((None, None, 3), name="photo")
    model = keras.Model(photo, layers.Conv2D(2, 3, padding="same", name="map")(photo))
    path = converted(model, tmp_path / "m.tflite")
    with pytest.raises(TfeffError, match="the shape of its input photo is open") as refused:
        read_float_file(path)
    assert "--input-size, or --input-shape photo=1,N,N,3" in refused.value.mend
    for given in ({"size": (6, 9)}, {"shapes": {"photo": (6, 9, 3)}}):
        _, network, apart = rebuilt(path, **given)
        assert network.output_shape == (None, 6, 9, 2)
        assert max(apart.values()) < NEAR
    with pytest.raises(TfeffError, match="no such input"):
        read_float_file(path, shapes={"picture": (6, 9, 3)})


def test_a_quantized_file_is_refused(tmp_path):
    import tensorflow as tf

    image = keras.Input((8, 8, 3))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, layers.Conv2D(40, 3)(small(image, 40))))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    with pytest.raises(TfeffError, match=r"is quantized already: .* INT8") as refused:
        read_float_file(tmp_path / "m.tflite")
    assert "give the float file" in refused.value.mend
