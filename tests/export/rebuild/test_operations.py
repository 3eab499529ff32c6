"""Every operation that comes back: files of TensorFlow's converter, rebuilt, give what LiteRT gives."""

import numpy as np
import pytest
import tensorflow as tf
from float_files import rebuilt, traced

from tfeff.export.rebuild import network  # noqa: F401  registers the handlers
from tfeff.export.rebuild.supported import SUPPORTED
from tfeff.export.rebuild.values import HANDLERS

RNG = np.random.default_rng(4)
MAP = {"x": (1, 9, 8, 4)}
W = RNG.standard_normal((3, 3, 4, 6)).astype("float32")


def noise(*shape):
    return RNG.standard_normal(shape).astype("float32")


def two_tensors(x, y):
    return {
        "add": x + y, "sub": tf.nn.relu6(x - y), "mul": x * y, "max": tf.maximum(x, y), "min": tf.minimum(x, y),
        "div": x / (tf.abs(y) + 1), "row": y + noise(4), "turned": 2.0 - x, "wide": x * noise(1, 5, 1),
        "difference": tf.math.squared_difference(x, y), "power": tf.pow(tf.abs(x), 1.5), "nothing": 3.0 / (y * y + 1),
        "floored": tf.math.floordiv(tf.round(10 * x), 3.0), "rest": tf.math.floormod(tf.abs(x), 0.3),
    }  # fmt: skip


def comparisons(x, y):
    met = {"equal": tf.equal(tf.round(x), tf.round(y)), "other": tf.not_equal(x, y), "less": x < y, "most": x <= y,
           "more": x > y, "least": x >= 0.5}  # fmt: skip
    both = tf.logical_and(met["less"], x > 0)
    return {**{name: tf.where(each, x, y) for name, each in met.items()}, "flags": both,
            "either": tf.logical_or(both, tf.logical_not(x > y)), "number": tf.where(both, x, tf.constant(0.25)),
            "whole": tf.cast(met["more"], tf.int32)}  # fmt: skip


def activations(x):
    above = tf.abs(x) + 0.1
    return {
        "relu": tf.nn.relu(x), "relu6": tf.nn.relu6(3 * x), "clipped": tf.clip_by_value(x, -1.0, 1.0),
        "unit": tf.clip_by_value(x, 0.0, 1.0), "leaky": tf.nn.leaky_relu(x, 0.13), "elu": tf.nn.elu(x),
        "sigmoid": tf.nn.sigmoid(x),
        "tanh": tf.tanh(x), "swish": x * tf.nn.relu6(x + 3) * (1 / 6), "gate": tf.nn.relu6(x + 3) / 6,
        "exp": tf.exp(x), "log": tf.math.log(above), "sqrt": tf.sqrt(above), "rsqrt": tf.math.rsqrt(above),
        "square": tf.square(x), "abs": tf.abs(x), "neg": -x, "sin": tf.sin(x), "cos": tf.cos(x), "floor": tf.floor(x),
        "ceil": tf.math.ceil(x), "round": tf.round(3 * x), "sign": tf.sign(x),
    }  # fmt: skip


def along_axes(x):
    norm = tf.nn.l2_normalize(x, -1)
    return {
        "softmax": tf.nn.softmax(x), "sharp": tf.nn.softmax(2.5 * x), "log": tf.nn.log_softmax(x), "norm": norm,
        "pooled": tf.reduce_mean(x, (1, 2)), "kept": tf.reduce_mean(x, (1, 2), keepdims=True),
        "channels": tf.reduce_mean(x, -1), "all": tf.reduce_sum(x, (1, 2, 3)), "highest": tf.reduce_max(x, (1, 2)),
        "lowest": tf.reduce_min(x, 3), "product": tf.reduce_prod(x, 1), "batch": tf.reduce_sum(x, 0),
        "where": tf.argmax(x, -1), "least": tf.argmin(x, -1, output_type=tf.int32), "so_far": tf.cumsum(x, 1),
        "top": tf.reduce_max(x, -1, keepdims=True),
    }  # fmt: skip


def maps(x):
    return {
        "mean": tf.nn.avg_pool2d(x, 3, 2, "SAME"), "largest": tf.nn.max_pool2d(x, (2, 3), 2, "VALID"),
        "zeros": tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), "deep": tf.pad(x, [[0, 0], [0, 0], [0, 0], [1, 2]]),
        "ones": tf.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]], constant_values=1.0),
        "mirror": tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "REFLECT"),
        "even": tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "SYMMETRIC"),
        "blocks": tf.nn.depth_to_space(x, 2), "depth": tf.nn.space_to_depth(x[:, :8], 2),
    }  # fmt: skip


def resized(x):
    """The three rules by which pixels of one size lie on those of another."""
    found = {}
    for name, operation in (("bilinear", tf.raw_ops.ResizeBilinear), ("nearest", tf.raw_ops.ResizeNearestNeighbor)):
        for corners, half in ((False, True), (True, False), (False, False)):
            key = f"{name}_{int(corners)}{int(half)}"
            found[key] = operation(images=x, size=(13, 20), align_corners=corners, half_pixel_centers=half)
    return found


