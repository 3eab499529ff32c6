"""From what a user types after --dataset or --calibration to a dataset."""

import zipfile
from pathlib import Path

import numpy as np

from tfeff.data.dataset import ArrayDataset, Dataset, FileDataset, Subset, numbered
from tfeff.data.fashion_mnist import find_fashion_mnist, is_idx_folder, load_fashion_mnist, load_sample
from tfeff.data.images import list_images
from tfeff.errors import TfeffError

NAMED = {"fashion_mnist": load_fashion_mnist, "fashion_mnist_sample": load_sample}
_SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val", "validation")}
_HELD_OUT = 0.1  # of a set without a split of its own


def open_dataset(spec: str, split: str, *, labelled: bool = True, seed: int = 0) -> Dataset:
    """Opens a dataset.

    Args:
        spec: `fashion_mnist`, `fashion_mnist_sample`, a folder (one folder a class, below train/ and test/ if it is split;
            or Fashion-MNIST's own files), or an `.npz` (images and labels; or x_train, y_train, x_test, y_test).
        split: "train" or "test". A set that is not split gives a seeded tenth of itself as "test", the rest as "train".
        labelled: whether labels are needed; without, the whole of an unsplit set is given, and a folder may be flat.
        seed: of the split.

    Raises:
        TfeffError: not found, empty, unreadable, or without the labels that are needed.
    """
    if spec in NAMED:
        return NAMED[spec](split)
    path = Path(spec)
    if path.is_dir():
        return load_fashion_mnist(split, path) if is_idx_folder(path) else _open_folder(path, split, labelled, seed)
    if path.is_file():
        return _open_npz(path, split, labelled, seed)
    raise TfeffError(
        f"dataset {spec!r} not found: neither a name ({', '.join(NAMED)}) nor a folder nor an .npz file",
        "check the spelling of the path",
    )


def default_evaluation() -> str:
    """The largest Fashion-MNIST on this machine: the full one where it is found, else the bundled sample."""
    return "fashion_mnist" if find_fashion_mnist() else "fashion_mnist_sample"


def _open_folder(folder, split, labelled, seed):
    parts = {part: folder / name for part, names in _SPLIT_FOLDERS.items() for name in names if (folder / name).is_dir()}
    whole = folder
    if parts and not _class_folders(folder).keys() - {p.name for p in parts.values()}:
        whole = parts.get(split)
        if whole is None:
            raise TfeffError(f"{folder}: has no {split} folder beside {', '.join(p.name for p in parts.values())}")
    files = list_images(whole)
    if not files:
        raise TfeffError(f"{whole}: no images in this folder", "put image files in it (PNG, JPEG, ...), one folder a class")
    classes = _class_folders(whole)
    names = [str(file.relative_to(whole)) for file in files]
    flat = [name for name in names if len(Path(name).parts) == 1]
    if flat or not classes:
        if labelled:
            raise TfeffError(f"{whole}: {flat[0]} lies in no class folder", "labels are read from one folder a class")
        return FileDataset(str(folder), str(whole), (), None, names, whole)
    numbers = {name: number for number, name in enumerate(sorted(classes))}
    empty = [name for name in numbers if not any(Path(n).parts[0] == name for n in names)]
    if empty:
        raise TfeffError(f"{whole / empty[0]}: a class folder without images", "fill it or remove it")
    labels = np.array([numbers[Path(name).parts[0]] for name in names], np.int64)
    dataset = FileDataset(str(folder), str(whole), tuple(numbers), labels, names, whole)
    return dataset if whole != folder or not labelled else _split(dataset, split, seed)


def _class_folders(folder):
    return {path.name: path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _open_npz(path, split, labelled, seed):
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise TfeffError(f"{path}: not a readable .npz file ({error})", "save it with numpy.savez") from None
    own_split = f"x_{split}" in arrays
    images = _first(arrays, f"x_{split}", "images", "x", "arr_0")
    labels = _first(arrays, f"y_{split}") if own_split else _first(arrays, "labels", "y")
    if images is None:
        raise TfeffError(f"{path}: holds {', '.join(arrays) or 'nothing'}, no images", "name the array `images`")
    if images.ndim not in (3, 4) or len(images) == 0:
        raise TfeffError(f"{path}: images of shape {images.shape}", "give (n, h, w), or (n, h, w, c) with n above 0")
    if labels is None and labelled:
        raise TfeffError(f"{path}: holds no labels", "add an integer array `labels` of shape (n,)")
    if labels is not None:
        labels = labels.reshape(-1)
        if len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
            raise TfeffError(f"{path}: labels of shape {labels.shape} and type {labels.dtype} for {len(images)} images")
        labels = labels.astype(np.int64)
    classes = _first(arrays, "classes")
    if classes is not None:
        classes = tuple(str(name) for name in classes)
    else:
        classes = () if labels is None else tuple(str(n) for n in range(int(labels.max()) + 1))
    dataset = ArrayDataset(str(path), str(path), classes, labels, numbered(split, len(images)), images)
    return dataset if own_split or not labelled else _split(dataset, split, seed)


def _first(arrays, *keys):
    return next((arrays[key] for key in keys if key in arrays), None)


def _split(dataset, split, seed):
    order = np.random.default_rng([seed, len(dataset)]).permutation(len(dataset))
    held_out = max(1, round(_HELD_OUT * len(dataset)))
    chosen = np.sort(order[:held_out] if split == "test" else order[held_out:])
    if not len(chosen):
        raise TfeffError(f"{dataset.name}: one image cannot be split into train and test", "add images")
    return Subset(dataset, chosen)
