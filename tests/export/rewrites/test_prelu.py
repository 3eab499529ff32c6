"""PReLU and LeakyReLU out of other operations: equal for slopes of every sign and size, slopes by pixel left alone."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import images, kinds, randomize, rewritten, stack

from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites

FORMS = ["maximum", "add"]
SLOPES = {
    "below-one": ([0.25, 0, 1, -0.5, -3, 0.9], ["Add"]),
    "above-one": ([1, 1.5, 2, 7, 1.01, 1], ["Subtract"]),
    "both": ([0.25, 1.5, 1, -0.5, 3, 0], ["Add", "Subtract"]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", SLOPES)
def test_slopes_of_every_sign_and_size(case, form):
    slopes, sums = SLOPES[case]
    model = stack(layers.PReLU(shared_axes=[1, 2], name="act"))
    model.get_layer("act").set_weights([np.reshape(slopes, (1, 1, 6))])
    new, (applied,) = apply_rewrites(model, [load_rewrite(f"prelu:{form}")], {"image": images(4, 9, 8, 6)})
    assert (applied.name, applied.form, applied.places) == ("prelu", form, 1)
    maximum = form == "maximum" and case == "below-one"
    found = ["DepthwiseConv2D", "DepthwiseConv2D", "Maximum"] if maximum else ["DepthwiseConv2D"] * len(sums) + sums
    assert sorted(kinds(new)) == sorted(found)
    x = images(2, 9, 8, 6, seed=5)  # by the definition (arXiv 1502.01852, equation 1)
    expected = np.maximum(x, 0) + np.array(slopes, "float32") * np.minimum(x, 0)
    np.testing.assert_allclose(new(x), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shared", [[1, 2, 3], [1], None], ids=["one-slope", "equal-along-w", "equal-everywhere"])
def test_equal_slopes_in_any_shape(shared, form):
    new, places = rewritten(
        stack(layers.Conv2D(5, 3), layers.PReLU(shared_axes=shared), layers.Conv2D(3, 1)), f"prelu:{form}"
    )
    assert places == 1
    assert "PReLU" not in kinds(new)


LEAKY = {
    "leaky-relu": lambda: [layers.LeakyReLU(0.1)],
    "steep": lambda: [layers.LeakyReLU(1.5)],
    "relu-with-slope": lambda: [layers.ReLU(negative_slope=0.3)],
    "activation": lambda: [layers.Activation("leaky_relu")],
    "fused": lambda: [layers.Conv2D(6, 1, activation="leaky_relu")],
    "on-a-vector": lambda: [layers.GlobalAveragePooling2D(), layers.LeakyReLU()],
    "fused-dense": lambda: [layers.Flatten(), layers.Dense(3, activation="leaky_relu")],
}


@pytest.mark.parametrize("case", LEAKY)
def test_leaky_relu(case):
    new, places = rewritten(stack(layers.Conv2D(6, 3), *LEAKY[case]()), "leaky_relu:add")
    assert places == 1
    assert not {"LeakyReLU", "Activation"} & set(kinds(new))
    assert all(getattr(layer, "activation", None) is not keras.activations.leaky_relu for layer in new.layers)


def test_prelu_behind_fully_connected_layers():
    model = stack(layers.Flatten(), layers.Dense(7), layers.PReLU(), layers.Dense(3))
    for form in FORMS:
        new, places = rewritten(model, f"prelu:{form}")
        assert places == 1
        assert kinds(new) == ["Flatten", "Dense", "Multiply", "ReLU", "Add", "Dense"]


@pytest.mark.parametrize("layer", [layers.PReLU, lambda: layers.PReLU(shared_axes=[1])])
def test_slopes_that_differ_by_pixel_are_left_alone(layer):
    model = stack(layer())
    alpha = model.layers[-1].alpha
    alpha.assign(np.random.default_rng(0).uniform(0, 0.5, alpha.shape))
    assert rewritten(model, "prelu:add")[1] == 0


@pytest.mark.parametrize("layer", [layers.ReLU(), layers.ReLU(6.0, negative_slope=0.1), layers.ELU()])
@pytest.mark.parametrize("spec", ["prelu:add", "leaky_relu:add"])
def test_what_is_not_leaky_is_left_alone(layer, spec):
    layer = type(layer).from_config(layer.get_config())
    assert rewritten(stack(layers.Conv2D(5, 3), layer), spec)[1] == 0


def test_native_leaves_all_alone():
    assert rewritten(stack(layers.PReLU(shared_axes=[1, 2])), "prelu:native")[1] == 0
    assert rewritten(stack(layers.LeakyReLU()), "leaky_relu:native")[1] == 0


def test_inputs_and_outputs_that_others_read_stay():
    image = keras.Input((None, None, 6))  # the size is open
    x = layers.Conv2D(6, 1)(image)
    y = layers.PReLU(shared_axes=[1, 2])(x)
    model = randomize(keras.Model(image, [layers.Add()([x, y]), y, x]))
    new, (applied,) = apply_rewrites(model, [load_rewrite("prelu:add")], {"image": images(4, 7, 5, 6)})
    assert applied.places == 1
    for got, expected in zip(new(images(1, 7, 5, 6)), model(images(1, 7, 5, 6)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_uneven_leaves_equal_slopes_alone():
    model = stack(layers.PReLU(shared_axes=[1, 2]), layers.Conv2D(3, 1))
    assert rewritten(model, "prelu:uneven")[1] == 1
    (prelu,) = (layer for layer in model.layers if isinstance(layer, layers.PReLU))
    prelu.alpha.assign(np.full(prelu.alpha.shape, 0.25))
    assert rewritten(model, "prelu:uneven") == (model, 0)
