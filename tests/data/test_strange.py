"""Annotations and tables that nobody writes: each is refused in a sentence, and takes no longer than its size does."""

import gzip
import json
import os
import struct

import pytest
from PIL import Image

from tfeff.data import open_dataset
from tfeff.data.annotated import check_classes
from tfeff.data.files import in_order
from tfeff.errors import TfeffError


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return tmp_path


def refusal(path):
    with pytest.raises(TfeffError) as refused:
        open_dataset(str(path), "test").image(0)
    assert len(refused.value.what) < 500
    assert refused.value.mend
    return refused.value.what


def coco(folder, old, new):
    text = json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}],
        "categories": [{"id": 1, "name": "x"}],
    })  # fmt: skip
    assert old in text
    (folder / "instances.json").write_text(text.replace(old, new))
    return folder / "instances.json"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[1, 1, 3, 3]", "[NaN, 1, 3, 3]", "not a readable JSON"),
        ("[1, 1, 3, 3]", "[1e400, 1, 3, 3]", "Number out of range"),
        ("[1, 1, 3, 3]", "[1e308, 1, 1e308, 3]", "no finite number"),
        ('"height": 8', f'"height": {"9" * 400}', "its height and width are (9999"),
        ('"height": 8', f'"height": {2**62}', "its height and width are"),
        ('"image_id": 1', '"image_id": "' + "x" * 10**6 + '"', "there is no image xxx"),
        ('"category_id": 1', f'"category_id": {10**300}', "there is no category 1000"),
        ('"categories"', '"info": ' + "[" * 10**5 + "]" * 10**5 + ', "categories"', "not a readable JSON"),
    ],
    ids=range(8),
)
def test_coco(folder, old, new, said):
    assert said in refusal(coco(folder, old, new))


@pytest.mark.parametrize("height", ["inf", "nan", "-inf", "1e400", "1e30", "0"])
def test_voc(folder, height):
    size = f"<size><height>{height}</height><width>8</width></size>"
    (folder / "a.xml").write_text(f"<annotation><filename>a.png</filename>{size}</annotation>")
    assert "its image is" in refusal(folder)


@pytest.mark.parametrize("name", ["instances.json", "a.xml"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_annotations_that_never_end(folder, name, kind):
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    assert ("not a regular file" if name == "a.xml" else "lies in no class folder") in refusal(folder)


class Counted(str):
    """A name that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Counted.compared += 1
        return str.__eq__(self, other)


def test_many_classes_are_looked_at_once_each():
    check_classes([Counted(f"c{number}") for number in range(2000)], "x")
    assert Counted.compared < 20_000
    with pytest.raises(TfeffError, match="the class 'a' twice"):
        check_classes(["a", "b", "a"], "x")


def test_numbers_of_more_digits_than_python_reads(folder):
    large = "9" * 5000
    assert in_order([f"c{large}0", f"c{large}", "c10", "c002", "c2"]) == [
        "c002",
        "c2",
        "c10",
        f"c{large}",
        f"c{large}0",
    ]
    (folder / "labels.csv").write_text(f"path,label\na.png,{large}\na.png,c\n")
    assert len(open_dataset(str(folder), "test", labelled=False)) == 2


def test_a_gzip_that_fills_memory(folder):
    for kind, rank in (("images-idx3", 3), ("labels-idx1", 1)):
        data = struct.pack(">HBB", 0, 8, rank) + bytes(65 * 2**20)
        (folder / f"t10k-{kind}-ubyte.gz").write_bytes(gzip.compress(data, 1))
    assert "more than 67,108,864 bytes" in refusal(folder)
