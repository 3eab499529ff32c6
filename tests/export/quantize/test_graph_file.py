"""A frozen graph that is written as its protocol buffers is what TensorFlow saves: it loads, it computes the same, and
the converter makes the same bytes of both."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfeff.data import InputPort
from tfeff.export import quantize


def two_of_each():
    """Two inputs, two outputs, an operation with several outputs, and one that is read by control alone."""
    left, right = keras.Input((8, 8, 4), name="left"), keras.Input((8, 8, 4), name="right")
    first, second = ops.split(layers.Conv2D(6, 3, padding="same", name="conv")(left), 2, axis=-1)
    x = layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="bn")(ops.concatenate([second, first, right], -1)))
    return keras.Model([left, right], [layers.GlobalAveragePooling2D(name="pool")(x), layers.Conv2D(2, 1, name="b")(x)])


def loop():
    """Functions that the graph calls."""
    steps = keras.Input((40, 3), name="steps")
    return keras.Model(steps, layers.GRU(4, name="memory")(steps))


def saved_by_tensorflow(model, folder, ports, names):
    """As it was done before, and everybody does."""
    signature = [tf.TensorSpec((1, *port.shape), port.dtype, name=port.name) for port in ports]

    def call(*values):
        made = model(list(values) if len(values) > 1 else values[0], training=False)
        return dict(zip(names, made if len(names) > 1 else [made], strict=True))

    traced = tf.function(call, input_signature=signature, autograph=False).get_concrete_function()
    frozen, module = convert_variables_to_constants_v2(traced), tf.Module()
    serve = lambda *values: dict(zip(sorted(names), frozen(*values), strict=True))  # noqa: E731, its name is in the file
    module.serve = tf.function(serve, input_signature=signature, autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


@pytest.mark.parametrize("build", [two_of_each, loop])
def test_is_what_tensorflow_saves(build, tmp_path):
    keras.utils.set_random_seed(3)
    model = build()
    ports = [InputPort(each.name, tuple(each.shape[1:])) for each in model.inputs]
    names = ["y", "a"][: len(model.outputs)]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    quantize.write_saved_model(model, ours, ports, names)
    saved_by_tensorflow(model, theirs, ports, names)

    generator = np.random.default_rng(0)
    inputs = {port.name: generator.standard_normal((1, *port.shape)).astype(np.float32) for port in ports}
    found, wanted = (
        tf.saved_model.load(str(folder)).signatures["serving_default"](**{k: tf.constant(v) for k, v in inputs.items()})
        for folder in (ours, theirs)
    )
    assert found.keys() == wanted.keys() == set(names)
    for name in names:
        np.testing.assert_array_equal(found[name], wanted[name])

    files = [tmp_path / "ours.tflite", tmp_path / "theirs.tflite"]
    jobs = [quantize.Job(str(f), "float32", "float32", str(p)) for f, p in zip((ours, theirs), files, strict=True)]
    quantize.convert(jobs, None, tmp_path)
    assert files[0].read_bytes() == files[1].read_bytes()
