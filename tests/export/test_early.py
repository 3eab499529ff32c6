"""What is wrong with a model and its data is said before anything is calibrated or converted, by the names of the
user's own files; what was made of an export that is refused late is kept where that is wished."""

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from keras import layers

from tfeff.data import InputPort
from tfeff.errors import GateFailed, TfeffError
from tfeff.export import Model, Request, export_model
from tfeff.export.placing import failed_path
from tfeff.record.schema import TaskSpec

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def model(folder, values, activation=None, loss=None):
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, layers.Dense(values, activation=activation)(layers.GlobalAveragePooling2D()(image)))
    if loss:
        network.compile(loss=loss)
    network.save(folder / "mine.keras")
    return folder / "mine.keras"


@pytest.fixture
def no_work(monkeypatch):
    """Calibration and conversion that fail when they are begun."""

    def begun(*arguments, **options):
        raise AssertionError("too late")

    monkeypatch.setattr("tfeff.export.steps.calibrate", begun)
    monkeypatch.setattr("tfeff.export.making.make_files", begun)


@pytest.mark.parametrize(
    ("values", "activation", "loss", "labels", "words"),
    [
        (1, "sigmoid", None, np.arange(40) % 4, ["has 4 classes", "logits is one value: no or yes", "labels 0 and 1"]),
        (3, "softmax", None, np.arange(40) % 4, ["has 4 classes", "has 3 values"]),
        (5, "softmax", None, np.arange(40) % 4, ["has 4 classes", "has 5 values"]),
        (4, "softmax", None, np.arange(40) / 4, ["no class numbers", "integers"]),
        (4, "softmax", None, np.eye(3)[np.arange(40) % 3], ["labels of shape", "has 4 classes"]),
        (4, "softmax", None, np.arange(40) % 4 - 1, ["labels from -1", "from 0"]),
        (2, "linear", "mse", np.ones((40, 3)), ["has 3 numbers a sample, the output has 2"]),
        (2, "linear", "mse", np.full((40, 2), np.nan), ["NaN"]),
        (4, "sigmoid", "binary_crossentropy", np.arange(40) % 4, ["the output has 4 labels", "(n, 4)"]),
    ],
    ids=["one sigmoid", "too few", "too many", "no integers", "one-hot", "below 0", "numbers", "NaN", "many labels"],
)
def test_labels_that_do_not_fit_the_outputs(tmp_path, capfd, no_work, values, activation, loss, labels, words):
    path, data, out = model(tmp_path, values, activation, loss), tmp_path / "data.npz", tmp_path / "out"
    np.savez(data, images=IMAGES, labels=labels)
    ran = tfeff(capfd, "export", path, "--mean", 128, "--std", 128, "--calibration", data, "--dataset", data,
                "--no-bench", "--out", out)  # fmt: skip
    assert_refused(ran, "mine.keras: dataset", "data.npz", *words)
    assert ".tfeff-export" not in ran.err
    assert list(out.iterdir()) == []


def test_what_is_known_before_the_model_is_loaded(tmp_path, capfd, monkeypatch):
    def loaded(*arguments):
        raise AssertionError("too late")

    path = model(tmp_path, 2)
    monkeypatch.setattr("tfeff.cli.model.build_model", loaded)
    ran = tfeff(capfd, "export", path, "--calibration", tmp_path / "nowhere", "--out", tmp_path)
    assert_refused(ran, "calibration", "nowhere' not found")
    (tmp_path / "mine.failed").mkdir()
    ran = tfeff(capfd, "export", path, "--keep-failed", "--calibration", tmp_path, "--out", tmp_path / "mine.tflite")
    assert_refused(ran, "mine.failed: exists already", "--force")


def test_an_input_without_channels_is_named(tmp_path, capfd):
    """As the tutorial of quantization-aware training has it: (28, 28), and a Reshape inside."""
    image = keras.Input((28, 28), name="digits")
    x = layers.Conv2D(4, 3)(layers.Reshape((28, 28, 1))(image))
    keras.Model(image, layers.Dense(10)(layers.Flatten()(x))).save(tmp_path / "two_d.keras")
    ran = tfeff(capfd, "export", tmp_path / "two_d.keras", "--mean", 0, "--std", 255, "--calibration",
                "fashion_mnist_sample", "--out", tmp_path)  # fmt: skip
    assert_refused(ran, "two_d.keras: its input digits of shape (28, 28) has no channels", "(h, w, 1)",
                   "keras.Input((28, 28, 1))")  # fmt: skip


