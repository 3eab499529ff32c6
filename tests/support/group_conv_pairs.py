"""GroupConv2D beside Keras' own grouped convolution."""

import keras
import numpy as np
import tensorflow as tf

from tfeff.layers import GroupConv2D


def pair_of_layers(channels_in, group, filters, kernel, strides=1, padding="valid", dilation=1, **options):
    """GroupConv2D and Keras' own grouped Conv2D with the same seeded weights."""
    shared = {"strides": strides, "padding": padding, "dilation_rate": dilation, **options}
    ours = GroupConv2D(filters, kernel, group, **shared)
    theirs = keras.layers.Conv2D(filters, kernel, groups=channels_in // group, **shared)
    rng = np.random.default_rng(0)
    for layer in (ours, theirs):
        layer.build((None, None, None, channels_in))
    weights = [rng.normal(0, 0.2, w.shape).astype("float32") for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def output_and_gradients(layer, x):
    """The output, and the gradients of a fixed weighted sum of it by input and weights."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(
            tf.cast(y, tf.float32) * np.random.default_rng(2).normal(0, 0.1, y.shape).astype("float32")
        )
    gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
    return [np.asarray(value, "float32") for value in (y, *gradients)]


def assert_equal_layers(ours, theirs, channels_in, size=(9, 11)):
    x = np.random.default_rng(1).normal(size=(2, *size, channels_in)).astype("float32")
    results, references = output_and_gradients(ours, x), output_and_gradients(theirs, x)
    assert len(results) == 2 + len(theirs.trainable_variables)
    for name, a, b in zip(("output", "d input", "d kernel", "d bias"), results, references, strict=False):
        assert a.shape == b.shape, name
        assert np.abs(b).max() > 0.03, f"{name} is too small to compare"
        assert np.abs(a - b).max() <= 1e-5, name
    return results[0].shape
