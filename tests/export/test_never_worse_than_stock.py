"""The default int8 file of small models against what TensorFlow's own converter makes of the same samples.

No output is farther from Keras, on inputs that neither has seen; and what each step did is told."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.cli.export_table import show
from tfeff.compare import Runner
from tfeff.data import InputPort
from tfeff.export import Request, export_model
from tfeff.export.model import Model
from tfeff.record.schema import TaskSpec

SAMPLES, HELD = 48, 64
SLACK_DB = 0.3


def _convolved(x, filters, strides=1, activation="relu"):
    x = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    return layers.Activation(activation)(layers.BatchNormalization()(x))


def _pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def regression(image):
    return layers.Dense(1, name="size")(_pooled(_convolved(_convolved(image, 8, 2), 16, 2)))


def two_outputs(image):
    x = _pooled(_convolved(_convolved(image, 8, 2), 16, 2))
    return [layers.Dense(4, "softmax", name="kind")(x), layers.Dense(4, name="box")(x)]


def gated_labels(image):
    x = _convolved(image, 8, 2, "silu")
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="silu")(gate))
    return layers.Dense(5, "sigmoid", name="labels")(_pooled(_convolved(layers.Multiply()([x, gate]), 16)))


def layer_called_twice(image):
    again = layers.Conv2D(8, 3, padding="same", activation="relu")
    return layers.Dense(3, name="scores")(_pooled(again(again(_convolved(image, 8, 2)))))


def normalized(image):
    x = layers.ELU()(layers.GroupNormalization(2)(layers.Conv2D(8, 3, 2, "same")(image)))
    x = layers.LayerNormalization()(layers.Reshape((64, 8))(x))
    return layers.Dense(3, name="scores")(layers.GlobalAveragePooling1D()(layers.Dense(8, "mish")(x)))


def picture(image):
    x = layers.Conv2DTranspose(8, 4, 2, "same", activation="relu")(_convolved(image, 8, 2))
    return layers.Conv2D(3, 3, padding="same", activation="sigmoid", name="picture")(x)


def vector(facts):
    x = layers.Dense(16, "relu")(layers.Dense(24, "relu")(facts))
    return layers.Dense(3, name="values")(x)


MODELS = {
    "regression": (regression, (16, 16, 3), {"size": "tensors"}),
    "two_outputs": (two_outputs, (16, 16, 3), {"kind": "classes", "box": "tensors"}),
    "gated_labels": (gated_labels, (16, 16, 3), {"labels": "multi-label"}),
    "layer_called_twice": (layer_called_twice, (16, 16, 3), {"scores": "tensors"}),
    "normalized": (normalized, (16, 16, 3), {"scores": "tensors"}),
    "picture": (picture, (16, 16, 3), {"picture": "tensors"}),
    "vector": (vector, (12,), {"values": "tensors"}),
}


@dataclass
class Made:
    """A model, its outputs' names, inputs that were never shown to either converter, and what came of the export."""

    keras: keras.Model
    names: list[str]
    samples: np.ndarray
    held: np.ndarray
    export: object

    def ratios(self, given):
        """SQNR of each output on what was held out, against `predict`."""
        wanted = keras.tree.flatten(self.keras.predict(self.held, verbose=0))
        return [
            10 * np.log10(np.sum(np.square(one, dtype=float)) / np.sum(np.square(one - other, dtype=float)))
            for one, other in zip(wanted, given, strict=True)
        ]


@pytest.fixture(scope="module", params=MODELS)
def made(request, tmp_path_factory):
    function, shape, outputs = MODELS[request.param]
    keras.utils.set_random_seed(11)
    entry = keras.Input(shape, name="given")
    model = keras.Model(entry, function(entry))
    samples, held = _samples(SAMPLES, shape, 0), _samples(HELD, shape, 1)
    _settle(model, samples)
    folder = tmp_path_factory.mktemp(request.param)
    np.savez(folder / "samples.npz", given=samples)
    described = Model(model, request.param, "mine", (InputPort("given", shape, "float32"),), tuple(outputs),
                      tuple(_task(*each) for each in outputs.items()))  # fmt: skip
    wanted = Request(calibration=str(folder / "samples.npz"), devices=())
    export = export_model(described, folder / "mine.int8.tflite", wanted)
    return Made(model, list(outputs), samples, held, export)


def _task(name, kind):
    if kind == "tensors":
        return TaskSpec(name="tensors", outputs=[name])
    return TaskSpec(name="classification", outputs=[name], decode={"kind": kind, "scores": "probabilities"})


def _samples(count, shape, seed):
    """Of no two sizes alike: their ends are rare."""
    random = np.random.default_rng(seed)
    size = random.gamma(4, 0.25, (count,) + (1,) * len(shape))
    return np.clip(random.normal(size=(count, *shape)) * size, -2, 2).astype(np.float32)


def _settle(model, samples):
    """Batch normalization as training leaves it."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            before = keras.Model(model.inputs, layer.input)(samples, training=False)
            mean, variance = (np.asarray(each) for each in keras.ops.moments(before, (0, 1, 2)))
            size = len(mean)
            layer.set_weights([random.uniform(0.6, 1.4, size), random.normal(0, 0.3, size), mean, variance])


def stock(made):
    """What each output of the stock converter's file gives for what was held out, by Keras' order of the outputs."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_keras_model(made.keras)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in made.samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = Interpreter(model_content=converter.convert())
    runner = interpreter.get_signature_runner()
    (name, entry), ends = *runner.get_input_details().items(), runner.get_output_details()
    scale, zero = entry["quantization"]
    steps = np.clip(np.round(made.held / scale) + zero, -128, 127).astype(np.int8)
    given = [runner(**{name: sample[None]}) for sample in steps]
    return [
        np.concatenate([(each[end].astype(np.float32) - details["quantization"][1]) * details["quantization"][0]
                        for each in given])
        for end, details in sorted(ends.items())
    ]  # fmt: skip


def test_no_output_is_farther_from_keras_than_the_stock_converter_s(made):
    runner = Runner(made.export.path)
    rows = [runner({"given": sample}) for sample in made.held]
    ours = made.ratios([np.stack([row[name] for row in rows]) for name in made.names])
    rival = made.ratios(stock(made))
    for name, one, other in zip(made.names, ours, rival, strict=True):
        assert one > 15, name
        assert one >= other - SLACK_DB, (name, one, other)


def test_the_record_tells_what_was_tried_and_what_biases_did(made, capsys):
    from tfeff.cli.output import Output

    calibration, told = made.export.record.calibration, made.export.record.quantization.bias_correction
    assert calibration.held_out == 16
    ways = {(each.method, each.bias_correction): each for each in calibration.tried}
    plain = ways["minmax", False]
    assert sorted(each.name for each in plain.outputs) == sorted(made.names)
    first = calibration.tried[0]
    assert all(one.sqnr_db >= other.sqnr_db - 0.1 for one, other in zip(first.outputs, plain.outputs, strict=True))
    held = told["held_out"]
    assert held["samples"] == 16
    if told["kept"]:
        assert held["after"] < held["before"]
        assert told["places"] > 0
    else:
        assert "places" not in told
        assert calibration.method == "minmax" or held["after"] >= held["before"] or "chance" in told["why"]
    if calibration.refit is not None:
        assert calibration.refit.samples == SAMPLES
        assert (calibration.method == "minmax") or calibration.refit.kept
    show(made.export, Output(False, False))
    said = " ".join(capsys.readouterr().err.split())
    assert f"{'kept' if told['kept'] else 'left out'}, loss {held['before']:.3g} -> {held['after']:.3g}" in said