def moved(x):
    left, right = tf.split(x, 2, axis=-1)
    first, *rest = tf.split(x, [2, 3, 4], axis=1)
    rows = tf.unstack(x[0], axis=0)
    return {
        "flat": tf.reshape(x, (1, -1)), "rows": tf.reshape(x, (72, 4)),
        "back": tf.reshape(tf.reshape(x, (72, 4)) * 2, x.shape),
        "deeper": tf.expand_dims(x, 1) + 0.5, "turned": tf.transpose(x, (0, 3, 1, 2)),
        "batch_last": tf.transpose(x, (1, 2, 3, 0)), "joined": tf.concat([right, left * 2], -1),
        "piled": tf.concat([x, x * 2], 0), "part": x[:, 2:7, 1:], "strided": x[:, ::2, ::-1, 1::2],
        "one": x[:, 3, :, 2],
        "sliced": tf.slice(x, (0, 1, 2, 0), (1, 4, -1, 2)), "last": rest[-1] + 1.0, "first": first * 2.0,
        "stack": tf.stack([left, right], 1), "rowed": rows[3] + rows[4], "tiled": tf.tile(x, (1, 2, 1, 3)),
        "spread": tf.broadcast_to(x[:, :1], (1, 5, 8, 4)) * 1.5, "mirrored": tf.reverse(x, (2,)),
        "chosen": tf.gather(x, (3, 0, 0, 2), axis=3), "squeezed": tf.squeeze(x * 3, 0),
    }  # fmt: skip


def weighted(x):
    wide = tf.nn.conv2d(x, W, (2, 1), "SAME") + noise(6)
    grouped = tf.nn.conv2d(x, noise(3, 3, 2, 8), 1, "VALID")
    return {
        "wide": tf.nn.relu(wide), "dilated": tf.nn.conv2d(x, W, 1, "SAME", dilations=2), "grouped": grouped,
        "tanh": tf.tanh(tf.nn.conv2d(x, W[:1, :1], 1, "SAME")),
        "depthwise": tf.nn.relu6(tf.nn.depthwise_conv2d(x, noise(3, 5, 4, 1), (1, 2, 2, 1), "SAME") + noise(4)),
        "several": tf.nn.depthwise_conv2d(x, noise(3, 3, 4, 2), (1, 1, 1, 1), "VALID"),
        "gaps": tf.nn.depthwise_conv2d(x, noise(3, 3, 4, 1), (1, 1, 1, 1), "SAME", dilations=(3, 3)),
        "larger": tf.nn.conv2d_transpose(x, noise(3, 3, 5, 4), (1, 18, 16, 5), 2, "SAME") + noise(5),
        "odd": tf.nn.conv2d_transpose(x, noise(3, 3, 5, 4), (1, 17, 15, 5), 2, "SAME"),
        "valid": tf.nn.conv2d_transpose(x, noise(2, 2, 5, 4), (1, 18, 16, 5), 2, "VALID"),
        "dense": tf.nn.relu(tf.matmul(tf.reshape(x, (1, 288)), noise(288, 7)) + noise(7)),
        "rows": tf.matmul(tf.reshape(x, (72, 4)), noise(4, 3)),
        "each": tf.tensordot(x, noise(4, 3), 1), "products": tf.matmul(x[:, :8], x[:, :8], transpose_b=True),
        "other": tf.matmul(x, noise(4, 5)), "deep": tf.nn.conv3d(x[..., None], noise(2, 3, 3, 1, 2), (1,) * 5, "SAME"),
    }  # fmt: skip


def words(i):
    table = noise(5, 6)
    return {"row": tf.gather(table, i), "pair": tf.gather(table, i) * 2.0, "again": tf.cast(i, tf.float32) * 0.5}


CASES = {
    "two_tensors": (two_tensors, {"x": (1, 3, 5, 4), "y": (1, 1, 5, 4)}),
    "comparisons": (comparisons, {"x": (1, 3, 4), "y": (1, 3, 4)}),
    "activations": (activations, {"x": (1, 6, 4)}),
    "along_axes": (along_axes, {"x": (1, 5, 6, 4)}),
    "maps": (maps, MAP), "resized": (resized, {"x": (1, 9, 10, 2)}), "moved": (moved, MAP), "weighted": (weighted, MAP),
    "words": (words, {"i": ((1, 7), "int32")}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_comes_back_gives_what_the_file_gives(name, tmp_path):
    function, shapes = CASES[name]
    _, _, apart = rebuilt(traced(function, tmp_path / "m.tflite", **shapes))
    assert len(apart) == len(function(**{key: tf.zeros(*(each if isinstance(each[-1], str) else (each,)))
                                         for key, each in shapes.items()}))  # fmt: skip
    assert {key: value for key, value in apart.items() if not value < 3e-6} == {}


def test_what_is_said_to_come_back_has_a_handler():
    assert set(HANDLERS) == SUPPORTED
