"""Mixed precision by need: a layer whose range is ruined is found and kept in float, with no more beside it than must
be; where a target forbids it or nothing would do, that is said."""

import json

import keras
import numpy as np
import pytest
from calibration_network import CLASSES, PREPROCESSING, pictures
from cli_runner import tfeff
from keras import layers

from tfeff.export import Request, export_model
from tfeff.export.model import classifier
from tfeff.export.quantize.mixed import _fewest
from tfeff.tflite.graph import read_graph

RUINED = "third=-0.001:0.001"  # of values between -1 and 1: all that is left is their signs
QUICK = {"method": "minmax", "correct_bias": False, "devices": ()}


def network():
    """(16, 16, 3) -> 3 logits, how much there is of each colour, by way of five convolutions that hand them on."""
    image = keras.Input((16, 16, 3))
    x = image
    for name in ("first", "second", "third", "fourth", "fifth"):
        x = layers.Conv2D(3, 1, name=name)(x)
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)), name="m")
    for layer in model.layers:
        if layer.weights:
            size = layer.kernel.shape[-1]
            layer.set_weights([np.eye(size).reshape(layer.kernel.shape), np.zeros(size)])
    return model


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An npz of pictures in one of three colours each, of which a tenth is held out for the comparison."""
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    images, strongest = pictures(400)
    np.savez(path, images=images, labels=strongest)
    return str(path)


@pytest.fixture
def export(source, tmp_path):
    def run(**options):
        model = classifier(network(), "mine", "mine", PREPROCESSING, CLASSES)
        request = Request(calibration=source, dataset=source, **{**QUICK, "ranges": (RUINED,), **options})
        return export_model(model, tmp_path / "mine.int8.tflite", request)

    return run


def test_the_ruined_layer_is_kept_and_the_drop_is_met(export):
    done = export(max_drop=1.0, devices=("local",))
    assert done.failed == ()
    record, kept = done.record, done.record.quantization.kept_float
    assert kept.all_int8[0].float_value == 100
    assert kept.all_int8[0].delta < -20
    assert record.accuracy[0].delta >= -1
    # The layer whose output cannot be held, and the one behind it, which would read it in int8.
    assert sorted(kept.layers) == ["fourth", "third"]
    assert kept.tried[0].kept == 1
    assert (2, record.accuracy[0].delta) in [(each.kept, each.delta) for each in kept.tried]
    (cost,) = kept.latency
    assert cost.device == "local"
    assert cost.of == "all in int8"
    assert 0 < cost.ci95[0] <= cost.ratio <= cost.ci95[1]
    # The file is that one, and the record and the proof are of it.
    graph = read_graph(done.path)
    left = [op for op in graph.float_operations() if op.name == "CONV_2D"]
    assert len(left) == 2
    assert len(record.ops.float_) == len(graph.float_operations())
    assert sorted(record.quantization.simulation.float_) == ["fourth", "third"]
    assert record.quantization.simulation.beyond == []
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}


def test_biases_are_corrected_for_what_stays_in_int8(export):
    """Those of the file all in int8 would spoil one that is float for the most part; this cost a network 0.6 points."""
    done = export(max_drop=1.0, correct_bias=True)
    assert done.failed == ()
    kept = done.record.quantization.kept_float
    assert {"third", "fourth"} >= set(kept.layers)
    simulation = done.record.quantization.simulation
    assert simulation.beyond == simulation.rescaled == simulation.missing == []


def test_without_need_nothing_is_kept(export):
    done = export(max_drop=1.0, ranges=())
    assert done.failed == ()
    assert done.record.quantization.kept_float is None
    assert done.record.ops.float_ == []


@pytest.mark.parametrize("target", ["edgetpu", "ethos-u"])
def test_a_target_that_takes_no_float_refuses_with_the_reason(export, target):
    done = export(max_drop=1.0, target=target)
    assert len(done.failed) == 1
    assert "--max-drop allows 1" in done.failed[0]
    assert f"{target} takes no float operation" in done.failed[0]
    assert read_graph(done.path).float_operations() == []
    kept = done.record.quantization.kept_float
    assert kept.layers == []
    assert kept.refused in done.failed[0]
    assert done.record.accuracy[0].delta < -20


def test_the_converters_own_quantizer_cannot(export):
    done = export(max_drop=-1.0, quantizer="converter", ranges=(), method=None, correct_bias=True)
    assert "only with our own quantizer" in done.failed[0]


def test_a_drop_that_cannot_be_met_is_exit_1_with_the_best_that_was_found(source, tmp_path, capfd):
    network().save(tmp_path / "mine.keras")
    arguments = ["export", tmp_path / "mine.keras", "--mean", 127.5, "--std", 127.5, "--dataset", source, "--no-bench",
                 "--range", RUINED, "--calibration-method", "minmax", "--no-correct-bias", "--out",
                 tmp_path / "out"]  # fmt: skip
    ran = tfeff(capfd, *arguments, "--max-drop", -1)  # better than float, which is right on every image
    assert ran.code == 1, ran.err
    assert "no number of layers in float meets it" in ran.err
    record = json.loads((tmp_path / "out" / "mine.int8.json").read_text())
    kept = record["quantization"]["kept_float"]
    assert record["gates"]["failed"]
    assert kept["layers"] == []
    assert max(each["delta"] for each in kept["tried"]) == 0
    assert "the best are" in ran.err
    assert "with +0.00 points" in ran.err
    assert record["ops"]["float"] == []
    # One that can, with float doors.
    ran = tfeff(capfd, *arguments, "--max-drop", 1, "--force", "--io", "float32", "--json")
    assert ran.code == 0, ran.err
    assert "kept in float" in ran.err
    assert sorted(ran.json["quantization"]["kept_float"]["layers"]) == ["fourth", "third"]
    assert ran.json["quantization"]["simulation"]["beyond"] == []
    assert ran.json["inputs"][0]["dtype"] == "float32"


@pytest.mark.parametrize("needed", range(1, 14))
def test_the_fewest_are_found_without_trying_all(needed):
    """Doubling, then halving: the prefix that is needed, whichever it is."""
    ranked, tried = list("abcdefghijklm"), []

    def met(kept):
        tried.append(len(kept))
        return len(kept) >= needed

    assert _fewest(ranked, met) == ranked[:needed]
    assert len(tried) <= 8
    assert _fewest(ranked, lambda kept: False) is None
