"""Bias correction against sums written out in numpy, and weights against TensorFlow's own fake quantization."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from rewrite_models import images, randomize, stack
from tfeff.export.quantize.bias_correction import correct_bias, rounded

from tfeff.errors import TfeffError
from tfeff.layers import GroupConv2D


def test_weights_are_rounded_as_tensorflow_rounds_them():
    kernel = images(3, 3, 4, 8)
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    expected = tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)
    np.testing.assert_allclose(rounded(kernel, (0, 1, 2)), expected, atol=1e-6)
    most = np.abs(kernel).max()
    expected = tf.quantization.fake_quant_with_min_max_vars(kernel, -most, most, narrow_range=True)
    np.testing.assert_allclose(rounded(kernel, None), expected, atol=1e-6)


def test_a_channel_of_zeros_stays_zero():
    kernel = images(3, 3, 4, 8)
    kernel[..., 2] = 0
    result = rounded(kernel, (0, 1, 2))
    assert np.isfinite(result).all()
    assert not result[..., 2].any()


def patches(x, size):
    """(n, h, w, c) -> (n, h', w', size, size, c): what a VALID convolution reads, pixel by pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))  # (n, h', w', c, size, size)
    return np.moveaxis(windows, 3, 5)


def int8(kernel, axes):
    """By its definition: whole numbers from -127 to 127 times the largest weight over 127."""
    scale = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    return np.rint(kernel / scale) * scale


@pytest.mark.parametrize("per_tensor", [False, True])
def test_shifts_are_the_mean_of_the_rounding_error(per_tensor):
    model = stack(
        layers.Conv2D(6, 3, name="conv"),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, activation="relu", name="dw"),
        GroupConv2D(4, 1, 3, use_bias=False, name="groups"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, name="dense"),
        shape=(9, 8, 3),
    )
    x = images(20, 9, 8, 3)  # not a multiple of the batch
    new, report = correct_bias(model, x, per_tensor=per_tensor)
    assert report["places"] == 4
    assert report["images"] == 20

    weights = {layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in model.layers}
    kernel, bias = weights["conv"]
    read = patches(x.astype(np.float64), 3)
    error = int8(kernel, None if per_tensor else (0, 1, 2)) - kernel
    expected = {"conv": bias - np.einsum("nhwijc,ijcf->f", read, error) / (20 * 7 * 6)}
    x = np.maximum(np.einsum("nhwijc,ijcf->nhwf", read, kernel) + bias, 0)  # (20, 7, 6, 6)

    kernel, bias = weights["dw"]  # (3, 3, 6, 1)
    read = patches(x, 3)
    error = int8(kernel, None if per_tensor else (0, 1)) - kernel
    expected["dw"] = bias - np.einsum("nhwijc,ijcm->c", read, error) / (20 * 5 * 4)
    x = np.maximum(np.einsum("nhwijc,ijcm->nhwc", read, kernel) + bias, 0)  # (20, 5, 4, 6)

    (kernel,) = weights["groups"]  # (1, 1, 3, 4): filters 0 and 1 read channels 0 to 2
    error = (int8(kernel, None if per_tensor else (0, 1, 2)) - kernel)[0, 0]
    halves = [(x[..., :3], slice(0, 2)), (x[..., 3:], slice(2, 4))]
    expected["groups"] = -np.concatenate([half.mean(axis=(0, 1, 2)) @ error[:, f] for half, f in halves])
    x = np.concatenate([half @ kernel[0, 0][:, f] for half, f in halves], axis=-1).mean(axis=(1, 2))  # (20, 4)

    kernel, bias = weights["dense"]
    error = int8(kernel, None if per_tensor else (0,)) - kernel
    expected["dense"] = bias - x.mean(axis=0) @ error

    for name, value in expected.items():
        kernel, bias = new.get_layer(name).get_weights()
        np.testing.assert_array_equal(kernel, model.get_layer(name).get_weights()[0])
        np.testing.assert_allclose(bias, value, atol=2e-6)
        assert np.abs(value - (weights[name][1] if len(weights[name]) > 1 else 0)).max() > 1e-4  # there was a shift


def test_the_mean_output_of_rounded_weights_comes_back():
    """The network with rounded weights, run by Keras: its mean logits are nearer to the float ones by far."""
    rng = np.random.default_rng(0)
    filters = [layers.DepthwiseConv2D(3, activation="relu") for _ in range(2)]
    model = stack(*filters, layers.Conv2D(8, 1), shape=(9, 9, 16))
    for layer in filters:
        kernel, bias = layer.get_weights()
        kernel[0, 0] *= 20  # a large weight makes the steps of the others coarse
        layer.set_weights([kernel, np.abs(bias)])
    x = rng.uniform(0, 1, (64, 9, 9, 16)).astype(np.float32)

    def mean(network):
        quantized = keras.models.clone_model(network)
        quantized.set_weights([
            w if w.ndim == 1 else rounded(w, (0, 1) if w.shape[-1] == 1 else (0, 1, 2)) for w in network.get_weights()
        ])  # fmt: skip
        return np.asarray(quantized(x)).mean(axis=(0, 1, 2))

    truth = np.asarray(model(x)).mean(axis=(0, 1, 2))
    before, after = (np.abs(mean(network) - truth).mean() for network in (model, correct_bias(model, x)[0]))
    assert after < 0.2 * before


def test_batch_norm_is_folded_first_and_models_within_models_are_opened():
    inner = stack(layers.Conv2D(6, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(), shape=(9, 8, 3))
    image = keras.Input((9, 8, 3))
    model = randomize(keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(inner(image)))))
    new, report = correct_bias(model, images(8, 9, 8, 3))
    assert report["places"] == 2
    assert [type(layer).__name__ for layer in new.layers] == [
        "InputLayer", "Conv2D", "ReLU", "GlobalAveragePooling2D", "Dense",
    ]  # fmt: skip
    x = images(4, 9, 8, 3)
    error = np.abs(np.asarray(new(x)) - np.asarray(model(x))).max()
    assert 0 < error < 0.1


def test_two_runs_give_the_same_bits_and_the_model_given_is_not_touched():
    model, x = stack(layers.Conv2D(6, 3), layers.ReLU(), layers.Conv2D(8, 1), shape=(9, 8, 3)), images(16, 9, 8, 3)
    before = model.get_weights()
    one, two = correct_bias(model, x), correct_bias(model, x)
    assert one[1] == two[1]
    for first, second in zip(one[0].get_weights(), two[0].get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    for first, second in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_network_without_weights_stays_and_no_images_are_refused():
    model = stack(layers.MaxPooling2D(2), layers.ReLU(), shape=(8, 8, 3))
    new, report = correct_bias(model, images(2, 8, 8, 3))
    assert report["places"] == 0
    np.testing.assert_array_equal(np.asarray(new(images(2, 8, 8, 3))), np.asarray(model(images(2, 8, 8, 3))))
    with pytest.raises(TfeffError, match="no calibration images"):
        correct_bias(model, images(2, 8, 8, 3)[:0])
