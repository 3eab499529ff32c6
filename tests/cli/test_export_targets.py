"""`tfeff export --target`: compilers found, missing, crashing and hanging; what goes into the record; what is refused
before seconds are spent."""

import json

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from edgetpu_recordings import DONE, HEADER, WHOLE
from keras import layers, ops
from rewrite_models import randomize

from tfeff.artifact import open_artifact
from tfeff.export.targets import list_targets

pytest_plugins = ["bench_models"]

NAME = "own.int8"
ALL = "CONV_2D                        6          Mapped to Edge TPU"
PART = "CONV_2D                        4          Mapped to Edge TPU\nMEAN                           2          Odd"


@pytest.fixture
def compiler(stand_in, tmp_path):
    """A stand-in for `edgetpu_compiler` that prints a recorded output and copies the file, or does as it is told."""

    def make(rows=ALL, subgraphs=1, instead=None):
        said = tmp_path / "said.txt"
        said.write_text(
            HEADER
            + WHOLE.replace("subgraphs: 1", f"subgraphs: {subgraphs}")
            + "Operator                       Count      Status\n\n"
            + f"{rows}\n"
            + DONE
        )
        copy = 'cp "$in" "$out/$(basename "$in" .tflite)_edgetpu.tflite"'
        return stand_in(
            'case "$1" in --version) echo "Edge TPU Compiler version 16.0.384591198"; exit 0;; esac\n'
            'for in; do :; done; while [ $# -gt 0 ]; do case "$1" in --out_dir) out="$2";; esac; shift; done\n'
            + (instead or f'cat "{said}"; {copy}')
        )

    return make


