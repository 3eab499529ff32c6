"""The calibration inputs of one port in a file: written one at a time, read one at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np


class InputsFile:
    """A `.npy` that is written a sample at a time, its number unknown until the end.

    Use it in a `with` block; when that is left by an error the file goes away.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str):
        """`shape`: of one sample."""
        self._path, self._shape, self._dtype, self._count = path, shape, np.dtype(dtype), 0

    def __enter__(self) -> "InputsFile":
        self._file = self._path.open("wb")
        self._write_header()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.seek(0)  # NumPy leaves room for a first axis of any length, so the header may be written anew
            self._write_header()
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def append(self, data: bytes) -> None:
        """Writes one sample."""
        self._file.write(data)
        self._count += 1

    def _write_header(self):
        header = {"descr": self._dtype.newbyteorder("<").str, "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (self._count, *self._shape)})


def read_inputs(path: Path, which: Iterable[int] | None = None) -> Iterator[np.ndarray]:
    """The samples of a file one at a time (those of these numbers), read rather than mapped: pages of a mapping would
    count as our memory."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (count, *shape), _, dtype = np.lib.format.read_array_header_1_0(file)
        start, values = file.tell(), int(np.prod(shape))
        for number in range(count) if which is None else which:
            file.seek(start + dtype.itemsize * values * int(number))
            yield np.fromfile(file, dtype, values).reshape(shape)
