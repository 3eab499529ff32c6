"""Which part of a file runs is said where there is a choice."""

import copy

import pytest
from phone_files import float_file, ports_file

from tfeff.tflite.entry import which_runs
from tfeff.tflite.file import pack, unpack
from tfeff.tflite.part import PartOptions
from tfeff.tflite.verify import check_tflite


@pytest.fixture
def written(tmp_path):
    """Writes a file with more subgraphs, and with its signatures moved to others of them."""

    def write(data, subgraphs=1, moved=()):
        model = unpack(data)
        model.subgraphs += [copy.copy(model.subgraphs[0]) for _ in range(subgraphs - 1)]
        for signature, subgraph in zip(model.signatureDefs or (), moved, strict=bool(moved)):
            signature.subgraphIndex = subgraph
        path = tmp_path / "m.tflite"
        path.write_bytes(pack(model))
        check_tflite(path)
        return path

    return write


def test_nothing_is_said_of_a_plain_file(written):
    assert which_runs(written(float_file())) == ""
    assert which_runs(written(ports_file())) == ""


def test_bodies_of_loops(written):
    path = written(float_file(), 3)
    assert which_runs(path) == "m.tflite: has 3 subgraphs: the first is run, with those it calls"
    assert which_runs(path, done="judged") == "m.tflite: has 3 subgraphs: the operations of all are judged"


def test_signatures(written):
    two = ports_file(signatures=("encode", "decode"))
    has, chooses = "m.tflite: has 2 signatures (encode, decode): ", "; --signature chooses one"
    assert which_runs(written(two), done="timed") == f"{has}encode is timed{chooses}"
    moved = written(two, 2, (1, 0))
    assert which_runs(moved) == f"{has}decode is run{chooses}"
    assert which_runs(moved, PartOptions("encode")) == (
        "m.tflite: signature encode is run, of its signatures encode, decode"
    )
    said = f"{has}its first subgraph, which none of them names, is run{chooses}"
    assert which_runs(written(two, 2, (1, 1))) == said
