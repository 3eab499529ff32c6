"""`tfeff compare` as a user meets it."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff, tfeff_process
from compare_models import convert, dense_network, write_test_record
from PIL import Image

from tfeff.artifact import read_record
from tfeff.data import open_dataset

pytest_plugins = ["compare_fixtures"]


@pytest.fixture(autouse=True)
def no_full_dataset(tmp_path_factory, monkeypatch):
    """The full Fashion-MNIST may lie on one machine and not on another: nowhere, for these tests."""
    monkeypatch.setenv("TFEFF_DATA", str(tmp_path_factory.mktemp("nothing")))


@pytest.fixture
def artifact(compared_files, tmp_path):
    return make_artifact(compared_files.int8, compared_files.float, tmp_path)


def make_artifact(int8, float_file, folder, **record):
    path = folder / "net.tflite"
    shutil.copy(int8, path)
    shutil.copy(float_file, folder / "float.tflite")
    write_test_record(path, **record)
    return path


def test_json_and_record(artifact, capfd):
    ran = tfeff(capfd, "compare", artifact, "--json")
    assert ran.code == 0
    result = ran.json
    assert (result["dataset"], result["samples"], result["passed"]) == ("fashion_mnist_sample", 1024, True)
    assert 70 < result["quantized_top1"] < 100
    accuracy = read_record(artifact.with_suffix(".json"))["accuracy"]
    assert accuracy == {key: result[key] for key in accuracy}
    assert {"delta", "ci95", "mcnemar_p", "flips", "quantized_sha256", "float_sha256"} <= accuracy.keys()
    assert tfeff(capfd, "compare", artifact.with_suffix(".json"), "--json").out == ran.out  # by its record, again


def test_table(artifact, capfd):
    ran = tfeff(capfd, "compare", artifact, "--no-record")
    assert ran.out == ""
    assert "Traceback" not in ran.err
    sha256 = read_record(artifact.with_suffix(".json"))["sha256"]
    for words in ("net.tflite against float.tflite", "float top-1", "95 % interval [", "McNemar", "1,024 of "
                  "fashion_mnist_sample", f"quantized {sha256[:12]}", "bundled sample", "TFEFF_DATA"):  # fmt: skip
        assert words in ran.err
    assert "INFO" not in ran.err  # LiteRT's own talk
    assert "accuracy" not in read_record(artifact.with_suffix(".json"))
    assert tfeff(capfd, "compare", artifact, "--quiet").err == ""


def test_the_gate(compared_files, tmp_path, capfd):
    wrong = make_artifact(compared_files.wrong, compared_files.float, tmp_path)
    ran = tfeff(capfd, "compare", wrong, "--max-drop", "1.5", "--json")
    assert ran.code == 1
    assert "top-1 falls by" in ran.err
    assert "more than --max-drop 1.5" in ran.err
    assert "mend:" in ran.err
    assert ran.json["passed"] is False
    assert ran.json["max_drop"] == 1.5
    assert read_record(wrong.with_suffix(".json"))["accuracy"]["delta"] < -50  # a failed gate is recorded too
    assert tfeff(capfd, "compare", wrong, "--max-drop", "100").code == 0
    assert tfeff(capfd, "compare", wrong).code == 0  # no gate was asked for


def test_the_gate_lets_a_small_drop_pass(artifact, capfd):
    assert tfeff(capfd, "compare", artifact, "--max-drop", "2").code == 0


def test_without_a_record(compared_files, tmp_path, capfd):
    bare = shutil.copy(compared_files.int8, tmp_path / "bare.tflite")
    assert_refused(tfeff(capfd, "compare", bare), "no record names its float twin", "--against")
    call = ["compare", bare, "--against", compared_files.float]
    assert_refused(tfeff(capfd, *call, "--dataset", "fashion_mnist_sample"), "preprocessing", "--mean", "--std")
    assert_refused(tfeff(capfd, *call, "--mean", "72", "--std", "90"), "--dataset")
    ran = tfeff(capfd, *call, "--mean", "72", "--std", "90", "--dataset", "fashion_mnist_sample", "--json")
    assert ran.code == 0
    assert ran.json["float_top1"] > 70
    assert not (tmp_path / "bare.json").exists()
    for mean in ("a,b", "nan", "1,2"):
        assert_refused(tfeff(capfd, *call, "--mean", mean, "--std", "90", "--dataset", "fashion_mnist_sample"))
    assert_refused(tfeff(capfd, "compare", bare, "--against", bare), "is the same file", "float twin")


def test_a_record_decides_the_preprocessing(artifact, capfd):
    assert_refused(tfeff(capfd, "compare", artifact, "--mean", "1", "--std", "1"), "leave out --mean")


def test_a_folder_of_images(artifact, tmp_path, capfd):
    """Its classes are sorted by name; the record's are not."""
    sample = open_dataset("fashion_mnist_sample", "test")
    for number in range(200):
        name = sample.classes[sample.labels[number]].replace("/", " ")
        (tmp_path / "images" / "test" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.image(number)).save(tmp_path / "images" / "test" / name / f"{number}.png")
    labels = [name.replace("/", " ") for name in sample.classes]
    write_test_record(artifact, labels=labels)
    ran = tfeff(capfd, "compare", artifact, "--dataset", tmp_path / "images", "--json")
    assert ran.code == 0
    assert ran.json["samples"] == 200
    assert ran.json["float_top1"] > 65
    again = tfeff(capfd, "compare", artifact, "--json")  # the record remembers what it was compared on
    assert again.json["dataset"] == str(tmp_path / "images")
    shutil.rmtree(tmp_path / "images")
    assert_refused(tfeff(capfd, "compare", artifact), str(tmp_path / "images"), "which is not here", "--dataset")


