"""A folder as a dataset: one folder a class, or images beside a `labels.csv`; split by train/ and test/ or not."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfeff.data.dataset import Dataset, FileDataset, Subset
from tfeff.data.files import Listed, in_order, is_ignored, list_files, suffixes_in_words
from tfeff.data.table import Table, read_table
from tfeff.errors import TfeffError

SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val", "validation")}
TABLE, NAMES = "labels.csv", "classes.txt"
_CONVERT = "convert them to PNG or JPEG, or remove them"


@dataclass(frozen=True)
class Opened:
    """A dataset of files, and whether its author split it into train and test."""

    dataset: Dataset
    own_split: bool


def open_folder(folder: Path, split: str, *, labelled: bool) -> Opened:
    """One folder a class in natural order (or as `classes.txt` has them), or the files that `labels.csv` names.

    Args:
        split: "train" or "test"; of a folder that has these (or val/), its part.
        labelled: whether labels are needed; without, images may lie in no class folder.

    Raises:
        TfeffError: no images, a split that is not there, an image in no class folder or a class folder without images
            where labels are needed.
    """
    whole, parts = _part(folder, split)
    table = next((place / TABLE for place in (whole, folder) if (place / TABLE).is_file()), None)
    if table is not None:
        try:
            return _tabled(folder, table, whole, split)
        except TfeffError as error:
            if labelled:
                raise
            unused = (f"{table} is not used: {error.what.removeprefix(f'{table}, ').removeprefix(f'{table}: ')}",)
            return Opened(_by_folder(folder, whole, parts, labelled, unused), whole != folder)
    return Opened(_by_folder(folder, whole, parts, labelled, ()), whole != folder)


def open_table(path: Path, split: str) -> Opened:
    """A CSV of path and label as a dataset; a column `split` parts it.

    Raises:
        TfeffError: a CSV that cannot be used, or without images of this split.
    """
    return _of_table(read_table(path), str(path), path, split)


def _part(folder: Path, split: str) -> tuple[Path, list[Path]]:
    """Where the images of a split lie, and all parts that hold class folders (the folder itself where it has none)."""
    present = _class_folders(folder).keys()
    if not present or not present <= {name for names in SPLIT_FOLDERS.values() for name in names}:
        return folder, [folder]
    name = next((name for name in SPLIT_FOLDERS[split] if name in present), None)
    if name is None:
        raise TfeffError(f"{folder}: has no {split} folder beside {', '.join(sorted(present))}", "add it")
    return folder / name, [folder / each for each in sorted(present)]


def _class_folders(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir() if path.is_dir() and not is_ignored(path.name, folder=True)}


def _by_folder(folder: Path, whole: Path, parts: list[Path], labelled: bool, notes: tuple[str, ...]) -> Dataset:
    listed = list_files(whole)
    if not listed.images:
        found = f"; {suffixes_in_words(listed.left_out)} are not read" if listed.left_out else ""
        raise TfeffError(f"{whole}: no images in this folder{found}", "put PNG or JPEG files in it, one folder a class")
    notes = (*notes, *listed.notes(str(whole)))
    names = [str(file.relative_to(whole)) for file in listed.images]
    flat = [name for name in names if len(Path(name).parts) == 1]
    if flat or not _class_folders(whole):
        if labelled:
            raise TfeffError(
                f"{whole}: {flat[0]} lies in no class folder",
                f"labels are read from one folder a class, or from a {TABLE} of path,label",
            )
        return FileDataset(str(folder), str(whole), (), None, names, whole, notes=notes)
    if labelled:
        _check_parts(folder, parts)
    classes, told = _classes(folder, whole, parts)
    _check_filled(whole, names, listed)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[Path(name).parts[0]] for name in names], np.int64)
    return FileDataset(str(folder), str(whole), tuple(classes), labels, names, whole, notes=notes, guessed=not told)


def _classes(folder: Path, whole: Path, parts: list[Path]) -> tuple[list[str], bool]:
    """Names of the classes of all splits (one may lack a class), in order, and whether a file says the order."""
    found = {name for part in {whole, *parts} for name in _class_folders(part)}
    told = _told_classes(whole, folder, found)
    return (in_order(found), False) if told is None else (told, True)


def _told_classes(whole: Path, folder: Path, found: Collection[str]) -> list[str] | None:
    """What a `classes.txt` says: all classes found, and others, in the order of their numbers; None without."""
    file = next((place / NAMES for place in (whole, folder) if (place / NAMES).is_file()), None)
    if file is None:
        return None
    try:
        told = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise TfeffError(f"{file}: cannot be read ({error})", "give one class a line, in the model's order") from None
    missing = sorted(set(found) - set(told))
    if missing or len(set(told)) != len(told):
        raise TfeffError(
            f"{file}: {'does not name the class ' + missing[0] if missing else 'names a class twice'}",
            "give every class once, one a line, in the order of the model's outputs",
        )
    return told


def _check_parts(folder: Path, parts: list[Path]) -> None:
    """Raises TfeffError where train/ and another part each have a class that the other lacks: not the same classes."""
    classes = {part.name: _class_folders(part).keys() for part in parts}
    train = classes.get("train")
    for other, theirs in classes.items():
        if train and train - theirs and theirs - train:
            mine, strange = min(train - theirs), min(theirs - train)
            raise TfeffError(
                f"{folder}: train and {other} have different classes: only train has {mine}, only {other} {strange}",
                "give both the same ones",
            )


def _check_filled(whole: Path, names: list[str], listed: Listed) -> None:
    filled = {Path(name).parts[0] for name in names}
    for name, path in sorted(_class_folders(whole).items()):
        if name not in filled:
            others = list_files(path).left_out
            only = f" that are read, only {suffixes_in_words(others)}" if others else ""
            raise TfeffError(
                f"{path}: a class folder without images{only}", _CONVERT if others else "fill it or remove it"
            )


def _tabled(folder: Path, path: Path, whole: Path, split: str) -> Opened:
    """The images that a `labels.csv` names; below train/ and test/ those of the split."""
    table = read_table(path)
    if whole != folder and path.parent == folder and not table.splits:
        root = whole.resolve()
        inside = [root in (folder / name).resolve().parents for name in table.names]
        table = replace(table, splits=[split if each else "" for each in inside])
    listed, used = list_files(whole), {(table.root / name).resolve() for name in table.names}
    unnamed = sum(image.resolve() not in used for image in listed.images)
    more = (f"{whole}: {unnamed} images are not in {path.name}: left out",) if unnamed else ()
    notes = (f"labels are those of {path}", *listed.notes(str(whole)), *more)
    opened = _of_table(table, str(folder), path, split, notes)
    return Opened(opened.dataset, opened.own_split or path.parent != folder)


def _of_table(table: Table, name: str, path: Path, split: str, notes: tuple[str, ...] = ()) -> Opened:
    labels, classes, guessed = table.labels, table.classes, table.named
    told = _told_classes(table.root, table.root, classes if table.named else ()) if classes else None
    if told is not None and labels is not None:
        if table.named:
            place = {each: number for number, each in enumerate(told)}
            labels = np.array([place[each] for each in classes], np.int64)[labels]
        elif len(told) < len(classes):
            raise TfeffError(
                f"{path}: a label of {len(classes) - 1}, {NAMES} names {len(told)} classes", "name them all"
            )
        classes, guessed = tuple(told), False
    dataset = FileDataset(name, str(path), classes, labels, table.names, table.root, notes=notes, guessed=guessed)
    if not table.splits:
        return Opened(dataset, False)
    chosen = np.array([number for number, word in enumerate(table.splits) if word == split], int)
    if not len(chosen):
        raise TfeffError(f"{path}: no image of its split {split}", "add such lines, or leave the split out")
    return Opened(Subset(dataset, chosen), True)
