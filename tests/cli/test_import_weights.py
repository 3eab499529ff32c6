"""`tfeff import-weights`: other projects' files become ours, on the way to a file that computes the source's logits."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from cli_runner import assert_refused, tfeff
from golden_recipe import golden, images, save_safetensors

from tfeff import create
from tfeff.weights import load_weights, read_metadata

STEM, NETWORK = "timm_lcnet_050", "pp_lcnet_050"


@pytest.fixture(scope="module")
def state():
    return golden(STEM)[1]


@pytest.fixture
def file(tmp_path, state):
    return save_safetensors(tmp_path / "lcnet.safetensors", state)


@pytest.fixture
def run(capfd, tmp_path):
    """Runs the command on a file; `w.npz` in the test's folder is what it writes."""

    def run(file, *options, network=NETWORK, out=tmp_path / "w.npz"):
        return tfeff(capfd, "import-weights", file, "--network", network, "--out", out, *options)

    return run


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_from_a_reference_to_its_logits_in_litert(capfd, tmp_path, file, run):
    ran = run(file, "--json")
    assert ran.code == 0, ran.err
    ran = tfeff(capfd, "export", NETWORK, "--weights", tmp_path / "w.npz", "--float32", "--no-bench",
                "--out", tmp_path, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    record = ran.json
    assert record["weights"] == "trained"
    assert any("lcnet.safetensors" in note and "timm" in note for note in record["notes"])
    assert any("--mean" in note for note in record["notes"])  # how the images were prepared is not in a state dict
    told, _, expected = golden(STEM)
    interpreter = Interpreter(record["path"])
    interpreter.allocate_tensors()
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for picture in images(told):
        interpreter.set_tensor(image["index"], picture[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(logits["index"])[0])
    error = np.abs(np.array(found) - expected).max() / np.abs(expected).max()
    print(f"{error:.1e} of the largest logit")
    assert error < 1e-4


def test_the_file_says_what_it_is(tmp_path, file, run):
    ran = run(file, "--json")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:  # numpy alone reads it
        told = json.loads(str(archive["__metadata__"]))
    assert told["network"] == NETWORK
    assert told["arguments"] == {
        "input_shape": [224, 224, 3], "classes": 1000, "symmetric_padding": True, "head_bias": True,
    }  # fmt: skip
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert told["source"] == {"file": "lcnet.safetensors", "sha256": digest, "layout": "timm"}
    assert ran.json["sha256"] == hashlib.sha256((tmp_path / "w.npz").read_bytes()).hexdigest()
    assert {key: ran.json[key] for key in ("network", "arguments", "source")} == {
        key: told[key] for key in ("network", "arguments", "source")
    }
    model = create(NETWORK, symmetric_padding=True, head_bias=True)
    load_weights(model, tmp_path / "w.npz")
    assert left(tmp_path) == ["lcnet.safetensors", "w.npz"]


def test_the_same_file_gives_the_same_bytes(tmp_path, file, run):
    run(file)
    run(file, out=tmp_path / "v.npz")
    assert (tmp_path / "w.npz").read_bytes() == (tmp_path / "v.npz").read_bytes()


def test_layouts_are_told_apart_by_the_entries(tmp_path, run):
    for stem, layout in (("shufflenet_v2_x1_0", "torchvision"), ("megvii_shufflenet_v2_x1_0", "megvii")):
        np.savez(tmp_path / f"{layout}.npz", **golden(stem)[1])
        ran = run(tmp_path / f"{layout}.npz", "--json", "--force", network="shufflenet_v2_x100")
        assert ran.json["source"]["layout"] == layout
    ran = run(tmp_path / "megvii.npz", "--layout", "torchvision", "--force", network="shufflenet_v2_x100")
    assert_refused(ran, "lacks conv1.0.weight", "more")


def test_classes_are_those_of_the_classifier(tmp_path, state, run):
    few = {
        **state,
        "classifier.weight": state["classifier.weight"][:7],
        "classifier.bias": state["classifier.bias"][:7],
    }
    path = save_safetensors(tmp_path / "few.safetensors", few)
    assert run(path, "--json").json["arguments"]["classes"] == 7
    assert_refused(run(path, "--classes", 9, "--force"), "classifier.weight is [7, 1280], the network has [9, 1280]")
    one = {**few, "classifier.weight": few["classifier.weight"][:1], "classifier.bias": few["classifier.bias"][:1]}
    assert_refused(run(save_safetensors(path, one), "--force"), "classes must be at least 2")


def test_every_wrong_entry_is_listed_and_nothing_is_written(tmp_path, state, run):
    wrong = {**state, "extra.weight": np.zeros(3, "float32"), "bn1.weight": np.zeros(9, "float32")}
    del wrong["blocks.5.1.se.conv_reduce.bias"]
    wrong["bn1.bias"] = np.full_like(state["bn1.bias"], np.nan)
    path = save_safetensors(tmp_path / "a.safetensors", wrong)
    ran = run(path)
    assert_refused(
        ran, "a.safetensors (timm) do not fit network pp_lcnet_050", "lacks blocks.5.1.se.conv_reduce.bias",
        "has extra.weight, unknown", "bn1.weight is [9], the network has [8]", "bn1.bias holds NaN",
    )  # fmt: skip
    assert left(tmp_path) == ["a.safetensors"]


def test_weights_of_another_width_name_it(file, run):
    assert_refused(run(file, network="pp_lcnet_100"), "conv_stem.weight is [8, 3, 3, 3]", "--network pp_lcnet_050")


def test_weights_of_another_family(file, run):
    ran = run(file, network="mobilenet_v2_100")
    assert_refused(ran, "no layout of mobilenet_v2_100 fits", "conv_stem.weight", "torchvision", "timm")
    ran = run(file, "--layout", "timm", network="mobilenet_v2_100")
    assert_refused(ran, "do not fit network mobilenet_v2_100", "more")


def test_damaged_files(tmp_path, file, run):
    content = file.read_bytes()
    for share in (0.0, 0.3, 0.99):
        file.write_bytes(content[: int(share * len(content))])
        assert_refused(run(file), "lcnet.safetensors: damaged")
    (tmp_path / "a.npz").write_bytes(b"text")
    assert_refused(run(tmp_path / "a.npz"), "a.npz: damaged")
    assert_refused(run(tmp_path / "missing.npz"), "no such file")
    (tmp_path / "a.onnx").write_bytes(b"text")
    assert_refused(run(tmp_path / "a.onnx"), "unknown format '.onnx'", ".safetensors")
    assert left(tmp_path) == ["a.npz", "a.onnx", "lcnet.safetensors"]


def test_unknown_names(file, run):
    assert_refused(run(file, network="pp_lcnet_05"), "unknown network 'pp_lcnet_05'", "pp_lcnet_050")
    assert_refused(run(file, "--layout", "keras"), "no weight layout 'keras'", "paddle, timm")
    assert_refused(run(file, network="vargnet_v1_025_g8"), "no weight layout of another project is known")


def test_nothing_is_overwritten(tmp_path, file, run):
    (tmp_path / "w.npz").write_bytes(b"mine")
    assert_refused(run(file), "exists already", "--force")
    assert (tmp_path / "w.npz").read_bytes() == b"mine"
    assert run(file, "--force").code == 0
    assert read_metadata(tmp_path / "w.npz")["network"] == NETWORK
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert_refused(run(tmp_path / "a.npz", "--force", out=tmp_path / "a.npz"), "is the file to be read")
    assert_refused(run(file, out=tmp_path / "w.h5"), "written as .npz")
    assert_refused(run(file, out=tmp_path / "no" / "w.npz"), "there is no folder")


def test_a_failed_import_leaves_the_old_file(tmp_path, state, run):
    (tmp_path / "w.npz").write_bytes(b"mine")
    path = save_safetensors(tmp_path / "a.safetensors", {k: v for k, v in state.items() if k != "bn1.bias"})
    assert_refused(run(path, "--force"), "lacks bn1.bias")
    assert (tmp_path / "w.npz").read_bytes() == b"mine"
    assert left(tmp_path) == ["a.safetensors", "w.npz"]


class Marker:
    """Unpickled, it makes a file: a pickle can run anything."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.touch, ()


@pytest.mark.parametrize("suffix", [".npz", ".pth", ".bin", ".safetensors"])
def test_code_in_a_file_is_not_run(tmp_path, run, suffix):
    path, ran = tmp_path / f"a{suffix}", tmp_path / "ran"
    if suffix == ".npz":
        np.savez(path, **{"conv_stem.weight": np.array([Marker(ran)], dtype=object)})
    else:
        path.write_bytes(pickle.dumps({"conv_stem.weight": Marker(ran)}))
    assert_refused(run(path), path.name)
    assert not ran.exists()
    with np.load(path, allow_pickle=True) if suffix == ".npz" else path.open("rb") as content:  # it could have been
        content["conv_stem.weight"] if suffix == ".npz" else pickle.load(content)
    assert ran.exists()


def test_a_pth_that_is_none(tmp_path, run):
    (tmp_path / "a.pth").write_bytes(b"PK")
    assert_refused(run(tmp_path / "a.pth"), "damaged, or not a .pth file")


def test_export_refuses_what_the_weights_are_not_for(capfd, tmp_path, file, run):
    run(file)
    weights = tmp_path / "w.npz"
    options = ("--float32", "--no-bench", "--out", tmp_path)
    ran = tfeff(capfd, "export", "pp_lcnet_100", "--weights", weights, *options)
    assert_refused(ran, "of network pp_lcnet_050, not of pp_lcnet_100")
    ran = tfeff(capfd, "export", NETWORK, "--weights", weights, "--classes", 10, *options)
    assert_refused(ran, "classes=10, but weights", "classes=1000")
    ran = tfeff(capfd, "export", NETWORK, "--weights", file, *options)
    assert_refused(ran, "PyTorch's names", "tfeff import-weights")
    assert left(tmp_path) == ["lcnet.safetensors", "w.npz"]
