"""`tfeff calibrate` and what `tfeff export` makes of calibration images that are not fit."""

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from keras import layers

from tfeff.data import open_dataset
from tfeff.presets import load_preset
from tfeff.tflite.graph import read_graph

PRESET = "vargnet_v1_025_g8.fashion_mnist"


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """96 inputs of the preset; one is 20 times too large, one has a tenth of its pixels white. Twice, in two orders."""
    preprocessing, sample = load_preset(PRESET).preprocessing, open_dataset("fashion_mnist_sample", "train")
    inputs = np.stack([preprocessing(sample.image(number)) for number in range(96)])
    white = preprocessing.normalize(np.full(preprocessing.shape, 255, np.uint8))
    inputs[77] = np.where(np.random.default_rng(0).random((32, 32, 1)) < 0.1, white, inputs[77])
    inputs[20] *= 20
    folder = tmp_path_factory.mktemp("spoilt")
    np.savez(folder / "images.npz", images=inputs)
    np.savez(folder / "other_order.npz", images=np.random.default_rng(1).permutation(inputs))
    return folder


def test_counts_and_ranges_by_layer(capfd):
    ran = tfeff(capfd, "calibrate", PRESET, "--calibration", "fashion_mnist_sample", "--samples", 40, "--json",
                "--range", "stem=0:3", "--calibration-method", "minmax")  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["asked"], found["found"], found["used"]) == (40, 512, 40)
    assert (found["preset"], found["method"], found["fit"]) == (PRESET, "minmax", True)
    by_layer = {each["layer"]: each for each in found["ranges"]}
    assert by_layer["image"]["method"] == "preprocessing"
    assert (by_layer["image"]["low"], by_layer["image"]["high"]) == (-1, 127 / 128)
    (stem,) = (each for each in found["ranges"] if each["method"] == "given")
    assert (stem["low"], stem["high"]) == (0, 3)
    assert (found["left_out"], found["tried"]) == ([], None)
    assert found["stability"]["shuffles"]["median"] > 0


def test_both_spoilt_images_are_named_and_no_order_changes_the_ranges(spoilt, capfd):
    found = []
    for name in ("images.npz", "other_order.npz"):
        ran = tfeff(capfd, "calibrate", PRESET, "--calibration", spoilt / name, "--json")
        assert ran.code == 1
        assert "not fit" in ran.err
        assert "Traceback" not in ran.err
        found.append(ran.json)
    by_code = {each["code"]: each for each in found[0]["findings"]}
    assert (by_code["input-range"]["severity"], by_code["input-range"]["images"]) == ("grave", ["train image 20"])
    assert by_code["outlier-images"]["images"] == found[0]["left_out"] == ["train image 20"]
    assert "train image 77" in by_code["noise-images"]["images"]
    assert found[0]["ranges"] == found[1]["ranges"]
    assert found[0]["tried"] == found[1]["tried"]


def test_the_audit_alone(spoilt, capfd):
    ran = tfeff(
        capfd, "calibrate", PRESET, "--calibration", spoilt / "images.npz", "--audit", "--allow-audit", "--json"
    )
    assert ran.code == 0
    assert not ran.json["fit"]
    assert "ranges" not in ran.json
    assert "1 of 96 images: train image 20" in ran.err


def test_export_stops_and_goes_on_when_allowed(spoilt, tmp_path, capfd):
    arguments = ["export", PRESET, "--int8", "--calibration", spoilt / "images.npz", "--no-bench", "--out", tmp_path,
                 "--evaluation-samples", 500]  # fmt: skip
    ran = tfeff(capfd, *arguments)
    assert ran.code == 1
    assert "train image 20" in ran.err
    assert "--allow-audit" in ran.err
    assert list(tmp_path.iterdir()) == []
    ran = tfeff(capfd, *arguments, "--allow-audit", "--json", "--range", "stem=0:5.1")
    assert ran.code == 0, ran.err
    calibration = ran.json["calibration"]
    assert calibration["method"] == load_preset(PRESET).calibration_method
    assert calibration["tried"] is None
    assert calibration["left_out"] == ["train image 20"]
    assert {each["code"] for each in calibration["findings"]} >= {"input-range", "outlier-images", "noise-images"}
    assert ran.json["accuracy"][0]["delta"] > -2
    graph = read_graph(tmp_path / f"{PRESET}.int8.tflite")
    assert any(op.outputs[0].scale == pytest.approx(5.1 / 255, rel=1e-6) for op in graph.operations)


def test_no_order_changes_the_file(tmp_path, capfd):
    """Ranges, corrected biases and the choice of the method: all are sums over images, or of chosen ones."""
    image = keras.Input((12, 12, 3))
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(8, 3, activation="hard_silu")(image))
    keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))).save(tmp_path / "mine.keras")
    images = np.random.default_rng(0).integers(0, 256, (300, 12, 12, 3), dtype=np.uint8)  # more than correct biases
    for name, order in (("one", slice(None)), ("other", np.random.default_rng(1).permutation(300))):
        np.savez(tmp_path / f"{name}.npz", images=images[order])
    found = []
    for name in ("one", "other"):
        ran = tfeff(capfd, "export", tmp_path / "mine.keras", "--int8", "--mean", 128, "--std", 128, "--no-bench",
                    "--calibration", tmp_path / f"{name}.npz", "--out", tmp_path / name, "--json")  # fmt: skip
        assert ran.code == 0, ran.err
        found.append(ran.json)
    assert found[0]["sha256"] == found[1]["sha256"]
    ways = [[(each["method"], each["bias_correction"]) for each in one["calibration"]["tried"]] for one in found]
    assert {("minmax", False), ("image-percentile:95", True)} <= set(ways[0])
    assert found[0]["calibration"]["tried"] == found[1]["calibration"]["tried"]  # to the last bit of each loss
    assert found[0]["quantization"]["bias_correction"] == found[1]["quantization"]["bias_correction"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calibration-method", "kl"], ["kl", "entropy"]),
        (["--range", "stem_relu"], ["stem_relu", "LAYER=METHOD"]),
        (["--range", "a=1:2"], ["1:2", "hold 0"]),
        (["--range", "a=auto"], ["auto", "all layers together"]),
        (["--float16", "--calibration-method", "mse"], ["--calibration-method", "float16"]),
        (["--int16x8", "--range", "a=0:2"], ["--range", "int16x8"]),
    ],
)
def test_refused_before_anything_is_loaded(arguments, words, tmp_path, capfd):
    assert_refused(tfeff(capfd, "export", PRESET, "--out", tmp_path, *arguments), *words)
