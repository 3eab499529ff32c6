"""`tfeff compare` as a user meets it."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff, tfeff_process
from compare_models import convert, convert_ports, dense_network, write_old_record, write_test_record
from PIL import Image

from tfeff.artifact import read_record
from tfeff.data import open_dataset
from tfeff.record import to_dict

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


def accuracy(ran):
    """The only task's entry of what --json printed."""
    assert ran.code in (0, 1), ran.err
    (entry,) = ran.json["accuracy"]
    return entry


def test_json_and_record(artifact, capfd):
    ran = tfeff(capfd, "compare", artifact, "--json")
    assert ran.code == 0
    result, entry = ran.json, accuracy(ran)
    assert (result["dataset"], result["samples"], result["passed"]) == ("fashion_mnist_sample", 1024, True)
    assert (entry["task"], entry["metric"], entry["unit"], entry["higher_is_better"]) == (
        "classification", "top-1", "%", True,
    )  # fmt: skip
    assert 70 < entry["quantized"] < 100
    record = read_record(artifact.with_suffix(".json"))
    assert [to_dict(each) for each in record.accuracy] == result["accuracy"]
    assert [to_dict(each) for each in record.ports] == result["ports"]
    assert entry["quantized_sha256"] == result["quantized_sha256"] == record.sha256
    assert tfeff(capfd, "compare", artifact.with_suffix(".json"), "--json").out == ran.out  # by its record, again


def test_table(artifact, capfd):
    ran = tfeff(capfd, "compare", artifact, "--no-record")
    assert ran.out == ""
    assert "Traceback" not in ran.err
    record = read_record(artifact.with_suffix(".json"))
    for words in ("net.tflite against float.tflite", "float top-1", "95 % interval [", "McNemar", "worst classes",
                  "predictions that changed", f"output {record.outputs[0].name}", "SQNR", "largest error", "cosine",
                  "1,024 of fashion_mnist_sample", f"quantized {record.sha256[:12]}", "bundled sample",
                  "TFEFF_DATA"):  # fmt: skip
        assert words in ran.err
    assert "INFO" not in ran.err  # LiteRT's own talk
    assert (record.accuracy, record.ports) == ([], [])
    assert tfeff(capfd, "compare", artifact, "--quiet").err == ""


def test_an_old_record(compared_files, tmp_path, capfd):
    for path, name in ((compared_files.int8, "net"), (compared_files.float, "float")):
        shutil.copy(path, tmp_path / f"{name}.tflite")
    path = tmp_path / "net.tflite"
    record = write_old_record(path)
    ran = tfeff(capfd, "compare", path, "--json")
    assert ran.code == 0, ran.err
    assert accuracy(ran)["outputs"] == ["logits"]
    assert accuracy(ran)["groups"][0]["label"] == "T-shirt/top"
    assert json.loads(record.read_text())["schema_version"] == 2  # what is written is of this schema
    assert accuracy(tfeff(capfd, "compare", path, "--json")) == accuracy(ran)


def test_the_gate(compared_files, tmp_path, capfd):
    wrong = make_artifact(compared_files.wrong, compared_files.float, tmp_path)
    ran = tfeff(capfd, "compare", wrong, "--max-drop", "1.5", "--json")
    assert ran.code == 1
    assert "top-1 fell by" in ran.err
    assert "points (" in ran.err
    assert "more than --max-drop 1.5" in ran.err
    assert "mend:" in ran.err
    assert ran.json["passed"] is False
    assert ran.json["max_drop"] == 1.5
    assert read_record(wrong.with_suffix(".json")).accuracy[0].delta < -50  # a failed gate is recorded too
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
    assert accuracy(ran)["float"] > 70
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
    assert accuracy(ran)["float"] > 65
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
    assert_refused(tfeff(capfd, "compare", artifact, "--against", three), "of shape (10,)", "of shape (3,)")
    assert_refused(tfeff(capfd, "compare", artifact, "--against", compared_files.wrong), "is no float twin")


