"""The layers of a fake-quant graph, against NumPy written here and against the plain Keras layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from rewrite_models import images, stack

from tfeff.export.quantize.fake_quant import (
    ActivationRange,
    FakeQuantize,
    QuantizedWeights,
    reduced_axes,
    scale_of,
)
from tfeff.layers import GroupConv2D, StridedDilatedDepthwiseConv2D

RANGES = [(-1.0, 1.02), (0.0, 6.0), (-0.28, 10.0), (-3.0, 0.0), (-1.0, 127 / 128), (0.0, 255 / 256), (-7.3, 0.01)]


def by_numpy(x, low, high):
    """int8 and back: round(x / scale) + zero point, held within -128 and 127 (the 8-bit quantization specification)."""
    scale = (np.float64(high) - low) / 255
    zero_point = np.clip(np.round(-128 - low / scale), -128, 127)
    return (np.clip(np.round(x / scale) + zero_point, -128, 127) - zero_point) * scale


def far_from_ties(low, high, count=4000):
    """Values within and beyond a range, none halfway between two steps, where float32 and float64 may round apart."""
    scale = (high - low) / 255
    steps = np.random.default_rng(1).uniform(-40, 40 + 255, count)
    steps = np.where(np.abs(steps % 1 - 0.5) < 1e-3, steps + 0.01, steps)
    return ((steps + np.round(low / scale)) * scale).astype(np.float32)


def ends(low, high):
    return tf.constant(low, tf.float32), tf.constant(high, tf.float32)


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_values_are_those_of_int8(low, high, trains):
    x = far_from_ties(low, high)
    got = np.asarray(FakeQuantize(trains)(x, *ends(low, high)))
    scale = (high - low) / 255
    np.testing.assert_allclose(got, by_numpy(x, low, high), atol=1e-4 * scale, rtol=0)
    assert len(np.unique(got)) == 256  # all of them, and no more
    assert np.abs(got).min() == 0  # 0 is one of them


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_scale_and_zero_point(low, high):
    scale, zero_point = scale_of(low, high)
    assert -128 <= zero_point <= 127
    reached = by_numpy(np.array([low - 1, high + 1]), low, high)
    np.testing.assert_allclose(reached, [(-128 - zero_point) * scale, (127 - zero_point) * scale], rtol=1e-12)
    assert np.abs(reached - (low, high)).max() <= scale / 2 + 1e-12  # moved by half a step at most, so that 0 is exact


@pytest.mark.parametrize("end", [0.3, 0.5, 1.0, 3.0])
def test_the_zero_point_of_a_symmetric_range_is_the_converters(end):
    """Halfway between -1 and 0; read from files of TensorFlow 2.21's converter."""
    assert scale_of(-end, end) == (2 * end / 255, -1)


def gradients(trains, x, low, high, upstream=None):
    """Of the values and of both ends."""
    x, low, high = tf.constant(x), tf.Variable(low), tf.Variable(high)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = FakeQuantize(trains)(x, low, high)
        total = tf.reduce_sum(y if upstream is None else y * upstream)
    return [None if g is None else np.asarray(g) for g in tape.gradient(total, [x, low, high])]


@pytest.mark.parametrize("trains", [False, True])
def test_gradient_is_1_within_and_0_beyond(trains):
    x = np.array([-1.5, -1.01, -0.99, -0.2, 0.0, 0.3, 1.99, 2.02, 5.0], np.float32)
    np.testing.assert_array_equal(gradients(trains, x, -1.0, 2.0)[0], [0, 0, 1, 1, 1, 1, 1, 0, 0])


def test_each_end_has_the_gradient_of_what_is_clipped_there():
    """What lies beyond an end comes out as that end."""
    _, low, high = gradients(True, np.array([-9.0, -8.0, 7.0], np.float32), -1.0, 1.0)
    assert (low, high) == (2, 1)


