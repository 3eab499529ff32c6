"""`tfeff info NETWORK --cost` as a user runs it."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from keras import layers

from tfeff.artifact import open_artifact, record_path

NAME = "vargnet_v2_100_g8"


@keras.saving.register_keras_serializable("test_cli_info")
class Twice(layers.Layer):
    def call(self, x):
        return 2 * x


def test_the_table_is_for_people(capfd):
    ran = tfeff(capfd, "info", NAME, "--cost")
    assert ran.code == 0, ran.err
    assert ran.out == ""
    lines = {line.split()[0]: line.split() for line in ran.err.splitlines() if line.strip()}
    for row in ("stride2", "stride4", "stride8", "stride16", "stride32", "head"):
        assert row in lines
    assert lines["stride2"][1:3] == ["10,838,016", "928"]
    assert lines["stride2"][9:] == ["27.0", "-", "74.4%"]  # a 3x3 convolution of 3 channels
    assert "360,183,808" in ran.err
    assert "Table 4" in ran.err  # what `info` says without --cost
    assert "MAdds / s" not in ran.err
    documented = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8").split("```")[1]
    printed = {line.rstrip() for line in ran.err.splitlines()}
    assert set(documented.strip().splitlines()) <= printed


def test_json_is_one_object(capfd):
    ran = tfeff(capfd, "info", NAME, "--cost", "--by", "block", "--json", "--quiet")
    assert ran.code == 0, ran.err
    assert ran.err == ""
    plain = tfeff(capfd, "info", NAME, "--json").json
    assert {key: ran.json[key] for key in plain} == plain
    assert ran.json.keys() - plain.keys() == {"cost", "notes"}
    cost = ran.json["cost"]
    assert cost["by"] == "block"
    (row,) = [row for row in cost["rows"] if row["name"] == "stage4_normal1"]
    assert (row["madds"], row["parameters"]) == (16_457_728, 338_944)
    assert row["balance"] == pytest.approx(256 / 72)
    assert cost["total"]["madds"] == plain["counted"]["madds"] == 360_183_808
    assert cost["efficiency"] == cost["unknown"] == cost["unlisted"] == ran.json["notes"] == []


def test_without_cost_nothing_has_changed(capfd):
    ran = tfeff(capfd, "info", NAME, "--json")
    assert list(ran.json) == [
        "schema_version", "network", "paper", "published", "training", "dataset", "inputs", "outputs", "input_shape",
        "classes",
        "counted_as_published", "counted",
    ]  # fmt: skip
    assert "MAC" not in ran.err


@pytest.mark.parametrize("name", ["vargnet", "vargnet_v1_025_g8.fashion_mnist"])
def test_presets(capfd, name):
    ran = tfeff(capfd, "info", name, "--cost", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["network"] == "vargnet_v1_025_g8.fashion_mnist"
    assert ran.json["cost"]["total"]["madds"] == ran.json["counted"]["madds"]


def test_a_network_named_as_its_family_is_the_network(capfd):
    assert tfeff(capfd, "info", "vargfacenet", "--json").json["published"]["source"].startswith("arXiv 1910.04985")
    assert tfeff(capfd, "info", "vargfacenet.fashion_mnist", "--json").json["input_shape"] == [32, 32, 3]


def test_input_size_and_classes(capfd):
    ran = tfeff(capfd, "info", NAME, "--cost", "--input-size", "160x192", "--classes", 10, "--json")
    rows = {row["name"]: row for row in ran.json["cost"]["rows"]}
    assert rows["stride2"]["madds"] == 27 * 32 * 80 * 96
    assert rows["head"]["madds"] == 10_240


def test_by_layer(capfd):
    ran = tfeff(capfd, "info", "mobilenet_v2_035", "--cost", "--by", "layer", "--json")
    rows = {row["name"]: row for row in ran.json["cost"]["rows"]}
    assert rows["block2_dw"]["intensity"] == 9
    assert rows["block2_dw_bn"]["elementwise_share"] == 1
    assert "dropout" not in rows


def test_latency_gives_vovnets_efficiency(capfd):
    """A VoVNet-27-slim of 2.87 G multiply-adds at the 71 frames a second of Table 2."""
    ran = tfeff(capfd, "info", "vovnet_27_slim", "--cost", "--latency-ms", 1000 / 71, "--json")
    (efficiency,) = ran.json["cost"]["efficiency"]
    assert efficiency["madds_per_second"] == pytest.approx(2_870_328_320 * 71)
    assert "203.79" in ran.err


# Files of one's own


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A .keras file of 1,016 multiply-adds."""
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, strides=2, padding="same", name="a", use_bias=False)(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="b", activation="relu", use_bias=False)(x)
    x = layers.Conv2D(4, 1, 2, name="c")(x)
    x = layers.Dense(3, name="d")(layers.GlobalAveragePooling2D()(x))
    path = tmp_path_factory.mktemp("tiny") / "tiny.keras"
    keras.Model(image, x).save(path)
    return path


