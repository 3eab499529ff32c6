"""The shift layers against shifts written out in numpy."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfeff import cost
from tfeff.layers import ActiveShift2D, GroupShift2D, SparseShift2D

LEARNED = [ActiveShift2D, SparseShift2D]


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pixel(x, row, column, channel):
    _, height, width, _ = x.shape
    return x[:, row, column, channel] if 0 <= row < height and 0 <= column < width else np.zeros(len(x), x.dtype)


def shifted(x, shifts, stride=1):
    """out[row, column] = bilinear in[row * stride + y, column * stride + x], zero outside, pixel by pixel."""
    n, height, width, channels = x.shape
    out = np.zeros((n, -(-height // stride), -(-width // stride), channels))
    for _, row, column, c in np.ndindex(1, *out.shape[1:]):
        y, x_ = (float(value) for value in shifts[:, c])
        y1, x1 = int(np.floor(y)), int(np.floor(x_))
        dy, dx = y - y1, x_ - x1
        y1, x1 = y1 + row * stride, x1 + column * stride
        out[:, row, column, c] = (
            (1 - dx) * (1 - dy) * pixel(x, y1, x1, c)
            + dx * (1 - dy) * pixel(x, y1, x1 + 1, c)
            + (1 - dx) * dy * pixel(x, y1 + 1, x1, c)
            + dx * dy * pixel(x, y1 + 1, x1 + 1, c)
        )
    return out


def slopes(x, shifts, upstream, stride=1):
    """The paper's gradient: (2, c), summed over batch and space, by y and by x."""
    out = np.zeros(shifts.shape)
    for row, column, c in np.ndindex(*upstream.shape[1:]):
        y, x_ = (float(value) for value in shifts[:, c])
        y1, x1 = int(np.floor(y)), int(np.floor(x_))
        dy, dx = y - y1, x_ - x1
        y1, x1 = y1 + row * stride, x1 + column * stride
        q11, q21 = pixel(x, y1, x1, c), pixel(x, y1, x1 + 1, c)
        q12, q22 = pixel(x, y1 + 1, x1, c), pixel(x, y1 + 1, x1 + 1, c)
        given = upstream[:, row, column, c]
        out[0, c] += (given * ((1 - dx) * (q12 - q11) + dx * (q22 - q21))).sum()
        out[1, c] += (given * ((1 - dy) * (q21 - q11) + dy * (q22 - q12))).sum()
    return out


def built(layer, shifts):
    if not layer.built:
        layer.build((None, None, None, shifts.shape[1]))
    if isinstance(layer, ActiveShift2D):
        layer.set_shifts(shifts)
    else:
        layer.set_weights([shifts])
    return layer


