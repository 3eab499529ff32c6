"""From what a user types after --dataset or --calibration to a dataset."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tfeff.data.box_folders import open_boxes
from tfeff.data.coco import open_coco
from tfeff.data.dataset import ArrayDataset, Dataset, Subset, TensorDataset, numbered
from tfeff.data.fashion_mnist import find_fashion_mnist, is_idx_folder, load_fashion_mnist, load_sample
from tfeff.data.fashion_scenes import FashionScenes
from tfeff.data.files import exists
from tfeff.data.folders import SPLIT_FOLDERS, Opened, open_folder, open_table
from tfeff.data.masks import find_masks, open_masks
from tfeff.errors import TfeffError
from tfeff.files import check_unpacked

NAMED: dict[str, Callable[[str], Dataset]] = {
    "fashion_mnist": load_fashion_mnist, "fashion_mnist_sample": load_sample, "fashion_scenes": FashionScenes,
    "fashion_scenes_sample": partial(FashionScenes, sample=True),
}  # fmt: skip
TABLES = (".csv", ".tsv")
_MAX_CLASSES = 1_000_000  # a larger label is no class number
_HELD_OUT = 0.1  # of a set without a split of its own


def open_dataset(spec: str, split: str, *, labelled: bool = True, whole: bool = False, seed: int = 0) -> Dataset:
    """Opens a dataset.

    Args:
        spec: `fashion_mnist` or `fashion_scenes`, either with `_sample` behind it; a folder (one folder a class, below
            train/ and test/ if it is split, or val/ where there is no test/; or images and a `labels.csv`; or boxes as
            COCO, VOC or YOLO have them; or folders `images` and `masks`; or Fashion-MNIST's own files); an `.npz`
            (images and labels; or x_train, y_train, x_test, y_test; and `classes`, their names, if you like); a `.csv`
            (path,label; a column `split` if you like); or COCO's `.json`.
        split: "train" or "test". A set that is not split gives a seeded tenth of itself as "test", the rest as "train".
        labelled: whether labels are needed; without, the whole of an unsplit set is given, and a folder may be flat.
        whole: whether the whole of an unsplit set is given, labelled or not.
        seed: of the split.

    Raises:
        TfeffError: not found, empty, unreadable, or without the labels that are needed.
    """
    if split not in SPLIT_FOLDERS:
        raise TfeffError(f"dataset {spec!r}: no split {split!r}", f"the splits are {' and '.join(SPLIT_FOLDERS)}")
    if spec in NAMED:
        return NAMED[spec](split)
    path = Path(spec)
    if not exists(path):
        raise TfeffError(
            f"dataset {spec[:200]!r} not found: neither a name ({', '.join(NAMED)}) nor a folder, an .npz, a .csv "
            "or a .json",
            "check the spelling of the path",
        )
    if path.is_dir():
        try:
            if is_idx_folder(path):
                return load_fashion_mnist(split, path)
            if (boxes := open_boxes(path, split)) is not None:
                return _finished(boxes, split, labelled, seed, whole)
            if masked := find_masks(path, split):
                opened = Opened(open_masks(*masked[:2], path, spec), masked[2])
                return _finished(opened, split, labelled, seed, whole)
            return _finished(open_folder(path, split, labelled=labelled), split, labelled, seed, whole)
        except OSError as error:
            raise TfeffError(f"{path}: cannot be read ({error.strerror})", "check the folder's permissions") from None
    if path.is_file() and path.suffix.lower() == ".json":
        return _finished(Opened(open_coco(path, str(path), split), False), split, labelled, seed, whole)
    if path.is_file() and path.suffix.lower() in TABLES:
        return _finished(open_table(path, split), split, labelled, seed, whole)
    if path.is_file():
        return _finished(_open_npz(path, split, labelled), split, labelled, seed, whole)
    raise TfeffError(f"dataset {spec!r}: neither a folder nor a file", "give a folder, an .npz, a .csv or a .json")


def is_named(spec: str) -> bool:
    """Whether a dataset is one of ours by its name, rather than a path."""
    return spec in NAMED


def default_evaluation() -> str:
    """The largest Fashion-MNIST on this machine: the full one where it is found, else the bundled sample."""
    return "fashion_mnist" if find_fashion_mnist() else "fashion_mnist_sample"


def _finished(opened: Opened, split: str, labelled: bool, seed: int, whole: bool) -> Dataset:
    """With labels if they are needed, and with a split of ours if it has none of its own."""
    dataset = opened.dataset
    if labelled and dataset.labels is None and not dataset.annotations:
        raise TfeffError(f"{dataset.source}: holds no labels", "give lines of path,label")
    return dataset if opened.own_split or whole or not labelled else _split(dataset, split, seed)


def _open_npz(path, split, labelled):
    check_unpacked(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own on a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TfeffError(f"{path}: not a readable .npz file ({reason})", "save it with numpy.savez") from None
    arrays = {key: value for key, value in arrays.items() if isinstance(value, np.ndarray)}
    own_split = f"x_{split}" in arrays
    images = _first(arrays, f"x_{split}", "images", "x", "arr_0")
    labels = _first(arrays, f"y_{split}") if own_split else _first(arrays, "labels", "y")
    inputs = {key: value for key, value in arrays.items() if not _is_annotation(key)}
    if images is None and not inputs:
        held = ", ".join(arrays) or "nothing"
        raise TfeffError(f"{path}: holds {held}, no images to {split} with", f"name the array `images` or `x_{split}`")
    if images is not None and len(inputs) <= 1:
        inputs = {"images": images}
    else:  # several inputs, by their names
        images = None
    count = _check_counts(path, inputs)
    if labels is None and labelled:
        key = f"y_{split}" if own_split else "labels"
        raise TfeffError(f"{path}: holds no labels", f"add an array `{key}` of shape (n,)")
    if labels is not None:
        labels = _checked_labels(path, labels, count)
    classes = _npz_classes(path, arrays, labels, split if own_split else None)
    names = numbered(split, count)
    if images is not None and _are_images(images, labelled):
        dataset: Dataset = ArrayDataset(str(path), str(path), classes, labels, names, images)
    else:
        dataset = TensorDataset(str(path), str(path), classes, labels, names, inputs)
    return Opened(dataset, own_split)


def _is_annotation(key):
    return key in ("labels", "y", "classes") or key.startswith(("x_", "y_"))


def _check_counts(path, inputs):
    """How many samples every array has."""
    counts = {key: len(value) if value.ndim else 0 for key, value in inputs.items()}
    if 0 in counts.values() or len(set(counts.values())) != 1:
        held = ", ".join(f"{key} {inputs[key].shape}" for key in inputs)
        raise TfeffError(f"{path}: arrays of shape {held}", "give each input an array (n, ...) of the same n, above 0")
    return next(iter(counts.values()))


def _are_images(images, labelled):
    """8-bit images; calibration also takes float arrays, inputs that are preprocessed already."""
    if images.ndim not in (3, 4) or 0 in images.shape or images.shape[3:] not in ((), (1,), (3,)):
        return False
    return images.dtype == np.uint8 or (not labelled and np.issubdtype(images.dtype, np.floating))


def _checked_labels(path, labels, count):
    """Labels of one kind or another, (n, ...); class numbers of shape (n, 1) lose their last axis."""
    if labels.dtype.kind not in "iufb" or not labels.ndim or len(labels) != count:
        raise TfeffError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype} for {count} samples",
            f"give numbers of shape ({count},), or ({count}, values)",
        )
    if np.issubdtype(labels.dtype, np.integer):
        return labels.reshape(-1).astype(np.int64) if labels.shape == (count, 1) else labels.astype(np.int64)
    return labels


def _npz_classes(path, arrays, labels, split):
    """The names that the file gives, else the numbers up to the largest label of either split."""
    if labels is None or labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer):
        named = _first(arrays, "classes")
        return () if labels is None or named is None else tuple(str(name) for name in named.reshape(-1))
    splits = [arrays[f"y_{name}"] for name in SPLIT_FOLDERS if split and f"y_{name}" in arrays]
    top = int(max(part.max(initial=0) for part in [labels, *splits]))
    classes = _first(arrays, "classes")
    count = _MAX_CLASSES if classes is None else classes.size
    if labels.min() < 0 or top >= count:
        if classes is None:
            return ()  # numbers that are no classes; a task that wants classes says so
        raise TfeffError(
            f"{path}: labels from {labels.min()} to {top} for {count} classes", "number the classes from 0"
        )
    return tuple(str(name) for name in (range(top + 1) if classes is None else classes.reshape(-1)))


def _first(arrays, *keys):
    return next((arrays[key] for key in keys if key in arrays), None)


def _split(dataset, split, seed):
    order = np.random.default_rng([seed, len(dataset)]).permutation(len(dataset))
    held_out = max(1, round(_HELD_OUT * len(dataset)))
    chosen = np.sort(order[:held_out] if split == "test" else order[held_out:])
    if not len(chosen):
        raise TfeffError(f"{dataset.name}: one image cannot be split into train and test", "add images")
    return Subset(dataset, chosen)