MADDS = 9 * 2 * 16 + 9 * 2 * 16 + 8 * 4 + 12


def test_a_file_of_ones_own(capfd, tiny):
    ran = tfeff(capfd, "info", tiny, "--cost", "--by", "layer", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["counted"]["madds"] == MADDS
    mac = {row["name"]: row["mac"] for row in ran.json["cost"]["rows"]}
    assert (mac["a"], mac["b"], mac["c"], mac["d"]) == (64 + 32 + 18, 32 + 32 + 18, 32 + 16 + 8, 4 + 3 + 12)


def test_unknown_layers_are_named(capfd, tmp_path):
    parts = layers.Conv2D(2, 1, name="a"), layers.SeparableConv2D(4, 3, name="sep"), Twice(name="t")
    keras.Sequential([keras.Input((8, 8, 3)), *parts]).save(tmp_path / "own.keras")
    ran = tfeff(capfd, "info", tmp_path / "own.keras", "--cost", "--json")
    assert ran.code == 0, ran.err
    assert "note: not counted, for their multiply-adds are not known: sep (SeparableConv2D)" in ran.err
    assert "t (Twice)" in ran.err
    assert len(ran.json["notes"]) == 2
    assert ran.json["cost"]["unknown"] == [{"name": "sep", "type": "SeparableConv2D"}]
    assert ran.json["counted"]["madds"] == 6 * 64
    assert_refused(tfeff(capfd, "info", tmp_path / "own.keras"), "sep", "not known")


def test_an_open_size_is_closed_by_input_size(capfd, tmp_path):
    open_size = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 1), layers.GlobalAveragePooling2D()])
    open_size.save(tmp_path / "open.keras")
    ran = tfeff(capfd, "info", tmp_path / "open.keras", "--cost", "--input-size", "10x20", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["input_shape"], ran.json["counted"]["madds"]) == ([10, 20, 3], 1200)
    assert_refused(tfeff(capfd, "info", tmp_path / "open.keras", "--cost"), "--input-size")


def test_a_model_without_a_graph_is_refused(capfd, tmp_path):
    @keras.saving.register_keras_serializable("test_cli_info")
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    model = Subclassed()
    model(np.zeros((1, 8, 8, 3), "float32"))
    model.save(tmp_path / "sub.keras")
    for options in ((), ("--cost",)):
        assert_refused(tfeff(capfd, "info", tmp_path / "sub.keras", *options), "sub.keras", "no graph")


# Latencies of a record


@pytest.fixture(scope="module")
def artifact(tiny, tmp_path_factory):
    """`tiny` exported and timed: its record's path."""
    from cli_runner import tfeff_process

    folder = tmp_path_factory.mktemp("artifact")
    ran = tfeff_process(
        "export", tiny, "--float16", "--mean", 0, "--std", 1, "--on", "local", "--out", folder / "tiny.tflite"
    )
    assert ran.code == 0, ran.err
    return folder / "tiny.json"


@pytest.fixture
def record(artifact, tmp_path):
    """A copy of the artifact, and what changes its record."""
    path = tmp_path / "tiny.json"
    shutil.copy(artifact, path)
    shutil.copy(artifact.with_suffix(".tflite"), path.with_suffix(".tflite"))

    def change(**values):
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return path

    return change