def test_records_that_do_not_fit(compared_files, artifact, capfd):
    path = artifact.with_suffix(".json")
    record = json.loads(path.read_text())

    def refused(*words, **changes):
        path.write_text(json.dumps(record | changes))
        assert_refused(tfeff(capfd, "compare", artifact), *words)

    task, image = record["tasks"][0], record["inputs"][0]
    refused("is not the file that net.json describes", "export it anew", sha256="0" * 64)
    refused("schema version 99", "update tfeff", schema_version=99)
    refused("no record says what to compare it on", "--dataset", preset="mine.flowers")
    refused("tasks[0].labels[0]: expected str, got int", tasks=[task | {"labels": [1, 2]}])
    refused("2 labels", "gives 10 values", tasks=[task | {"labels": ["a", "b"]}])
    refused("unknown task 'depht'", tasks=[task | {"name": "depht"}])
    refused("names 'mask', which is none of the file's outputs", tasks=[task | {"outputs": ["mask"]}])
    refused("inputs[0].preprocessing: object missing required", inputs=[image | {"preprocessing": {"mean": [1]}}])
    refused("takes", "the preprocessing gives", inputs=[image | {"shape": [1, 28, 28, 1]}])
    refused("float_twin: expected object | null, got str", float_twin="float.tflite")
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
    refused(tmp_path / "many.npz", "has 12 classes", "has 10 values", "classes")
    np.savez(tmp_path / "odd.npz", images=images, labels=np.arange(39))
    refused(tmp_path / "odd.npz", "labels of shape (39,)")


def test_without_labels_the_outputs_are_numbers(artifact, tmp_path, capfd):
    sample = open_dataset("fashion_mnist_sample", "test")
    np.savez(tmp_path / "none.npz", x_test=sample.images[:50])
    (tmp_path / "flat").mkdir()
    for number in range(20):
        Image.fromarray(sample.image(number)).save(tmp_path / "flat" / f"{number}.png")
    for dataset, count in ((tmp_path / "none.npz", 50), (tmp_path / "flat", 20)):
        ran = tfeff(capfd, "compare", artifact, "--dataset", dataset, "--json")
        assert ran.code == 0, ran.err
        assert (ran.json["accuracy"], ran.json["samples"], ran.json["passed"]) == ([], count, True)
        (port,) = ran.json["ports"]
        assert 20 < port["sqnr_db"] < 60
        assert "has no labels" in ran.err
        assert "top-1" not in ran.err
        assert_refused(tfeff(capfd, "compare", artifact, "--dataset", dataset, "--max-drop", "1"), "has no labels")


# Preprocessing and data of files without a record


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """`net.tflite` and `float.tflite`, which tell red, green and blue apart in BGR images of 4x4, trained on
    (pixel - 127.5) / 127.5; and 30 pictures of 4x8 whose middle has the colour, in folders by name of the class."""
    folder, random = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    kernel = np.tile(np.eye(3)[::-1], (16, 1)).astype(np.float32)  # (48, 3): blue is the first channel
    network = dense_network(kernel, np.zeros(3, np.float32), (4, 4, 3))
    convert(network, folder / "float.tflite")
    convert(
        network, folder / "net.tflite", [random.uniform(-1, 1, (4, 4, 3)).astype(np.float32) for _ in range(20)], "int8"
    )
    for number in range(30):
        picture = np.full((4, 8, 3), 255, np.uint8)
        picture[..., number % 3] = 0  # left and right have all but the colour
        picture[:, 2:6] = random.integers(0, 100, (4, 4, 3))
        picture[:, 2:6, number % 3] = random.integers(150, 256, (4, 4))
        path = folder / "pictures" / f"{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return folder


def of_colours(capfd, coloured, *options):
    files = [coloured / "net.tflite", "--against", coloured / "float.tflite", "--dataset", coloured / "pictures"]
    return tfeff(capfd, "compare", *files, "--json", *options)


