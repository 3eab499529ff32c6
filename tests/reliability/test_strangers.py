"""Records and files of strangers that once broke commands or led them astray, replayed on a small network."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from checking_files import edit
from cli_runner import assert_refused, tfeff
from fuzz.originals import old_record, record, write_originals
from part_files import open_sized
from PIL import Image

from tfeff.errors import TfeffError
from tfeff.export.quantize.convert import environment_versions
from tfeff.files import check_unpacked, write_whole


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    write_originals(folder)
    return folder


@pytest.fixture
def artifact(originals, tmp_path, monkeypatch):
    """Writes `m.tflite` with its record, which `change` has changed; an old one if `old`. The folder is the working
    one."""

    def make(name="int8", change=None, *, old=False):
        for each in (f"{name}.tflite", "float.tflite", "images.npz", "key.pem"):
            shutil.copy(originals / each, folder / each.replace(f"{name}.tflite", "m.tflite"))
        path = folder / "m.tflite"
        value = record(path, folder / "float.tflite", "int8" if name == "int8" else "float32")
        value = old_record(value) if old else value
        if change:
            change(value)
        text = json.dumps(value).replace('"DEEP"', "[" * 50_000 + "]" * 50_000)
        path.with_suffix(".json").write_text(text)
        return path

    folder = tmp_path / "artifact"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tfeff.cli.endings.Endings.wait", lambda self: None)  # what is served by mistake ends
    return make


def huge(value):
    value["input"]["shape"] = [1, 10**9, 10**9, 3]
    value["preprocessing"] = {
        "resize": {"mode": "exact", "height": 10**9, "width": 10**9}, "crop": {"height": 10**9, "width": 10**9},
        "colour": "rgb", "mean": [128.0] * 3, "std": [128.0] * 3,
    }  # fmt: skip


# The records of schema 1 that broke eight commands: what is changed, and in which file.
BROKEN = {
    "accuracy_dataset": ("int8", lambda value: value.update(accuracy={"dataset": "/"})),
    "deep": ("int8", lambda value: value.update(notes="DEEP")),
    "inf_size": ("int8", lambda value: value["preprocessing"]["crop"].update(height=float("inf"))),
    "latency_list": ("int8", lambda value: value.update(latency=[1])),
    "huge_web": ("web", huge),
}
COMMANDS = {
    "compare": [], "debug": [], "bench": ["--max-seconds", 0.01], "serve": ["--port", 0], "check": [],
    "demo": ["--out", "x.apk", "--key", "key.pem"], "report": ["--format", "md"], "profile": ["--on", "adb"],
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_old_records_that_broke_commands(artifact, capfd, name):
    of, change = BROKEN[name]
    path = artifact(of, change, old=True)
    before = sorted(os.listdir())
    for command, options in COMMANDS.items():
        if name == "huge_web" and command in ("bench", "check", "report", "profile", "compare", "debug"):
            continue  # they read nothing of the sizes
        assert_refused(tfeff(capfd, command, path.with_suffix(".json"), *options), "tfeff: ")
    assert_refused(tfeff(capfd, "demo", path, "--web", "page"), "tfeff: ")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_page_of_a_file_whose_record_says_other_ports(artifact, capfd, side):
    def change(value):
        (port,) = value[side]
        if side == "outputs":
            port["shape"], value["tasks"] = [1, 7], []
            return
        port["shape"] = [1, 16, 16, 3]
        for part in ("resize", "crop"):
            port["preprocessing"][part] |= {"height": 16, "width": 16}

    path = artifact("web", change)
    for command in (["serve", path, "--port", 0], ["demo", path, "--web", "page"]):
        assert_refused(tfeff(capfd, *command), f"m.tflite: its {side} are float32", "its record says float32 [1, ")
    assert not os.path.exists("page")


@pytest.fixture
def outside(tmp_path):
    """A folder of images that no record may lead to."""
    folder = tmp_path / "private"
    for name in ("a", "b", "c", "d"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / name / "1.png")
    return folder


def way_in(kind, outside):
    """What a record names, by which somebody gets at a folder outside."""
    if kind == "path":
        return str(outside)
    if kind == "above":
        return "../private"
    if kind == "link":
        os.symlink(outside, "images")
        return "images"
    os.mkdir("images")
    if kind == "link below":
        for name in "abcd":
            os.symlink(outside / name, f"images/{name}")
        return "images"
    table = "images/labels.csv" if kind == "table below" else "images.csv"
    back = os.path.relpath(outside, os.path.dirname(table) or ".")
    with open(table, "w") as file:
        file.writelines(f"{back}/{name}/1.png,{name}\n" for name in "abcd")
    return "images" if kind == "table below" else table


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("path", "dataset"), ("path", "accuracy"), ("path", "calibration"), ("above", "dataset"), ("link", "accuracy"),
        ("link below", "calibration"), ("table", "accuracy"), ("table below", "dataset"),
    ],
)  # fmt: skip
def test_a_record_leads_to_no_data_outside_of_its_folder(artifact, outside, capfd, kind, part):
    spec = way_in(kind, outside)
    changes = {"dataset": {"dataset": spec}, "calibration": {"dataset": None, "calibration": {"source": spec}},
               "accuracy": {"dataset": None}}  # fmt: skip

    def change(value):
        accuracy = {**value["accuracy"], "dataset": spec} if part == "accuracy" else None
        value.update({"calibration": None, **changes[part], "accuracy": accuracy})

    path = artifact(change=change, old=True)
    if part != "calibration":
        ran = tfeff(capfd, "compare", path)
        assert_refused(ran, "its record names the dataset", "not in its folder", "--dataset")
    if part != "accuracy":
        assert_refused(tfeff(capfd, "debug", path), "its record names the images", "not in its folder", "--images")
    ran = tfeff(capfd, "compare", path, "--dataset", spec)  # the user may go there
    assert ran.code == 0, ran.err


def test_a_record_leads_to_data_beside_it(artifact, capfd):
    path = artifact(change=lambda value: value.update(dataset="images.npz", calibration=None))
    assert tfeff(capfd, "compare", path).code == 0
    assert tfeff(capfd, "debug", path, "--samples", 1).code == 0


def test_names_in_a_file_that_a_terminal_would_obey(artifact, originals, capfd):
    evil = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b\n"

    def name(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = evil + tensor.name
        for code in model.operatorCodes:
            code.customCode = code.customCode and evil

    artifact()
    os.unlink("m.json")
    for each in ("custom", "int8"):
        Path(f"{each}.tflite").write_bytes(edit((originals / f"{each}.tflite").read_bytes(), name))
    debug = ["debug", "int8.tflite", "--samples", 1, "--images", "images.npz", "--mean", 128, "--std", 128]
    checks = [["check", "custom.tflite", "--target", each] for each in ("edgetpu", "litert", "ethos-u", "web")]
    for command in (*checks, debug, [*debug, "--json"]):
        ran = tfeff(capfd, *command)
        assert ran.code in (0, 1), ran.err
        assert not set("\x1b\x07\x9b") & set(ran.out + ran.err)
        assert command[0] == "debug" or "\\x1b]0;owned\\x07" in ran.err


def test_versions_hold_what_changes_roundings(monkeypatch):
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = environment_versions()
    assert (found["TF_ENABLE_ONEDNN_OPTS"], found["OMP_NUM_THREADS"]) == ("0", "3")
    assert (found["TF_NUM_INTRAOP_THREADS"], found["TF_NUM_INTEROP_THREADS"]) == ("default", "default")
    assert int(found["processors"]) >= 1
    assert {"tfeff", "tensorflow", "keras", "ai-edge-litert", "numpy", "python", "system"} <= found.keys()


def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out").symlink_to(tmp_path / "pipe")  # as /dev/stdout is
    for name in ("pipe", "out"):
        with pytest.raises(TfeffError, match="is a device or a pipe"):
            write_whole(tmp_path / name, b"x", force=True)
    assert sorted(os.listdir(tmp_path)) == ["out", "pipe"]
    assert (tmp_path / "out").is_symlink()


def test_what_is_no_file_is_not_waited_for(artifact, capfd):
    path = artifact("web")
    os.mkfifo("pipe")
    demo = ["demo", path, "--out", "x.apk", "--key", "key.pem"]
    assert_refused(tfeff(capfd, *demo[:4], "--key", "pipe"), "pipe", "not a regular file")
    assert_refused(tfeff(capfd, *demo, "--image", "pipe"), "pipe", "not a regular file")
    assert_refused(tfeff(capfd, "serve", path, "--port", 0, "--certificate", "pipe"), "pipe", "not a regular file")
    assert_refused(tfeff(capfd, "serve", path, "--port", 0, "--host", "é..ü"), "cannot listen")
    assert_refused(tfeff(capfd, "demo", path, "--out", "/", "--force"), "ends in .apk")


def test_sizes_beside_open_ones_are_bounded(tmp_path, capfd):
    """LiteRT took a minute to touch 8 GB of them."""
    path = open_sized(tmp_path / "m.tflite", (-1, -1, -1, 2**31 - 1))
    assert_refused(tfeff(capfd, "check", path, "--target", "litert"), "has the shape (-1, -1, -1, 2147483647)")
    path = open_sized(tmp_path / "m.tflite")
    assert tfeff(capfd, "check", path, "--target", "litert").code == 0
    ran = tfeff(capfd, "check", path, "--target", "litert", "--input-shape", "1x30000x30000x3")
    assert_refused(ran, "an input of 1x30000x30000x3 takes 10,800,000,000 bytes")
    path = open_sized(tmp_path / "m.tflite", (-1, -1, -1, 2**20))  # too large at 224 and 32, which are tried first
    ran = tfeff(capfd, "check", path, "--target", "litert")
    assert ran.code == 2 or "loads and allocates it" in ran.err


def test_archives_that_were_made_to_fill_memory(artifact, capfd, monkeypatch):
    path = artifact()
    np.savez_compressed("zeros.npz", images=np.zeros((2**20, 1, 1), np.uint8))
    for name in ("m.keras", "m.pth"):
        with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.weights.h5", bytes(2**20))
        check_unpacked(Path(name))  # small ones may
    with h5py.File("m.h5", "w") as file:
        file.create_dataset("x", (2**21,), "f4", chunks=(2**18,), compression="gzip")
    with zipfile.ZipFile("h.keras", "w") as archive:
        archive.write("m.h5", "model.weights.h5")
    shutil.copy("m.h5", "m.weights.h5")
    network = ["--network", "vargnet_v1_025_g8", "--out", "w.npz"]
    with monkeypatch.context() as patch:
        patch.setattr("tfeff.files._SLACK", 0)
        for command in (
            ["compare", path, "--dataset", "zeros.npz"], ["debug", path, "--images", "zeros.npz"], ["info", "m.keras"],
            ["export", "vargnet_v1_025_g8", "--weights", "zeros.npz", "--no-bench"],
            ["import-weights", "zeros.npz", *network], ["import-weights", "m.pth", *network],
            ["info", "m.h5"], ["info", "h.keras"],
            ["export", "vargnet_v1_025_g8", "--weights", "m.weights.h5", "--no-bench"],
        ):  # fmt: skip
            assert_refused(tfeff(capfd, *command), "unpacks to ", "more than 200 times its size")


@pytest.mark.parametrize("kind", ["values", "link", "virtual"])
def test_an_hdf5_file_that_reads_another_file(artifact, capfd, kind):
    artifact()
    Path("secret").write_bytes(b"1234")
    with h5py.File("other.h5", "w") as file:
        file["x"] = np.zeros(4, np.uint8)
    with h5py.File("m.h5", "w") as file:
        if kind == "values":
            file.create_dataset("x", (4,), "u1", external=[("secret", 0, 4)])
        elif kind == "link":
            file["x"] = h5py.ExternalLink("other.h5", "x")
        else:
            layout = h5py.VirtualLayout((4,), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
            file.create_virtual_dataset("x", layout)
    shutil.copy("m.h5", "m.weights.h5")
    for command in (["info", "m.h5"], ["export", "vargnet_v1_025_g8", "--weights", "m.weights.h5", "--no-bench"]):
        assert_refused(tfeff(capfd, *command), "'x' lies in another file")