def plain(tmp_path):
    """A model of two numbers, and where its file goes."""
    given = keras.Input((3,), name="x")
    network = keras.Model(given, layers.Dense(2, name="y")(given))
    specs = (TaskSpec(name="tensors", outputs=["y"]),)
    return Model(network, "mine", "mine.keras", (InputPort("x", (3,)),), ("y",), specs), tmp_path / "mine.tflite"


def test_a_full_disk_is_said_at_the_start(tmp_path, monkeypatch, no_work):
    from shutil import _ntuple_diskusage

    monkeypatch.setattr("tfeff.data.space.shutil.disk_usage", lambda folder: _ntuple_diskusage(100, 40, 60))
    with pytest.raises(TfeffError, match=r"the files of mine.keras need about 1 MiB of disk, 0 MiB are free") as error:
        export_model(*plain(tmp_path), Request(precision="float32", devices=()))
    assert "--out" in error.value.mend
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_said_at_the_start(tmp_path, monkeypatch, no_work):
    monkeypatch.setattr("tfeff.data.space.free_memory", lambda: 2**28)
    with pytest.raises(TfeffError, match=r"the export of mine.keras takes about 551 MiB of memory, 256 MiB are free"):
        export_model(*plain(tmp_path), Request(precision="float32", devices=()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda: layers.Conv3D(2, 3, name="solid"), {}, r"would leave 1 operation in float: CONV_3D \(solid\)"),
        (lambda: layers.Conv2D(2, 3, activation="elu", name="bent"), {"target": "edgetpu"},
         r"edgetpu would not run this file: bent \(elu\) becomes EXP"),
        (lambda: layers.ELU(name="bent"), {"target": "edgetpu"}, r"bent \(elu\) becomes EXP"),
        (lambda: layers.Activation("softplus", name="bent"), {"target": "edgetpu"}, r"bent \(softplus\) becomes LOG"),
    ],
)  # fmt: skip
def test_what_no_file_can_hold_is_said_at_the_start(tmp_path, no_work, make, options, words):
    layer = make()
    shape = (4, 4, 4, 1) if isinstance(layer, layers.Conv3D) else (4, 4, 1)
    given = keras.Input(shape, name="x")
    inner = keras.Model(given, layer(given))
    outer = keras.Input(shape, name="x")
    made = Model(keras.Model(outer, inner(outer)), "mine", "mine.keras", (InputPort("x", shape),), ("y",),
                 (TaskSpec(name="tensors", outputs=["y"]),))  # fmt: skip
    with pytest.raises(GateFailed, match=words):
        export_model(made, tmp_path / "mine.tflite", Request(calibration=str(tmp_path), devices=(), **options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_late_gate_refuses_is_kept_if_that_is_wished(tmp_path, monkeypatch, keep):
    def refuse(context, graph, *more):
        raise GateFailed(f"{context.folder}/mine.tflite: no good", "do better; nothing was written")

    monkeypatch.setattr("tfeff.export.gates.gate_operations", refuse)
    made, path = plain(tmp_path)
    for again in (False, True)[: 1 + keep]:
        with pytest.raises(GateFailed) as error:
            export_model(made, path, Request(precision="float32", devices=(), keep_failed=keep, force=again))
        assert error.value.what == "mine.keras: mine.tflite: no good"
        kept = failed_path(path)
        if not keep:
            assert error.value.mend == "do better; nothing was written"
            assert list(tmp_path.iterdir()) == []
            continue
        assert error.value.mend == f"do better; what was made is in {kept}"
        assert list(tmp_path.iterdir()) == [kept]
        assert sorted(file.name for file in kept.iterdir()) == [
            "mine.failed.tflite", "mine.twin.failed.tflite", "why.txt",
        ]  # fmt: skip
        assert (kept / "why.txt").read_text() == "mine.keras: mine.tflite: no good\ndo better\n"


def test_nothing_is_kept_of_what_was_never_made(tmp_path):
    made, path = plain(tmp_path)
    with pytest.raises(TfeffError, match="not found"):
        export_model(made, path, Request(calibration="nowhere", devices=(), keep_failed=True))
    assert list(tmp_path.iterdir()) == []