PIXELS = ("--mean", "127.5", "--std", "127.5")


def test_colour_order_and_the_centre(coloured, capfd):
    """Right by numpy: all with the order of training and the middle cut out."""
    whole = PIXELS
    right = accuracy(of_colours(capfd, coloured, *whole, "--colour", "bgr", "--crop", "4"))
    assert (right["float"], right["quantized"], right["samples"]) == (100, 100, 30)
    assert accuracy(of_colours(capfd, coloured, *whole, "--crop", "4"))["float"] < 50
    assert accuracy(of_colours(capfd, coloured, *whole, "--colour", "bgr"))["float"] < 50
    assert accuracy(of_colours(capfd, coloured, *whole, "--colour", "bgr", "--resize", "cover"))["float"] == 100


def test_values_off_the_file_s_own_grid(coloured, capfd):
    whole = ["--colour", "bgr", "--crop", "4"]
    ran = of_colours(capfd, coloured, *whole, "--mean", "0", "--std", "1")
    assert ran.code == 1
    for words in ("net.tflite: input", "of the values are clipped", "0 to 255 by the preprocessing",
                  "grid goes from -1", "--mean 127.5 --std 127.5 would fill the grid", "--allow-audit"):  # fmt: skip
        assert words in ran.err
    ran = of_colours(capfd, coloured, *whole, "--mean", "0", "--std", "1", "--allow-audit")
    assert ran.code == 0, ran.err
    assert any("are clipped" in note for note in ran.json["notes"])
    ran = of_colours(capfd, coloured, *whole, "--mean", "0", "--std", "255")
    assert "50 % of it" in ran.err
    assert of_colours(capfd, coloured, *whole, "--mean", "0", "--std", "25500").code == 1
    ran = of_colours(capfd, coloured, *whole, *PIXELS)
    assert (ran.code, ran.json["notes"]) == (0, [])


def test_pixel_options_that_do_not_fit(coloured, artifact, capfd):
    def refused(words, *options):
        assert_refused(of_colours(capfd, coloured, *PIXELS, *options), *words)

    refused(["--colour gray", "3 channels"], "--colour", "gray")
    refused(["--crop 5x5: the input is 4x4"], "--crop", "5")
    refused(["--resize to 3x3: the input is 4x4"], "--resize", "3")
    refused(["no way to resize"], "--resize", "stretch:8")
    refused(["fit is to the input's size"], "--resize", "fit:8")
    refused(["is not a size"], "--crop", "1.5")
    refused(["both say how large"], "--crop", "0.5", "--resize", "8")
    assert_refused(tfeff(capfd, "compare", artifact, "--resize", "8"), "its record says the preprocessing")


# Several inputs and outputs


def heads(left, size):
    """In TensorFlow: three numbers, and a yes or no of each of two labels."""
    import tensorflow as tf

    both = tf.concat([tf.reduce_mean(left, (1, 2)), size], 1)  # (1, 3)
    return {"depth": both * 2.0, "labels": tf.sigmoid(both[:, 1:] * 4.0)}


SHAPES = {"left": ((1, 4, 4, 1), "float32"), "size": ((1, 2), "float32")}


@pytest.fixture(scope="module")
def headed(tmp_path_factory):
    """`net.tflite` and `float.tflite` with two inputs and two outputs, an .npz of inputs, and what is true of them."""
    folder, random = tmp_path_factory.mktemp("headed"), np.random.default_rng(0)
    arrays = {name: random.uniform(-1, 1, (80, *shape[1:])).astype(np.float32) for name, (shape, _) in SHAPES.items()}
    convert_ports(heads, SHAPES, folder / "float.tflite")
    samples = [{name: array[[n]] for name, array in arrays.items()} for n in range(80)]
    convert_ports(heads, SHAPES, folder / "net.tflite", samples)
    np.savez(folder / "inputs.npz", **arrays)
    both = np.concatenate([arrays["left"].mean((1, 2)), arrays["size"]], axis=1)
    np.savez(folder / "depth.npz", **arrays, labels=2 * both + 0.5)
    np.savez(folder / "labels.npz", **arrays, labels=(both[:, 1:] > 0).astype(int))
    return folder