def test_the_full_set_is_taken_where_it_is(artifact, tmp_path, monkeypatch, capfd):
    """Small files in Fashion-MNIST's own format: a record that knows the sample goes on to the full set."""
    tfeff(capfd, "compare", artifact)
    sample = open_dataset("fashion_mnist_sample", "test")
    folder = tmp_path / "full"
    folder.mkdir()
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (300, 28, 28))
    (folder / "t10k-images-idx3-ubyte").write_bytes(header + sample.images[:300].tobytes())
    labels = bytes([0, 0, 8, 1]) + (300).to_bytes(4, "big") + sample.labels[:300].astype(np.uint8).tobytes()
    (folder / "t10k-labels-idx1-ubyte").write_bytes(labels)
    monkeypatch.setenv("TFEFF_DATA", str(folder))
    ran = tfeff(capfd, "compare", artifact, "--json")
    assert (ran.json["dataset"], ran.json["samples"]) == ("fashion_mnist", 300)
    assert "bundled sample" not in ran.err
    monkeypatch.setenv("TFEFF_DATA", str(tmp_path / "none"))
    assert tfeff(capfd, "compare", artifact, "--json").json["dataset"] == "fashion_mnist_sample"


def test_a_subset(artifact, capfd):
    ran = tfeff(capfd, "compare", artifact, "--samples", "100", "--seed", "7", "--json")
    assert ran.json["samples"] == 100
    assert tfeff(capfd, "compare", artifact, "--samples", "100", "--seed", "7", "--json").out == ran.out
    assert_refused(tfeff(capfd, "compare", artifact, "--samples", "0"), "--samples")


