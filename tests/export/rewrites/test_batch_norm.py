"""BN in weights or as a depthwise convolution: equal, and no BN left that one of them could take."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import images, kinds, randomize, rewritten, stack

from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.layers import BatchNorm, GroupConv2D
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D

NORM = layers.BatchNormalization
# Layers, the BN that `depthwise` leaves to the converter, the operations after `fold`.
FOLDED = {
    "conv": ([layers.Conv2D(5, 3, use_bias=False), NORM(), layers.ReLU()], 1, ["Conv2D", "ReLU"]),
    "bias": ([layers.Conv2D(5, 3), NORM(scale=False)], 1, ["Conv2D"]),
    "keras-groups": ([layers.Conv2D(4, 3, groups=2), NORM(center=False)], 1, ["Conv2D"]),
    "group": ([GroupConv2D(8, 3, 3, use_bias=False, padding="same"), BatchNorm()], 1, ["GroupConv2D"]),
    "depthwise": ([layers.DepthwiseConv2D(3, use_bias=False), NORM()], 1, ["DepthwiseConv2D"]),
    "multiplier": ([layers.DepthwiseConv2D(3, depth_multiplier=2), NORM()], 1, ["DepthwiseConv2D"]),
    "strided-dilated": ([StridedDilatedDepthwiseConv2D(3, 2, 2), NORM()], 0, ["GetItem", "DepthwiseConv2D"]),
    "strided-dilated-3": ([StridedDilatedDepthwiseConv2D(3, 2, 3), NORM()], 0, ["DepthwiseConv2D", "GetItem"]),
    "transposed": ([layers.Conv2DTranspose(5, 3, 2), NORM()], 0, ["Conv2DTranspose"]),
    "dense": ([layers.GlobalAveragePooling2D(), layers.Dense(5, use_bias=False), NORM()], 0,
              ["GlobalAveragePooling2D", "Dense"]),
    "dense-axis-1": ([layers.Flatten(), layers.Dense(5), NORM(axis=1)], 0, ["Flatten", "Dense"]),
    "dense-on-a-map": ([layers.Dense(5), NORM()], 0, ["Dense"]),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDED)
def test_fold(case):
    stacked, _, found = FOLDED[case]
    new, places = rewritten(stack(*stacked), "batch_norm:fold")
    assert places == 1
    assert kinds(new) == found
    assert all(layer.bias is not None for layer in new.layers if isinstance(layer, (layers.Dense, layers.Conv2D)))


@pytest.mark.parametrize("case", FOLDED)
def test_depthwise_leaves_to_the_converter_what_it_folds_itself(case):
    stacked, left, _ = FOLDED[case]
    stacked = [type(layer).from_config(layer.get_config()) for layer in stacked]
    new, places = rewritten(stack(*stacked), "batch_norm:depthwise")
    assert places == 1 - left
    norms = [layer for layer in new.layers if isinstance(layer, NORM)]
    assert len(norms) == left


# In front of a layer that reads no padding: in that layer's weights.
FORWARD = {
    "dense": ([layers.GlobalAveragePooling2D(), NORM(), layers.Dense(5)], ["GlobalAveragePooling2D", "Dense"]),
    "flatten": ([NORM(), layers.Flatten(), layers.Dense(5, use_bias=False)], ["Flatten", "Dense"]),
    "pointwise": ([NORM(), layers.Conv2D(5, 1, padding="same", strides=2)], ["Conv2D"]),
    "valid": ([layers.ReLU(), NORM(), layers.Conv2D(5, 3, use_bias=False, activation="relu")], ["ReLU", "Conv2D"]),
    "groups": ([NORM(), GroupConv2D(8, 3, 3)], ["GroupConv2D"]),
    "keras-groups": ([NORM(), layers.Conv2D(9, (3, 1), groups=3)], ["Conv2D"]),
    "depthwise": ([NORM(), layers.DepthwiseConv2D(3, depth_multiplier=2)], ["DepthwiseConv2D"]),
    "two": ([NORM(), layers.Conv2D(5, 3), NORM()], ["Conv2D"]),
}


@pytest.mark.parametrize("case", FORWARD)
def test_folded_forward(case):
    stacked, found = FORWARD[case]
    new, places = rewritten(stack(*stacked), "batch_norm:fold")
    assert places == (2 if case == "two" else 1)
    assert kinds(new) == found


# Behind anything else: a depthwise convolution.
ALONE = {
    "pool": [layers.MaxPooling2D(2), NORM(name="bn"), layers.ReLU()],
    "input": [NORM(name="bn"), layers.Conv2D(5, 3, padding="same")],
    "relu-in-the-convolution": [layers.Conv2D(5, 3, activation="relu"), NORM(name="bn")],
    "two": [layers.ReLU(), NORM(name="bn"), NORM(name="bn2")],
}


@pytest.mark.parametrize("form", ["depthwise", "fold"])
@pytest.mark.parametrize("case", ALONE)
def test_alone(case, form):
    stacked = [type(layer).from_config(layer.get_config()) for layer in ALONE[case]]
    new, places = rewritten(stack(*stacked), f"batch_norm:{form}")
    assert places >= 1
    assert "BatchNormalization" not in kinds(new)
    assert new.get_layer("bn").kernel_size == (1, 1)


def test_behind_a_concatenation_and_a_sum():
    image = keras.Input((None, None, 6))
    x = layers.Concatenate()([layers.Conv2D(3, 1)(image), layers.Conv2D(3, 1)(image)])
    x = layers.PReLU(shared_axes=[1, 2])(NORM(name="a")(x))
    x = NORM(name="b")(layers.Add()([x, image]))
    model = randomize(keras.Model(image, x))
    new, places = rewritten(model, "batch_norm:depthwise")
    assert places == 2
    assert type(new.get_layer("a")) is type(new.get_layer("b")) is layers.DepthwiseConv2D


def test_a_convolution_that_others_read_keeps_its_weights():
    image = keras.Input((9, 8, 6))
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    y = NORM(name="bn")(x)
    model = randomize(keras.Model(image, layers.Add()([x, y])))
    new, places = rewritten(model, "batch_norm:fold")
    assert places == 1
    np.testing.assert_array_equal(new.get_layer("conv").kernel, model.get_layer("conv").kernel)
    assert type(new.get_layer("bn")) is layers.DepthwiseConv2D


def test_outputs_stay():
    image = keras.Input((9, 8, 6))
    x = NORM()(image)
    model = randomize(keras.Model(image, [x, layers.Conv2D(3, 1)(x), layers.Conv2D(3, 1)(image)]))
    new, (applied,) = apply_rewrites(model, [load_rewrite("batch_norm:fold")], {"image": images(4, 9, 8, 6)})
    assert applied.places == 1
    for got, expected in zip(new(images(1, 9, 8, 6)), model(images(1, 9, 8, 6)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_what_it_cannot_do_is_left_alone():
    for model in (
        stack(layers.GlobalAveragePooling2D(), NORM(), layers.ReLU()),  # no map, no weights
        stack(NORM(axis=1)),  # over rows
        stack(layers.LayerNormalization()),
    ):
        assert rewritten(model, "batch_norm:fold")[1] == 0
    assert rewritten(stack(layers.Conv2D(3, 1), NORM()), "batch_norm:native")[1] == 0
