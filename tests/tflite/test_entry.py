"""Which part of a file runs is said where there is a choice."""

import copy

import pytest
from phone_files import float_file, ports_file

from tfeff.tflite.entry import which_runs
from tfeff.tflite.file import pack, unpack
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
    assert which_runs(written(float_file(), 3)) == "m.tflite: has 3 subgraphs: the first runs, with those that it calls"


def test_signatures(written):
    two = ports_file(signatures=("encode", "decode"))
    assert which_runs(written(two), "is timed") == "m.tflite: has 2 signatures (encode, decode): encode is timed"
    moved = written(two, 2, (1, 0))
    assert which_runs(moved) == "m.tflite: has 2 signatures (encode, decode): decode runs"
    said = "m.tflite: has 2 signatures (encode, decode): its first subgraph, which none of them names, runs"
    assert which_runs(written(two, 2, (1, 1))) == said