def test_ends_learn_where_nothing_is_clipped():
    """By LSQ's rule, d y / d scale = round(x / scale) - x / scale, computed here in NumPy."""
    x = np.random.default_rng(4).uniform(-0.9, 1.9, 500).astype(np.float32)
    upstream = np.random.default_rng(5).standard_normal(500).astype(np.float32)
    _, low, high = gradients(True, x, -1.0, 2.0, upstream)
    scale = 3.0 / 255
    expected = (upstream * (np.round(x / scale) - x / scale)).sum() / 255
    assert abs(expected) > 1e-3
    assert high == pytest.approx(expected, rel=1e-2)
    assert low == pytest.approx(-expected, rel=1e-2)


def test_an_end_at_0_stays_there():
    """A ReLU's: training the other end must not give away steps to values that never come."""
    layer = ActivationRange(0.0, 1.0, trainable=True)
    x = np.array([0.2, 0.5, 3.0], np.float32)
    layer(x)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(FakeQuantize(True)(x, *layer(x)))
    low, high = map(float, tape.gradient(total, [layer.low.value, layer.high.value]))
    assert low == 0
    assert high == pytest.approx(1, abs=0.01)  # the value beyond; rounding adds a little


def test_bounds_stay_within_their_limits():
    layer = ActivationRange(-1.0, 1.0, limits=(-3.0, None))
    layer(np.zeros(1, np.float32))
    layer.set_bounds(-5, 9)
    assert layer.bounds == (-3, 9)
    layer.set_bounds(-0.5, 2)
    assert layer.bounds == (-0.5, 2)


def test_a_trained_range_holds_0_and_is_never_empty():
    layer = ActivationRange(-1.0, 2.0)
    layer(np.zeros(1, np.float32))
    assert layer.bounds == (-1, 2)
    assert layer.trainable_weights == []
    layer.low.assign(0.5)
    assert layer.bounds == (0, 2)
    layer.high.assign(-0.5)
    low, high = layer.bounds
    assert low == 0 < high
    for bounds in [(0.1, 1.0), (-1.0, -0.1), (0.0, 0.0), (float("nan"), 1.0)]:
        with pytest.raises(ValueError, match="holds 0"):
            layer.set_bounds(*bounds)


CASES = {
    "conv": lambda **o: layers.Conv2D(5, 3, padding="same", **o),
    "conv-strided": lambda **o: layers.Conv2D(5, 3, strides=2, **o),
    "conv-dilated": lambda **o: layers.Conv2D(5, 3, dilation_rate=2, **o),
    "keras-group": lambda **o: layers.Conv2D(6, 3, groups=3, **o),
    "group": lambda **o: GroupConv2D(8, 3, 3, padding="same", **o),
    "depthwise": lambda **o: layers.DepthwiseConv2D(3, padding="same", **o),
    "depthwise-2": lambda **o: layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, **o),
    "transpose": lambda **o: layers.Conv2DTranspose(5, 3, strides=2, padding="same", **o),
    "dense": lambda **o: layers.Dense(7, **o),
}
CHANNEL_AXES = {"depthwise": (2, 3), "depthwise-2": (2, 3), "strided-dilated": (2, 3), "transpose": (2,)}
LOW, HIGH = -1.5, 2.5


def kernel_by_numpy(kernel, axes, per_tensor):
    """Rounded to multiples of the largest weight over 127, channel by channel; and that scale, by channel."""
    kernel = kernel.astype(np.float64)
    others = None if per_tensor else tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    largest = np.abs(kernel).max(axis=others, keepdims=True)
    scale = np.where(largest == 0, 1, largest / 127)
    return np.round(kernel / scale) * scale, scale.ravel()


def check(layer, case, x, per_tensor=False):
    """The unit against a plain layer with weights that NumPy rounded."""
    unit = QuantizedWeights(layer, per_tensor)
    got = np.asarray(unit(x, *ends(LOW, HIGH)))
    axes = CHANNEL_AXES.get(case, (layer.kernel.ndim - 1,))
    assert set(reduced_axes(layer)) == set(range(layer.kernel.ndim)) - set(axes)
    kernel, *bias = layer.get_weights()
    rounded, scale = kernel_by_numpy(kernel, axes, per_tensor)
    if bias:
        step = (HIGH - LOW) / 255 * scale
        bias = [np.round(bias[0] / step) * step]
    plain = type(layer).from_config(layer.get_config())
    plain.build(x.shape)
    plain.set_weights([rounded, *bias])
    expected = np.asarray(plain(x))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, atol=3e-6 * np.abs(expected).max())
    layer_alone = np.asarray(layer(x))
    assert np.abs(layer_alone - expected).max() > 1e-4  # there was something to round
    assert got.shape == tuple(unit.compute_output_spec(keras.KerasTensor(x.shape), None, None).shape)
    return unit


