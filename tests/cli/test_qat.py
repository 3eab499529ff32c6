"""`tfeff qat`: from a network or an artifact to an artifact, and every wrong word refused before any training."""

import shutil
from hashlib import sha256

import msgspec
import pytest
from cli_runner import assert_refused, tfeff

from tfeff.artifact import open_artifact, write_record

ALIAS, PRESET = "mobilenet_v1", "mobilenet_v1_025.fashion_mnist"
SHORT = ("--dataset", "fashion_mnist_sample", "--epochs", "1", "--steps", "2", "--batch-size", "16", "--no-bench",
         "--evaluation-samples", "32", "--samples", "64")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, record) of a short training; its artifact and its `trained.keras` lie in the folder."""
    folder = tmp_path_factory.mktemp("qat")
    from click.testing import CliRunner

    from tfeff.cli import cli

    arguments = ["qat", ALIAS, *SHORT, "--learning-rate", "1e-3", "--out", str(folder), "--json", "--quiet",
                 "--save", str(folder / "trained.keras"), "--allow-audit"]  # fmt: skip
    ran = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return folder, open_artifact(folder / f"{PRESET}.qat.int8.tflite").record


def test_ends_in_an_artifact_that_says_how_it_was_trained(trained):
    _, record = trained
    assert record.preset == PRESET
    assert record.ops.float_ == []
    assert record.calibration.source == "fashion_mnist_sample"
    assert record.calibration.used == 64
    assert record.quantization.simulation.beyond == []
    assert record.accuracy[0].samples == 32
    training = record.quantization.training
    assert (training["engine"], training["epochs"], training["steps"], training["batch_size"]) == ("tfeff", 1, 2, 16)
    assert training["learning_rate"] == 1e-3
    assert training["images"] + training["held_out_images"] == 512
    assert [row["epoch"] for row in training["history"]] == [0, 1]
    best = min(training["history"], key=lambda row: row["held_out_loss"])
    assert training["best_epoch"] == best["epoch"]
    assert set(best["held_out"]) == set(training["held_out_float"]) == {"top-1"}


def test_export_of_the_saved_network_gives_the_same_file(trained, capfd, tmp_path):
    folder, record = trained
    ran = tfeff(capfd, "export", folder / "trained.keras", "--int8", "--mean", "128", "--std", "128", "--no-bench",
                "--out", tmp_path)  # fmt: skip
    assert ran.code == 0, ran.err
    made = open_artifact(tmp_path / "trained.int8.tflite")
    assert made.sha256 == record.sha256 == sha256(made.path.read_bytes()).hexdigest()
    assert made.record.calibration is None
    assert any("fake-quant" in note for note in made.record.notes)


def test_export_of_the_saved_network_takes_no_ranges(trained, capfd, tmp_path):
    ran = tfeff(capfd, "export", trained[0] / "trained.keras", "--int8", "--mean", "128", "--std", "128", "--no-bench",
                "--out", tmp_path, "--calibration-method", "mse")  # fmt: skip
    assert_refused(ran, "--calibration-method", "fake-quant")
    assert list(tmp_path.iterdir()) == []


def test_resume_takes_the_network_of_the_artifact_only(trained, capfd, tmp_path):
    folder, _ = trained
    ran = tfeff(capfd, "qat", "vargnet", *SHORT[:6], "--resume", folder / "trained.keras", "--out", tmp_path)
    assert_refused(ran, "trained.keras", "vargnet", "litert")
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_stands_for_its_network(trained, capfd, tmp_path):
    folder, record = trained
    ran = tfeff(capfd, "qat", folder / record.file, *SHORT[:-2], "--resume", folder / "trained.keras", "--out",
                tmp_path, "--learning-rate", "1e-9", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["preset"] == PRESET
    training = ran.json["quantization"]["training"]
    assert training["resumed"] == "trained.keras"
    # It begins where the saved one ended.
    first = trained[1].quantization.training
    kept = first["history"][first["best_epoch"]]
    assert training["history"][0]["held_out_loss"] == pytest.approx(kept["held_out_loss"], rel=1e-5)


def test_an_artifact_whose_weights_are_not_known_is_refused(trained, capfd, tmp_path):
    folder, record = trained
    shutil.copy(folder / record.file, tmp_path / "own.tflite")
    own = msgspec.structs.replace(record, file="own.tflite", preset=None, network="own.keras")
    write_record(tmp_path / "own.json", own)
    ran = tfeff(capfd, "qat", tmp_path / "own.tflite", *SHORT)
    assert_refused(ran, "own.keras", "weights", "mend")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vargnat"], ("vargnat", "vargnet")),
        (["vargnet", "--target", "abacus"], ("abacus",)),
        (["vargnet", "--dataset", "nowhere"], ("nowhere",)),
        (["vargnet", "--calibration-method", "minmax", "--train-ranges"], ("minmax",)),
        (["vargnet", "--calibration-method", "median"], ("median",)),
        (["vargnet", "--resume", "no.keras"], ("no.keras",)),
        (["vargnet", "--resume", "no.keras", "--per-tensor"], ("--per-tensor",)),
        (["vargnet", "--save", "no/where/x.keras"], ("--save",)),
        (["vargnet", "--save", "x.h5"], (".keras",)),
        (["vargnet", "--engine", "tfmot", "--save", "x.keras"], ("--save", "tfmot")),
        (["vargnet", "--engine", "tfmot", "--train-ranges"], ("--train-ranges", "tfmot")),
        (["no.tflite"], ("no.tflite",)),
        (["vargnet_v1_025_g8", "--weights", "no.npz"], ("--dataset",)),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_words_are_refused(capfd, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert_refused(tfeff(capfd, "qat", *arguments, "--epochs", "1"), *words)
    assert list(tmp_path.iterdir()) == []
