"""Small .tflite files for the tests of `tfeff compare`: classifiers in closed form, so that no test has to train."""

import hashlib
import json
from pathlib import Path

import numpy as np

from tfeff.data import Preprocessing, open_dataset

PREPROCESSING = Preprocessing((14, 14), colour="gray", mean=(72.0,), std=(90.0,))
RIDGE = 300.0


def fit_classifier():
    """Kernel (196, 10) and bias (10,) of the ridge regression of one-hot labels on the bundled training images."""
    data = open_dataset("fashion_mnist_sample", "train")
    pixels = np.stack([PREPROCESSING(data.image(n)).reshape(-1) for n in range(len(data))]).astype(np.float64)
    mean, targets = pixels.mean(axis=0), np.eye(10)[data.labels]
    centred = pixels - mean
    kernel = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(196), centred.T @ (targets - targets.mean(axis=0)))
    return kernel.astype(np.float32), (targets.mean(axis=0) - mean @ kernel).astype(np.float32)


def dense_network(kernel, bias, shape):
    """float32 `shape` -> flatten -> kernel, bias -> logits; static batch of 1."""
    import keras

    image = keras.Input(shape, batch_size=1, name="image")
    dense = keras.layers.Dense(kernel.shape[1], name="logits")
    model = keras.Model(image, dense(keras.layers.Flatten()(image)))
    dense.set_weights([kernel, bias])
    return model


def convert(model, path, images=None, dtype="float32", io=None):
    """Writes a .tflite file: float32, or quantized to `dtype` with the ranges of `images`; `io` is its doors' type."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if dtype != "float32":
        wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [wide if dtype == "int16" else tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, io or dtype)
    path.write_bytes(converter.convert())
    return path


def convert_function(function, shape, path):
    """Writes the float32 file of a TensorFlow function of `image`; its dictionary of results names the outputs."""
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    concrete = module.run.get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    return path


def write_test_record(tflite: Path, **changes):
    """A record as `tfeff export` leaves it, as far as `tfeff compare` reads it; a value of None leaves its key out."""
    twin = tflite.with_name("float.tflite")
    record = {
        "schema_version": 1,
        "preset": "dense.fashion_mnist",
        "file": tflite.name,
        "sha256": hashlib.sha256(tflite.read_bytes()).hexdigest(),
        "float_twin": {"file": twin.name, "sha256": hashlib.sha256(twin.read_bytes()).hexdigest()},
        "preprocessing": PREPROCESSING.as_dict(),
        "labels": list(open_dataset("fashion_mnist_sample", "test").classes),
        "accuracy": None,
        **changes,
    }
    path = tflite.with_suffix(".json")
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}), encoding="utf-8")
    return path