def trained(layer, case, shape=(9, 8, 6)):
    """The layer with weights, and images for it."""
    shape = shape[-1:] if case == "dense" else shape
    stack(layer, shape=shape)
    return layer, images(3, *shape)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_weights_are_rounded_as_numpy_rounds_them(case, per_tensor, use_bias):
    check(*(lambda made: (made[0], case, made[1]))(trained(CASES[case](use_bias=use_bias), case)), per_tensor)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("case", ["conv", "group", "depthwise", "transpose", "dense"])
def test_its_relu_stays_inside(case, activation):
    layer, x = trained(CASES[case](activation=activation), case)
    check(layer, case, 4 * x)


def test_strided_and_dilated():
    layer, x = trained(StridedDilatedDepthwiseConv2D(3, 2, 2), "strided-dilated")
    check(layer, "strided-dilated", x)


@pytest.mark.parametrize("case", ["conv", "depthwise-2", "transpose", "dense"])
def test_a_channel_of_zeros_stays_zero_and_keeps_its_bias(case):
    layer, x = trained(CASES[case](), case)
    kernel, bias = layer.get_weights()
    if case in CHANNEL_AXES:  # the axis before the last is one of its channels
        kernel[..., 1, :] = 0
    else:
        kernel[..., 1] = 0
    layer.set_weights([kernel, bias])
    unit = check(layer, case, x)
    rounded, scale = unit.rounded_kernel()
    assert np.isfinite(rounded).all()
    assert 1 in np.asarray(scale)


@pytest.mark.parametrize("case", CASES)
def test_gradients_reach_kernel_and_bias_unchanged(case):
    """Those that the plain layer has at the rounded weights."""
    layer, x = trained(CASES[case](), case)
    unit = QuantizedWeights(layer)
    direction = None
    with tf.GradientTape() as tape:
        y = unit(x, *ends(LOW, HIGH))
        direction = tf.constant(images(*y.shape, seed=8))
        total = tf.reduce_sum(y * direction)
    got = tape.gradient(total, [each.value for each in layer.trainable_weights])
    plain = type(layer).from_config(layer.get_config())
    plain.build(x.shape)
    plain.set_weights([unit.rounded_kernel()[0], layer.bias])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(plain(x) * direction)
    expected = tape.gradient(total, [each.value for each in plain.trainable_weights])
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("case", ["conv", "group", "depthwise-2", "transpose", "dense"])
def test_saved_and_loaded_it_is_the_same(case, tmp_path):
    layer, x = trained(CASES[case](activation="relu6"), case)
    image = keras.Input(x.shape[1:])
    low, high = ActivationRange(-0.7, 3.1, fixed=True, name="its_range")(image)
    y = QuantizedWeights(layer, per_tensor=True)(FakeQuantize()(image, low, high), low, high)
    model = keras.Model(image, FakeQuantize(True)(y, *ActivationRange(0.0, 6.0, limits=(None, 6.0))(image)))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    own = loaded.get_layer("its_range")
    assert own.bounds == pytest.approx((-0.7, 3.1))
    assert own.fixed
    assert [each.limits for each in loaded.layers if isinstance(each, ActivationRange)] == [(None, None), (None, 6.0)]
    (unit,) = (each for each in loaded.layers if isinstance(each, QuantizedWeights))
    assert unit.per_tensor
    assert type(unit.layer) is type(layer)
    assert unit.layer.get_config() == layer.get_config()
    assert [each.trains_range for each in loaded.layers if isinstance(each, FakeQuantize)] == [False, True]
