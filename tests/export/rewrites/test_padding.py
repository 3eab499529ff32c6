"""Zero padding inside the convolution: what is merged is equal, what could be is merged."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import kinds, randomize, rewritten, stack

from tfeff.export.rewrites.padding import zeros_for_same
from tfeff.layers import GroupConv2D


def positions(kernel, front, stride, dilation, length, zeros_before=0):
    """Where each output reads an axis, by tap of the original kernel."""
    return [[i * stride - front + (zeros_before + tap) * dilation for tap in range(kernel)] for i in range(length)]


def test_zeros_for_same_are_equal_and_the_fewest():
    merged = 0
    for size, before, behind, kernel, stride, dilation in product(
        range(1, 12), range(4), range(4), (1, 2, 3, 5), (1, 2, 3), (1, 2)
    ):
        length = (size + before + behind - (kernel - 1) * dilation - 1) // stride + 1
        if length < 1:
            continue
        wanted = positions(kernel, before, stride, dilation, length)
        equal = []
        for front, back in product(range(3), range(3)):
            # TensorFlow's documentation of padding "SAME", in its own words
            reach = (kernel + front + back - 1) * dilation + 1
            total = max(reach - stride, 0) if size % stride == 0 else max(reach - size % stride, 0)
            same = positions(kernel, total // 2, stride, dilation, -(-size // stride), front)
            if front + back < 3 and same == wanted:
                equal.append((front, back))
        found = zeros_for_same(size, before, behind, kernel, stride, dilation)
        assert found == min(equal, key=sum, default=None)
        merged += found is not None
    assert merged > 500


# Size, padding, convolution, zeros the kernel grows by in h and w; None where nothing is equal.
CASES = {
    "odd-3x3-stride-2": ((9, 7), 1, layers.Conv2D(4, 3, 2), (0, 0)),
    "even-3x3-stride-2": ((8, 10), 1, layers.Conv2D(4, 3, 2), (1, 1)),
    "odd-and-even": ((9, 8), 1, layers.DepthwiseConv2D(3, 2), (0, 1)),
    "even-5x5-stride-2": ((8, 8), 2, layers.DepthwiseConv2D(5, 2, depth_multiplier=2), (1, 1)),
    "even-7x7-stride-2": ((16, 16), 3, GroupConv2D(4, 7, 3, strides=2), (1, 1)),
    "even-1x3-stride-2": ((8, 8), (0, 1), layers.Conv2D(4, (1, 3), 2), (0, 1)),
    "stride-1": ((9, 8), 1, layers.Conv2D(4, 3, activation="relu"), (0, 0)),
    "dilated": ((9, 8), 2, layers.DepthwiseConv2D(3, dilation_rate=2, use_bias=False), (0, 0)),
    "groups": ((9, 8), 1, layers.Conv2D(4, 3, groups=2), (0, 0)),
    "keras-pretrained": ((8, 8), ((0, 1), (0, 1)), layers.DepthwiseConv2D(3, 2), (0, 0)),
    "pixel-in-front": ((8, 8), ((1, 0), (1, 0)), layers.Conv2D(4, 3, 2), (1, 1)),
    "in-front-only": ((8, 8), ((2, 0), (2, 0)), layers.Conv2D(4, 3), (2, 2)),
    "stride-4": ((32, 32), 3, layers.Conv2D(4, 7, 4), None),
    "more-than-same": ((9, 8), 2, layers.Conv2D(4, 3), None),
    "less-than-same": ((9, 8), ((0, 0), (1, 1)), layers.Conv2D(4, 3), None),
    "open-size": ((None, 9), 1, layers.Conv2D(4, 3), None),
    "already-same": ((9, 9), 1, layers.Conv2D(4, 3, padding="same"), None),
}


def build(case):
    size, padding, conv, zeros = CASES[case]
    conv = type(conv).from_config(conv.get_config())
    return stack(layers.ZeroPadding2D(padding), conv, shape=(*size, 6)), conv, zeros


@pytest.mark.parametrize("case", CASES)
def test_merge(case):
    model, conv, zeros = build(case)
    new, places = rewritten(model, "padding:merge")
    assert places == (zeros is not None)
    if zeros is not None:
        assert kinds(new) == [type(conv).__name__]
        grown = new.get_layer(conv.name).kernel_size
        assert grown == tuple(k + more for k, more in zip(conv.kernel_size, zeros, strict=True))
        assert np.count_nonzero(new.get_layer(conv.name).kernel) == np.count_nonzero(conv.kernel)


@pytest.mark.parametrize("case", CASES)
def test_free_merges_only_what_needs_no_zeros(case):
    model, conv, zeros = build(case)
    new, places = rewritten(model, "padding:free")
    assert places == (zeros == (0, 0))
    if places:
        np.testing.assert_array_equal(new.get_layer(conv.name).kernel, conv.kernel)


def test_a_padded_map_that_others_read_is_left_alone():
    image = keras.Input((9, 9, 6))
    padded = layers.ZeroPadding2D(1)(image)
    for outputs in ([layers.Conv2D(4, 3)(padded), layers.Conv2D(4, 3)(padded)], [padded, layers.Conv2D(4, 3)(padded)]):
        assert rewritten(randomize(keras.Model(image, outputs)), "padding:merge")[1] == 0


def test_padding_in_front_of_something_else_is_left_alone():
    for behind in (layers.MaxPooling2D(3, 2), layers.AveragePooling2D(3, 2), layers.ReLU()):
        assert rewritten(stack(layers.ZeroPadding2D(1), behind, shape=(9, 9, 6)), "padding:merge")[1] == 0
    assert rewritten(stack(layers.ZeroPadding2D(1), layers.Conv2D(4, 3), shape=(9, 9, 6)), "padding:native")[1] == 0