@pytest.mark.parametrize("suffix", [".json", ".tflite"])
def test_latencies_of_a_record(capfd, tiny, artifact, suffix):
    ran = tfeff(capfd, "info", tiny, "--cost", "--record", artifact.with_suffix(suffix), "--json")
    assert ran.code == 0, ran.err
    (measured,) = open_artifact(artifact).record.latency
    (efficiency,) = ran.json["cost"]["efficiency"]
    assert efficiency["madds_per_second"] == pytest.approx(MADDS / measured.median_ms * 1000)
    assert efficiency["runtime"] == measured.runtime
    assert f"{measured.runtime} {measured.version}, 1 thread" in ran.err


def test_a_record_of_another_network(capfd, tiny, artifact, record):
    assert_refused(tfeff(capfd, "info", "mobilenet_v2_035", "--cost", "--record", artifact), "tiny.keras", "mobilenet")
    other = record(macs=MADDS + 1)
    assert_refused(tfeff(capfd, "info", tiny, "--cost", "--record", other), f"{MADDS + 1:,}", f"{MADDS:,}", "--classes")


def test_a_record_that_counts_nothing_is_taken_by_its_name(capfd, tiny, record):
    assert tfeff(capfd, "info", tiny, "--cost", "--record", record(macs=None)).code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latency": []}, ["no latency", "tfeff bench"]),
        ({"latency": 3}, ["latency", "changed"]),
        ({"latency": ["fast"]}, ["latency", "changed"]),
        ({"latency": [{"sha256": "x"}]}, ["latency"]),
        ({"macs": "many"}, ["macs", "changed"]),
        ({"schema_version": 99}, ["schema version 99"]),
        ({"sha256": "0" * 64, "latency": []}, ["is not the file"]),
    ],
    ids=str,
)
def test_records_that_cannot_be_used(capfd, tiny, record, change, words):
    assert_refused(tfeff(capfd, "info", tiny, "--cost", "--record", record(**change)), *words)


@pytest.mark.parametrize("latency", [0, -1.0, "1", None, True])
def test_records_without_a_real_latency(capfd, tiny, artifact, record, latency):
    (entry,) = json.loads(artifact.read_text())["latency"]
    path = record(latency=[{**entry, "median_ms": latency}])
    assert_refused(tfeff(capfd, "info", tiny, "--cost", "--record", path), "median_ms")


def test_a_record_that_is_no_json(capfd, tiny, record):
    path = record()
    path.write_text(path.read_text()[:100])
    assert_refused(tfeff(capfd, "info", tiny, "--cost", "--record", path), "not a readable record")


def test_an_artifact_without_a_record(capfd, tiny, record):
    path = record().with_suffix(".tflite")
    record_path(path).unlink()
    assert_refused(tfeff(capfd, "info", tiny, "--cost", "--record", path), "has no record")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cost", "--latency-ms", 0], ["--latency-ms 0"]),
        (["--cost", "--latency-ms", -3], ["--latency-ms -3"]),
        (["--cost", "--latency-ms", "nan"], ["--latency-ms nan"]),
        (["--cost", "--latency-ms", "inf"], ["--latency-ms inf"]),
        (["--cost", "--latency-ms", "fast"], ["fast"]),
        (["--cost", "--latency-ms", 1, "--record", "x.json"], ["--latency-ms and --record"]),
        (["--cost", "--record", "none.json"], ["none.tflite"]),
        (["--cost", "--by", "colour"], ["colour", "stage"]),
        (["--by", "layer"], ["--by", "--cost"]),
        (["--latency-ms", 1], ["--latency-ms", "--cost"]),
        (["--record", "x.json"], ["--record", "--cost"]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_options_that_are_refused(capfd, options, words):
    assert_refused(tfeff(capfd, "info", "mobilenet_v2_035", *options), *words)


def test_an_unknown_network(capfd):
    assert_refused(tfeff(capfd, "info", "vargnet_v3_100_g8", "--cost"), "unknown network", NAME)
