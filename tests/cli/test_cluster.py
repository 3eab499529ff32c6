"""`tfeff cluster`: few values in the int8 weights of the file, counted by LiteRT; the record says what there is."""

import json

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from tfmot_small import PIXELS, int8_kernels, needs_tfmot, write_network_and_dataset

from tfeff.artifact import open_artifact
from tfeff.compress.tfmot import exporting
from tfeff.compress.tfmot.compress import Compressed

pytestmark = needs_tfmot


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_network_and_dataset(folder)
    return folder


def arguments(small, out, *more):
    return ("cluster", small / "small.keras", *PIXELS, "--dataset", small / "small.npz", "--epochs", 2, "--batch-size",
            24, "--no-bench", "--allow-audit", "--out", out, *more)  # fmt: skip


@pytest.fixture(scope="module")
def clustered(small, tmp_path_factory):
    """The folder of an artifact with 8 values a kernel."""
    from tfeff.cli import main

    out = tmp_path_factory.mktemp("clustered")
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments(small, out, "--clusters", 8, "--train-samples", 192, "--quiet"))])
    assert stop.value.code == 0
    return out


def most_values(kernel):
    return max(len(np.unique(channel)) for channel in kernel)


def test_values_in_the_file(clustered):
    found = int8_kernels(clustered / "small.clustered.int8.tflite")
    for layer in ("stem", "group", "wide", "logits"):
        assert 2 <= most_values(found[layer]) <= 8, layer
    assert most_values(found["dw"].reshape(9, 16).T) > 8  # depthwise kernels are left alone


def test_record_says_what_is_in_it(clustered):
    path = clustered / "small.clustered.int8.tflite"
    record = open_artifact(path).record
    entry, found = record.clustering, int8_kernels(path)
    layers = ("stem", "group", "wide", "logits")
    rows = {row["layer"]: row["most_values_of_a_channel"] for row in entry["by_layer"]}
    assert rows == {layer: most_values(found[layer]) for layer in layers}
    assert all(row["values"] <= 8 for row in entry["by_layer"])
    assert entry["steps"] == 16  # twice 192 images by 24
    assert entry["failed"] == []
    assert entry["deflated_bytes"]["after"] < entry["deflated_bytes"]["before"]
    assert entry["accuracy"]["after"]["int8"] > 90
    assert record.ops.float_ == []


def test_too_many_values_are_told(clustered):
    path = clustered / "small.clustered.int8.tflite"
    kernel = np.resize(np.arange(3, dtype=np.float32), (3, 3, 3, 16))
    entry, failed = exporting.describe("clustering", Compressed(None, {"stem": kernel}, [], 0.0, {"clusters": 3}), path)
    assert [line.split(":")[0] for line in failed] == ["stem"]
    assert "values in one channel, 3 were asked for" in failed[0]
    assert entry["in_file"]["most_values_of_a_channel"] > 3


def test_json_is_the_record(clustered):
    path = clustered / "small.clustered.int8.json"
    assert json.loads(path.read_text())["clustering"]["clusters"] == 8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--clusters", 1], ["--clusters 1", "at least 2"]),
        (["--clusters", 8, "--skip", "nothing"], ["nothing"]),
    ],
)
def test_bad_input(small, more, words, tmp_path, capfd):
    assert_refused(tfeff(capfd, *arguments(small, tmp_path, *more)), *words)
    assert list(tmp_path.iterdir()) == []
