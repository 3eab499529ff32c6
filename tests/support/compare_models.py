"""Small .tflite files for the tests of `tfeff compare`: classifiers in closed form, so that no test has to train."""

import hashlib
import json
import tempfile
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


def convert_function(function, shape, path, dtype="float32"):
    """Writes the float32 file of a TensorFlow function of `image`; its dictionary of results names the outputs."""
    return convert_ports(function, {"image": (shape, dtype)}, path)


def convert_ports(function, inputs, path, samples=None, io="int8"):
    """Writes the file of a TensorFlow function of several inputs, by name in the signature.

    Args:
        function: called with the inputs by name; its dictionary of results names the outputs.
        inputs: name -> (shape with the batch, dtype).
        samples: dicts of arrays with the batch, for int8; float32 without.
        io: the doors' type of int8.
    """
    import tensorflow as tf

    module = tf.Module()
    specs = {name: tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in inputs.items()}
    module.run = tf.function(function)
    with tempfile.TemporaryDirectory() as folder:
        signature = {"serving_default": module.run.get_concrete_function(**specs)}
        tf.saved_model.save(module, folder, signatures=signature)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        if samples is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter(samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = getattr(tf, io)
        path.write_bytes(converter.convert())
    return path


def write_test_record(tflite: Path, **changes):
    """A record as `tfeff export` leaves it, as far as other commands read it; its ports are the file's own.

    `changes` are JSON, `labels` and `preprocessing` those of the only task and of the only input; a value of None
    leaves its key out.
    """
    if "float_twin" not in changes:
        changes["float_twin"] = _named(tflite.with_name("float.tflite"))
    ports = doors(tflite) if not {"inputs", "outputs"} <= changes.keys() else {}
    labels = changes.pop("labels", list(open_dataset("fashion_mnist_sample", "test").classes))
    preprocessing = changes.pop("preprocessing", PREPROCESSING.as_dict())
    record = {
        "schema_version": 2,
        "preset": "dense.fashion_mnist",
        **_named(tflite),
        **ports,
        **changes,
    }
    if "inputs" not in changes:
        record["inputs"][0]["preprocessing"] = preprocessing
    if "tasks" not in changes:
        outputs = [record["outputs"][0]["name"]]
        record["tasks"] = [{"name": "classification", "outputs": outputs, "labels": labels, "decode": {}}]
    return _write(tflite, record)


def write_old_record(tflite: Path, **changes):
    """The same as tfeff wrote it before schema 2."""
    ports = doors(tflite)
    door = {
        side: {**ports[f"{side}s"][0], "name": name, "scale": ports[f"{side}s"][0]["scale"] or None}
        for side, name in (("input", "image"), ("output", "logits"))
    }
    record = {
        "schema_version": 1,
        "preset": "dense.fashion_mnist",
        **_named(tflite),
        "float_twin": _named(tflite.with_name("float.tflite")),
        **door,
        "preprocessing": PREPROCESSING.as_dict(),
        "labels": list(open_dataset("fashion_mnist_sample", "test").classes),
        **changes,
    }
    return _write(tflite, record)


def doors(tflite: Path):
    """`inputs` and `outputs` of a record, as LiteRT itself reports them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(tflite))
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner()

    def door(name, details):
        scale, zero_point = details["quantization"]
        return {"name": name, "shape": details["shape"].tolist(), "dtype": np.dtype(details["dtype"]).name,
                "scale": float(scale), "zero_point": int(zero_point)}  # fmt: skip

    sides = {"inputs": signature.get_input_details(), "outputs": signature.get_output_details()}
    return {side: [door(*pair) for pair in ports.items()] for side, ports in sides.items()}


def _named(file):
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def _write(tflite, record):
    path = tflite.with_suffix(".json")
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}), encoding="utf-8")
    return path
