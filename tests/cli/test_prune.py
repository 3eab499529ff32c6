"""`tfeff prune`: zeros in the int8 weights of the file, counted by LiteRT; the record says what there is."""

import gzip

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from tfmot_small import PIXELS, int8_kernels, needs_tfmot, write_network_and_dataset

from tfeff.artifact import open_artifact
from tfeff.compress.tfmot import exporting, kernels
from tfeff.compress.tfmot.compress import Compressed

pytestmark = needs_tfmot


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_network_and_dataset(folder)
    return folder


def arguments(small, out, *more):
    return ("prune", small / "small.keras", *PIXELS, "--dataset", small / "small.npz", "--epochs", 4, "--batch-size",
            24, "--learning-rate", 0.005, "--no-bench", "--allow-audit", "--out", out, *more)  # fmt: skip


@pytest.fixture(scope="module")
def pruned(small, tmp_path_factory):
    """The folder of an artifact, pruned to 60 % but for one layer."""
    from tfeff.cli import main

    out = tmp_path_factory.mktemp("pruned")
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments(small, out, "--sparsity", 0.6, "--skip", "logits", "--quiet"))])
    assert stop.value.code == 0
    return out


def test_zeros_are_in_the_file(pruned):
    found = int8_kernels(pruned / "small.pruned.int8.tflite")
    for layer in ("stem", "group", "wide"):
        assert np.mean(found[layer] == 0) >= 0.6 - 1 / found[layer].size, layer
    for layer in ("logits", "dw"):
        assert np.mean(found[layer] == 0) < 0.2, layer


def test_record_says_what_is_in_it(pruned):
    path = pruned / "small.pruned.int8.tflite"
    entry = open_artifact(path).record.pruning
    found = int8_kernels(path)
    zeros = {layer: int(np.sum(found[layer] == 0)) for layer in ("stem", "group", "wide")}
    assert {row["layer"]: row["zeros"] for row in entry["by_layer"]} == zeros
    assert entry["in_file"]["zeros"] == sum(zeros.values())
    assert entry["sparsity"] == 0.6
    assert entry["steps"] == 40  # 4 times 240 images by 24
    assert entry["failed"] == []
    assert entry["bridge_error"] <= 1e-5
    packed = len(gzip.compress(path.read_bytes(), 9))
    assert entry["deflated_bytes"]["after"] == pytest.approx(packed, abs=32)  # gzip's own head and checksum
    assert entry["deflated_bytes"]["after"] < entry["deflated_bytes"]["before"]
    assert entry["size_bytes"]["after"] == path.stat().st_size
    assert entry["accuracy"]["after"]["int8"] > 90
    assert "tensorflow-model-optimization" in entry["versions"]


def test_nothing_else_is_left(pruned):
    stem = "small.pruned.int8"
    assert {path.name for path in pruned.iterdir()} == {f"{stem}.tflite", f"{stem}.json", f"{stem}.twin.tflite"}


def test_zeros_that_are_missing_are_told(pruned):
    """A file that does not hold what was pruned: exit code 1's lines."""
    path = pruned / "small.pruned.int8.tflite"
    kernel = np.zeros((3, 3, 3, 16), np.float32)  # more zeros than the file has
    told = Compressed(None, {"stem": kernel, "elsewhere": kernel}, [], 0.0, {"sparsity": 0.9})
    entry, failed = exporting.describe("pruning", told, path)
    assert len(failed) == 2
    share = 100 * np.mean(int8_kernels(path)["stem"] == 0)
    assert failed[0] == f"stem: {share:.2f} % zeros, 89.77 % were asked for"  # of 432 weights one may be left over
    assert failed[1] == "elsewhere: not found in the file"
    assert entry["in_file"]["layers"] == 1


def test_parts_of_a_group_convolution_are_one_layer():
    values = kernels._stacked([np.zeros((2, 3, 3, 4), np.int8), np.ones((2, 3, 3, 4), np.int8)])
    assert values.shape == (4, 36)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--sparsity", 1.5], ["--sparsity 1.5", "below 1"]),
        (["--sparsity", 0], ["--sparsity 0", "above 0"]),
        (["--sparsity", 0.5, "--skip", "stemm"], ["stemm", "stem"]),
        (["--sparsity", 0.5, "--learning-rate", -1], ["learning rate -1", "above 0"]),
        (["--sparsity", 0.5, "--epochs", 1, "--train-samples", 24], ["1 steps of training are too few", "--epochs"]),
        (["--sparsity", 0.5, "--dataset", "nowhere"], ["nowhere", "not found"]),
        (["--sparsity", 0.5, "--target", "toaster"], ["toaster"]),
    ],
)
def test_bad_input(small, more, words, tmp_path, capfd):
    assert_refused(tfeff(capfd, *arguments(small, tmp_path / "out", *more)), *words)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_layer_that_is_called_twice(small, tmp_path, capfd):
    image = keras.Input((12, 12, 3))
    twice = keras.layers.Conv2D(3, 1, name="twice")
    x = keras.layers.GlobalAveragePooling2D()(twice(twice(image)))
    keras.Model(image, keras.layers.Dense(3)(x), name="odd").save(tmp_path / "odd.keras")
    ran = tfeff(capfd, "prune", tmp_path / "odd.keras", *PIXELS, "--dataset", small / "small.npz", "--epochs", 2,
                "--sparsity", 0.5, "--no-bench", "--out", tmp_path)  # fmt: skip
    assert_refused(ran, "called twice", "twice")


def test_what_is_there_is_not_replaced(pruned, small, capfd):
    ran = tfeff(capfd, *arguments(small, pruned, "--sparsity", 0.5))
    assert_refused(ran, "exists already", "--force")


def test_without_tfmot(small, tmp_path, capfd, monkeypatch):
    from tfeff.compress.tfmot import process

    monkeypatch.setattr(process, "find_spec", lambda name: None)
    ran = tfeff(capfd, *arguments(small, tmp_path, "--sparsity", 0.5))
    assert_refused(ran, "not installed", "pip install 'tfeff[tfmot]'")
