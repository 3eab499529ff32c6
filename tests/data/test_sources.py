"""From what is typed after --dataset to images and labels."""

import gzip
import shutil
import struct
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfeff import TfeffError
from tfeff.data import default_evaluation, open_dataset
from tfeff.data.fashion_mnist import CLASSES, SAMPLE_PATH, find_fashion_mnist

RNG = np.random.default_rng(0)


def fill(folder, names):
    """Writes a small image under every name; each has a grey of its own."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), number).save(path)
    return folder


def refusal(spec, split="train", **options):
    """The error for a dataset; it must name it in one line."""
    with pytest.raises(TfeffError) as raised:
        open_dataset(str(spec), split, **options)
    assert str(spec) in raised.value.what
    assert "\n" not in raised.value.what
    assert raised.value.exit_code == 2
    assert raised.value.mend
    return raised.value.what


def contents(dataset):
    """{image name: class name}"""
    assert len(dataset) == len(dataset.names) == len(dataset.labels)
    return {name: dataset.classes[label] for name, label in zip(dataset.names, dataset.labels, strict=True)}


# Folders


CLASS_FILES = [f"{name}/{number}.png" for name in ("cat", "dog", "ant") for number in range(10)]


def test_folder_of_classes(tmp_path):
    fill(tmp_path, CLASS_FILES)
    train, test = (open_dataset(str(tmp_path), split) for split in ("train", "test"))
    assert train.classes == test.classes == ("ant", "cat", "dog")
    assert (len(train), len(test)) == (27, 3)
    both = contents(train) | contents(test)
    assert both == {name: name.split("/")[0] for name in CLASS_FILES}  # disjoint, and all of them
    assert train.labels.dtype == np.int64
    for part in (train, test):
        for number, name in enumerate(part.names):
            assert (part.image(number) == CLASS_FILES.index(name)).all()


def test_split_is_the_same_every_time_and_follows_the_seed(tmp_path):
    fill(tmp_path, CLASS_FILES)
    first = open_dataset(str(tmp_path), "test").names
    assert open_dataset(str(tmp_path), "test").names == first
    assert open_dataset(str(tmp_path), "test", seed=1).names != first


def test_folder_without_need_of_labels_is_given_whole(tmp_path):
    fill(tmp_path, CLASS_FILES)
    assert len(open_dataset(str(tmp_path), "train", labelled=False)) == 30


@pytest.mark.parametrize("held_out", ["test", "val", "validation"])
def test_split_folders(tmp_path, held_out):
    fill(tmp_path, ["train/cat/1.png", "train/dog/2.png", f"{held_out}/cat/3.png", f"{held_out}/dog/4.png"])
    train, test = (open_dataset(str(tmp_path), split) for split in ("train", "test"))
    assert contents(train) == {"cat/1.png": "cat", "dog/2.png": "dog"}
    assert contents(test) == {"cat/3.png": "cat", "dog/4.png": "dog"}
    assert (test.image(1) == 3).all()


def test_folder_with_train_val_and_test(tmp_path):
    """All three together are a split, not three classes."""
    fill(tmp_path, [f"{split}/{name}/1.png" for split in ("train", "val", "test") for name in ("cat", "dog")])
    train, test = (open_dataset(str(tmp_path), split) for split in ("train", "test"))
    assert train.classes == test.classes == ("cat", "dog")
    assert test.source == str(tmp_path / "test")


def test_split_folder_that_is_not_there(tmp_path):
    fill(tmp_path, ["train/cat/1.png", "train/dog/2.png"])
    assert "no test folder beside train" in refusal(tmp_path, "test")
    assert len(open_dataset(str(tmp_path), "train")) == 2


def test_train_among_other_class_names_is_a_class(tmp_path):
    fill(tmp_path, [f"{name}/{number}.png" for name in ("train", "bus") for number in range(3)])
    assert open_dataset(str(tmp_path), "train").classes == ("bus", "train")


def test_flat_folder(tmp_path):
    fill(tmp_path, ["b.png", "a.jpg"])
    assert "a.jpg lies in no class folder" in refusal(tmp_path)
    dataset = open_dataset(str(tmp_path), "train", labelled=False)
    assert (dataset.names, dataset.labels, dataset.classes) == (["a.jpg", "b.png"], None, ())


def test_image_beside_the_class_folders(tmp_path):
    fill(tmp_path, [*CLASS_FILES, "stray.png"])
    assert "stray.png lies in no class folder" in refusal(tmp_path)


def test_empty_folder(tmp_path):
    assert "no images" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    assert "no images" in refusal(tmp_path, labelled=False)


def test_empty_class_folder(tmp_path):
    fill(tmp_path, CLASS_FILES)
    (tmp_path / "bee").mkdir()
    with pytest.raises(TfeffError, match="bee: a class folder without images"):
        open_dataset(str(tmp_path), "train")


def test_hidden_folders_are_no_classes(tmp_path):
    fill(tmp_path, [*CLASS_FILES, ".thumbnails/1.png"])
    dataset = open_dataset(str(tmp_path), "train")
    assert dataset.classes == ("ant", "cat", "dog")
    assert not any(name.startswith(".") for name in dataset.names)


def test_one_image_cannot_be_split(tmp_path):
    fill(tmp_path, ["cat/1.png"])
    assert "cannot be split" in refusal(tmp_path, "train")


def test_unreadable_image_is_named_when_it_is_read(tmp_path):
    fill(tmp_path, ["train/cat/1.png", "train/dog/2.png"])
    (tmp_path / "train" / "dog" / "2.png").write_bytes(b"")
    dataset = open_dataset(str(tmp_path), "train")
    with pytest.raises(TfeffError, match=r"dog/2\.png: cannot be read"):
        dataset.image(1)


def test_missing_dataset_names_what_there_is():
    assert "fashion_mnist_sample" in refusal("no/such/folder")
    assert "not found" in refusal("fashion-mnist")


def test_unknown_split():
    assert "no split 'validation'" in refusal("fashion_mnist_sample", "validation")


# .npz files

IMAGES = RNG.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(20) % 4


def npz(tmp_path, **arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("labels_key", ["labels", "y"])
@pytest.mark.parametrize("images_key", ["images", "x", "arr_0"])
def test_npz_without_a_split(tmp_path, images_key, labels_key):
    path = npz(tmp_path, **{images_key: IMAGES, labels_key: LABELS})
    train, test = (open_dataset(str(path), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (18, 2)
    assert train.classes == test.classes == ("0", "1", "2", "3")
    seen = [d.image(n) for d in (train, test) for n in range(len(d))]
    labels = np.concatenate([train.labels, test.labels])
    pairs = sorted((image.tobytes(), int(label)) for image, label in zip(seen, labels, strict=True))
    assert pairs == sorted((image.tobytes(), int(label)) for image, label in zip(IMAGES, LABELS, strict=True))


def test_npz_with_a_split(tmp_path):
    path = npz(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:4, ..., 0], y_test=LABELS[:4, None])
    train, test = (open_dataset(str(path), split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.image(19), IMAGES[19])
    np.testing.assert_array_equal(test.image(3), IMAGES[3, ..., 0])
    np.testing.assert_array_equal(train.labels, LABELS)
    np.testing.assert_array_equal(test.labels, LABELS[:4])
    assert test.names[3] == "test image 3"


def test_npz_test_split_without_the_last_class_has_the_same_classes(tmp_path):
    path = npz(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=LABELS[:2])
    assert open_dataset(str(path), "test").classes == open_dataset(str(path), "train").classes == ("0", "1", "2", "3")


def test_npz_with_class_names(tmp_path):
    path = npz(tmp_path, images=IMAGES, labels=LABELS, classes=np.array(["a", "b", "c", "d", "e"]))
    assert open_dataset(str(path), "train").classes == ("a", "b", "c", "d", "e")


def test_npz_of_one_split_only(tmp_path):
    path = npz(tmp_path, x_train=IMAGES, y_train=LABELS)
    assert "holds x_train, y_train, no images to test with" in refusal(path, "test")


def test_npz_without_labels(tmp_path):
    assert "holds no labels" in refusal(npz(tmp_path, images=IMAGES))
    dataset = open_dataset(str(npz(tmp_path, images=IMAGES)), "train", labelled=False)
    assert (len(dataset), dataset.labels, dataset.classes) == (20, None, ())
    assert "holds no labels" in refusal(npz(tmp_path, x_train=IMAGES, labels=LABELS))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "holds nothing, no images"),
        ({"pictures": IMAGES}, "holds no labels"),
        ({"images": IMAGES[0, 0], "labels": LABELS}, "labels of shape (20,) and type int64 for 5 samples"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "arrays of shape images (0, 6, 5, 3)"),
        ({"images": IMAGES, "labels": LABELS[:19]}, "labels of shape (19,)"),
        ({"images": IMAGES, "labels": np.array(3)}, "labels of shape ()"),
        ({"images": IMAGES, "labels": LABELS.astype(str)}, "labels of shape (20,) and type <U"),
        ({"images": IMAGES, "labels": LABELS, "classes": np.array(["a", "b"])}, "labels from 0 to 3 for 2 classes"),
        ({"left": IMAGES, "right": IMAGES[:19], "labels": LABELS}, "left (20, 6, 5, 3), right (19, 6, 5, 3)"),
        ({"left": IMAGES, "size": np.array(3.0), "labels": LABELS}, "left (20, 6, 5, 3), size ()"),
    ],
)
def test_npz_that_does_not_fit(tmp_path, arrays, told):
    assert told in refusal(npz(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (IMAGES.astype(np.float32) / 255, "images of type float32, (20, 6, 5, 3): no images"),
        (IMAGES.astype(np.uint16), "images of type uint16"),
        (IMAGES.transpose(0, 3, 1, 2), "images of type uint8, (20, 3, 6, 5)"),
        (IMAGES[:, 0, 0], "images of type uint8, (20, 3)"),
    ],
    ids=["float", "16 bit", "channels first", "vectors"],
)
def test_npz_of_arrays_that_are_no_images(tmp_path, images, told):
    """They are a model's inputs as they are; who wants images is told."""
    dataset = open_dataset(str(npz(tmp_path, x_test=images, y_test=LABELS)), "test")
    assert (dataset.sample(3)["images"] == images[3]).all()
    with pytest.raises(TfeffError) as error:
        dataset.image(0)
    assert told in error.value.what
    assert "uint8 (n, h, w)" in error.value.mend