def gradients(layer, x, upstream, training=True):
    """Output, gradient to the image, gradient that the optimizer is given."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(y * tf.cast(upstream, y.dtype))
    return [np.asarray(value) for value in (y, *tape.gradient(loss, [x, layer.shift.value]))]


# (y, x): inside a pixel, over several pixels, beyond the map, whole pixels, none
SHIFTS = np.array(
    [[0.3, -0.7, 4.6, -4.2, 0.0, 2.0, -3.0, 9.5, 0.25], [-0.4, 1.2, -5.3, 4.4, 0.0, -1.0, 0.5, 0.3, -11.5]], "float32"
)


# GroupShift2D


@pytest.mark.parametrize(("k", "channels", "dilation"), [(3, 9, 1), (3, 20, 1), (5, 128, 1), (3, 11, 2), (1, 2, 1)])
def test_interleaved_is_the_authors_kernel(k, channels, dilation):
    x = images(2, 8, 7, channels)
    y = np.asarray(GroupShift2D(k, dilation)(x))
    for c in range(channels):
        dx, dy = dilation * (c % k - k // 2), dilation * (c // k % k - k // 2)
        if c >= channels // k**2 * k**2:
            dx = dy = 0
        for row, column in np.ndindex(8, 7):
            np.testing.assert_array_equal(y[:, row, column, c], pixel(x, row + dy, column + dx, c))


@pytest.mark.parametrize(("k", "channels"), [(3, 9), (3, 20), (5, 60)])
def test_contiguous_is_chainers(k, channels):
    x = images(2, 6, 7, channels)
    y = np.asarray(GroupShift2D(k, assignment="contiguous")(x))
    each, last = channels // k**2, k**2 - 1
    for c in range(channels):
        direction = c // each
        direction = {last // 2: last, last: last // 2}.get(direction, direction)
        dy, dx = (k // 2 - direction // k, k // 2 - direction % k) if c < each * k**2 else (0, 0)
        for row, column in np.ndindex(6, 7):
            np.testing.assert_array_equal(y[:, row, column, c], pixel(x, row + dy, column + dx, c))


def test_both_conventions_have_the_same_directions():
    directions = []
    for assignment in ("interleaved", "contiguous"):
        layer = GroupShift2D(5, assignment=assignment)
        layer.build((None, 8, 8, 128))
        directions.append(sorted(map(tuple, layer.shifts.T.tolist())))
    assert directions[0] == directions[1]
    assert directions[0].count((0, 0)) == 5 + 3  # 128 channels: 5 for each of the 25 directions, 3 left over
    assert directions[0].count((-2, 1)) == 5


def test_group_shift_gradient_is_the_shift_back():
    x, upstream = images(2, 6, 6, 20), images(2, 6, 6, 20, seed=1)
    layer = GroupShift2D(3)
    assert layer(x).shape == (2, 6, 6, 20)
    assert layer.weights == []
    with tf.GradientTape() as tape:
        image = tf.constant(x)
        tape.watch(image)
        loss = tf.reduce_sum(layer(image) * upstream)
    np.testing.assert_array_equal(tape.gradient(loss, image), shifted(upstream, -layer.shifts))


# Learned shifts


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_active_shift_is_bilinear(stride):
    x = images(2, 9, 8, SHIFTS.shape[1])
    layer = built(ActiveShift2D(stride), SHIFTS)
    y = np.asarray(layer(x))
    assert layer.compute_output_shape((2, 9, 8, 9)) == y.shape
    np.testing.assert_allclose(y, shifted(x, SHIFTS, stride), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_active_shift_gradient_is_the_papers(stride):
    x = images(2, 9, 8, SHIFTS.shape[1])
    layer = built(ActiveShift2D(stride, normalize_gradient=False), SHIFTS)
    upstream = images(*layer.compute_output_shape(x.shape), seed=1)
    _, _, slope = gradients(layer, x, upstream)
    expected = slopes(x, SHIFTS, upstream, stride)
    np.testing.assert_allclose(slope, expected, atol=1e-4)
    assert np.abs(expected[:, :7]).min() > 0.1  # the large shifts learn too


def test_active_shift_gradient_is_the_numerical_one():
    shifts = SHIFTS[:, :4].astype("float64")  # not near integers
    x = images(2, 9, 8, 4).astype("float64")
    layer = built(ActiveShift2D(2, learning_rate_multiplier=1.0, normalize_gradient=False, dtype="float64"), shifts)
    upstream = images(*layer.compute_output_shape(x.shape), seed=1)
    layer.shift.assign(shifts)
    _, to_image, slope = gradients(layer, x, upstream)
    step = 1e-4
    for place in np.ndindex(*shifts.shape):
        ends = []
        for sign in (1, -1):
            moved = shifts.copy()
            moved[place] += sign * step
            layer.shift.assign(moved)
            ends.append(float((np.asarray(layer(x)) * upstream).sum()))
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)
    layer.shift.assign(shifts)
    for place in [(0, 0, 0, 0), (1, 4, 3, 1), (0, 8, 7, 2), (1, 5, 5, 3)]:
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(float((np.asarray(layer(moved)) * upstream).sum()))
        assert to_image[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


def test_active_shift_normalizes_every_channel():
    x, upstream = images(2, 9, 8, 9), images(2, 9, 8, 9, seed=1)
    x[..., 4] = 0  # a channel whose shift changes nothing
    _, _, plain = gradients(built(ActiveShift2D(normalize_gradient=False), SHIFTS), x, upstream)
    _, _, unit = gradients(built(ActiveShift2D(), SHIFTS), x, upstream)
    length = np.sqrt((plain**2).sum(axis=0))
    moving = length > 0
    assert moving.tolist() == [True, True, True, True, False, True, True, False, False]  # the last two: off the map
    np.testing.assert_allclose(unit[:, moving], (plain / length.clip(1e-9))[:, moving], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(unit[:, 4], 0)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_active_shift_has_its_own_learning_rate(optimizer):
    moved = []
    for multiplier in (1.0, 0.01):
        layer = built(ActiveShift2D(learning_rate_multiplier=multiplier, normalize_gradient=False), SHIFTS[:, :4])
        np.testing.assert_allclose(layer.get_shifts(), SHIFTS[:, :4], rtol=1e-6)
        _, _, slope = gradients(layer, images(2, 9, 8, 4), images(2, 9, 8, 4, seed=1))
        keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": 1e-3}}).apply(
            [tf.constant(slope)], [layer.shift]
        )
        moved.append(layer.get_shifts() - SHIFTS[:, :4])
    assert np.abs(moved[0]).min() > 1e-4
    np.testing.assert_allclose(moved[1], 0.01 * moved[0], rtol=0.05, atol=1e-6)


def test_active_shift_begins_within_its_radius():
    for radius, multiplier in ((1.0, 0.01), (3.0, 1.0)):
        layer = ActiveShift2D(initial_radius=radius, learning_rate_multiplier=multiplier)
        layer.build((None, 8, 8, 500))
        assert 0.95 * radius < np.abs(layer.get_shifts()).max() <= radius
    layer = ActiveShift2D(initial_radius=0)
    x = images(1, 5, 5, 3)
    np.testing.assert_array_equal(layer(x), x)


def test_active_shift_learns_a_far_shift():
    keras.utils.set_random_seed(0)
    grid = np.arange(24, dtype="float32")
    centre = np.random.default_rng(0).uniform(8, 16, (64, 2, 1))
    bump = [np.exp(-((grid - c) ** 2) / 18) for c in centre.transpose(1, 0, 2)]
    x = (bump[0][:, :, None] * bump[1][:, None])[..., None].astype("float32")
    target = shifted(x, np.array([[4.5], [-3.3]]))
    layer = ActiveShift2D(learning_rate_multiplier=1.0)
    model = keras.Sequential([keras.Input((24, 24, 1)), layer])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.15, 100)), "mse")
    model.fit(x, target, batch_size=64, epochs=100, verbose=0)
    np.testing.assert_allclose(layer.get_shifts()[:, 0], [4.5, -3.3], atol=0.05)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_sparse_shift_rounds(stride, training):
    x = images(2, 9, 8, SHIFTS.shape[1])
    whole = np.sign(SHIFTS) * np.floor(np.abs(SHIFTS) + 0.5)
    assert whole[0, 7] == 10  # 9.5 and -11.5 go away from zero
    assert whole[1, 8] == -12
    layer = built(SparseShift2D(stride), SHIFTS)
    y = np.asarray(layer(x, training=training))
    assert layer.compute_output_shape((2, 9, 8, 9)) == y.shape
    np.testing.assert_array_equal(y, shifted(x, whole, stride))


@pytest.mark.parametrize("stride", [1, 2])
def test_sparse_shift_gradients(stride):
    x = images(2, 9, 8, SHIFTS.shape[1])
    layer = built(SparseShift2D(stride, penalty=0), SHIFTS)
    upstream = images(*layer.compute_output_shape(x.shape), seed=1)
    _, to_image, slope = gradients(layer, x, upstream)
    np.testing.assert_allclose(slope, slopes(x, SHIFTS, upstream, stride), atol=1e-4)
    whole = np.sign(SHIFTS) * np.floor(np.abs(SHIFTS) + 0.5)
    spread = np.zeros_like(x)
    spread[:, ::stride, ::stride] = upstream
    np.testing.assert_array_equal(to_image, shifted(spread, -whole))


def test_sparse_shift_penalty():
    layer = built(SparseShift2D(penalty=0.01), SHIFTS)
    assert float(layer.losses[0]) == pytest.approx(0.01 * np.abs(SHIFTS).sum())
    assert built(SparseShift2D(penalty=0), SHIFTS).losses == []


def test_sparse_shift_begins_on_the_grid_or_the_ramp():
    layers = {initial: SparseShift2D(initial=initial) for initial in ("grid", "ramp")}
    for layer in layers.values():
        layer.build((None, 8, 8, 20))
    grid, ramp = (np.asarray(layers[initial].shift) for initial in ("grid", "ramp"))
    for i in range(20):
        y, x = (i // 2 // 3 - 1, i // 2 % 3 - 1) if i < 18 else (0, 0)
        assert grid[:, i].tolist() == [y, x]
        y, x = (i / 2 / 3 - 1, i / 2 % 3 - 1) if i < 18 else (0, 0)  # models/SSL.py
        assert ramp[:, i] == pytest.approx([y, x])
    narrow = SparseShift2D()
    narrow.build((None, 8, 8, 4))
    np.testing.assert_array_equal(narrow.shift, np.zeros((2, 4)))


def test_frozen_sparse_shift_does_not_learn():
    layer = built(SparseShift2D(), SHIFTS)
    layer.trainable = False
    with tf.GradientTape() as tape:
        tape.watch(layer.shift.value)
        loss = tf.reduce_sum(layer(images(1, 5, 5, 9), training=True))
    assert tape.gradient(loss, layer.shift.value) is None


# In models


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("kind", [*LEARNED, GroupShift2D])
def test_other_types(kind, policy):
    x = images(2, 9, 8, 9)
    if kind is GroupShift2D:
        expected, layer = kind()(x), kind(dtype=policy)
    else:
        expected, layer = built(kind(), SHIFTS)(x), built(kind(dtype=policy), SHIFTS)
        assert layer.shift.dtype == ("float64" if policy == "float64" else "float32")
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    np.testing.assert_allclose(np.asarray(y, "float32"), expected, atol=0.05 if "16" in policy else 1e-5)


@pytest.mark.parametrize("kind", LEARNED)
def test_in_a_tf_function_of_any_shape(kind):
    layer = built(kind(2), SHIFTS)
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 9))])
    x = images(2, 7, 6, 9)
    np.testing.assert_allclose(traced(x), layer(x), atol=1e-6)


def test_fit_and_save(tmp_path):
    image = keras.Input((12, 12, 9))
    x = GroupShift2D(3, assignment="contiguous", name="a")(image)
    x = ActiveShift2D(2, name="b")(x)
    model = keras.Model(image, SparseShift2D(name="c")(x))
    assert cost.count(model) == cost.Counts(36, 36, 0)
    before = model.get_weights()
    model.compile("adam", "mse")
    model.fit(images(4, 12, 12, 9), images(4, 6, 6, 9, seed=1), epochs=2, verbose=0)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = images(2, 12, 12, 9, seed=2)
    np.testing.assert_array_equal(again(x), model(x))


def test_pixels_are_what_the_forward_pass_moves_by():
    rounded = np.sign(SHIFTS) * np.floor(np.abs(SHIFTS) + 0.5)
    x = images(2, 15, 14, 9)
    for kind, expected in ((ActiveShift2D, SHIFTS), (SparseShift2D, rounded)):
        layer = built(kind(2), SHIFTS)
        np.testing.assert_allclose(layer.pixels(), expected, atol=1e-6)
        np.testing.assert_allclose(layer(x), shifted(x, layer.pixels(), 2), atol=1e-5)
    layer = GroupShift2D(3, 2, "contiguous")
    np.testing.assert_array_equal(layer(x), shifted(x, layer.pixels()).astype("float32"))


@pytest.mark.parametrize("layer", [GroupShift2D(3), ActiveShift2D(2), SparseShift2D(1)])
def test_converts_to_int8_without_a_float_operation(layer):
    image = keras.Input((12, 12, 9), batch_size=1)
    model = keras.Model(image, layer(keras.layers.Conv2D(9, 1)(image)))
    if not isinstance(layer, GroupShift2D):
        built(layer, SHIFTS)
    data = images(16, 12, 12, 9)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in data)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    operations = {op["op_name"] for op in interpreter._get_ops_details()} - {"DELEGATE"}
    assert operations <= {"CONV_2D", "DEPTHWISE_CONV_2D", "STRIDED_SLICE"}
    assert not any(detail["dtype"] is np.float32 for detail in interpreter.get_tensor_details())
    given, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = given["quantization"]
    interpreter.set_tensor(given["index"], np.clip(np.round(data[:1] / scale + zero), -128, 127).astype("int8"))
    interpreter.invoke()
    scale, zero = got["quantization"]
    y = (interpreter.get_tensor(got["index"]).astype("float32") - zero) * scale
    assert np.abs(y - np.asarray(model(data[:1]))).max() <= 5 * scale


# Configuration


FULL = {
    GroupShift2D: {"kernel_size": 5, "dilation_rate": 2, "assignment": "contiguous"},
    ActiveShift2D: {
        "strides": 2, "initial_radius": 0.5, "learning_rate_multiplier": 0.1, "normalize_gradient": False,
    },
    SparseShift2D: {"strides": 2, "penalty": 0.125, "initial": "ramp"},
}  # fmt: skip


@pytest.mark.parametrize("kind", FULL)
def test_config_round_trip(kind):
    layer = kind(**FULL[kind], name="mine", trainable=False)
    config = layer.get_config()
    assert {*inspect.signature(kind.__init__).parameters} - {"self", "kwargs"} == FULL[kind].keys()
    assert FULL[kind].items() <= config.items()
    again = kind.from_config(config)
    assert again.get_config() == config
    assert (again.name, again.trainable) == ("mine", False)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: GroupShift2D(4), ["odd", "4"]),
        (lambda: GroupShift2D(0), ["kernel_size", "0"]),
        (lambda: GroupShift2D(3, 0), ["dilation_rate", "0"]),
        (lambda: GroupShift2D(assignment="random"), ["'interleaved'", "'contiguous'", "'random'"]),
        (lambda: GroupShift2D(3)(images(1, 4, 4, 8)), ["8 channels", "9 directions"]),
        (lambda: GroupShift2D(3)(keras.Input((4, 4, None))), ["None channels"]),
        (lambda: ActiveShift2D(0), ["strides", "0"]),
        (lambda: ActiveShift2D((1, 2)), ["strides", "(1, 2)"]),
        (lambda: ActiveShift2D(initial_radius=-1), ["initial_radius", "-1"]),
        (lambda: ActiveShift2D(learning_rate_multiplier=0), ["learning_rate_multiplier", "trainable=False"]),
        (lambda: ActiveShift2D()(keras.Input((4, 4, None))), ["channels"]),
        (lambda: SparseShift2D(1.5), ["strides", "1.5"]),
        (lambda: SparseShift2D(penalty=-1), ["penalty", "-1"]),
        (lambda: SparseShift2D(initial="zeros"), ["'grid'", "'ramp'", "'zeros'"]),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_name_the_numbers(make, told):
    with pytest.raises(ValueError) as raised:
        make()
    message = str(raised.value)
    assert "\n" not in message
    assert "Shift2D" in message
    for words in told:
        assert words in message
