"""LiteRT asked about files: what it registers is mapped, what it cannot load or dies of is not."""

import struct

import numpy as np
import pytest
from checking_files import edit
from cli_runner import assert_refused, tfeff
from part_files import custom, open_sized, several
from small_files import Part, Step, Values, constant, write_file

PADDED = struct.pack("<iii", 1, 2, 2)  # padding SAME, strides


def check(capfd, path, target="litert", *more):
    return tfeff(capfd, "check", path, "--target", target, "--json", *more)


def test_a_custom_operation_that_xnnpack_takes(capfd, tmp_path):
    path = custom(tmp_path / "m.tflite", "Convolution2DTransposeBias", options=PADDED)
    ran = check(capfd, path)
    assert (ran.code, ran.json["mapped"], ran.json["basis"]) == (0, 1, "confirmed"), ran.err
    ran = check(capfd, path, "tflite-runtime")
    assert ran.code == 1
    assert "tflite-runtime 2.14 does not register" in ran.json["operations"][0]["reason"]
    assert f"`tfeff check {path} --target litert`" in ran.json["operations"][0]["mend"]


def test_a_custom_operation_of_nobody(capfd, tmp_path):
    path = custom(tmp_path / "m.tflite", "of-nobody")
    ran = check(capfd, path)
    assert (ran.code, ran.json["mapped"]) == (1, 0)
    assert "of-nobody" in ran.err
    assert f"`tfeff bench {path} --on python:PATH`" in ran.json["operations"][0]["mend"]


def test_what_litert_refuses_is_not_mapped(capfd, tmp_path):
    tensors = {name: Values((1, size)) for name, size in (("a", 3), ("b", 4), ("y", 4))}  # they do not broadcast
    step = Step("ADD", ["a", "b"], ["y"], "AddOptions")
    path = write_file(tmp_path / "m.tflite", Part(tensors, [step], {"a": "a", "b": "b"}, {"y": "y"}))
    ran = check(capfd, path)
    assert (ran.code, ran.json["mapped"], ran.json["total"]) == (1, 0, 1)
    assert "does not load it" in ran.json["problems"][0]["reason"]
    assert check(capfd, path, "web").code == 1


def test_what_litert_dies_of_is_not_mapped(capfd, tmp_path, monkeypatch):
    from tfeff.tflite import check as checking

    grids = {name: Values((1, 3), "int8", scale) for name, scale in (("x", np.inf), ("z", 1.0), ("y", 1.0))}
    step = Step("ADD", ["x", "z"], ["y"], "AddOptions")
    path = write_file(tmp_path / "m.tflite", Part(grids, [step], {"x": "x", "z": "z"}, {"y": "y"}))
    assert_refused(check(capfd, path), "has the scale inf")
    monkeypatch.setattr(checking, "_problems", lambda subgraph: ())  # a fault that the rules do not know
    ran = check(capfd, path)
    assert (ran.code, ran.json["mapped"]) == (1, 0)
    assert "was killed by SIG" in ran.json["problems"][0]["reason"]


@pytest.mark.parametrize("target", ["litert", "tflite-runtime", "web"])
def test_every_subgraph_is_judged(capfd, tmp_path, target):
    path = several(tmp_path / "m.tflite")
    ran = check(capfd, path, target)
    assert (ran.code, ran.json["mapped"]) == (0, 6), ran.err
    rows = [(row["subgraph"], row["op"]) for row in ran.json["operations"]]
    assert rows == [
        ("tripled", "MUL"), ("subgraph 1", "LESS"), ("looped", "WHILE"), ("halved", "MUL"), ("subgraph 4", "ADD"),
        ("subgraph 4", "MUL"),
    ]  # fmt: skip
    ran = check(capfd, path, target, "--signature", "halved")
    assert (ran.code, ran.json["total"]) == (0, 1)
    assert any("signature halved is judged" in note for note in ran.json["notes"])


def test_open_sizes(capfd, tmp_path):
    assert check(capfd, open_sized(tmp_path / "m.tflite")).code == 0
    path = tmp_path / "five.tflite"  # joined with a constant of 5 rows: none of the sizes that are tried fits
    tensors = {"x": Values((1, 1, 3)), "five": constant(np.ones((1, 5, 3), np.float32)), "y": Values((1, 1, 6))}
    step = Step("CONCATENATION", ["x", "five"], ["y"], "ConcatenationOptions", {"axis": 2})
    write_file(path, Part(tensors, [step], {"x": "x"}, {"y": "y"}))

    def leave_open(model):
        model.subgraphs[0].tensors[0].shapeSignature = np.int32([1, -1, 3])

    path.write_bytes(edit(path.read_bytes(), leave_open))
    assert_refused(check(capfd, path), "open shape (1, ?, 3)", "--input-shape x=1x224x3")
    ran = check(capfd, path, "litert", "--input-shape", "1x5x3")
    assert (ran.code, ran.json["mapped"]) == (0, 1), ran.err
    assert "five.tflite: x 1x5x3 is judged" in ran.err
