"""The smallest and the largest value of every tensor in every image, in a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

_BLOCK = 256  # images read from the file at a time
_COLUMNS = 100_000  # pairs of extremes that are held in memory for the columns


class Extremes:
    """A file of float32 (images, tensors, 2)."""

    def __init__(self, path: Path, tensors: int):
        """Makes an empty one."""
        self._path, self._row = path, 2 * tensors
        self.count = 0
        path.write_bytes(b"")

    def append(self, file: BinaryIO, lows: np.ndarray, highs: np.ndarray) -> None:
        """Writes an image's row behind the others; `file` is this path, opened by the caller."""
        file.write(np.stack([lows, highs], 1).astype(np.float32).tobytes())
        self.count += 1

    def columns(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The lows and the highs of each tensor in turn, (images,) each, in the images' order."""
        tensors = self._row // 2
        together = max(1, _COLUMNS // max(1, self.count))
        for first in range(0, tensors, together):
            some = np.concatenate([block[:, first : first + together] for block in self.blocks()])
            for tensor in range(some.shape[1]):
                yield some[:, tensor, 0], some[:, tensor, 1]

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows, some at a time: float32 (n, tensors, 2)."""
        with self._path.open("rb") as file:
            while len(block := np.fromfile(file, np.float32, _BLOCK * self._row)):
                yield block.reshape(-1, self._row // 2, 2)
