"""Small int8 files, each with one thing that Ethos-U takes or does not; made once per process."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

SIZE = (1, 24, 24, 3)


def _weights(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def _conv(x, *kernel, stride=1, padding="SAME", **options):
    import tensorflow as tf

    return tf.nn.conv2d(x, _weights(*kernel), stride, padding, **options)


def _split_group_conv(x):
    import tensorflow as tf

    kernels = tf.split(_weights(3, 3, 8, 32), 4, axis=3)
    parts = zip(tf.split(x, 4, axis=3), kernels, strict=True)
    return tf.concat([tf.nn.conv2d(part, kernel, 1, "SAME") for part, kernel in parts], 3)


def _shuffle(x, groups):
    import tensorflow as tf

    _, height, width, channels = x.shape
    parted = tf.reshape(x, (1, height, width, groups, channels // groups))
    return tf.reshape(tf.transpose(parted, (0, 1, 2, 4, 3)), x.shape)


def _prelu(slopes):
    import keras

    layer = keras.layers.PReLU(shared_axes=[1, 2])
    layer.build((1, 24, 24, 32))
    layer.alpha.assign(np.reshape(slopes, (1, 1, 32)).astype(np.float32))
    return layer


def _cases():
    """Name -> what follows a 3x3 convolution with ReLU to 24x24x32."""
    import tensorflow as tf

    many, one = _prelu(np.linspace(0.1, 0.4, 32)), _prelu(np.full(32, 0.25))
    order = np.random.default_rng(0).permutation(32)
    return {
        "group_conv": lambda x: _conv(x, 3, 3, 8, 32),
        "split_group_conv": _split_group_conv,
        "gather": lambda x: tf.gather(x, order, axis=3),
        "gather_rows": lambda x: tf.gather(x, [[1, 0]], axis=1),
        "every_second_channel": lambda x: x[..., ::2],
        "every_second_pixel": lambda x: x[:, ::2, ::2],
        "hard_swish": lambda x: (y := _conv(x, 1, 1, 32, 32)) * tf.nn.relu6(y + 3) * np.float32(1 / 6),
        "prelu": lambda x: many(_conv(x, 1, 1, 32, 32)),
        "prelu_one_slope": lambda x: one(_conv(x, 1, 1, 32, 32)),
        "float_island": tf.sin,
        "shuffle": lambda x: _shuffle(x, 4),
        "global_pool": lambda x: tf.nn.softmax(tf.reduce_mean(x, (1, 2)) @ _weights(32, 10)),
        "mean_of_channels": lambda x: tf.reduce_mean(x, 3),
        "resize_2": lambda x: tf.image.resize(x, (48, 48)),
        "resize_3": lambda x: tf.image.resize(x, (72, 72)),
        "large_pool": lambda x: tf.nn.avg_pool2d(x, 9, 1, "SAME"),
        "large_pool_valid": lambda x: tf.nn.avg_pool2d(x, 9, 1, "VALID"),
        "pool_stride_5": lambda x: tf.nn.max_pool2d(x, 7, 5, "SAME"),
        "conv_stride_4": lambda x: _conv(x, 5, 5, 32, 8, stride=4),
        "conv_stride_4_valid": lambda x: _conv(x, 5, 5, 32, 8, stride=4, padding="VALID"),
        "depthwise_stride_4": lambda x: tf.nn.depthwise_conv2d(x, _weights(3, 3, 32, 1), (1, 4, 4, 1), "VALID"),
        "dilated": lambda x: _conv(x, 3, 3, 32, 8, dilations=2),
        "transposed_2": lambda x: tf.nn.conv2d_transpose(x, _weights(2, 2, 8, 32), (1, 48, 48, 8), 2),
        "transposed_3": lambda x: tf.nn.conv2d_transpose(x, _weights(3, 3, 8, 32), (1, 72, 72, 8), 3),
        "maximum": lambda x: tf.maximum(x, _conv(x, 1, 1, 32, 32)),
        "divide": lambda x: x / (_conv(x, 1, 1, 32, 32) ** 2 + 1),
        "depth_to_space": lambda x: tf.nn.depth_to_space(x, 2),
        "l2_normalize": lambda x: tf.nn.l2_normalize(x, 3),
        "split_and_join": lambda x: tf.concat(tf.split(x, 4, axis=3)[::-1], 3),
        "shift": lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])[:, :24, 2:],
        "reverse": lambda x: tf.reverse(x, [2]),
    }


def convert_int8(function, shape=SIZE):
    """The bytes of a static int8 file of a TensorFlow function, int8 at the door."""
    import tensorflow as tf

    image = tf.TensorSpec(shape, tf.float32, name="image")
    traced = tf.function(lambda image: {"logits": function(image)}, input_signature=[image])
    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(traced.get_concrete_function())], module)
    images = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([one] for one in images)
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def _frozen(function):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


NAMES = (
    "group_conv", "split_group_conv", "gather", "gather_rows", "every_second_channel", "every_second_pixel",
    "hard_swish", "prelu", "prelu_one_slope", "float_island", "shuffle", "global_pool", "mean_of_channels",
    "resize_2", "resize_3", "large_pool", "large_pool_valid", "pool_stride_5", "conv_stride_4",
    "conv_stride_4_valid", "depthwise_stride_4", "dilated", "transposed_2", "transposed_3", "maximum", "divide",
    "depth_to_space", "l2_normalize", "split_and_join", "shift", "reverse", "large_shuffle", "large_swap",
)  # fmt: skip


@cache
def _file(name):
    import tensorflow as tf

    if name == "large_shuffle":
        return convert_int8(lambda x: _shuffle(x, 2), (1, 28, 28, 244))
    if name == "large_swap":
        return convert_int8(lambda x: tf.transpose(x, (0, 2, 1, 3)), (1, 300, 300, 4))
    after = _cases()[name]
    return convert_int8(lambda image: after(tf.nn.relu(_conv(image, 3, 3, 3, 32))))


@pytest.fixture
def ethos_u_file(tmp_path):
    """Writes the file of a name in `NAMES` and returns its path."""

    def write(name) -> Path:
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(_file(name))
        return path

    return write