def compared(capfd, headed, dataset, *options):
    files = [headed / "net.tflite", "--against", headed / "float.tflite", "--dataset", headed / dataset]
    return tfeff(capfd, "compare", *files, *options, "--json")


def test_files_of_several_ports_without_a_record(headed, capfd):
    ran = compared(capfd, headed, "inputs.npz")
    assert ran.code == 0, ran.err
    assert ran.json["accuracy"] == []
    assert {port["name"] for port in ran.json["ports"]} == {"depth", "labels"}
    assert min(port["sqnr_db"] for port in ran.json["ports"]) > 20
    assert_refused(compared(capfd, headed, "inputs.npz", "--max-drop", "1"), "no task of the outputs has a metric")


def test_the_gate_is_in_the_metrics_unit_and_direction(headed, capfd):
    ran = compared(capfd, headed, "depth.npz", "--task", "depth=regression")
    entry = accuracy(ran)
    assert (entry["metric"], entry["outputs"], entry["higher_is_better"]) == ("MAE", ["depth"], False)
    assert entry["float"] == pytest.approx(0.5, abs=1e-5)
    assert "MAE" in ran.err
    assert "less is better" in ran.err
    assert "R2" in ran.err
    assert compared(capfd, headed, "depth.npz", "--task", "depth=regression", "--max-drop", "0.1").code == 0
    # A file that is nearer to the labels is no worse; the float file taken for the quantized one's is.
    moved = np.load(headed / "depth.npz")
    np.savez(headed / "moved.npz", **{**moved, "labels": moved["labels"] - 0.5})
    ran = compared(capfd, headed, "moved.npz", "--task", "depth=regression", "--max-drop", "0.0001")
    assert ran.code == 1
    assert "MAE rose by" in ran.err
    assert accuracy(ran)["delta"] > 0.0001


def test_kinds_of_classification(headed, capfd):
    ran = compared(capfd, headed, "labels.npz", "--task", "labels=classification:multi-label")
    entry = accuracy(ran)
    assert (entry["metric"], entry["float"], entry["test"]) == ("mean F1", 100.0, "bootstrap")
    assert 90 < entry["quantized"] <= 100


def test_words_that_say_no_task(headed, artifact, capfd):
    def refused(task, *words):
        assert_refused(compared(capfd, headed, "inputs.npz", "--task", task), *words)

    refused("depht", "there is no task 'depht'", "classification, detection, regression, segmentation, tensors")
    refused("mask=regression", "has no output 'mask'", "depth", "labels")
    refused("classification", "one output")
    refused("depth=regression:square", "has no kinds")
    assert_refused(tfeff(capfd, "compare", artifact, "--task", "tensors"), "its record says", "leave out --task")


def test_a_record_of_several_tasks(headed, tmp_path, capfd):
    for name in ("net.tflite", "float.tflite", "depth.npz"):
        shutil.copy(headed / name, tmp_path)
    path = tmp_path / "net.tflite"
    write_test_record(
        path, preset=None, preprocessing=None,
        tasks=[{"name": "regression", "outputs": ["depth"]}, {"name": "tensors", "outputs": ["labels"]}],
    )  # fmt: skip
    ran = tfeff(capfd, "compare", path, "--dataset", tmp_path / "depth.npz", "--json")
    assert ran.code == 0, ran.err
    record = read_record(path.with_suffix(".json"))
    assert [(entry.task, entry.metric) for entry in record.accuracy] == [("regression", "MAE")]
    assert {port.name for port in record.ports} == {"depth", "labels"}
    again = tfeff(capfd, "compare", path, "--json")  # the record remembers what it was compared on
    assert again.json["accuracy"] == ran.json["accuracy"]


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
