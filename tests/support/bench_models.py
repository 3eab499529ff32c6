"""Small .tflite files and stand-in interpreters for the tests of `tfeff bench`."""

import os
import shlex
import sys
import time
import uuid
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tfeff.runtime

_RUNTIME_WORKER = os.fsencode(Path(tfeff.runtime.__file__).with_name("worker.py"))


def _network(middle=None):
    import tensorflow as tf

    random = np.random.default_rng(1)
    first = random.normal(0, 0.2, (3, 3, 3, 16)).astype(np.float32)
    last = random.normal(0, 0.2, (1, 1, 16, 16)).astype(np.float32)

    def network(image):
        x = tf.nn.relu(tf.nn.conv2d(image, first, 2, "SAME"))
        x = middle(x) if middle else x
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, last, 1, "SAME")), [1, 2])

    return network


def _convert(network, shape, int8):
    import tensorflow as tf

    image = tf.TensorSpec(shape, tf.float32, name="image")
    function = tf.function(network, input_signature=[image]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if int8:
        images = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one] for one in images)
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def _too_new(data):
    """The file as a converter of the future would write it: an operation version that no runtime has yet."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    model.operatorCodes[0].version = 99
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@cache
def _files():
    import tensorflow as tf

    image = (1, 24, 24, 3)
    files = {
        "float": _convert(_network(), image, int8=False),
        "int8": _convert(_network(), image, int8=True),
        # XNNPACK has no CUMSUM, so it takes the graph in two parts around it.
        "mixed": _convert(_network(lambda x: tf.cumsum(x, axis=3)), image, int8=False),
        "gather": _convert(lambda x: tf.gather(x, [3, 1, 0], axis=3), (1, 4, 4, 8), int8=False),
    }
    return {**files, "too_new": _too_new(files["int8"])}


@pytest.fixture
def models(tmp_path):
    """Paths by name: `float`, `int8` (all ops XNNPACK's), `mixed` (all but one), `gather` (none), `too_new`."""
    paths = {name: tmp_path / f"{name}.tflite" for name in _files()}
    for name, data in _files().items():
        paths[name].write_bytes(data)
    return paths


@pytest.fixture
def tflite_runtime_python():
    """An interpreter with tflite-runtime 2.14 in an environment of its own."""
    path = os.environ.get("TFEFF_TFLITE_RUNTIME_PYTHON")
    if not path:
        pytest.skip("TFEFF_TFLITE_RUNTIME_PYTHON does not name a Python with tflite-runtime and numpy<2")
    return path


@pytest.fixture
def stand_in(tmp_path):
    """Makes an executable out of shell text; `$PYTHON` in it is this interpreter."""

    def make(text):
        path = tmp_path / "stand-in"
        path.write_text(f"#!/bin/sh\nPYTHON={shlex.quote(sys.executable)}\n{text}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def left_behind(monkeypatch):
    """Counts the processes that were started since and still live; waits for them to go, up to `seconds`.

    The workers in which this very process runs files live as long as it does: they are not counted.
    """
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc to see other processes")
    mark = f"TFEFF_TEST_MARK={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))

    def count(seconds=0.0):
        deadline = time.monotonic() + seconds
        while True:
            found = sum(_holds(process, mark) for process in Path("/proc").glob("[0-9]*"))
            if not found or time.monotonic() >= deadline:
                return found
            time.sleep(0.05)

    return count


def _holds(process, mark):
    try:
        if mark.encode() not in (process / "environ").read_bytes():
            return False
        parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        ours = parent == os.getpid() and _RUNTIME_WORKER in (process / "cmdline").read_bytes()
        return not ours
    except OSError:  # gone, or not ours
        return False
