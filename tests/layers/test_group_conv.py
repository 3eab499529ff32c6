"""GroupConv2D against `keras.layers.Conv2D(groups=...)` with the same weights."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from group_conv_pairs import assert_equal_layers, output_and_gradients, pair_of_layers
from tensorflow.python.framework import config as framework_config

from tfeff.layers import GroupConv2D, group_conv

# (channels in, channels per group, filters)
CHANNELS = [(8, 4, 8), (8, 4, 16), (12, 3, 8), (6, 6, 4), (6, 1, 6), (6, 1, 12), (8, 2, 4)]
# kernel, strides, dilation
WINDOWS = [
    (3, 1, 1), (3, 2, 1), (3, (1, 2), 1), (3, 1, 2), (3, 1, (1, 3)), (1, 1, 1), (1, 2, 1), ((3, 5), 1, 1),
    ((3, 5), 2, 1), (2, 2, 1),
]  # fmt: skip


@pytest.fixture
def no_native(monkeypatch):
    """The machine on which TensorFlow has no grouped convolution with gradients."""
    monkeypatch.setattr(group_conv, "_native_grouped_conv2d_works", lambda dtype, dilated: False)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel", "strides", "dilation"), WINDOWS)
def test_equals_keras_over_windows(kernel, strides, dilation, padding):
    ours, theirs = pair_of_layers(8, 4, 16, kernel, strides, padding, dilation)
    shape = assert_equal_layers(ours, theirs, 8)
    assert ours.compute_output_shape((2, 9, 11, 8)) == shape


@pytest.mark.parametrize(("channels_in", "group", "filters"), CHANNELS)
def test_equals_keras_over_channels(channels_in, group, filters):
    ours, theirs = pair_of_layers(channels_in, group, filters, 3, 2, "same")
    assert_equal_layers(ours, theirs, channels_in, size=(7, 5))


@pytest.mark.parametrize("options", [{"use_bias": False}, {"activation": "relu"}])
def test_equals_keras_with(options):
    ours, theirs = pair_of_layers(8, 4, 8, 3, **options)
    assert_equal_layers(ours, theirs, 8)


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel", "strides", "dilation"), WINDOWS)
def test_fallback_equals_keras_over_windows(kernel, strides, dilation, padding):
    ours, theirs = pair_of_layers(6, 3, 4, kernel, strides, padding, dilation)
    assert_equal_layers(ours, theirs, 6)


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize(("channels_in", "group", "filters"), CHANNELS)
def test_fallback_equals_keras_over_channels(channels_in, group, filters):
    ours, theirs = pair_of_layers(channels_in, group, filters, 3, 2, "same")
    assert_equal_layers(ours, theirs, channels_in, size=(7, 5))


def test_fallback_is_what_runs_when_native_is_missing(monkeypatch, no_native):
    calls = []
    split = group_conv.split_conv2d
    monkeypatch.setattr(group_conv, "split_conv2d", lambda *args: calls.append(args) or split(*args))
    GroupConv2D(8, 3, 4)(np.zeros((1, 5, 5, 8), "float32"))
    assert len(calls) == 1


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_types_compute_and_have_gradients(dtype, dilation):
    # TensorFlow's own grouped convolution lacks the gradient for most of these on a CPU.
    ours, theirs = pair_of_layers(8, 4, 8, 3, dilation=dilation)
    layer = GroupConv2D(8, 3, 4, dilation_rate=dilation, dtype=dtype)
    layer.build((None, None, None, 8))
    layer.set_weights(ours.get_weights())
    x = np.random.default_rng(1).normal(size=(2, 9, 11, 8)).astype(layer.compute_dtype)
    assert keras.backend.standardize_dtype(layer(x).dtype) == layer.compute_dtype
    tolerance = 1e-5 if dtype == "float64" else 3e-2
    for a, b in zip(output_and_gradients(layer, x), output_and_gradients(theirs, x.astype("float32")), strict=True):
        assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())


def test_trains_under_mixed_float16():
    layer = GroupConv2D(8, 3, 4, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((6, 6, 8)), layer, keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    before = keras.ops.convert_to_numpy(layer.kernel).copy()
    loss = model.train_on_batch(np.ones((4, 6, 6, 8), "float32"), np.ones((4, 8), "float32"))
    assert np.isfinite(loss)
    assert np.abs(keras.ops.convert_to_numpy(layer.kernel) - before).max() > 0


@pytest.mark.parametrize(("size", "padding"), [((9, 12), "valid"), ((8, 8), "same"), ((5, 3), "same")])
@pytest.mark.parametrize(("kernel", "strides", "dilation"), WINDOWS)
def test_output_shape_is_the_real_one(size, padding, kernel, strides, dilation):
    layer = GroupConv2D(8, kernel, 4, strides=strides, padding=padding, dilation_rate=dilation)
    assert layer.compute_output_shape((3, *size, 8)) == tuple(layer(np.zeros((3, *size, 8), "float32")).shape)


def test_unknown_batch_and_space():
    ours, theirs = pair_of_layers(8, 4, 16, 3, 2, "same")
    assert ours.compute_output_shape((None, None, None, 8)) == (None, None, None, 16)
    image = keras.Input((None, None, 8))
    model = keras.Model(image, ours(image))
    assert model.output_shape == (None, None, None, 16)
    for size in ((5, 7), (8, 6)):
        x = np.random.default_rng(2).normal(size=(3, *size, 8)).astype("float32")
        assert np.abs(model.predict(x, verbose=0) - np.asarray(theirs(x))).max() <= 1e-5


def test_in_a_tf_function_of_any_shape():
    ours, theirs = pair_of_layers(8, 4, 8, 3)
    traced = tf.function(ours, input_signature=[tf.TensorSpec((None, None, None, 8))])
    x = np.random.default_rng(2).normal(size=(1, 6, 7, 8)).astype("float32")
    assert np.abs(np.asarray(traced(x)) - np.asarray(theirs(x))).max() <= 1e-5


def test_first_call_inside_a_traced_function_still_finds_the_fast_way(monkeypatch):
    monkeypatch.setattr(group_conv, "_native_grouped_conv2d_works", group_conv._native_grouped_conv2d_works.__wrapped__)
    layer = GroupConv2D(8, 3, 4)
    layer.build((None, 6, 6, 8))
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((1, 6, 6, 8))).graph
    convolutions = [op for op in graph.get_operations() if op.type == "Conv2D"]
    assert len(convolutions) == (1 if group_conv._native_grouped_conv2d_works("float32", False) else 2)


def full_config():
    return {
        "filters": 12, "kernel_size": (3, 5), "channels_per_group": 2, "strides": (2, 1), "padding": "same",
        "dilation_rate": (1, 1), "use_bias": False, "activation": "relu", "kernel_initializer": "he_normal",
        "bias_initializer": "ones", "kernel_regularizer": keras.regularizers.L2(0.125), "name": "vg",
        "trainable": False,
    }  # fmt: skip


def test_config_holds_every_argument():
    import inspect

    config = GroupConv2D(**full_config()).get_config()
    arguments = {*inspect.signature(GroupConv2D.__init__).parameters} - {"self", "kwargs"}
    assert arguments <= config.keys()
    assert arguments <= full_config().keys()


def test_config_round_trip():
    layer = GroupConv2D(**full_config())
    again = GroupConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.kernel_size, again.strides, again.padding) == ((3, 5), (2, 1), "same")
    assert (again.use_bias, again.trainable, again.name) == (False, False, "vg")
    assert isinstance(again.kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(again.bias_initializer, keras.initializers.Ones)
    assert float(again.kernel_regularizer.l2) == 0.125
    assert again.activation is keras.activations.relu


def test_kernel_regularizer_counts():
    layer = GroupConv2D(4, 1, 2, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.5))
    layer(np.zeros((1, 2, 2, 4), "float32"))
    assert float(layer.losses[0]) == 0.5 * 2 * 4


def test_save_and_load(tmp_path):
    image = keras.Input((9, 9, 6))
    x = GroupConv2D(12, 3, 2, strides=2, padding="same", activation="relu", name="a")(image)
    model = keras.Model(image, GroupConv2D(4, (1, 3), 6, use_bias=False, name="b")(x))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(3).normal(size=(2, 9, 9, 6)).astype("float32")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: GroupConv2D(8, 3, 3)(np.zeros((1, 4, 4, 8), "float32")), ["8 input channels", "channels_per_group=3"]),
        (lambda: GroupConv2D(9, 3, 4)(np.zeros((1, 4, 4, 8), "float32")), ["filters=9", "2 groups", "8 input"]),
        (lambda: GroupConv2D(8, 3, 4)(keras.Input((4, 4, None))), ["None input channels"]),
        (lambda: GroupConv2D(8, 3, 4, padding="causal"), ["'causal'", "'valid'", "'same'"]),
        (lambda: GroupConv2D(8, 3, 4, padding=1), ["padding", "not 1"]),
        (lambda: GroupConv2D(8, 3, 4, strides=2, dilation_rate=2), ["strides", "dilation_rate"]),
        (lambda: GroupConv2D(0, 3, 4), ["filters", "at least 1"]),
        (lambda: GroupConv2D(8, 3, 0), ["channels_per_group", "at least 1"]),
        (lambda: GroupConv2D(8, (3, 3, 3), 4), ["kernel_size", "(3, 3, 3)"]),
        (lambda: GroupConv2D(8, (3, 0, 5), 4), ["kernel_size", "(3, 0, 5)"]),
        (lambda: GroupConv2D(8, 3, 4, strides=0), ["strides", "not 0"]),
        (lambda: GroupConv2D(8, 3.5, 4), ["kernel_size", "3.5"]),
        (lambda: GroupConv2D(8, 5, 4).compute_output_shape((1, 4, 9, 8)), ["4 pixels", "kernel's 5", "padding='same'"]),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_name_the_numbers(make, told):
    with pytest.raises(ValueError) as raised:
        make()
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("GroupConv2D")
    for words in told:
        assert words in message


def test_numpy_integers_and_upper_case_padding_are_taken_as_keras_takes_them():
    layer = GroupConv2D(np.int64(8), np.int64(3), np.int32(4), strides=[np.int64(2), 1], padding="SAME")
    assert (layer.kernel_size, layer.strides, layer.padding) == ((3, 3), (2, 1), "same")
    assert tuple(layer(np.zeros((1, 5, 5, 8), "float32")).shape) == (1, 3, 5, 8)


def test_image_smaller_than_the_kernel():
    with pytest.raises(ValueError, match="an image of 4 pixels is smaller than the kernel's 5"):
        GroupConv2D(8, 5, 4)(keras.Input((4, 9, 8)))  # when the graph is built, not when it runs


def test_wrong_rank_and_wrong_channels_are_refused():
    layer = GroupConv2D(8, 3, 4)
    layer(np.zeros((1, 4, 4, 8), "float32"))
    with pytest.raises(ValueError, match="expected ndim=4"):
        layer(np.zeros((4, 4, 8), "float32"))
    with pytest.raises(ValueError, match="axis -1"):
        layer(np.zeros((1, 4, 4, 12), "float32"))


def test_fit_does_not_take_xla(monkeypatch):
    # On a machine with nothing but CPUs Keras' "auto" never takes XLA for the step; make it think there is a GPU.
    devices = [tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *kind: devices)
    # Nor where operations must be deterministic, as `tfeff train` in an earlier test has set for the whole process.
    monkeypatch.setattr(framework_config, "is_op_determinism_enabled", lambda: False)
    ours, theirs = GroupConv2D(8, 3, 4), keras.layers.Conv2D(8, 3, groups=2)
    chosen = []
    for layer in (ours, theirs):
        model = keras.Sequential([keras.Input((6, 6, 8)), layer])
        model.compile("sgd", "mse", jit_compile="auto")
        chosen.append(model.jit_compile)
    assert chosen == [False, True]  # the rival shows that the test can fail


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("dilated", [False, True])
def test_probe_tells_what_happens(dtype, dilated):
    """Whatever the probe promises must hold; a probe that silently sees no gradient promises too much."""
    x, kernel = tf.ones((1, 6, 6, 4), dtype), tf.ones((3, 3, 2, 4), dtype)
    try:
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = tf.nn.conv2d(x, kernel, strides=1, padding="SAME", dilations=2 if dilated else 1)
        works = None not in tape.gradient(y, (x, kernel))
    except tf.errors.OpError:
        works = False
    assert group_conv._native_grouped_conv2d_works(dtype, dilated) == works


SUPPORT = Path(__file__).parents[1] / "support"
WITHOUT_ONEDNN = """
import numpy as np
from group_conv_pairs import assert_equal_layers, pair_of_layers
from tfeff.layers import group_conv
assert not group_conv._native_grouped_conv2d_works("float32", False), "this process has the fast way"
for strides, dilation, padding in ((1, 1, "same"), (2, 1, "valid"), (1, 2, "same")):
    assert_equal_layers(*pair_of_layers(8, 4, 16, 3, strides, padding, dilation), 8)
print("equal")
"""


def test_equals_keras_where_the_fast_way_is_missing():
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ONEDNN], env=environment, cwd=SUPPORT, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "equal"
