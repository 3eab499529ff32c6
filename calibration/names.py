"""Names of images in a file: there may be many, and few are ever wanted."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO


class Names(Sequence):
    """Names, written one behind the other; of each only its place is kept in memory."""

    def __init__(self, path: Path):
        """Makes an empty file."""
        self._path, self._starts = path, array("q", [0])
        path.write_bytes(b"")

    def append(self, file: BinaryIO, name: str) -> None:
        """Writes a name; `file` is this path, opened by the caller, who must have closed it before any is read."""
        data = name.encode("utf-8", "surrogateescape")
        file.write(data)
        self._starts.append(self._starts[-1] + len(data))

    def __len__(self):
        return len(self._starts) - 1

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        with self._path.open("rb") as file:
            file.seek(self._starts[number])
            return file.read(self._starts[number + 1] - self._starts[number]).decode("utf-8", "surrogateescape")