def test_files_that_cannot_be_read(compared_files, artifact, tmp_path, capfd):
    assert_refused(tfeff(capfd, "compare", tmp_path / "none.tflite"), "no such file", "tfeff export")
    assert_refused(tfeff(capfd, "compare", tmp_path), "cannot be read")
    (tmp_path / "text.tflite").write_text("not a network")
    assert_refused(tfeff(capfd, "compare", tmp_path / "text.tflite"), "not a TFLite file", "tfeff export")
    (tmp_path / "half.tflite").write_bytes(artifact.read_bytes()[: artifact.stat().st_size // 2])
    assert_refused(tfeff(capfd, "compare", tmp_path / "half.tflite"), "cut short", "again")
    assert_refused(tfeff(capfd, "compare", artifact, "--against", tmp_path / "half.tflite"), "half.tflite", "cut short")
    assert_refused(tfeff(capfd, "compare", artifact, "--against", tmp_path / "none.tflite"), "no such file")
    three = convert(
        dense_network(compared_files.kernel[:, :3], compared_files.bias[:3], (14, 14, 1)), tmp_path / "three.tflite"
    )
    assert_refused(tfeff(capfd, "compare", artifact, "--against", three), "10 outputs", "gives 3")
    assert_refused(tfeff(capfd, "compare", artifact, "--against", compared_files.wrong), "takes int8 images")


def test_records_that_do_not_fit(compared_files, artifact, capfd):
    path = artifact.with_suffix(".json")
    record = read_record(path)

    def refused(*words, **changes):
        path.write_text(json.dumps(record | changes))
        assert_refused(tfeff(capfd, "compare", artifact), *words)

    refused("is not the file that net.json describes", "export it anew", sha256="0" * 64)
    refused("schema version 99", "update tfeff", schema_version=99)
    refused("no record says what to compare it on", "--dataset", preset="mine.flowers")
    refused("are no list of names", labels=[1, 2])
    refused("are no list of names", labels={"a": 1})
    refused("names 2 labels", "10 outputs", labels=["a", "b"])
    refused("preprocessing", "is not understood", preprocessing={"mean": [1]})
    refused("float_twin is not understood", float_twin="float.tflite")
    refused("is not the float twin", "sha256", float_twin={"file": "float.tflite", "sha256": "1" * 64})
    refused("its float twin", "is missing", float_twin={"file": "gone.tflite", "sha256": "1" * 64})
    refused("no record names its float twin", "--against", float_twin=None)
    path.write_text('{"schema_version":')
    assert_refused(tfeff(capfd, "compare", artifact), "not a readable record")


def test_datasets_that_do_not_fit(artifact, tmp_path, capfd):
    def refused(dataset, *words):
        assert_refused(tfeff(capfd, "compare", artifact, "--dataset", dataset), *words)

    refused("nowhere", "dataset 'nowhere' not found", "mend:")
    refused("fashion_mnist", "not on this machine", "TFEFF_DATA")
    images = np.zeros((40, 28, 28), np.uint8)
    np.savez(tmp_path / "many.npz", x_test=images, y_test=np.arange(40) % 12)
    refused(tmp_path / "many.npz", "has 12 classes", "10 outputs", "classes")
    np.savez(tmp_path / "none.npz", x_test=images)
    refused(tmp_path / "none.npz", "no labels")


def test_a_record_that_cannot_be_written(artifact, capfd, monkeypatch):
    def full(source, target):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", full)
    ran = tfeff(capfd, "compare", artifact, "--json")
    assert ran.code == 2
    assert "Read-only file system" in ran.err
    assert ran.json["samples"] == 1024  # the figures are not lost
    assert tfeff(capfd, "compare", artifact, "--no-record").code == 0


def test_tensorflow_is_never_imported(artifact):
    code = (
        "import sys\n"
        "from tfeff.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as stop:\n    assert stop.code == 0, stop.code\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert 'ai_edge_litert' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", artifact], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_in_a_process_of_its_own(artifact):
    ran = tfeff_process("compare", artifact, "--json", "--max-drop", "2")
    assert ran.code == 0, ran.err
    assert ran.json["passed"] is True
    assert "INFO" not in ran.err
    assert tfeff_process("compare", artifact, "--quiet").err == ""
