"""Bias correction: what rounding the weights adds to a layer's mean output is taken off its bias.

Rounded weights differ from the true ones by something that does not average out within one small kernel, a depthwise
one above all; times inputs that are not zero on average (behind a ReLU none are), it moves a channel as a whole. After
Nagel et al. (arXiv 1906.04721, section 4.2 and appendix D): the shift E[W_q x] - E[W x] is measured on calibration
images, layer by layer, with the float network's own x.
"""

from typing import Any

import keras
import numpy as np
from keras import layers
from tfeff.export.quantize.channel_scales import is_weighted, some
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.building import rebuilt
from tfeff.export.rewrites.core import again, apply_rewrites
from tfeff.export.rewrites.graph import as_functional, inline, rebuild

from tfeff.layers import StridedDilatedDepthwiseConv2D

IMAGES = 256  # at most so many are looked at
_BATCH = 8
_PROOF = 16


def correct_bias(model, images: np.ndarray, *, per_tensor: bool = False) -> tuple[keras.Model, dict[str, Any]]:
    """Takes the mean error that int8 weights make off every bias.

    The float outputs change by this: it is a network to quantize, not one to use.

    Args:
        model: a functional Keras model. Batch norm is folded first, where that is not done.
        images: float32 (n, h, w, c), preprocessed, of the calibration; up to 256, evenly spread, are used.
        per_tensor: whether weights get one int8 scale a layer, not one an output channel.

    Returns:
        The model (an inlined copy, batch norm folded), and a report: `places` (layers whose bias changed),
        `largest_shift` (of any output channel, over the largest mean absolute output of its layer), and
        `max_abs_error`, by which the float output now differs on 16 images.

    Raises:
        TfeffError: the model has no graph, or a layer that cannot be copied.
    """
    chosen = some(images, IMAGES)
    folded, _ = apply_rewrites(model, [load_rewrite("batch_norm:fold")], chosen[:_PROOF])
    model = inline(as_functional(folded))
    places = [operation for operation in model.operations if _is_place(operation)]
    shifts, sizes = _shifts(model, places, chosen, per_tensor)
    moved = {id(layer): shift for layer, shift in zip(places, shifts, strict=True) if np.any(shift)}

    def call(operation, *args, **kwargs):
        if id(operation) not in moved:
            return again(operation, *args, **kwargs)
        kernel, *bias = operation.get_weights()
        bias = (bias[0] if bias else 0) - moved[id(operation)]
        return rebuilt(operation, args[0], [kernel, bias.astype(np.float32)], use_bias=True)

    new = rebuild(model, call)
    relative = [np.abs(shift).max() / size for shift, size in zip(shifts, sizes, strict=True) if size > 0]
    return new, {
        "per_tensor": per_tensor,
        "images": len(chosen),
        "places": len(moved),
        "largest_shift": float(max(relative, default=0.0)),
        "max_abs_error": _difference(model, new, chosen[:_PROOF]),
    }


def rounded(kernel: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """A kernel as int8 holds it, float32: symmetric, 127 steps on each side, the largest weight over 127 as scale.

    Args:
        axes: those over which one output channel's weights lie; None gives the whole kernel one scale.
    """
    kernel = np.asarray(kernel, np.float32)
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1))
    return np.clip(np.round(kernel / scale), -127, 127) * scale


def _is_place(operation):
    # A strided and dilated depthwise convolution has no bias, and exports make it into other layers first.
    return is_weighted(operation) and not isinstance(operation, StridedDilatedDepthwiseConv2D)


def _axes(layer):
    """Of a kernel's axes those over which one output channel's weights lie."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return (0, 1)  # (kh, kw, c, multiplier)
    if isinstance(layer, layers.Conv2DTranspose):
        return (0, 1, 3)  # (kh, kw, f, c)
    return tuple(range(layer.kernel.ndim - 1))  # (kh, kw, c/groups, f), (c, units)


def _shifts(model, places, images, per_tensor):
    """For each layer the mean of (W_q - W) x over all images and pixels, (f,), and the mean of |W x + b|, a number."""
    import tensorflow as tf

    wanted = []
    for layer in places:
        kernel = np.asarray(layer.kernel)
        error = rounded(kernel, None if per_tensor else _axes(layer)) - kernel
        linear = keras.activations.serialize(keras.activations.linear)
        wanted += [
            rebuilt(layer, layer.input, [error], use_bias=False, activation=linear, name=f"{layer.name}_rounding"),
            rebuilt(layer, layer.input, activation=linear, name=f"{layer.name}_linear"),
        ]
    if not wanted:
        return [], []
    probe = keras.Model(model.inputs[0], wanted)

    @tf.function(reduce_retracing=True)
    def sums(x):
        values = probe(x, training=False)
        made = []
        for error, output in zip(values[::2], values[1::2], strict=True):
            space = list(range(1, len(error.shape) - 1))
            made += [
                tf.reduce_sum(tf.reduce_mean(tf.cast(error, tf.float64), space), 0),
                tf.reduce_sum(tf.reduce_mean(tf.abs(output), [*space, -1])),
            ]
        return made

    batches = [sums(tf.constant(images[i : i + _BATCH])) for i in range(0, len(images), _BATCH)]
    means = [
        np.sum([np.asarray(part) for part in column], axis=0) / len(images) for column in zip(*batches, strict=True)
    ]
    return means[::2], [float(size) for size in means[1::2]]


def _difference(model, new, images):
    return max(
        float(np.abs(np.asarray(one) - np.asarray(two)).max())
        for one, two in zip(*(keras.tree.flatten(m(images, training=False)) for m in (model, new)), strict=True)
    )
