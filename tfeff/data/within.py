"""Whether a data set that a file names lies beside that file: a record or a preset may be a stranger's, and only a path
that the user types may lead elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path

from tfeff.data.folders import TABLE
from tfeff.data.sources import NAMED, TABLES
from tfeff.data.table import read_table
from tfeff.errors import TfeffError


def is_within(spec: str, folder: Path) -> bool:
    """Whether a dataset is one by name, or lies in a folder with all that it leads to: links, and files in tables.

    Args:
        spec: as `open_dataset` takes it.
        folder: of the file that names it.
    """
    if spec in NAMED:
        return True
    try:
        root = folder.resolve()
        return all(path.resolve().is_relative_to(root) for path in _reached(Path(spec), root))
    except (OSError, ValueError, RuntimeError):  # no path at all, or a circle of links
        return False


def _reached(path: Path, root: Path) -> Iterator[Path]:
    """What opening it may read; links below it are looked at, and not followed before."""
    yield path
    tables = [path] if path.suffix.lower() in TABLES else []
    if path.resolve().is_relative_to(root) and path.is_dir():
        for place, folders, files in os.walk(path):
            yield from (link for name in (*folders, *files) if (link := Path(place, name)).is_symlink())
            tables += [Path(place, name) for name in files if name == TABLE]
    for table in tables:
        if table.is_file():
            yield from _named(table)


def _named(table: Path) -> list[Path]:
    try:
        found = read_table(table)
    except TfeffError:  # opening it says what is wrong with it
        return []
    return [found.root / name for name in found.names]
