"""BatchNorm against `keras.layers.BatchNormalization`, of which it must be an equal."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfeff.layers import BatchNorm

RNG = np.random.default_rng(1)
IMAGES = (RNG.standard_normal((6, 5, 7, 12)) * 3 + 1).astype(np.float32)
UPSTREAM = RNG.standard_normal(IMAGES.shape).astype(np.float32)


def twins(shape=IMAGES.shape, **options):
    """Ours and Keras' with the same weights, none at its start value."""
    ours, theirs = BatchNorm(**options), keras.layers.BatchNormalization(**options)
    for layer in (ours, theirs):
        layer.build(shape)
    weights = [RNG.uniform(0.5, 1.5, v.shape) for v in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def step(layer, images, upstream):
    """Output and gradients of one training call: y, dx, then those of gamma and beta."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * upstream)
    return [outputs, *tape.gradient(loss, [images, *layer.trainable_variables])]


def assert_equal_steps(ours, theirs, images=IMAGES, upstream=UPSTREAM, tolerance=1e-5):
    for mine, its in zip(step(ours, images, upstream), step(theirs, images, upstream), strict=True):
        mine, its = np.asarray(mine, np.float32), np.asarray(its, np.float32)
        np.testing.assert_allclose(mine, its, atol=tolerance * max(1, np.abs(its).max()))
    for mine, its in zip(ours.weights, theirs.weights, strict=True):  # moving statistics among them
        np.testing.assert_allclose(mine, its, atol=tolerance * max(1, np.abs(its).max()))


def fused_calls(function):
    """How many fused kernels a function runs."""
    graph = tf.function(function).get_concrete_function().graph
    return sum(op.type.startswith("FusedBatchNorm") for op in graph.get_operations())


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "epsilon": 1e-5}, {"axis": 3}], ids=str)
def test_training_equals_keras_and_is_fused(options):
    ours, theirs = twins(**options)
    assert fused_calls(lambda: ours(IMAGES, training=True)) == 1
    assert fused_calls(lambda: theirs(IMAGES, training=True)) == 0
    ours, theirs = twins(**options)
    for _ in range(3):
        assert_equal_steps(ours, theirs)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"axis": 1}, {"axis": 2}], ids=str)
def test_what_the_kernel_does_not_do_is_left_to_keras(options):
    ours, _ = twins(**options)
    assert fused_calls(lambda: ours(IMAGES, training=True)) == 0
    assert_equal_steps(*twins(**options))


def test_other_ranks_are_left_to_keras():
    ours, theirs = twins(shape=(6, 12))
    flat = IMAGES[:, 0, 0]
    assert_equal_steps(ours, theirs, flat, UPSTREAM[:, 0, 0])


def test_a_mask_is_left_to_keras():
    ours, theirs = twins()
    mask = tf.constant(RNG.random(IMAGES.shape[:3]) < 0.5)
    mine, its = (layer(IMAGES, training=True, mask=mask) for layer in (ours, theirs))
    np.testing.assert_allclose(mine, its, atol=1e-5)


def test_inference_is_keras_own():
    ours, theirs = twins()
    np.testing.assert_array_equal(ours(IMAGES), theirs(IMAGES))
    np.testing.assert_array_equal(ours(IMAGES, training=False), theirs(IMAGES, training=False))


def test_a_frozen_layer_keeps_its_statistics():
    ours, theirs = twins()
    ours.trainable = theirs.trainable = False
    before = [np.array(v) for v in ours.weights]
    np.testing.assert_array_equal(ours(IMAGES, training=True), theirs(IMAGES, training=True))
    for now, then in zip(ours.weights, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_mixed_precision():
    ours, _ = twins(dtype="mixed_float16")
    half = IMAGES.astype(np.float16)
    assert ours(half, training=True).dtype == tf.float16
    assert_equal_steps(*twins(dtype="mixed_float16"), half, UPSTREAM, tolerance=5e-3)


def test_in_fit_and_saved(tmp_path):
    def model(kind):
        keras.utils.set_random_seed(0)
        image = keras.Input((5, 7, 12))
        x = keras.layers.GlobalAveragePooling2D()(kind()(keras.layers.Conv2D(4, 3)(image)))
        network = keras.Model(image, keras.layers.Dense(2)(x))
        network.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError())
        network.fit(IMAGES, np.ones((6, 2)), batch_size=3, epochs=2, shuffle=False, verbose=0)
        return network

    ours, theirs = model(BatchNorm), model(keras.layers.BatchNormalization)
    np.testing.assert_allclose(ours(IMAGES), theirs(IMAGES), atol=1e-5)
    ours.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(again.layers[2], BatchNorm)
    np.testing.assert_array_equal(again(IMAGES), ours(IMAGES))