def own(tmp_path, *stack):
    image = x = keras.Input((32, 32, 3))
    for layer in stack:
        x = layer(x)
    path = tmp_path / "own.keras"
    randomize(keras.Model(image, x)).save(path)
    images = np.random.default_rng(0).integers(0, 64, (4, 4, 4, 3), dtype=np.uint8) * 4
    images[:, 0, 0], images[:, 3, 3] = 0, 255
    np.savez(tmp_path / "images.npz", images=images.repeat(8, axis=1).repeat(8, axis=2))
    return path, ("--mean", "127.5", "--std", "127.5", "--calibration", tmp_path / "images.npz", "--samples", 4)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A network of few operations, and what exports it."""
    first, grouped = layers.Conv2D(16, 3, strides=2, activation="relu"), layers.Conv2D(16, 3, groups=4)
    return own(tmp_path_factory.mktemp("small"), first, grouped, layers.GlobalAveragePooling2D(), layers.Dense(4))


@pytest.fixture
def export(capfd, tmp_path, small):
    def run(*arguments, network=small):
        path, options = network
        out = tmp_path / "out"
        ran = tfeff(capfd, "export", path, "--int8", "--no-bench", *options, "--out", out, "--json", *arguments)
        return ran, out

    return run


def left(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(autouse=True)
def no_compiler_of_this_machine(monkeypatch):
    monkeypatch.delenv("EDGETPU_COMPILER", raising=False)
    monkeypatch.delenv("VELA", raising=False)


def test_edgetpu_without_a_compiler_is_predicted(export, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran, folder = export("--target", "edgetpu")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["check"]["basis"] == "predicted"
    assert record["check"]["mapped"] == record["check"]["total"] == record["ops"]["total"]
    assert record["compiled"] is None
    assert any("predicted" in note for note in record["notes"])
    assert left(folder) == [f"{NAME}.edgetpu.json", f"{NAME}.edgetpu.tflite", f"{NAME}.edgetpu.twin.tflite"]


def test_edgetpu_compiled_is_confirmed_and_goes_when_it_is_stale(export, compiler, monkeypatch, tmp_path):
    ran, folder = export("--target", "edgetpu", "--compiler", compiler())
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["check"]["basis"] == "confirmed"
    assert record["check"]["ok"] is True
    compiled = record["compiled"]
    assert compiled["version"] == "16.0.384591198"
    assert compiled["details"]["on_chip_bytes"] == 80 << 10
    path = folder / compiled["file"]
    assert path.name == f"{NAME}.edgetpu_edgetpu.tflite"
    assert open_artifact(path).sha256 == compiled["sha256"]
    assert "confirmed" in ran.err

    again, _ = export("--target", "edgetpu")
    assert_refused(again, "exists already", "--force")
    monkeypatch.setenv("PATH", str(tmp_path))
    replaced, _ = export("--target", "edgetpu", "--force")
    assert replaced.code == 0, replaced.err
    assert not path.exists()  # it was not compiled from this artifact


def test_edgetpu_compiled_in_part_is_a_missed_gate(export, compiler):
    ran, folder = export("--target", "edgetpu", "--compiler", compiler(PART))
    assert ran.code == 1
    assert "4 of 6" in ran.err
    record = json.loads((folder / f"{NAME}.edgetpu.json").read_text())
    assert "4 of 6" in record["gates"]["failed"][0]
    assert {"op": "MEAN", "count": 2, "status": "cpu"}.items() <= record["check"]["operations"][0].items()


def test_edgetpu_compiled_to_nothing(export, compiler):
    ran, folder = export("--target", "edgetpu", "--compiler", compiler(subgraphs=0))
    assert ran.code == 1
    assert left(folder) == []


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ("kill -SEGV $$", ["SIGSEGV"]),
        ("sleep 600", ["compiler"]),
        ("echo Internal compiler error. Aborting!; exit 1", ["Aborting"]),
    ],
    ids=["crash", "timeout", "refused"],
)
def test_edgetpu_compiler_that_fails(export, compiler, monkeypatch, instead, words):
    monkeypatch.setattr("tfeff.export.targets.edgetpu.compiler._GRACE_S", 1)
    arguments = ("--compiler", compiler(instead=instead), "--compiler-timeout", "1")
    ran, folder = export("--target", "edgetpu", *arguments)
    assert_refused(ran, *words)
    assert left(folder) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "edgetpo"], ["unknown target 'edgetpo'", "edgetpu"]),
        (["--target", "edgetpu", "--float32"], ["edgetpu takes no float32", "--int8"]),
        (["--target", "ethos-u", "--int16x8"], ["ethos-u takes no int16x8"]),
        (["--target", "edgetpu", "--compiler", "no/such"], ["no/such", "coral.ai"]),
        (["--target", "edgetpu", "--accelerator", "ethos-u55-128"], ["--accelerator", "edgetpu"]),
        (["--accelerator", "ethos-u55-128"], ["--accelerator", "litert"]),
        (["--target", "ethos-u", "--accelerator", "ethos-u55-100"], ["unknown accelerator", "ethos-u55-128"]),
        (["--target", "ethos-u", "--compiler-timeout", "-1"], ["--compiler-timeout -1"]),
        (["--target", "web", "--compiler-timeout", "9"], ["--compiler-timeout", "web"]),
        (["--target", "web", "--io", "int16"], ["int16"]),
        (["--tune", "phone"], ["phone"]),
    ],
    ids=" ".join,
)
def test_refused_before_anything_is_built(export, arguments, words):
    ran, folder = export(*arguments)
    assert_refused(ran, *words)
    assert left(folder) == []


def test_vela_missing(export, monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    ran, folder = export("--target", "ethos-u")
    assert_refused(ran, "Vela", "pip install 'tfeff[ethos-u]'")
    assert left(folder) == []


def test_ethos_u_leaves_the_compiled_file_and_estimates(export):
    pytest.importorskip("ethosu.vela", reason="Vela is not installed")
    ran, folder = export("--target", "ethos-u", "--accelerator", "ethos-u65-256")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    compiled = record["compiled"]
    assert compiled["accelerator"] == "ethos-u65-256"
    assert compiled["estimates"]["cycles"] > 100
    assert "estimated_by" in compiled["details"]
    assert compiled["details"]["cpu_operators"] == 0
    assert record["check"] == {**record["check"], "basis": "confirmed", "ok": True}
    assert open_artifact(folder / compiled["file"]).sha256 == compiled["sha256"]
    assert "estimate" in ran.err


def test_web_has_float_at_the_door_and_int8_inside(export):
    ran, folder = export("--target", "web")
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["inputs"][0]["dtype"] == record["outputs"][0]["dtype"] == "float32"
    assert record["ops"]["float"] == []
    assert record["check"]["ok"] is True
    assert f"{NAME}.web.tflite" in left(folder)
    refused, _ = export("--target", "web", "--io", "int8", "--force")
    assert refused.code == 1
    assert "int8" in refused.err


def test_what_the_edge_tpu_does_not_take_is_told_with_its_place(export, tmp_path):
    network = own(
        tmp_path,
        layers.Conv2D(16, 3, padding="same"),
        lambda x: ops.take(x, [9, 4, 7, 1], axis=1),
        layers.Conv2D(4, 3),
        layers.GlobalAveragePooling2D(),
    )
    ran, folder = export("--target", "edgetpu", network=network)
    assert ran.code == 1, ran.err
    assert "GATHER" in ran.err
    record = json.loads(next(folder.glob("*.json")).read_text())
    assert {row["op"] for row in record["check"]["operations"] if row["status"] == "refused"} == {"GATHER"}
    assert "GATHER" in record["check"]["first_break"]


@pytest.mark.parametrize("name", sorted(list_targets()))
def test_a_user_s_own_network_for_every_target(export, tmp_path, name):
    """Activations, pads, pools and groups as users write them, a model within the model among them."""
    inner = keras.Sequential(
        [keras.Input((16, 16, 16)), layers.Conv2D(16, 3, groups=4, padding="same", activation="hard_silu"),
         layers.BatchNormalization(), layers.LeakyReLU()]
    )  # fmt: skip
    network = own(
        tmp_path,
        layers.ZeroPadding2D(1),
        layers.Conv2D(16, 3, strides=2, activation="silu"),
        inner,
        layers.PReLU(shared_axes=[1, 2]),
        layers.AveragePooling2D(2),
        layers.Conv2D(16, 1, activation="hard_sigmoid"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(4),
    )
    ran, _ = export("--target", name, network=network)
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    assert record["check"]["ok"] is True
    assert record["ops"]["float"] == []
    assert all(each["relative_error"] <= 1e-5 for each in record["rewrites"])
    assert all(each["because"] for each in record["rewrites"])
