"""Small artifacts with float32 doors, made by the stock converter, their records written by hand."""

import hashlib
from functools import cache

import numpy as np
import pytest

from tfeff.artifact import write_record
from tfeff.data.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(
    (24, 20), "cover", (28, 26), "bgr", mean=(103.5, 116.3, 123.7), std=(57.4, 57.1, 58.4)
)  # nothing about it is even or round
LABELS = ("plain", "Ångström <b>bold</b>", "<img src=x onerror=alert(1)>", "'\"&amp;", "last")


@cache
def _files(doors):
    import tensorflow as tf

    random = np.random.default_rng(3)
    first = random.normal(0, 0.3, (3, 3, 3, 16)).astype(np.float32)
    last = random.normal(0, 0.3, (16, len(LABELS))).astype(np.float32)

    def network(image):
        x = tf.nn.relu(tf.nn.conv2d(image, first, 2, "SAME"))
        return {"logits": tf.matmul(tf.reduce_mean(x, [1, 2]), last)}

    shape = (1, *PREPROCESSING.shape)
    image = tf.TensorSpec(shape, tf.float32, name="image")
    module = tf.Module()
    module.serve = tf.function(network, input_signature=[image])
    made = {}
    for precision in ("float32", "int8"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
        if precision == "int8":
            images = np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda images=images: ([one] for one in images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            if doors == "int8":
                converter.inference_input_type = converter.inference_output_type = tf.int8
        made[precision] = converter.convert()
    return made


@pytest.fixture
def make_artifact(tmp_path):
    """Makes an artifact, `NAME.tflite` with its twin and record, and returns its path; keywords change the record."""

    def make(name="small", *, doors="float32", **changed):
        files = _files(doors)
        path, twin = tmp_path / f"{name}.tflite", tmp_path / f"{name}.twin.tflite"
        path.write_bytes(files["int8"])
        twin.write_bytes(files["float32"])
        door = {"dtype": doors, "scale": None, "zero_point": None}
        record = {
            "schema_version": 1, "network": name, "preset": None, "file": path.name,
            "sha256": hashlib.sha256(files["int8"]).hexdigest(), "precision": "int8",
            "float_twin": {"file": twin.name, "sha256": hashlib.sha256(files["float32"]).hexdigest()},
            "input": {"name": "image", "shape": [1, *PREPROCESSING.shape], **door},
            "output": {"name": "logits", "shape": [1, len(LABELS)], **door},
            "preprocessing": PREPROCESSING.as_dict(), "labels": list(LABELS), "dataset": None, "latency": [],
        }  # fmt: skip
        write_record(path.with_suffix(".json"), {**record, **changed})
        return path

    return make
