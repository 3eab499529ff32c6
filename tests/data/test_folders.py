"""Folders and CSV files as people have them: numbered classes, stray files, labels in a table."""

import os

import numpy as np
import pytest
from PIL import Image

from tfeff import TfeffError
from tfeff.data import open_dataset
from tfeff.data.files import in_order


def fill(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), number % 256).save(path)
    return folder


def refusal(path, split="test", **options):
    with pytest.raises(TfeffError) as raised:
        open_dataset(str(path), split, **options)
    assert "\n" not in raised.value.what
    assert raised.value.mend
    return raised.value.what


@pytest.mark.parametrize(
    "names",
    [
        [str(number) for number in range(12)],
        [f"class_{number}" for number in range(12)],
        [f"c{number}" for number in range(12)],
        [f"{number:02}" for number in range(12)],
        [f"{number}_kind" for number in range(1, 13)],
        ["a", "b2", "b10", "c1x2", "c1x10"],
    ],
    ids=lambda names: names[1],
)
def test_natural_order(tmp_path, names):
    fill(tmp_path, [f"{name}/{number}.png" for name in names for number in range(2)])
    dataset = open_dataset(str(tmp_path), "train", labelled=False)
    assert dataset.classes == tuple(names)
    assert {name: int(label) for name, label in zip(dataset.names, dataset.labels, strict=True)} == {
        f"{name}/{number}.png": place for place, name in enumerate(names) for number in range(2)
    }


def test_order_never_fails():
    names = ["", "1", "a", "1a", "a1", "01", "a01", "²", "٣", "B"]
    assert sorted(in_order(names)) == sorted(names)
    assert in_order(["a10", "a9", "a09"]) == ["a09", "a9", "a10"]


def test_a_split_that_lacks_a_class_keeps_the_numbers(tmp_path):
    fill(tmp_path, ["train/0/1.png", "train/1/1.png", "train/2/1.png", "test/0/1.png", "test/2/1.png"])
    dataset = open_dataset(str(tmp_path), "test")
    assert (dataset.classes, list(dataset.labels)) == (("0", "1", "2"), [0, 2])


def test_splits_of_other_classes(tmp_path):
    fill(tmp_path, ["train/a/1.png", "train/b/1.png", "train/c/1.png", "val/a/1.png", "test/b/1.png"])
    assert list(open_dataset(str(tmp_path), "test").labels) == [1]
    fill(tmp_path, ["test/x/1.png"])
    assert "train and test have different classes: only train has a, only test x" in refusal(tmp_path)
    assert len(open_dataset(str(tmp_path), "train", labelled=False)) == 3


def test_classes_file_says_the_order(tmp_path):
    fill(tmp_path, ["cat/1.png", "ant/1.png", "dog/1.png"])
    (tmp_path / "classes.txt").write_text("dog\ncat\nant\n")
    dataset = open_dataset(str(tmp_path), "test", labelled=False)
    assert dataset.classes == ("dog", "cat", "ant")
    assert (dataset.names, list(dataset.labels)) == (["ant/1.png", "cat/1.png", "dog/1.png"], [2, 1, 0])
    assert dataset.notes == ()
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    assert "does not name the class ant" in refusal(tmp_path)


def test_files_that_are_not_read_are_counted(tmp_path):
    fill(tmp_path, [f"{name}/{number}.png" for name in "ab" for number in range(3)])
    for number in range(4):
        (tmp_path / "a" / f"{number}.heic").write_bytes(b"")
    dataset = open_dataset(str(tmp_path), "train", labelled=False)
    assert (len(dataset), dataset.notes) == (6, (f"{tmp_path}: 4 files left out, not read as images: 4 .heic",))
    assert open_dataset(str(tmp_path), "test").notes == dataset.notes
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.heic").write_bytes(b"")
    assert "c: a class folder without images that are read, only 1 .heic" in refusal(tmp_path)
    only = tmp_path / "c"
    assert "no images in this folder; 1 .heic are not read" in refusal(only, labelled=False)


# Tables

FILES = [f"pictures/{number}.png" for number in range(10)]


def table(folder, text, name="set.csv"):
    path = fill(folder, FILES) / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(label, header="", separator=","):
    return header + "".join(f"{name}{separator}{label(number)}\n" for number, name in enumerate(FILES))


