"""Activations as operations with int8 kernels, wherever Keras can hide one."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import kinds, rewritten, stack

CURVES = ("elu", "selu", "celu", "softplus", "log_sigmoid", "mish", "squareplus", "sparse_plus", "sparse_sigmoid",
          "hard_tanh")  # fmt: skip
FLOAT_ONLY = {"ELU", "Elu", "Selu", "Celu", "Softplus", "LogSigmoid", "Mish", "Squareplus", "SparsePlus", "HardTanh",
              "SparseSigmoid", "Square", "Power", "Negative"}  # fmt: skip
SPELLINGS = {
    "layer": lambda: [layers.ELU(0.7)],
    "alpha": lambda: [lambda x: ops.elu(x, 0.3)],
    "celu": lambda: [lambda x: ops.celu(x, 0.5)],
    "squareplus": lambda: [lambda x: ops.squareplus(x, 1.5)],
    "operation": lambda: [ops.softplus],
    "dense": lambda: [layers.Flatten(), layers.Dense(6, activation="selu")],
    "convolution": lambda: [layers.Conv2D(6, 3, activation="mish")],
    "square": lambda: [ops.square],
    "power": lambda: [lambda x: x**2],
    "negative": lambda: [lambda x: -x],
}


@pytest.mark.parametrize("name", CURVES)
def test_it_is_the_curve(name):
    new, places = rewritten(stack(layers.Activation(name)), "curves")
    assert places == 1
    assert not FLOAT_ONLY & set(kinds(new))
    x = np.linspace(-9, 9, 9 * 8 * 6 * 2, dtype=np.float32).reshape(2, 9, 8, 6)
    expected = np.asarray(keras.activations.get(name)(x))
    np.testing.assert_allclose(new(x), expected, atol=2e-5)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_found(spelling):
    new, places = rewritten(stack(layers.Conv2D(6, 3), *SPELLINGS[spelling]()), "curves")
    assert places == 1
    assert not FLOAT_ONLY & set(kinds(new))
    curves = {keras.activations.get(name) for name in CURVES}
    assert not [layer for layer in new.layers if getattr(layer, "activation", None) in curves]


def test_what_quantizes_by_itself_is_left_alone():
    model = stack(layers.Activation("gelu"), layers.ReLU(), layers.Activation("softsign"), lambda x: x**3)
    assert rewritten(model, "curves")[1] == 0