def test_npz_of_several_inputs_is_split_with_its_labels(tmp_path):
    sizes = np.arange(20.0)
    path = str(npz(tmp_path, left=IMAGES, right=IMAGES[::-1], size=sizes, labels=sizes * 2))
    train, test = (open_dataset(path, split) for split in ("train", "test"))
    assert (len(train), len(test), test.classes) == (18, 2, ())
    for dataset in (train, test):
        for number in range(len(dataset)):
            sample = dataset.sample(number)
            assert sample.keys() == {"left", "right", "size"}
            place = int(sample["size"])
            assert (sample["left"] == IMAGES[place]).all()
            assert (sample["right"] == IMAGES[::-1][place]).all()
            assert dataset.labels[number] == 2 * place
    assert len(open_dataset(path, "test", labelled=False)) == 20
    with pytest.raises(TfeffError, match="holds left of type uint8"):
        test.image(0)


@pytest.mark.parametrize(
    ("labels", "dtype", "classes"),
    [
        (LABELS, np.int64, tuple("0123")),
        (LABELS[:, None].astype(np.uint8), np.int64, tuple("0123")),
        (np.eye(20, dtype=int), np.int64, ()),
        (LABELS.astype(np.float32) / 3, np.float32, ()),
        (LABELS > 1, bool, ()),
        (LABELS - 1, np.int64, ()),  # numbers that are no classes
        (LABELS + 2**40, np.int64, ()),
    ],
    ids=["classes", "a column", "many", "numbers", "yes or no", "below 0", "huge"],
)
def test_npz_labels_of_every_kind(tmp_path, labels, dtype, classes):
    dataset = open_dataset(str(npz(tmp_path, x_test=IMAGES, y_test=labels)), "test")
    assert dataset.labels.dtype == dtype
    assert dataset.classes == classes
    assert (dataset.labels.reshape(labels.shape) == labels).all()


