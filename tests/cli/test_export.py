"""`tfeff export` as a user runs it: the main job, every precision, users' own networks, and the gates."""

import json
import shutil

import keras
import numpy as np
import pytest
from cli_runner import tfeff
from keras import layers

from tfeff.artifact import open_artifact
from tfeff.cli.model import meant
from tfeff.data import open_dataset, record_ports
from tfeff.data.fashion_mnist import find_fashion_mnist
from tfeff.layers import ActiveShift2D, GroupShift2D, SparseShift2D
from tfeff.presets import load_preset
from tfeff.tflite.graph import read_graph
from tfeff.weights import save_weights

NAME = "vargnet_v1_025_g8.fashion_mnist"
FEW = ("--no-bench", "--evaluation-samples", 200, "--samples", 64)
SMALL = "mobilenet_v1"  # the preset of the fewest layers


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`tfeff export vargnet --int8`, once: folder, exit code, stdout, stderr."""
    from cli_runner import tfeff_process

    folder = tmp_path_factory.mktemp("exported")
    return folder, tfeff_process("export", "vargnet", "--int8", "--json", "--out", folder)


def test_main_job_leaves_artifact_record_and_twin(exported):
    folder, ran = exported
    assert ran.code == 0, ran.err
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{NAME}.int8.json", f"{NAME}.int8.tflite", f"{NAME}.int8.twin.tflite"]
    artifact = open_artifact(folder / f"{NAME}.int8.tflite")
    record = artifact.record
    assert record.sha256 == artifact.sha256
    assert record.size_bytes == artifact.path.stat().st_size < 1_000_000
    assert record.float_twin.sha256 == open_artifact(artifact.twin).sha256
    assert record.float_twin.relative_error < 1e-4
    assert record.preset == NAME
    (image,), (output,), (task,) = record.inputs, record.outputs, record.tasks
    assert record_ports([image])[0].preprocessing == load_preset("vargnet").preprocessing
    assert (image.name, image.shape, image.dtype) == ("image", [1, 32, 32, 3], "int8")
    assert (image.scale, image.zero_point) == (1 / 128, 0)
    assert (output.name, output.shape, output.preprocessing) == ("logits", [1, 10], None)
    assert (task.name, task.outputs, task.labels) == ("classification", ["logits"], [*load_preset("vargnet").labels])
    assert task.decode == {"kind": "classes", "scores": "logits"}
    assert record.ops.float_ == []
    assert record.ops.int8 == record.ops.total
    assert "SPLIT" not in record.ops.by_name
    assert record.calibration.used == 512
    assert (record.network, record.precision, record.target) == ("vargnet_v1_025_g8", "int8", "litert")


def test_main_job_prints_json_on_stdout_and_the_table_on_stderr(exported):
    folder, ran = exported
    printed = ran.json
    record = json.loads((folder / f"{NAME}.int8.json").read_text())
    assert {key: printed[key] for key in record} == record
    assert {one["file"] for one in printed["bench"]["results"]} == {
        str(folder / f"{NAME}.int8.tflite"), str(folder / f"{NAME}.int8.twin.tflite"),
    }  # fmt: skip
    for word in (
        "float top-1",
        "quantized top-1",
        "difference",
        "output logits",
        "to the model: SQNR",
        "model = inlined (",
        "latency",
        record["sha256"][:12],
    ):
        assert word in ran.err
    assert "Traceback" not in ran.err
    assert "I0000" not in ran.err  # TensorFlow's start-up lines
    assert "WARNING" not in ran.err


def test_main_job_accuracy(exported):
    _, ran = exported
    (accuracy,) = ran.json["accuracy"]
    assert (accuracy["task"], accuracy["metric"], accuracy["unit"]) == ("classification", "top-1", "%")
    port, end = ran.json["ports"]
    assert (port["name"], port["reference"], port["samples"]) == ("logits", "float file", accuracy["samples"])
    assert (end["name"], end["reference"], end["samples"]) == ("logits", "model", 16)
    assert min(port["sqnr_db"], end["sqnr_db"]) > 20
    assert end["same_answers"] >= 0.9
    assert [(link["of"], link["to"]) for link in ran.json["proof"]["links"]] == [
        ("model", "inlined"), ("model", "float file"), ("inlined", "simulation"),
    ]  # fmt: skip
    full = find_fashion_mnist() is not None
    assert accuracy["samples"] == (10_000 if full else 1_024)
    assert accuracy["float"] > 91 if full else accuracy["float"] > 89
    assert abs(accuracy["delta"]) <= 0.5 if full else abs(accuracy["delta"]) <= 1.0
    assert accuracy["ci95"][0] <= accuracy["delta"] <= accuracy["ci95"][1]
    if full:  # the twin computes what was measured when the preset was made
        assert accuracy["float"] == pytest.approx(load_preset("vargnet").training["float_top1"], abs=0.02)


def test_main_job_latency(exported):
    _, ran = exported
    (entry,) = ran.json["latency"]
    assert entry["sha256"] == ran.json["sha256"]
    (ratio,) = ran.json["bench"]["ratios"]
    assert entry["of_float"] == {
        **{key: ratio[key] for key in ("ratio", "ci95", "verdict")}, "sha256": ran.json["float_twin"]["sha256"],
    }  # fmt: skip
    assert entry["runtime"] == "ai-edge-litert"
    assert 0 < entry["ci95_ms"][0] <= entry["median_ms"] <= entry["ci95_ms"][1]
    assert entry["kernels"]["xnnpack"] == "all"


def weight_scales(path):
    """How many scales the int8 weights of each operation have."""
    return [len(t.scales) for op in read_graph(path).operations for t in op.inputs if t.constant and t.dtype == "INT8"]


def test_the_record_says_how_it_was_quantized(exported):
    folder, ran = exported
    quantization = ran.json["quantization"]
    assert quantization["quantizer"] == "graph"
    assert quantization["per_tensor"] is False
    assert quantization["kept_float"] is None
    simulation = quantization["simulation"]
    assert simulation["images"] == 16
    assert simulation["units"] > 50
    assert simulation["max_lsb"] <= 1
    assert simulation["beyond"] == simulation["rescaled"] == simulation["missing"] == simulation["float"] == []
    assert f"{simulation['units']} of {simulation['units']} units of the file equal it within 1 step" in ran.err
    assert max(weight_scales(folder / f"{NAME}.int8.tflite")) > 8


def test_per_tensor_weights_have_one_scale_and_are_proven(tmp_path, capfd):
    ran = tfeff(capfd, "export", SMALL, "--per-tensor", "--out", tmp_path, "--json", *FEW)
    assert ran.code == 0, ran.err
    assert set(weight_scales(tmp_path / ran.json["file"])) == {1}
    assert ran.json["quantization"]["per_tensor"] is True
    assert ran.json["quantization"]["simulation"]["beyond"] == []
    assert ran.json["quantization"]["simulation"]["missing"] == []
    assert ran.json["ops"]["float"] == []


@pytest.mark.parametrize("flags", [[], ["--per-tensor"]])
def test_the_converters_own_quantizer(tmp_path, capfd, flags):
    ran = tfeff(capfd, "export", SMALL, "--quantizer", "converter", *flags, "--out", tmp_path, "--json", *FEW)
    assert ran.code == 0, ran.err
    assert ran.json["quantization"]["quantizer"] == "converter"
    assert ran.json["quantization"]["simulation"] is None
    assert ran.json["ops"]["float"] == []
    assert abs(ran.json["accuracy"][0]["delta"]) <= (5 if flags else 2)  # 200 images
    assert (set(weight_scales(tmp_path / ran.json["file"])) == {1}) == bool(flags)


def test_same_inputs_give_the_same_bytes(exported, tmp_path, capfd):
    folder, _ = exported
    assert tfeff(capfd, "export", "vargnet", "--int8", "--no-bench", "--evaluation-samples", 64, "--out", tmp_path,
                 "--quiet").code == 0  # fmt: skip
    for file in (f"{NAME}.int8.tflite", f"{NAME}.int8.twin.tflite"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


def test_artifact_is_read_by_the_later_commands(exported, tmp_path, capfd):
    folder = shutil.copytree(exported[0], tmp_path / "copy")
    file = folder / f"{NAME}.int8.tflite"
    ran = tfeff(capfd, "compare", file, "--dataset", "fashion_mnist_sample", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["samples"] == 1024
    assert open_artifact(file).record.accuracy[0].dataset == "fashion_mnist_sample"
    ran = tfeff(capfd, "bench", file, folder / f"{NAME}.int8.twin.tflite", "--max-seconds", 2, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["ratios"][0]["verdict"] in ("faster", "slower", "no difference")


@pytest.mark.parametrize(
    ("flags", "doors", "weights"),
    [
        (["--float32"], ("float32", "float32"), {"FLOAT32"}),
        (["--float16"], ("float32", "float32"), {"FLOAT16"}),
        (["--int8-dynamic"], ("float32", "float32"), {"INT8"}),
        (["--int16x8"], ("int16", "int16"), {"INT8"}),
        (["--int8", "--io", "float32"], ("float32", "float32"), {"INT8"}),
        (["--int8", "--io", "uint8"], ("uint8", "uint8"), {"INT8"}),
    ],
    ids=["float32", "float16", "int8-dynamic", "int16x8", "float-door", "uint8-door"],
)
def test_precisions(tmp_path, capfd, flags, doors, weights):
    ran = tfeff(capfd, "export", SMALL, *flags, "--out", tmp_path, "--json", *FEW)
    assert ran.code == 0, ran.err
    record = ran.json
    assert (record["inputs"][0]["dtype"], record["outputs"][0]["dtype"]) == doors
    graph = read_graph(tmp_path / record["file"])
    kernels = [
        t for op in graph.operations for t in op.inputs if t.constant and len(t.shape) == 4 and t.shape[1:3] == (1, 1)
    ]
    assert len(kernels) >= 13
    dtypes = {kernel.dtype for kernel in kernels}
    if flags == ["--int8-dynamic"]:  # the converter leaves kernels of less than 1,024 values in float
        dtypes = {kernel.dtype for kernel in kernels if np.prod(kernel.shape) >= 1024}
    assert dtypes == weights
    assert abs(record["accuracy"][0]["delta"]) <= 2  # 200 images
    if flags == ["--float32"]:
        assert record["accuracy"][0]["details"] == {"flips": 0}
        assert record["ports"][0]["sqnr_db"] is None
        assert record["calibration"] is None
    if ("int8" in record["precision"] and record["precision"] != "int8-dynamic") or record["precision"] == "int16x8":
        assert record["ops"]["float"] == []


@pytest.fixture(scope="module")
def user_model():
    """A functional model as a user has it: 0..255 in, Keras' own grouped convolution, a nested model."""
    keras.utils.set_random_seed(4)
    inner = keras.Sequential([keras.Input((12, 12, 8)), layers.Conv2D(8, 3, groups=2), layers.BatchNormalization()])
    image = keras.Input((12, 12, 3))
    x = inner(layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))), name="mine")


