"""What `tfeff export` refuses: exit code 2, what is wrong and how to mend it, and nothing left behind."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from PIL import Image

from tfeff.presets import load_preset
from tfeff.weights import save_weights

RNG = np.random.default_rng(8)


@pytest.fixture
def refuse(capfd, tmp_path):
    """Runs an export that must be refused with the given words, and sees that it wrote nothing."""

    def run(network, *arguments, words):
        out = tmp_path / "out"
        ran = tfeff(capfd, "export", network, *arguments, "--out", out)
        assert_refused(ran, *words)
        assert not out.exists() or list(out.iterdir()) == []

    return run


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(RNG.integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    save_weights(load_preset("vargnet").build(), path)
    return path


SMALL = ("--input-size", 32, "--classes", 10)


def test_unknown_network(refuse):
    refuse("vargnet_v1_25_g8", words=["unknown network 'vargnet_v1_25_g8'", "vargnet_v1_025_g8"])


@pytest.mark.parametrize("network", ["vargnet_v1_025_g8", "vargnet_v2_200_g4"])
def test_no_weights(refuse, network):
    refuse(network, words=["has no weights", "--weights", "--random-weights"])


def test_both_kinds_of_weights(refuse, weights):
    refuse("vargnet_v1_025_g8", "--weights", weights, "--random-weights", words=["both"])


def test_preset_with_foreign_weights(refuse, weights):
    refuse("vargnet", "--weights", weights, words=["brings its own", "vargnet_v1_025_g8"])


def test_missing_weights(refuse, tmp_path):
    refuse("vargnet_v1_025_g8", "--weights", tmp_path / "no.npz", "--calibration", "fashion_mnist_sample",
           words=["no.npz", "no such file"])  # fmt: skip


@pytest.mark.parametrize("suffix", [".npz", ".weights.h5", ".keras"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_empty_and_truncated_weights(refuse, tmp_path, weights, suffix, share):
    model = load_preset("vargnet").build()
    path = tmp_path / f"w{suffix}"
    save_weights(model, path) if suffix == ".npz" else getattr(model, "save" if suffix == ".keras" else "save_weights")(
        path
    )
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refuse("vargnet_v1_025_g8", "--weights", path, *SMALL, "--calibration", "fashion_mnist_sample",
           words=[path.name, "empty" if share == 0 else "damaged"])  # fmt: skip


@pytest.mark.parametrize("network", ["vargnet_v1_050_g8", "vargnet_v2_025_g8", "vargnet_v1_025_g4"])
def test_weights_of_another_network(refuse, weights, network):
    refuse(network, "--weights", weights, *SMALL, "--calibration", "fashion_mnist_sample",
           words=["do not fit", network, "--classes"])  # fmt: skip


def test_weights_of_other_classes(refuse, weights):
    refuse("vargnet_v1_025_g8", "--weights", weights, "--input-size", 32, "--calibration", "fashion_mnist_sample",
           words=["do not fit", "logits/kernel", "(1024, 10)", "(1024, 1000)"])  # fmt: skip


def test_empty_calibration_folder(refuse, tmp_path):
    (tmp_path / "none").mkdir()
    refuse("vargnet", "--calibration", tmp_path / "none", words=["none", "no images"])


def test_corrupt_calibration_image(refuse, images):
    (images / "7.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    refuse("vargnet", "--calibration", images, words=["7.png", "replace or remove"])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.fromarray(RNG.integers(0, 2**16, (28, 28), dtype=np.uint16)), ["8-bit"]),
        (Image.fromarray(RNG.integers(0, 256, (28, 28, 4), dtype=np.uint8)), ["transparent", "flatten"]),
    ],
    ids=["16-bit", "transparent"],
)
def test_images_without_one_8_bit_meaning(refuse, images, image, words):
    image.save(images / "odd.png")
    refuse("vargnet", "--calibration", images, words=["odd.png", *words])


def test_arrays_of_another_size(refuse, tmp_path):
    np.savez(tmp_path / "a.npz", images=RNG.uniform(-1, 1, (12, 28, 28, 3)).astype(np.float32))
    refuse("vargnet", "--calibration", tmp_path / "a.npz", words=["(28, 28, 3)", "(32, 32, 3)", "uint8"])


def test_fewer_samples_than_asked(refuse, images):
    refuse("vargnet", "--calibration", images, "--samples", 100, words=["12 images", "100", "--samples 12"])


def test_calibration_with_nan(refuse, tmp_path):
    values = RNG.uniform(-1, 1, (12, 32, 32, 3)).astype(np.float32)
    values[5, 0, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", images=values)
    refuse("vargnet", "--calibration", tmp_path / "nan.npz", words=["image 5", "NaN"])


def test_identical_calibration_images(refuse, tmp_path):
    np.savez(tmp_path / "same.npz", images=np.zeros((12, 28, 28), np.uint8))
    refuse("vargnet", "--calibration", tmp_path / "same.npz", words=["the same", "different"])


def test_int8_of_a_users_network_needs_images(refuse, weights):
    refuse("vargnet_v1_025_g8", "--weights", weights, *SMALL, words=["representative images", "--calibration"])


def test_unwritable_output(capfd, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ran = tfeff(capfd, "export", "vargnet", "--out", tmp_path / "file" / "sub")
    assert_refused(ran, "cannot be written", "--out")


@pytest.mark.parametrize("suffix", ["tflite", "json", "twin.tflite"])
def test_existing_output_is_not_overwritten(capfd, tmp_path, suffix):
    existing = tmp_path / f"vargnet_v1_025_g8.fashion_mnist.int8.{suffix}"
    existing.write_text("precious")
    assert_refused(tfeff(capfd, "export", "vargnet", "--out", tmp_path), existing.name, "--force")
    assert existing.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [existing]


def test_dataset_not_found(refuse):
    refuse("vargnet", "--dataset", "fashion_mnits", words=["fashion_mnits", "not found", "fashion_mnist"])


def test_dataset_of_other_classes(refuse, tmp_path):
    images = RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(40) % 20)
    refuse("vargnet", "--dataset", tmp_path / "d.npz", "--samples", 32, words=["20", "10"])


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("python:/nowhere/python", ["/nowhere/python"]),
        ("pyton:/usr/bin/python3", ["unknown device", "python"]),
        ("toaster", ["toaster", "unknown device"]),
    ],
)
def test_device_that_is_not_there(refuse, device, words):
    refuse("vargnet", "--on", device, words=words)


def test_python_without_a_runtime(refuse, tmp_path):
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    refuse("vargnet", "--on", f"python:{tmp_path / 'bare' / 'bin' / 'python'}", words=["pip install"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "edgetpuu"], ["unknown target"]),
        (["--int8", "--io", "int16"], ["--io int16", "int8"]),
        (["--float16", "--io", "int8"], ["--io int8", "float32"]),
        (["--random-weights"], ["brings its own"]),
        (["--input-size", "big"], ["--input-size", "224"]),
        (["--samples", "0"], ["--samples", "at least 1"]),
        (["--quantizer", "converter", "--calibration-method", "mse"], ["--calibration-method", "converter"]),
        (["--quantizer", "converter", "--range", "stem=0:1"], ["--range", "--quantizer converter"]),
        (["--quantizer", "converter", "--equalize"], ["--equalize", "--quantizer converter"]),
        (["--quantizer", "toco"], ["toco", "converter"]),
        (["--float16", "--per-tensor"], ["--per-tensor", "float16"]),
        (["--float32", "--quantizer", "converter"], ["--quantizer", "float32"]),
        (["--int16x8", "--equalize"], ["--equalize", "int16x8"]),
    ],
)
def test_options_that_do_not_go(refuse, arguments, words):
    refuse("vargnet", *arguments, words=words)


def test_a_drop_without_labels_to_measure_it_on(refuse, weights, images):
    refuse("vargnet_v1_025_g8", "--weights", weights, *SMALL, "--calibration", images, "--max-drop", 1,
           words=["--max-drop", "--dataset"])  # fmt: skip


def test_a_network_needs_two_classes(refuse):
    refuse("vargnet_v1_025_g8", "--random-weights", "--classes", 1, words=["classes", "at least 2"])


def test_users_file_needs_its_preprocessing(refuse, tmp_path):
    load_preset("vargnet").build().save(tmp_path / "m.keras")
    refuse(tmp_path / "m.keras", "--calibration", "fashion_mnist_sample", words=["--mean", "--std"])


@pytest.mark.parametrize("name", ["gone.keras", "text.keras", "model.onnx"])
def test_users_file_that_is_none(refuse, tmp_path, name):
    if name != "gone.keras":
        (tmp_path / name).write_text("not a network")
    refuse(tmp_path / name, "--mean", 0, "--std", 1, "--calibration", "fashion_mnist_sample", words=[name])


def test_unknown_option_is_a_usage_error(capfd, tmp_path):
    ran = tfeff(capfd, "export", "vargnet", "--int4", "--out", tmp_path)
    assert_refused(ran, "--int4")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_kill_leaves_no_partial_artifact(tmp_path, capfd, how):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tfeff", "export", "mobilenet_v1", "--out", str(out)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )
    deadline = time.monotonic() + 60
    while not list(out.glob(".tfeff-export-*/*.tflite")) and process.poll() is None:  # in the middle of its work
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(how)
    code = process.wait(60)
    assert code != 0
    leftovers = list(out.iterdir())
    if how == signal.SIGKILL:  # cannot be caught: its hidden scratch folder stays, and nothing else
        assert [path.name.startswith(".tfeff-export-") for path in leftovers] == [True]
        run = ["export", "mobilenet_v1", "--float32", "--no-bench", "--evaluation-samples", 10, "--out", out, "--quiet"]
        assert tfeff(capfd, *run).code == 0
        leftovers = list(out.glob(".tfeff-export-*"))
    assert leftovers == []
