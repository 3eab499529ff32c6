"""A CSV that names image files and says what each is: `path,label`."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfeff.data.files import exists, in_order
from tfeff.data.images import image_suffixes
from tfeff.errors import TfeffError

_PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "name")
_SPLITS = {"train": "train", "training": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
_MAX_CLASSES = 1_000_000  # a larger number is none of a class
_MEND = "give lines of path,label: an image's path from the CSV's folder, then a class name, its number, or numbers"


@dataclass(frozen=True)
class Table:
    """What a CSV says.

    Attributes:
        names: the images' paths, relative to `root`.
        root: the CSV's folder.
        labels: (n,) int64 numbers of classes, or (n,) or (n, k) numbers; None where it says paths only.
        classes: names of the classes, in the order of their numbers; empty where labels are numbers without names.
        named: whether the labels are names of classes, put in natural order here.
        splits: of each image `train` or `test`; empty where it does not say.
    """

    names: list[str]
    root: Path
    labels: np.ndarray | None
    classes: tuple[str, ...] = ()
    named: bool = False
    splits: list[str] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Reads a CSV of images and labels.

    Columns are separated by commas, semicolons or tabs. The first is the path, or the one that a header calls `path`,
    `filename`, `image` ...; a column `split` says train, test or val; the others are the label: one of text is a class
    name (numbered in natural order), one of whole numbers from 0 a class number, anything else numbers.

    Raises:
        TfeffError: no readable CSV, a file that is not there, or labels of different kinds.
    """
    header, rows = _rows(path)
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise TfeffError(f"{path}, line {line}: {len(cells)} columns, the lines before have {width}", _MEND)
    places = [place for place, name in enumerate(header) if name in _PATH_NAMES]
    of_path = places[0] if places else 0
    of_split = header.index("split") if "split" in header else None
    names = [cells[of_path] for _, cells in rows]
    for (line, _), name in zip(rows, names, strict=True):
        if not name or not _is_file(path.parent / name):
            raise TfeffError(f"{path}, line {line}: there is no file {name[:200]!r} in {path.parent}", _MEND)
    columns = [[cells[place] for _, cells in rows] for place in range(width) if place not in (of_path, of_split)]
    splits = [] if of_split is None else [_split(path, line, cells[of_split]) for line, cells in rows]
    labels, classes = _labels(path, columns, [line for line, _ in rows]) if columns else (None, ())
    named = len(columns) == 1 and _numbers(columns[0]) is None
    return Table(names, path.parent, labels, classes, named, splits)


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, empty without one; and (line, cells) of the others."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TfeffError(f"{path}: cannot be read as a CSV ({error})", _MEND) from None
    header: list[str] = []
    if rows and not any(_names_an_image(path, cell) for cell in rows[0][1]):
        header = [cell.lower() for cell in rows.pop(0)[1]]
    if not rows:
        raise TfeffError(f"{path}: names no images", _MEND)
    return header, rows


def _names_an_image(path: Path, cell: str) -> bool:
    return Path(cell).suffix.lower() in image_suffixes() or (bool(cell) and _is_file(path.parent / cell))


def _is_file(path: Path) -> bool:
    return exists(path) and path.is_file()


def _split(path: Path, line: int, word: str) -> str:
    if word.lower() not in _SPLITS:
        raise TfeffError(f"{path}, line {line}: split {word!r}", f"give one of {', '.join(_SPLITS)}")
    return _SPLITS[word.lower()]


def _labels(path: Path, columns: list[list[str]], lines: list[int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels, and the names of the classes."""
    for column in columns:
        if "" in column:
            raise TfeffError(f"{path}, line {lines[column.index('')]}: no label", _MEND)
    numbers = [_numbers(column) for column in columns]
    if len(columns) == 1:
        (values,) = numbers
        if values is None:
            classes = in_order(set(columns[0]))
            position = {name: number for number, name in enumerate(classes)}
            return np.array([position[name] for name in columns[0]], np.int64), tuple(classes)
        if values.dtype.kind == "i" and values.min() >= 0 and values.max() < _MAX_CLASSES:
            return values, tuple(str(number) for number in range(int(values.max()) + 1))
        return values, ()
    for column, found in zip(columns, numbers, strict=True):
        if found is None:
            wrong = next(place for place, cell in enumerate(column) if _numbers([cell]) is None)
            raise TfeffError(f"{path}, line {lines[wrong]}: {column[wrong]!r} is no number among several", _MEND)
    return np.stack([found for found in numbers if found is not None], axis=1), ()


def _numbers(column: list[str]) -> np.ndarray | None:
    """(n,) int64 or float64; None where a cell is no number."""
    try:
        return np.array([int(cell) for cell in column], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        values = np.array([float(cell) for cell in column])
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
