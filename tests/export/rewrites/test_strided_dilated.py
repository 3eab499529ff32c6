"""Every s-th pixel, however it is taken."""

import keras
import numpy as np
import pytest
from rewrite_models import images, kinds, randomize, rewritten, stack

from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D

FORMS = {"depthwise": "DepthwiseConv2D", "max_pool": "MaxPooling2D"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(9, 8), (12, 7), (None, 8)])
@pytest.mark.parametrize(
    ("stride", "dilation"), [(2, 2), (2, 4), (3, 6), (2, 3), (3, 4), (2, 1)]
)  # the last three do not divide
def test_strided_dilated(form, size, stride, dilation):
    layer = StridedDilatedDepthwiseConv2D((3, 5), stride, dilation, activation="relu", name="taps")
    new, places = rewritten(stack(layer, shape=(*size, 6)), f"strided_dilated:{form}")
    assert places == 1
    taps, pick = "DepthwiseConv2D", FORMS[form]
    assert kinds(new) == ([pick, taps] if dilation % stride == 0 else [taps, pick])
    np.testing.assert_array_equal(new.get_layer("taps").kernel, layer.kernel)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "pick",
    [
        lambda x: x[:, ::2, ::2],
        lambda x: x[:, ::3, ::3, :],
        lambda x: x[:, 0::2, 0::2, ::1],
    ],
)
def test_slices_of_a_users_model(form, pick):
    model = stack(keras.layers.Conv2D(6, 1), pick, keras.layers.Conv2D(4, 1))
    new, places = rewritten(model, f"strided_dilated:{form}")
    assert places == 1
    assert "GetItem" not in kinds(new)
    assert FORMS[form] in kinds(new)


@pytest.mark.parametrize(
    "pick",
    [
        lambda x: x[:, 1::2, ::2],
        lambda x: x[:, ::2, ::3],
        lambda x: x[:, :6:2, ::2],
        lambda x: x[:, ::2, ::2, ::2],
        lambda x: x[:, ::-2, ::-2],
        lambda x: x[:, ::2],
        lambda x: x[:, 1:, 1:],
        lambda x: x[..., :3],
        lambda x: x[:, 0],
    ],
)
def test_other_slices_are_left_alone(pick):
    assert rewritten(stack(keras.layers.Conv2D(6, 1), pick), "strided_dilated:depthwise")[1] == 0


def test_what_is_in_no_need_is_left_alone():
    assert rewritten(stack(StridedDilatedDepthwiseConv2D(3, 1, 2)), "strided_dilated:depthwise")[1] == 0
    assert rewritten(stack(StridedDilatedDepthwiseConv2D(3, 2, 2)), "strided_dilated:slice")[1] == 0


def test_a_slice_that_is_an_output_and_one_read_twice():
    image = keras.Input((9, 8, 6))
    x = keras.layers.Conv2D(6, 1)(image)
    y = x[:, ::2, ::2]
    model = randomize(keras.Model(image, [keras.layers.Add()([y, y]), y, x]))
    new, (applied,) = apply_rewrites(model, [load_rewrite("strided_dilated:max_pool")], {"image": images(4, 9, 8, 6)})
    assert applied.places == 1
    for got, expected in zip(new(images(1, 9, 8, 6)), model(images(1, 9, 8, 6)), strict=True):
        np.testing.assert_array_equal(got, expected)