@pytest.fixture(scope="module")
def user_images(tmp_path_factory):
    rng = np.random.default_rng(6)
    path = tmp_path_factory.mktemp("user") / "images.npz"
    np.savez(path, images=rng.integers(0, 256, (80, 12, 12, 3), dtype=np.uint8), labels=np.arange(80) % 4)
    return path


@pytest.mark.parametrize("target", ["litert", "tflite-runtime"])
def test_a_users_keras_file(tmp_path, capfd, user_model, user_images, target):
    user_model.save(tmp_path / "mine.keras")
    ran = tfeff(capfd, "export", tmp_path / "mine.keras", "--mean", 0, "--std", 1, "--dataset", user_images,
                "--no-bench", "--target", target, "--out", tmp_path / "out", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    record = ran.json
    assert record["network"] == "mine.keras"
    assert record["preset"] is None
    assert record["inputs"][0]["shape"] == [1, 12, 12, 3]
    assert record["tasks"][0]["decode"] == {"kind": "classes", "scores": "logits"}  # by the labels
    assert record["calibration"]["source"] == str(user_images)
    assert record["accuracy"][0]["samples"] == 8  # a tenth is held out, the rest calibrates
    assert record["parameters"] == user_model.count_params() - 16  # BN's moving statistics
    assert [rewrite["places"] for rewrite in record["rewrites"]] == ([] if target == "litert" else [1] * 3)
    assert all(0 <= rewrite["relative_error"] < 1e-5 for rewrite in record["rewrites"])
    assert record["ops"]["by_name"].get("SPLIT", 0) == (target != "litert")
    assert record["file"] == f"mine.int8{'' if target == 'litert' else '.tflite-runtime'}.tflite"


@pytest.mark.parametrize("target", ["litert", "tflite-runtime"])
def test_a_float_file_needs_no_images_and_shifts_convert(tmp_path, capfd, user_images, target):
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = ActiveShift2D(2, initial_radius=3.0)(layers.Conv2D(9, 3, strides=2)(image))
    x = SparseShift2D()(GroupShift2D(3)(layers.Conv2D(9, 1)(x)))
    keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))).save(tmp_path / "mine.keras")
    arguments = ["export", tmp_path / "mine.keras", "--mean", 0, "--std", 255, "--no-bench", "--target", target,
                 "--out", tmp_path / "out", "--json"]  # fmt: skip
    ran = tfeff(capfd, *arguments, "--float32")
    assert ran.code == 0, ran.err
    record = ran.json
    proof = record["proof"]
    assert (proof["inputs"], proof["source"]) == (16, "seeded noise")
    assert [(link["of"], link["to"]) for link in proof["links"]][-1] == ("model", "float file")
    assert record["calibration"] is None
    assert record["float_twin"]["relative_error"] < 1e-4
    assert record["float_twin"]["rewrites"] == ["freeze_shift"]
    first = record["rewrites"][0]
    assert (first["name"], first["places"]) == ("freeze_shift" if target == "litert" else "slice_shift", 3)
    twin = read_graph(tmp_path / "out" / record["float_twin"]["file"])
    assert "CUSTOM" not in " ".join(op.name for op in twin.operations)
    assert ("STRIDED_SLICE" in record["ops"]["by_name"]) == (target != "litert")
    ran = tfeff(capfd, *arguments, "--float16", "--calibration", user_images)
    assert (ran.json["proof"]["inputs"], ran.json["proof"]["source"]) == (16, str(user_images))
    ran = tfeff(capfd, *arguments, "--int8", "--calibration", user_images)
    assert ran.code == 0, ran.err
    assert ran.json["ops"]["float"] == []


