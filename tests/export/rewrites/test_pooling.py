"""Poolings and the classifier behind them in their converted forms."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import images, kinds, randomize, rewritten, stack

GLOBAL = layers.GlobalAveragePooling2D


# global_pool


@pytest.mark.parametrize("shape", [(7, 7, 6), (9, 5, 3), (1, 1, 4)])
@pytest.mark.parametrize(
    ("form", "keepdims", "found"),
    [
        ("keepdims", False, ["GlobalAveragePooling2D", "Reshape"]),
        ("average_pool", False, ["AveragePooling2D", "Reshape"]),
        ("average_pool", True, ["AveragePooling2D"]),
    ],
)
def test_global_pool(shape, form, keepdims, found):
    new, places = rewritten(stack(GLOBAL(keepdims=keepdims, name="pool"), shape=shape), f"global_pool:{form}")
    assert places == 1
    assert kinds(new) == found
    assert new.get_layer("pool").output.shape == (None, 1, 1, shape[-1])
    x = images(2, *shape, seed=9)
    np.testing.assert_allclose(np.squeeze(new(x)), np.squeeze(x.mean((1, 2))), atol=1e-6)


def test_global_pool_leaves_alone():
    for spec, model in {
        "mean": stack(GLOBAL()),
        "keepdims": stack(GLOBAL(keepdims=True)),
        "average_pool": stack(GLOBAL(), shape=(None, 8, 6)),
    }.items():
        assert rewritten(model, f"global_pool:{spec}")[1] == 0, spec


# average_pool


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (layers.AveragePooling2D(3, 2), (9, 8, 6)),
        (layers.AveragePooling2D(2), (9, 7, 6)),
        (layers.AveragePooling2D((3, 5), 1), (8, 8, 6)),
        (layers.AveragePooling2D(2, padding="same"), (8, 6, 6)),  # nothing is padded
        (layers.AveragePooling2D(3, 2), (None, None, 6)),
    ],
)
def test_average_pool(pool, shape):
    new, places = rewritten(stack(layers.ZeroPadding2D(1), pool, shape=shape), "average_pool:depthwise")
    assert places == 1
    assert kinds(new) == ["ZeroPadding2D", "DepthwiseConv2D"]


@pytest.mark.parametrize(
    "pool",
    [
        layers.AveragePooling2D(3, 2, padding="same"),  # the mean is over what lies within
        layers.AveragePooling2D(6),  # too large
        layers.AveragePooling2D((3, 3), (1, 2)),  # no depthwise convolution has two strides
        layers.MaxPooling2D(2),
    ],
)
def test_average_pool_leaves_alone(pool):
    assert rewritten(stack(pool), "average_pool:depthwise")[1] == 0


def test_average_pool_leaves_a_global_one_alone():
    assert rewritten(stack(layers.AveragePooling2D(4), shape=(4, 4, 6)), "average_pool:depthwise")[1] == 0


# classifier


def hidden():
    return [GLOBAL(), layers.Dense(7, name="head"), layers.Activation("hard_silu"), layers.Dropout(0.2)]


CASES = {
    "plain": ([GLOBAL(), layers.Dropout(0.2), layers.Dense(5, name="logits")], 1),
    "no-bias": ([GLOBAL(), layers.Dense(5, use_bias=False, name="logits")], 1),
    "hidden": ([*hidden(), layers.Dense(5, name="logits")], 2),
    "fused": ([GLOBAL(), layers.Dense(7, activation="relu"), layers.Dense(5, name="logits")], 2),
    "leaky": ([GLOBAL(), layers.Dense(7), layers.LeakyReLU(0.1), layers.Dense(5, name="logits")], 2),
    "softmax": ([GLOBAL(), layers.Dense(5, activation="softmax", name="logits")], 1),
    "flatten": ([layers.Conv2D(4, (9, 8)), layers.Flatten(), layers.Dense(5, name="logits")], 2),
    "reshape": ([layers.AveragePooling2D((9, 8)), layers.Reshape((6,)), layers.Dense(5, name="logits")], 1),
}


@pytest.mark.parametrize("case", CASES)
def test_classifier_as_convolutions(case):
    stacked, convolutions = CASES[case]
    model = stack(*stacked)
    new, places = rewritten(model, "classifier:conv")
    assert places == 1
    assert "Dense" not in kinds(new)
    assert "Flatten" not in kinds(new)
    assert kinds(new).count("Conv2D") == convolutions
    assert kinds(new).count("Reshape") == 1
    assert kinds(new)[-1] == ("Activation" if case == "softmax" else "Reshape")
    assert new.output.shape == (None, 5)
    np.testing.assert_array_equal(new.get_layer("logits").kernel[0, 0], model.get_layer("logits").kernel)


def test_classifier_ends_where_others_read_or_something_else_follows():
    image = keras.Input((9, 8, 6))
    pooled = GLOBAL()(image)
    x = layers.Dense(5, name="a")(pooled)
    y = layers.Dense(4, name="b")(layers.ReLU()(x))
    model = randomize(keras.Model(image, layers.Concatenate()([x, y])))  # x is read twice
    new, places = rewritten(model, "classifier:conv")
    assert places == 1
    assert type(new.get_layer("a")) is layers.Conv2D
    assert type(new.get_layer("b")) is layers.Dense


def test_classifier_leaves_alone():
    image = keras.Input((9, 8, 6))
    pooled = GLOBAL()(image)
    twice = randomize(keras.Model(image, [layers.Dense(5)(pooled), layers.Dense(4)(pooled)]))
    for model in (
        twice,
        stack(layers.Flatten(), layers.Dense(5)),  # a map of more than one pixel
        stack(GLOBAL(keepdims=True), layers.Dense(5)),
        stack(GLOBAL()),
        stack(layers.GlobalMaxPooling2D(), layers.Dense(5)),
    ):
        assert rewritten(model, "classifier:conv")[1] == 0
    assert rewritten(stack(GLOBAL(), layers.Dense(5)), "classifier:dense")[1] == 0


@pytest.mark.parametrize("relu", [layers.ReLU(), layers.ReLU(6.0), layers.Activation("relu")], ids=["6", "", "layer"])
def test_relu_goes_ahead_of_a_max_pooling(relu):
    model = stack(layers.Conv2D(4, 1), layers.MaxPooling2D(2), relu, layers.Conv2D(3, 1))
    new, places = rewritten(model, "relu_pool:ahead")
    assert places == 1
    assert kinds(new) == ["Conv2D", type(relu).__name__, "MaxPooling2D", "Conv2D"]


def test_relu_stays_behind_other_poolings_and_where_both_are_read():
    average = stack(layers.AveragePooling2D(2), layers.ReLU())
    assert rewritten(average, "relu_pool:ahead") == (average, 0)
    twice = stack(lambda x: (y := layers.MaxPooling2D(2)(x)) + layers.ReLU()(y))
    assert rewritten(twice, "relu_pool:ahead") == (twice, 0)
