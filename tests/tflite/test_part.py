"""The part of a file that is looked at: a signature with what it calls, at given sizes, run by LiteRT."""

import numpy as np
import pytest
from part_files import open_sized, several

from tfeff.cli.part import parse_shapes
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.part import PartOptions, parts_of, take_part

X = np.float32([1, 2, 3])


FACTORS = [("tripled", 3, 1), ("looped", 32, 3), ("halved", 0.5, 1)]


@pytest.mark.parametrize(("signature", "factor", "subgraphs"), FACTORS)
def test_a_signature_is_run_with_what_it_calls(signature, factor, subgraphs, tmp_path):
    path, part = several(tmp_path / "m.tflite"), PartOptions(signature)
    (given,) = Runner(path, part=part)({f"in_{signature}": X}).values()
    np.testing.assert_array_equal(given, factor * X)
    taken = take_part(path.read_bytes(), path, part)
    assert len(TfliteFile(taken.data).model.subgraphs) == subgraphs
    assert taken.said == f"signature {signature}"
    assert take_part(path.read_bytes(), path, PartOptions()).data == path.read_bytes()


def test_subgraphs_are_called_by_their_signatures(tmp_path):
    file = TfliteFile(several(tmp_path / "m.tflite").read_bytes())
    assert parts_of(file) == ["tripled", "subgraph 1", "looped", "halved", "subgraph 4"]


def test_a_signature_that_is_not_there(tmp_path):
    with pytest.raises(TfeffError, match="has no signature or subgraph 'train'") as refused:
        Runner(several(tmp_path / "m.tflite"), part=PartOptions("train"))
    assert refused.value.mend == "choose one of tripled, looped, halved"


@pytest.mark.parametrize("shapes", [{"image": (1, 4, 6, 3)}, {"": (1, 4, 6, 3)}])
def test_open_sizes_are_given(shapes, tmp_path):
    path = open_sized(tmp_path / "m.tflite")
    image = np.arange(72, dtype=np.float32).reshape(4, 6, 3)
    (given,) = Runner(path, part=PartOptions(None, shapes))(image).values()
    np.testing.assert_allclose(given, image.reshape(2, 2, 3, 2, 3).mean((1, 3)))


WRONG = [
    ({}, r"open shape \(\?, \?, \?, 3\)", "--input-shape image=1x224x224x3"),
    ({"image": (1, 4, 4, 1)}, r"has the shape \(\?, \?, \?, 3\), not 1x4x4x1", "sizes"),
    ({"image": (4, 4, 3)}, "not 4x4x3", "sizes"),
    ({"photo": (1, 4, 4, 3)}, "has no input 'photo'", "image=?x?x?x3"),
]


@pytest.mark.parametrize(("shapes", "what", "mend"), WRONG)
def test_sizes_that_do_not_fit(shapes, what, mend, tmp_path):
    with pytest.raises(TfeffError, match=what) as refused:
        Runner(open_sized(tmp_path / "m.tflite"), part=PartOptions(None, shapes))
    assert mend in refused.value.mend


def test_shapes_are_read_from_text():
    assert parse_shapes(["a=1x2x3", "b:0=4"]) == {"a": (1, 2, 3), "b:0": (4,)}
    assert parse_shapes(["1,224,224,3"]) == {"": (1, 224, 224, 3)}
    for wrong in (["a=1x-2"], ["a="], ["0x3"], ["a=1", "a=2"], ["a=99999999999"]):
        with pytest.raises(TfeffError, match="--input-shape"):
            parse_shapes(wrong)
