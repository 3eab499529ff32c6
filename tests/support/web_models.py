"""Small artifacts with float32 doors, made by the stock converter, their records written by hand."""

import hashlib
import json
from functools import cache

import numpy as np
import pytest

from tfeff.data.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(
    (24, 20), "cover", (28, 26), "bgr", mean=(103.5, 116.3, 123.7), std=(57.4, 57.1, 58.4)
)  # nothing about it is even or round
LABELS = ("plain", "Ångström <b>bold</b>", "<img src=x onerror=alert(1)>", "'\"&amp;", "last")
LOGITS = (("logits", len(LABELS)),)


@cache
def _files(doors, heads):
    """The float and the int8 file; `heads` are its outputs and how many values each has."""
    import tensorflow as tf

    random = np.random.default_rng(3)
    first = random.normal(0, 0.3, (3, 3, 3, 16)).astype(np.float32)
    last = {name: random.normal(0, 0.3, (16, count)).astype(np.float32) for name, count in heads}

    def network(image):
        x = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, first, 2, "SAME")), [1, 2])
        return {name: tf.matmul(x, kernel) for name, kernel in last.items()}

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


def write_record_1(path, twin, doors="float32", **changed):
    """A record as it was before ports and tasks."""
    door = {"dtype": doors, "scale": None, "zero_point": None}
    record = {
        "schema_version": 1, "network": path.stem, "preset": None, **_same(path, twin),
        "input": {"name": "image", "shape": [1, *PREPROCESSING.shape], **door},
        "output": {"name": "logits", "shape": [1, len(LABELS)], **door},
        "preprocessing": PREPROCESSING.as_dict(), "labels": list(LABELS), "dataset": None, "latency": [],
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps({**record, **changed}), encoding="utf-8")


def write_record_2(path, twin, doors="float32", heads=LOGITS, **changed):
    record = {
        "schema_version": 2, "network": path.stem, **_same(path, twin),
        "inputs": [{"name": "image", "shape": [1, *PREPROCESSING.shape], "dtype": doors,
                    "preprocessing": PREPROCESSING.as_dict()}],
        "outputs": [{"name": name, "shape": [1, count], "dtype": doors} for name, count in heads],
    }  # fmt: skip
    if heads == LOGITS:
        decode = {"kind": "classes", "scores": "logits"}
        record["tasks"] = [{"name": "classification", "outputs": ["logits"], "labels": LABELS, "decode": decode}]
    path.with_suffix(".json").write_text(json.dumps({**record, **changed}), encoding="utf-8")


def _same(path, twin):
    sha256, twin_sha256 = (hashlib.sha256(file.read_bytes()).hexdigest() for file in (path, twin))
    return {"file": path.name, "sha256": sha256, "precision": "int8",
            "float_twin": {"file": twin.name, "sha256": twin_sha256}}  # fmt: skip


@pytest.fixture
def make_artifact(tmp_path):
    """Makes an artifact, `NAME.tflite` with its twin and record, and returns its path.

    `schema` is the record's, `heads` are names and sizes of the outputs; keywords change the record.
    """

    def make(name="small", *, schema=2, doors="float32", heads=LOGITS, **changed):
        files = _files(doors, heads)
        path, twin = tmp_path / f"{name}.tflite", tmp_path / f"{name}.twin.tflite"
        path.write_bytes(files["int8"])
        twin.write_bytes(files["float32"])
        if schema == 1:
            write_record_1(path, twin, doors, **changed)
        else:
            write_record_2(path, twin, doors, heads, **changed)
        return path

    return make