@pytest.mark.parametrize(
    ("text", "classes", "labels"),
    [
        (lines(lambda n: "cat" if n % 2 else "bee", "path,label\n"), ("bee", "cat"), [n % 2 for n in range(10)]),
        (lines(lambda n: f"c{n + 1}"), tuple(f"c{n}" for n in range(1, 11)), list(range(10))),
        (lines(lambda n: n % 3, "﻿filename;class\n", ";"), ("0", "1", "2"), [n % 3 for n in range(10)]),
        (lines(lambda n: n / 4, "image\ty\n", "\t"), (), [n / 4 for n in range(10)]),
        (lines(lambda n: f"{n % 2}, {1 - n % 2}"), (), [[n % 2, 1 - n % 2] for n in range(10)]),
        (lines(lambda n: -n), (), [-n for n in range(10)]),
    ],
    ids=["names", "numbered names", "numbers", "reals", "several", "below 0"],
)
def test_csv_of_path_and_label(tmp_path, text, classes, labels):
    dataset = open_dataset(str(table(tmp_path, text)), "train", labelled=False)
    assert (dataset.names, dataset.classes) == (FILES, classes)
    np.testing.assert_array_equal(dataset.labels, labels)
    assert (dataset.image(7) == 7).all()
    train, test = (open_dataset(str(tmp_path / "set.csv"), split) for split in ("train", "test"))
    assert sorted([*train.names, *test.names]) == FILES


def test_csv_with_its_own_split(tmp_path):
    text = "label,split,path\n" + "".join(f"{n % 2},{'val' if n > 6 else 'train'},{f}\n" for n, f in enumerate(FILES))
    path = str(table(tmp_path, text))
    assert [len(open_dataset(path, split)) for split in ("train", "test")] == [7, 3]
    assert list(open_dataset(path, "test").labels) == [1, 0, 1]


def test_classes_file_beside_a_csv(tmp_path):
    (tmp_path / "classes.txt").write_text("dog\nbee\ncat\n")
    named = table(tmp_path, lines(lambda n: "cat" if n % 2 else "bee"))
    numbered = table(tmp_path, lines(lambda n: 2 if n % 2 else 1), "numbers.csv")
    for path in (named, numbered):
        dataset = open_dataset(str(path), "train", labelled=False)
        assert (dataset.classes, dataset.guessed) == (("dog", "bee", "cat"), False)
        assert list(dataset.labels) == [1, 2] * 5
    assert "a label of 9, classes.txt names 3" in refusal(table(tmp_path, lines(lambda n: n)))


def test_csv_of_paths_alone_is_for_calibration(tmp_path):
    path = table(tmp_path, "\n".join(FILES))
    assert len(open_dataset(str(path), "train", labelled=False)) == 10
    assert "holds no labels" in refusal(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no images"),
        ("path,label\n", "names no images"),
        (lines(lambda n: n) + "pictures/99.png,1\n", "line 11: there is no file 'pictures/99.png'"),
        (lines(lambda n: n) + "pictures/1.png\n", "line 11: 1 columns, the lines before have 2"),
        (lines(lambda n: "" if n == 3 else n), "line 4: no label"),
        (lines(lambda n: f"{n},x"), "line 1: 'x' is no number among several"),
        (b"\xff\xfe\x00pictures", "cannot be read as a CSV"),
        (lines(lambda n: '"open'), "cannot be read as a CSV"),
        (lines(lambda n: f"{n},dev", "path,label,split\n"), "line 2: split 'dev'"),
    ],
)
def test_csv_that_does_not_fit(tmp_path, text, told):
    assert told in refusal(table(tmp_path, text))


def test_labels_beside_the_images(tmp_path):
    table(tmp_path, lines(lambda n: "ab"[n % 2], "path,label\n"), "labels.csv")
    fill(tmp_path, ["pictures/stray.png"])
    dataset = open_dataset(str(tmp_path), "train", labelled=False)
    assert (dataset.names, dataset.classes) == (FILES, ("a", "b"))
    assert dataset.notes == (f"labels are those of {tmp_path / 'labels.csv'}",
                             f"{tmp_path}: 1 images are not in labels.csv: left out")  # fmt: skip
    assert len(open_dataset(str(tmp_path), "test")) == 1


def test_labels_above_the_split_folders(tmp_path):
    fill(tmp_path, ["train/1.png", "train/2.png", "val/3.png"])
    (tmp_path / "labels.csv").write_text("train/1.png,0\ntrain/2.png,1\nval/3.png,1\n")
    assert [open_dataset(str(tmp_path), split).names for split in ("train", "test")] == [
        ["train/1.png", "train/2.png"], ["val/3.png"],
    ]  # fmt: skip


def test_what_can_be_no_path(tmp_path):
    assert "not found" in refusal("a" * 5000)
    assert "not found" in refusal("a\0b")
    assert "there is no file" in refusal(table(tmp_path, f"{'a' * 5000}.png,1\n"))
    os.mkfifo(tmp_path / "pipe.png")
    assert "neither a folder nor a file" in refusal(tmp_path / "pipe.png")
    (tmp_path / "pipe.csv").write_text("pipe.png,1\n")
    assert "there is no file 'pipe.png'" in refusal(tmp_path / "pipe.csv")


def test_a_table_that_is_none_stops_only_who_needs_labels(tmp_path):
    fill(tmp_path, FILES)
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    assert "there is no file '1'" in refusal(tmp_path)
    dataset = open_dataset(str(tmp_path), "train", labelled=False)
    (note,) = dataset.notes
    assert note == f"{tmp_path / 'labels.csv'} is not used: line 2: there is no file '1' in {tmp_path}"
    assert len(dataset) == 10
