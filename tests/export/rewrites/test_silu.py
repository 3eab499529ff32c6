"""SiLU as LOGISTIC and MUL, wherever Keras can hide one."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import images, kinds, rewritten, stack

from tfeff.layers import GroupConv2D

CASES = {
    "layer": lambda: [layers.Conv2D(6, 3), layers.Activation("silu")],
    "swish": lambda: [layers.Conv2D(6, 3), layers.Activation("swish")],
    "operation": lambda: [layers.Conv2D(6, 3), ops.silu],
    "convolution": lambda: [layers.Conv2D(6, 3, activation="silu")],
    "group": lambda: [GroupConv2D(6, 3, 3, activation="silu")],
    "depthwise": lambda: [layers.DepthwiseConv2D(3, activation="silu")],
    "separable": lambda: [layers.SeparableConv2D(6, 3, activation="silu")],
    "dense": lambda: [layers.Flatten(), layers.Dense(6, activation="silu")],
}


@pytest.mark.parametrize("case", CASES)
def test_every_silu_is_a_product(case):
    model = stack(*CASES[case](), layers.ReLU())
    new, places = rewritten(model, "silu:multiply")
    assert places == 1
    assert kinds(new).count("Multiply") == 1
    silus = [layer for layer in new.layers if getattr(layer, "activation", None) is keras.activations.silu]
    assert not silus
    assert "Silu" not in kinds(new)


def test_the_product_is_silu():
    new, _ = rewritten(stack(layers.Activation("silu")), "silu:multiply")
    x = images(2, 9, 8, 6, seed=7)
    np.testing.assert_allclose(new(x), x / (1 + np.exp(-x.astype("float64"))), rtol=1e-5, atol=1e-6)


def test_others_are_left_alone():
    model = stack(layers.Conv2D(6, 3, activation="hard_silu"), layers.Activation("gelu"), ops.relu, layers.Rescaling(2))
    assert rewritten(model, "silu:multiply")[1] == 0
    assert rewritten(stack(layers.Activation("silu")), "silu:native")[1] == 0