def test_npz_names_of_many_labels(tmp_path):
    path = npz(tmp_path, x_test=IMAGES, y_test=np.zeros((20, 3), int), classes=np.array(["sun", "sea", "sand"]))
    assert open_dataset(str(path), "test").classes == ("sun", "sea", "sand")


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_npz_cut_short(tmp_path, share):
    path = npz(tmp_path, images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "not a readable .npz file" in refusal(path)


def test_npz_with_damage_inside(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, images=IMAGES, labels=LABELS)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    assert "not a readable .npz file" in refusal(path)


def test_npz_with_objects_is_refused(tmp_path):
    path = npz(tmp_path, images=np.array([IMAGES, "x"], dtype=object), labels=LABELS)
    assert "not a readable .npz file" in refusal(path)


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    assert "not a readable .npz file" in refusal(tmp_path / "images.npy")


# Fashion-MNIST


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def idx_folder(folder, zipped=True, train=30, test=12):
    """Small files in Fashion-MNIST's format; returns the images by split."""
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for prefix, split, count in (("train", "train", train), ("t10k", "test", test)):
        images[split] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        for kind, array in (("images-idx3", images[split]), ("labels-idx1", np.arange(count) % 10)):
            name = f"{prefix}-{kind}-ubyte"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return images


@pytest.mark.parametrize("below", [".", "fashion-mnist", "fashion_mnist"])
@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_below_tfeff_data(tmp_path, monkeypatch, zipped, below):
    images = idx_folder(tmp_path / below, zipped)
    monkeypatch.setenv("TFEFF_DATA", str(tmp_path))
    assert default_evaluation() == "fashion_mnist"
    for split, expected in images.items():
        dataset = open_dataset("fashion_mnist", split)
        assert (dataset.name, dataset.classes) == ("fashion_mnist", CLASSES)
        np.testing.assert_array_equal([dataset.image(n) for n in range(len(dataset))], expected)
        np.testing.assert_array_equal(dataset.labels, np.arange(len(expected)) % 10)


def test_fashion_mnist_in_a_folder_that_is_named(tmp_path):
    images = idx_folder(tmp_path)
    dataset = open_dataset(str(tmp_path), "test")
    assert dataset.source == str(tmp_path)
    np.testing.assert_array_equal(dataset.image(11), images["test"][11])


def test_fashion_mnist_is_not_below_tfeff_data(tmp_path, monkeypatch):
    monkeypatch.setenv("TFEFF_DATA", str(tmp_path))
    assert default_evaluation() == "fashion_mnist_sample"
    with pytest.raises(TfeffError) as raised:  # and nothing is downloaded
        open_dataset("fashion_mnist", "test")
    assert str(tmp_path) in raised.value.what
    assert "fashion_mnist_sample" in raised.value.mend


def test_fashion_mnist_without_its_training_files(tmp_path):
    idx_folder(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert "no train-labels-idx1-ubyte file" in refusal(tmp_path, "train")
    assert len(open_dataset(str(tmp_path), "test")) == 12


def damage_of(kind):
    images = np.zeros((12, 28, 28), np.uint8)
    good = idx(images)
    return {
        "cut": gzip.compress(good)[:-9],
        "empty": b"",
        "no gzip": good,
        "cut inside": gzip.compress(good[:-1]),
        "too long": gzip.compress(good + b"\0"),
        "no idx": gzip.compress(b"hello, world; this is text"),
        "only a head": gzip.compress(good[:3]),
        "wrong rank": gzip.compress(idx(images[0])),
        "bad sum": gzip.compress(good)[:-8] + bytes(8),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["cut", "empty", "no gzip", "cut inside", "too long", "no idx", "only a head", "wrong rank", "bad sum"]
)
def test_damaged_idx_file(tmp_path, kind):
    idx_folder(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage_of(kind))
    with pytest.raises(TfeffError) as raised:
        open_dataset(str(tmp_path), "test")
    assert raised.value.what.startswith(f"{path}: damaged")
    assert raised.value.mend


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((12, 28, 28)), np.zeros(11)),
        (np.zeros((12, 32, 32)), np.zeros(12)),
        (np.zeros((12, 28, 28)), np.full(12, 10)),
        (np.zeros((0, 28, 28)), np.zeros(0)),
    ],
    ids=["counts", "size", "label 10", "none"],
)
def test_idx_files_of_another_dataset(tmp_path, images, labels):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    assert "not Fashion-MNIST" in refusal(tmp_path, "test")


