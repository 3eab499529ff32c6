"""Files of strangers in `compare` and `debug`: what kills LiteRT, though no rule finds fault with it, is an error."""

import numpy as np
import pytest
from checking_files import edit
from cli_runner import assert_refused, tfeff
from part_files import open_sized, several
from small_files import Part, Step, Values, constant, write_file

from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.tflite.check import check_model


def split(path, kind):
    """A network of one SPLIT; `kind` of its tensors."""
    tensors = {"axis": constant(np.int32(1)), "x": Values((1, 4), **kind)}
    tensors |= {name: Values((1, 2), **kind) for name in ("left", "right")}
    step = Step("SPLIT", ["axis", "x"], ["left", "right"], "SplitOptions", {"numSplits": 2})
    return write_file(path, Part(tensors, [step], {"x": "x"}, {"left": "left", "right": "right"}))


@pytest.fixture
def deadly(tmp_path):
    """LiteRT reads the options of SPLIT, which are not there, at address 0."""

    def strip(model):
        operator = model.subgraphs[0].operators[0]
        operator.builtinOptions, operator.builtinOptionsType = None, 0

    path = split(tmp_path / "deadly.tflite", {"dtype": "int8", "scale": 0.5})
    path.write_bytes(edit(path.read_bytes(), strip))
    return path


@pytest.fixture
def arrays(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.ones((4, 4), np.float32))
    return path


def test_compare_and_debug_outlive_it(capfd, deadly, arrays, tmp_path):
    assert check_model(deadly)  # no fault is found
    with pytest.raises(TfeffError, match=r"deadly\.tflite: LiteRT's process was killed by SIGSEGV while it loaded"):
        Runner(deadly)
    twin = split(tmp_path / "twin.tflite", {})
    ran = tfeff(capfd, "compare", deadly, "--against", twin, "--dataset", arrays)
    assert_refused(ran, "deadly.tflite", "SIGSEGV")
    assert_refused(tfeff(capfd, "debug", deadly, "--images", arrays), "deadly.tflite", "SIGSEGV")


def test_a_signature_is_compared(capfd, tmp_path):
    path, other = several(tmp_path / "m.tflite"), several(tmp_path / "twin.tflite")
    other.write_bytes(edit(other.read_bytes(), lambda model: setattr(model, "description", b"another")))
    arrays = tmp_path / "x.npz"
    np.savez(arrays, in_looped=np.ones((4, 3), np.float32))
    options = ("--against", other, "--dataset", arrays, "--signature", "looped", "--json")
    ran = tfeff(capfd, "compare", path, *options)
    assert ran.code == 0, ran.err
    assert ran.json["ports"][0]["name"] == "out_looped"
    assert "m.tflite: signature looped is compared, of its signatures tripled, looped, halved" in ran.err


def test_an_open_size_is_said(capfd, tmp_path):
    path, other = open_sized(tmp_path / "m.tflite"), open_sized(tmp_path / "twin.tflite")
    other.write_bytes(edit(other.read_bytes(), lambda model: setattr(model, "description", b"another")))
    arrays = tmp_path / "x.npz"
    np.savez(arrays, image=np.ones((2, 4, 6, 3), np.float32))
    options = ("--against", other, "--dataset", arrays)
    assert_refused(tfeff(capfd, "compare", path, *options), "open shape (?, ?, ?, 3)", "--input-shape image=1x224")
    ran = tfeff(capfd, "compare", path, *options, "--input-shape", "1x4x6x3", "--json")
    assert ran.code == 0, ran.err
    assert "m.tflite: image 1x4x6x3 is compared" in ran.err
