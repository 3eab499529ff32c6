"""Folders of images and masks: palettes, grey values, splits, and what is wrong with them."""

import numpy as np
import pytest
from PIL import Image

from tfeff.data import open_dataset
from tfeff.errors import TfeffError

MASK = np.uint8([[0, 1, 2], [2, 255, 0]])


def save(path, values, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    if mode == "P":
        picture.putpalette([number % 256 for number in range(768)])
    picture.save(path)


def make(folder, images="images", masks="masks", count=2):
    for number in range(count):
        save(folder / images / f"a/{number}.jpg", np.full((2, 3, 3), 10 * number, np.uint8))
        save(folder / masks / f"a/{number}.png", MASK, "P" if number % 2 else None)
    (folder / "classes.txt").write_text("ground\ncat\ndog\n")
    return folder


def test_values_of_a_palette_and_of_grey_are_classes(tmp_path):
    dataset = open_dataset(str(make(tmp_path)), "test", whole=True)
    assert (len(dataset), dataset.classes, dataset.labels) == (2, ("ground", "cat", "dog"), None)
    for number in range(2):
        assert dataset.image(number).shape == (2, 3, 3)
        np.testing.assert_array_equal(dataset.annotations["semantic"][number], MASK)


@pytest.mark.parametrize("form", ["images/{}", "{}/images"])
def test_splits(tmp_path, form):
    make(tmp_path, form.format("train"), form.format("train").replace("images", "masks"), count=3)
    make(tmp_path, form.format("val"), form.format("val").replace("images", "masks"), count=1)
    assert [len(open_dataset(str(tmp_path), split)) for split in ("train", "test")] == [3, 1]


def test_another_split(tmp_path):
    make(tmp_path, "images/train", "masks/train")
    with pytest.raises(TfeffError, match="has no test masks beside train"):
        open_dataset(str(tmp_path), "test")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "classes.txt").unlink(), "nothing names the classes"),
        (lambda folder: (folder / "classes.txt").write_text("a\na\n"), "twice"),
        (lambda folder: (folder / "masks/a/1.png").unlink(), "1.jpg: there is no mask for it"),
        (lambda folder: (folder / "images/a/1.jpg").unlink(), "1.png: there is no image for it"),
    ],
    ids=["no-classes", "twice", "no-mask", "no-image"],
)
def test_folders_that_do_not_fit(tmp_path, spoil, said):
    spoil(make(tmp_path))
    with pytest.raises(TfeffError, match=said):
        open_dataset(str(tmp_path), "test")


def test_masks_that_are_no_numbers(tmp_path):
    dataset = open_dataset(str(make(tmp_path)), "test", whole=True)
    save(tmp_path / "masks/a/0.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(TfeffError, match=r"0\.png: holds RGB, no class numbers"):
        dataset.annotations["semantic"][0]
    (tmp_path / "masks/a/0.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(TfeffError, match=r"0\.png: cannot be read as a mask"):
        dataset.annotations["semantic"][0]