@pytest.mark.parametrize(("split", "count", "each"), [("test", 1024, {102, 103}), ("train", 512, {51, 52})])
def test_bundled_sample(split, count, each):
    dataset = open_dataset("fashion_mnist_sample", split)
    assert (len(dataset), dataset.classes) == (count, CLASSES)
    assert dataset.image(0).shape == (28, 28)
    assert dataset.image(0).dtype == np.uint8
    assert {*np.bincount(dataset.labels, minlength=10).tolist()} == each
    numbers = [int(name.removeprefix(f"{split} image ")) for name in dataset.names]
    assert numbers == sorted(set(numbers))


def test_bundled_sample_is_small_and_has_its_licence():
    assert SAMPLE_PATH.stat().st_size < 1_500_000
    text = (resources.files("tfeff") / "data" / "sample" / "LICENSE.fashion-mnist").read_text()
    assert "MIT License" in text
    assert "Zalando SE" in text


@pytest.mark.skipif(find_fashion_mnist() is None, reason="the full Fashion-MNIST is not on this machine")
@pytest.mark.parametrize("split", ["test", "train"])
def test_bundled_sample_is_part_of_the_full_set(split):
    full, sample = open_dataset("fashion_mnist", split), open_dataset("fashion_mnist_sample", split)
    assert len(full) == {"test": 10_000, "train": 60_000}[split]
    numbers = [int(name.rsplit(" ", 1)[1]) for name in sample.names]
    np.testing.assert_array_equal(sample.images, full.images[numbers])
    np.testing.assert_array_equal(sample.labels, full.labels[numbers])


def test_finding_the_full_set_without_a_download(tmp_path, monkeypatch):
    monkeypatch.delenv("TFEFF_DATA", raising=False)
    monkeypatch.setattr("tfeff.data.fashion_mnist._DEBIAN", Path(tmp_path / "debian"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert find_fashion_mnist() is None
    idx_folder(tmp_path / "keras" / "datasets" / "fashion-mnist")
    assert find_fashion_mnist() == tmp_path / "keras" / "datasets" / "fashion-mnist"
    idx_folder(tmp_path / "debian")
    assert find_fashion_mnist() == tmp_path / "debian"
    shutil.rmtree(tmp_path / "debian")
    (tmp_path / "debian").mkdir()
    assert find_fashion_mnist() == tmp_path / "keras" / "datasets" / "fashion-mnist"
