"""The command line as a whole, and its small commands: list, info, train."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff

from tfeff import __version__
from tfeff.cli import COMMANDS
from tfeff.networks import index
from tfeff.presets import aliases, list_presets


def test_help_names_every_command(capfd):
    ran = tfeff(capfd, "--help")
    assert ran.code == 0
    for name in COMMANDS:
        assert name in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capfd, name):
    ran = tfeff(capfd, name, "--help")
    assert ran.code == 0
    assert "Usage:" in ran.out
    assert "--json" in ran.out


def test_version(capfd):
    assert __version__ in tfeff(capfd, "--version").out


def test_unknown_command(capfd):
    assert_refused(tfeff(capfd, "exprot"), "exprot")


def test_list_shows_networks_and_presets(capfd):
    ran = tfeff(capfd, "list", "--json")
    assert ran.code == 0
    networks = ran.json["networks"]
    assert len(networks) >= 30
    assert networks["vargnet_v1_100_g8"]["counted"]["madds"] == 620_195_840
    assert ran.json["presets"].keys() == list_presets().keys()
    for name in ("vargnet_v2_200_g8", *aliases()):
        assert name in ran.err


def test_list_takes_a_pattern(capfd):
    ran = tfeff(capfd, "list", "vargnet_v2_*_g4", "--json")
    assert len(ran.json["networks"]) == 8
    assert ran.json["presets"] == {}
    assert "nothing matches" in tfeff(capfd, "list", "resnet*").err


def test_stdout_is_empty_without_json(capfd):
    assert tfeff(capfd, "list").out == ""
    quiet = tfeff(capfd, "list", "--quiet")
    assert quiet.out == quiet.err == ""


def test_info_sets_published_against_counted(capfd):
    ran = tfeff(capfd, "info", "vargnet_v1_100_g8")
    assert ran.code == 0, ran.err
    for word in ("5,536,008", "620,195,840", "618,659,840", "+0.25%", "Table 3", "74.87"):
        assert word in ran.err


def test_info_of_another_form_claims_no_published_figure(capfd):
    ran = tfeff(capfd, "info", "vargnet_v1_100_g8", "--input-size", "160x192", "--classes", 10, "--json")
    assert ran.json["published"] == {}
    assert ran.json["input_shape"] == [160, 192, 3]
    assert ran.json["classes"] == 10


@pytest.mark.parametrize("name", sorted({*aliases()} - {*index()}))  # one is a network's name too: test_info.py
def test_info_of_a_preset(capfd, name):
    ran = tfeff(capfd, "info", name, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["network"] == aliases()[name]
    assert ran.json["training"]["samples"] == (2_000 if aliases()[name].endswith(".fashion_scenes") else 10_000)
    assert ran.json["counted"]["madds"] > 0


def test_info_of_an_unknown_network(capfd):
    assert_refused(tfeff(capfd, "info", "vargnet_v3_100_g8"), "unknown network", "vargnet_v2_100_g8")


@pytest.fixture
def dataset(tmp_path):
    """Dark and bright images, two classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = (rng.integers(0, 80, (80, 16, 16)) + 150 * labels[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "two.npz", images=images, labels=labels, classes=np.array(["dark", "bright"]))
    return tmp_path / "two.npz"


TRAIN = ("--input-size", 32, "--batch-size", 16)


def test_train_leaves_a_preset_and_goes_on_when_called_again(capfd, tmp_path, dataset):
    out = tmp_path / "run"
    ran = tfeff(
        capfd, "train", "vargnet_v1_025_g8", "--dataset", dataset, "--epochs", 2, "--out", out, *TRAIN, "--json"
    )
    assert ran.code == 0, ran.err
    assert "epoch   2/2" in ran.err
    preset = json.loads(Path(ran.json["preset"]).read_text())
    assert preset["labels"] == ["dark", "bright"]
    again = tfeff(capfd, "train", "vargnet_v1_025_g8", "--dataset", dataset, "--epochs", 2, "--out", out, *TRAIN)
    assert again.code == 0
    assert "epoch   1/2" not in again.err  # there was nothing left to do


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "vargnet_v9"}, ["unknown network", "vargnet"]),
        ({"--dataset": "nowhere"}, ["nowhere", "not found"]),
        ({"--epochs": 0}, ["--epochs", "at least 1"]),
        ({"--input-size": "x"}, ["--input-size"]),
        ({"--learning-rate": -1}, ["learning_rate"]),
    ],
    ids=["network", "dataset", "epochs", "input-size", "learning-rate"],
)
def test_train_refuses(capfd, tmp_path, dataset, change, words):
    options = {"--dataset": dataset, "--epochs": 1, "--out": tmp_path / "out", **change}
    network = options.pop("network", "vargnet_v1_025_g8")
    ran = tfeff(capfd, "train", network, *(part for pair in options.items() for part in pair))
    assert_refused(ran, *words)
    assert not (tmp_path / "out").exists()