def test_a_users_saved_model(tmp_path, capfd, user_model, user_images):
    user_model.export(str(tmp_path / "saved"), verbose=False)
    ran = tfeff(capfd, "export", tmp_path / "saved", "--mean", 0, "--std", 1, "--calibration", user_images,
                "--no-bench", "--target", "tflite-runtime", "--out", tmp_path / "out", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["accuracy"] == []
    assert ran.json["float_twin"]["relative_error"] < 1e-4
    assert any("not rewritten" in note for note in ran.json["notes"])


def test_a_users_own_layers_are_imported(tmp_path, capfd, monkeypatch, user_images):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_layers.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable('mine')\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x): return x * 2.0\n"
    )
    code = (
        "import keras, my_layers\n"
        "i = keras.Input((12, 12, 3)); x = my_layers.Twice()(keras.layers.Conv2D(4, 3)(i))\n"
        "keras.Model(i, keras.layers.GlobalAveragePooling2D()(x)).save('own.keras')\n"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    arguments = ["export", "own.keras", "--mean", 0, "--std", 255, "--calibration", user_images, "--no-bench"]
    refused = tfeff(capfd, *arguments)
    assert refused.code == 2
    assert "--import" in refused.err
    ran = tfeff(capfd, *arguments, "--import", "my_layers", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["ops"]["float"] == []


def test_named_network_with_weights(tmp_path, capfd):
    preset = load_preset(SMALL)
    save_weights(preset.build(), tmp_path / "w.npz")
    arguments = ["export", preset.network, "--weights", tmp_path / "w.npz", "--input-size", 32, "--classes", 10, *FEW,
                 "--float32"]  # fmt: skip
    ran = tfeff(capfd, *arguments, "--dataset", "fashion_mnist_sample", "--out", tmp_path, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["weights"] == "trained"
    assert ran.json["accuracy"][0]["float"] > 80


def test_a_trained_folder_is_exported_by_its_preset(tmp_path, capfd):
    preset = load_preset(SMALL)
    shutil.copy(preset.weights, tmp_path / "own.weights.npz")
    from dataclasses import replace

    replace(preset, name="own.data", weights=tmp_path / "own.weights.npz").write(tmp_path / "own.data.json")
    ran = tfeff(capfd, "export", tmp_path / "own.data.json", "--float32", "--out", tmp_path / "o", "--json", *FEW)
    assert ran.code == 0, ran.err
    assert ran.json["preset"] == "own.data"


def test_a_network_named_as_its_family_is_the_preset_unless_weights_are_given():
    assert meant("vargfacenet", own_weights=False) == "vargfacenet.fashion_mnist"
    assert meant("vargfacenet", own_weights=True) == "vargfacenet"
    for name in ("vargnet", "vargnet_v1_025_g8", "mine.keras"):
        assert meant(name, own_weights=False) == meant(name, own_weights=True) == name


def test_random_weights_claim_no_accuracy(tmp_path, capfd):
    ran = tfeff(capfd, "export", "mobilenet_v1_025", "--random-weights", "--input-size", 32, "--classes", 7,
                "--no-bench", "--samples", 64, "--out", tmp_path, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["accuracy"] == []
    assert ran.json["weights"] == "random"
    assert ran.json["outputs"][0]["shape"] == [1, 7]
    assert ran.json["ports"][0]["source"] == "fashion_mnist_sample"
    assert "accuracy means nothing" in ran.err


def test_gates_are_met_or_exit_1(tmp_path, capfd):
    met = ["--max-drop", 50, "--max-latency-ms", 1000]
    quick = ["--evaluation-samples", 100, "--samples", 32, "--out", tmp_path]
    ran = tfeff(capfd, "export", SMALL, *quick, *met, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["gates"]["failed"] == []
    ran = tfeff(capfd, "export", SMALL, *quick, "--force", "--max-drop", 50, "--max-latency-ms", 1e-6, "--json")
    assert ran.code == 1
    assert "--max-latency-ms" in ran.err
    (failed,) = ran.json["gates"]["failed"]
    assert "--max-latency-ms" in failed
    assert open_artifact(tmp_path / ran.json["file"]).record.gates.failed == [failed]


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_float_island_is_named_and_nothing_is_written(tmp_path, capfd, user_images, precision):
    image = keras.Input((12, 12, 3))
    x = keras.ops.sin(layers.Conv2D(4, 3)(image))
    keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))).save(tmp_path / "island.keras")
    ran = tfeff(capfd, "export", tmp_path / "island.keras", f"--{precision}", "--mean", 128, "--std", 128,
                "--calibration", user_images, "--no-bench", "--out", tmp_path / "out")  # fmt: skip
    assert ran.code == 1
    assert "SIN" in ran.err
    assert list((tmp_path / "out").iterdir()) == []


def test_full_dataset_folder_and_samples(tmp_path, capfd):
    """An image folder calibrates, grey files among colour ones."""
    from PIL import Image

    sample = open_dataset("fashion_mnist_sample", "train")
    (tmp_path / "c").mkdir()
    for number in range(40):
        image = Image.fromarray(sample.image(number))
        (image if number % 2 else image.convert("RGB")).save(
            tmp_path / "c" / f"{number}.{'png' if number % 3 else 'jpg'}"
        )
    ran = tfeff(capfd, "export", SMALL, "--calibration", tmp_path / "c", "--samples", 40, "--no-bench",
                "--evaluation-samples", 100, "--out", tmp_path, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["calibration"]["used"] == 40


def test_a_folder_named_tfeff_where_the_user_stands_is_not_taken_for_the_package(tmp_path, capfd, monkeypatch):
    (tmp_path / "tfeff").mkdir()
    (tmp_path / "tfeff" / "__init__.py").write_text("raise ImportError('the wrong tfeff')")
    monkeypatch.chdir(tmp_path)
    ran = tfeff(capfd, "export", SMALL, "--float32", "--no-bench", "--evaluation-samples", 20, "--json")
    assert ran.code == 0, ran.err
