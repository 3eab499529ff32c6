"""`tfeff export --equalize` on a network whose channels are out of balance, from the user's file to the int8 file."""

import numpy as np
import pytest
from cli_runner import tfeff
from hard_case import unbalanced

from tfeff.data import open_dataset
from tfeff.presets import load_preset

LOST, WON = -5, -0.5  # points of top-1


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """The path of MobileNetV2's hard case, which gives what the preset gives in float, and its options."""
    preset = load_preset("mobilenet_v2")
    images = open_dataset("fashion_mnist_sample", "train")
    model, _ = unbalanced(preset.build(), np.stack([preset.preprocessing(images.image(n)) for n in range(8)]))
    path = tmp_path_factory.mktemp("hard") / "hard.keras"
    model.save(path)
    described = preset.preprocessing.as_dict()
    options = [f"--{key}={','.join(map(str, described[key]))}" for key in ("mean", "std")]
    options += ["--dataset", "fashion_mnist_sample", "--calibration", "fashion_mnist_sample", "--samples", 64]
    return path, [*options, "--evaluation-samples", 512, "--per-tensor", "--no-bench", "--json"]


@pytest.mark.parametrize("extra", [("--calibration-method", "minmax"), ("--equalize",)])
def test_equalizing_wins_what_a_scale_for_all_channels_loses(hard, tmp_path, capfd, extra):
    path, options = hard
    ran = tfeff(capfd, "export", path, "--int8", *options, *extra, "--out", tmp_path)
    assert ran.code == 0, ran.err
    record = ran.json
    if "--equalize" in extra:
        assert record["accuracy"][0]["delta"] > WON, ran.err
        told = record["quantization"]["equalization"]
        assert told["places"] > 5
        assert told["largest_factor"] >= 16
        assert "equal" in ran.err
    else:
        assert record["accuracy"][0]["delta"] < LOST, ran.err
    proof = record["quantization"]["simulation"]
    assert proof["max_lsb"] <= 1
    assert not proof["beyond"]
