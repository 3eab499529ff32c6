"""Hard-swish and hard-sigmoid without their sixth: equal in float, and spelled so that the converter leaves it."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import chain, randomize
from saving import save_image_model

from tfeff import create
from tfeff.export import quantize
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites, rewrite_once
from tfeff.layers import ChannelShuffle, ChannelSplit, GroupConv2D, GroupShift2D
from tfeff.tflite.graph import read_graph

ADD_MUL = "hard_swish:add_mul"
IMAGES = 3 * np.random.default_rng(3).standard_normal((3, 8, 10, 12)).astype(np.float32)


def model_of(*stack):
    image = keras.Input(IMAGES.shape[1:])
    return randomize(keras.Model(image, chain(image, stack)))


def rewritten(model, images=IMAGES):
    new, (applied,) = apply_rewrites(model, [load_rewrite(ADD_MUL)], {"image": images})
    assert (applied.name, applied.form) == ("hard_swish", "add_mul")
    return new, applied.places


def kinds(model):
    return [type(operation).__name__ for operation in model.operations]


def last(x):
    return layers.Conv2D(4, 1)(x)


BETWEEN = {
    "nothing": [],
    "batch norm": [layers.BatchNormalization()],
    "bare batch norm": [layers.BatchNormalization(scale=False, center=False)],
    "relu": [layers.ReLU()],
    "activation": [layers.Activation("relu")],
    "leaky relu": [layers.LeakyReLU()],
    "prelu": [layers.PReLU(shared_axes=[1, 2])],
    "depthwise": [layers.DepthwiseConv2D(3)],
    "group convolution": [GroupConv2D(12, 3, 4)],
    "max pool": [layers.MaxPooling2D(2)],
    "padded average": [layers.ZeroPadding2D(1), layers.AveragePooling2D(3)],
    "upsampled": [layers.UpSampling2D()],
    "shuffle": [ChannelShuffle(3)],
    "shift": [GroupShift2D(3)],
    "slice": [lambda x: x[..., 2:8]],
    "halves": [lambda x: layers.Concatenate()(ChannelSplit(2)(x)[::-1])],
    "with itself": [lambda x: layers.Add()([x, layers.ReLU()(x)])],
    "squeeze and excitation": [
        lambda x: layers.Multiply()(
            [x, layers.Conv2D(12, 1, activation="hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))]
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize("between", BETWEEN)
def test_the_sixth_goes_into_the_next_weights(between):
    new, places = rewritten(model_of(layers.Activation("hard_silu"), *BETWEEN[between], last))
    assert places == (2 if between == "squeeze and excitation" else 1)
    assert "Activation" not in kinds(new) or between == "activation"
    assert "Rescaling" not in kinds(new)
    assert kinds(new).count("DepthwiseConv2D") == (between == "depthwise")  # none that only multiplies


@pytest.mark.parametrize(
    "behind",
    [
        [],
        [layers.ReLU(6.0)],
        [layers.Activation("sigmoid")],
        [layers.Softmax()],
        [lambda x: layers.Add()([x, layers.Conv2D(12, 1)(x)]), last],
        [lambda x: x + 1.0],
        [layers.SeparableConv2D(3, 3)],
        [layers.Activation("hard_silu"), last],
    ],
    ids=["output", "relu6", "sigmoid", "softmax", "other sum", "plus one", "separable", "twice"],
)
def test_what_takes_no_factor_gets_the_true_value(behind):
    new, _ = rewritten(model_of(layers.Activation("hard_silu"), *behind))
    assert "DepthwiseConv2D" in kinds(new)


@pytest.mark.parametrize("kind", ["hard_silu", "hard_sigmoid"])
@pytest.mark.parametrize("layer", [layers.Conv2D, layers.DepthwiseConv2D], ids=lambda layer: layer.__name__)
def test_activations_that_are_built_in(layer, kind):
    arguments = (6, 3) if layer is layers.Conv2D else (3,)
    new, places = rewritten(model_of(layer(*arguments, activation=kind), last))
    assert places == 1
    assert "Activation" not in kinds(new)


def test_behind_a_dense_layer():
    new, places = rewritten(
        model_of(layers.GlobalAveragePooling2D(), layers.Dense(8, activation="hard_silu"), layers.Dense(4))
    )
    assert places == 1
    assert kinds(new).count("Dense") == 2


def test_nothing_to_do_leaves_the_model():
    model = model_of(layers.ReLU(), last)
    assert rewrite_once(model, load_rewrite(ADD_MUL)) == (model, 0)
    assert load_rewrite("hard_swish:native").apply(model) == (model, 0)


@pytest.mark.parametrize("name", ["pp_lcnet_025", "mobilenet_v3_small_075", "ghostnet_050"])
def test_networks_are_equal(name):
    model = randomize(create(name, input_shape=(32, 32, 3), classes=10, small_image=True))
    images = np.random.default_rng(0).standard_normal((3, 32, 32, 3)).astype(np.float32)
    new, places = rewritten(model, images)
    assert places > 5
    assert "Rescaling" not in kinds(new)


def test_the_converter_makes_no_hard_swish_of_it(tmp_path):
    model = model_of(layers.Conv2D(12, 1), layers.Activation("hard_silu"), layers.DepthwiseConv2D(3), last)
    new, _ = rewritten(model)
    np.save(tmp_path / "images.npy", IMAGES)
    jobs = []
    for name, each in (("plain", model), ("rewritten", new)):
        save_image_model(each, tmp_path / name, IMAGES.shape[1:])
        jobs.append(quantize.Job(str(tmp_path / name), "int8", "int8", str(tmp_path / f"{name}.tflite")))
    quantize.convert(jobs, {"image": tmp_path / "images.npy"}, tmp_path)
    plain, ours = ([op.name for op in read_graph(job.path).operations] for job in jobs)
    assert plain == ["CONV_2D", "HARD_SWISH", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert ours == ["CONV_2D", "ADD", "MUL", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert read_graph(jobs[1].path).float_operations() == []


def test_ops_of_the_user_are_left_to_the_converter():
    model = model_of(layers.Conv2D(12, 1), lambda x: x * ops.relu6(x + 3.0) / 6.0, last)
    assert rewrite_once(model, load_rewrite(ADD_MUL)) == (model, 0)
