"""`tfeff calibrate` and what `tfeff export` makes of calibration images that are not fit."""

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from tfeff.export.flatbuffer import read_graph

from tfeff.data import open_dataset
from tfeff.presets import load_preset

PRESET = "vargnet_v1_025_g8.fashion_mnist"


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """128 inputs of the preset; one is 20 times too large, one has a tenth of its pixels white."""
    preprocessing, sample = load_preset(PRESET).preprocessing, open_dataset("fashion_mnist_sample", "train")
    inputs = np.stack([preprocessing(sample.image(number)) for number in range(128)])
    white = preprocessing.normalize(np.full(preprocessing.shape, 255, np.uint8))
    inputs[77] = np.where(np.random.default_rng(0).random((32, 32, 1)) < 0.1, white, inputs[77])
    inputs[20] *= 20
    path = tmp_path_factory.mktemp("spoilt") / "images.npz"
    np.savez(path, images=inputs)
    return path


def test_ranges_and_counts(capfd):
    ran = tfeff(capfd, "calibrate", PRESET, "--calibration", "fashion_mnist_sample", "--samples", 40, "--json",
                "--range", "stem_relu=0:3", "--calibration-method", "minmax")  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["asked"], found["found"], found["used"]) == (40, 512, 40)
    assert (found["preset"], found["method"], found["fit"]) == (PRESET, "minmax", True)
    by_layer = {each["layer"]: each for each in found["ranges"]}
    assert by_layer["image"]["method"] == "preprocessing"
    assert (by_layer["image"]["low"], by_layer["image"]["high"]) == (-1, 127 / 128)
    assert (by_layer["stem_relu"]["low"], by_layer["stem_relu"]["high"]) == (0, 3)
    assert "stem_relu" in ran.err
    assert found["stability"]["shuffles"]["median"] > 0


def test_audit_names_both_spoilt_images(spoilt, capfd):
    ran = tfeff(capfd, "calibrate", PRESET, "--calibration", spoilt, "--audit", "--json")
    assert ran.code == 1
    assert "ranges" not in ran.json
    by_code = {each["code"]: each for each in ran.json["findings"]}
    assert by_code["input-range"]["severity"] == "grave"
    assert by_code["outlier-images"]["images"] == ["train image 20"]
    assert "train image 77" in by_code["noise-images"]["images"]
    assert "not fit" in ran.err
    assert "Traceback" not in ran.err
    assert tfeff(capfd, "calibrate", PRESET, "--calibration", spoilt, "--audit", "--allow-audit", "--quiet").code == 0


def test_export_stops_and_goes_on_when_allowed(spoilt, tmp_path, capfd):
    arguments = ["export", PRESET, "--int8", "--calibration", spoilt, "--no-bench", "--out", tmp_path,
                 "--evaluation-samples", 500]  # fmt: skip
    ran = tfeff(capfd, *arguments)
    assert ran.code == 1
    assert "train image 20" in ran.err
    assert "--allow-audit" in ran.err
    assert list(tmp_path.iterdir()) == []
    ran = tfeff(capfd, *arguments, "--allow-audit", "--json")
    assert ran.code == 0, ran.err
    calibration = ran.json["calibration"]
    assert calibration["method"].startswith("image-percentile")
    assert {each["code"] for each in calibration["findings"]} >= {"input-range", "outlier-images", "noise-images"}
    assert ran.json["accuracy"]["delta"] > -2
    ran = tfeff(capfd, *arguments, "--allow-audit", "--calibration-method", "minmax", "--force", "--json")
    assert ran.json["accuracy"]["delta"] < -20  # what one image does when nothing guards against it


def test_a_given_range_stands_in_the_file(tmp_path, capfd):
    ran = tfeff(capfd, "export", PRESET, "--int8", "--samples", 32, "--no-bench", "--evaluation-samples", 50, "--out",
                tmp_path, "--range", "stem_relu=0:5.1", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    graph = read_graph(tmp_path / f"{PRESET}.int8.tflite")
    (stem,) = (op.outputs[0] for op in graph.operations if "stem_relu" in op.outputs[0].name)
    assert stem.scale == pytest.approx(5.1 / 255, rel=1e-6)
    assert stem.zero_point == -128


def test_unknown_layer(tmp_path, capfd):
    ran = tfeff(capfd, "export", PRESET, "--int8", "--samples", 32, "--no-bench", "--out", tmp_path,
                "--range", "stem_rellu=minmax")  # fmt: skip
    assert_refused(ran, "stem_rellu", "stem_relu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calibration-method", "kl"], ["kl", "entropy"]),
        (["--range", "stem_relu"], ["stem_relu", "LAYER=METHOD"]),
        (["--range", "a=1:2"], ["1:2", "hold 0"]),
        (["--float16", "--calibration-method", "mse"], ["--calibration-method", "float16"]),
        (["--int16x8", "--range", "a=0:2"], ["--range", "int16x8"]),
    ],
)
def test_refused_before_anything_is_loaded(arguments, words, tmp_path, capfd):
    assert_refused(tfeff(capfd, "export", PRESET, "--out", tmp_path, *arguments), *words)


def test_raw_pixels_for_a_network_that_wants_them_normalized(tmp_path, capfd):
    sample = open_dataset("fashion_mnist_sample", "train")
    pixels = np.stack([load_preset(PRESET).preprocessing.pixels(sample.image(number)) for number in range(64)])
    np.savez(tmp_path / "raw.npz", images=pixels.astype(np.float32))
    ran = tfeff(capfd, "calibrate", PRESET, "--calibration", tmp_path / "raw.npz", "--audit")
    assert ran.code == 1
    assert "pixel values 0 to 255, not normalized; the network wants -1 to 0.9922" in ran.err
