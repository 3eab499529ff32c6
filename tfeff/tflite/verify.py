"""Whether a `.tflite` file is whole, found out without trusting anything in it. Standard library only."""

import hashlib
import struct
from contextlib import suppress
from pathlib import Path

from tfeff.errors import TfeffError


def check_tflite(path: Path) -> str:
    """Checks that a file is a whole TFLite flatbuffer and returns its sha256.

    Every table, string and vector of the schema must lie inside the file, so a file that was cut short anywhere is
    refused before a runtime that trusts its offsets reads past the end. Of an operator's options only the table's head
    is checked; LiteRT checks the rest. What the numbers in it mean is `check_model`'s.

    Raises:
        TfeffError: no such file, unreadable, not TFLite, or cut short or damaged.
    """
    return hashlib.sha256(read_whole(path)).hexdigest()


def read_whole(path: Path) -> bytes:
    """The bytes of a file that `check_tflite` takes; raises what it does."""
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise TfeffError(f"{path}: cannot be read (not a regular file)", "give a .tflite file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise TfeffError(f"{path}: no such file", "`tfeff export NETWORK --int8` makes one") from None
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise TfeffError(f"{path}: not a TFLite file", "give a .tflite file that `tfeff export` or a converter wrote")
    try:
        _Flatbuffer(data).check_all()
    except struct.error:
        raise TfeffError(f"{path}: cut short or damaged ({len(data):,} bytes)", "copy or export it again") from None
    return data


def custom_operators(path: Path) -> tuple[str, ...]:
    """Names of a file's custom operators, such as `edgetpu-custom-op`; none for a file that is no whole TFLite file."""
    names = []
    with suppress(OSError, TfeffError):
        file = _Flatbuffer(read_whole(path))
        codes = file.field(file.follow(0), 1)
        for number in range(file.read("I", file.follow(codes)) if codes else 0):
            if name := file.field(file.follow(file.follow(codes) + 4 + 4 * number), 1):
                start = file.follow(name)
                names.append(file.data[start + 4 : start + 4 + file.read("I", start)].decode(errors="replace"))
    return tuple(names)


# The offsets of the TFLite schema, by table and field number: a table's name, a list of tables ("[name]"), or a vector
# of scalars by the size of one in bytes (a string is a vector of 1). Plain scalars lie inside their table.
_SCHEMA: dict[str, dict[int, str | int]] = {
    "Model": {
        1: "[OperatorCode]", 2: "[SubGraph]", 3: 1, 4: "[Buffer]", 5: 4, 6: "[Metadata]", 7: "[SignatureDef]",
        8: "[Options]", 9: "[Options]",
    },
    "OperatorCode": {1: 1},
    "SubGraph": {0: "[Tensor]", 1: 4, 2: 4, 3: "[Operator]", 4: 1},
    "Tensor": {0: 4, 3: 1, 4: "Quantization", 6: "Sparsity", 7: 4, 9: "[Variant]"},
    "Quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: "Options"},
    "Sparsity": {0: 4, 1: 4, 2: "[Dimension]"},
    "Dimension": {3: "Options", 5: "Options"},
    "Variant": {0: 4},
    "Operator": {1: 4, 2: 4, 4: "Options", 5: 1, 7: 1, 8: 4, 12: "Options"},
    "Buffer": {0: 1},
    "Metadata": {0: 1},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: 1},
    "TensorMap": {0: 1},
    "Options": {},
}  # fmt: skip
# Fields that hold the place and size of data behind the flatbuffer itself (files above 2 GB), as two uint64.
_OUTSIDE = {"Buffer": (1, 2), "Operator": (9, 10)}
# Parts of a file may be shared; who unpacks it then makes several of one. Writers share a few names, no more: a file
# that unpacks to twice its size was made to keep its reader busy.
_UNPACKED, _SLACK = 2, 2**16
_MOST_TABLES = 2**20


class _Flatbuffer:
    """Walks a flatbuffer; `struct.error` when something lies outside of it, or it would unpack to far more than it is.

    Each table and vector is walked once, and no more bytes than are allowed for unpacking it: the work is bounded by
    the file's size.
    """

    def __init__(self, data: bytes):
        self.data = data
        self.unpacked: dict[tuple[str | int, int], int] = {}  # bytes by what was walked, shared parts counted each time
        self.walked = self.tables = 0

    def check_all(self) -> None:
        """Checks the whole file."""
        if self.check("Model", 0) > self.most:
            raise struct.error("shares its parts too often")

    @property
    def most(self) -> int:
        return _UNPACKED * len(self.data) + _SLACK

    def check(self, kind: str | int, at: int) -> int:
        """Checks what the offset at byte `at` points to; how many bytes that is unpacked."""
        start = self.follow(at)
        if (kind, start) not in self.unpacked:
            self.unpacked[kind, start] = self._check(kind, start)
        return self.unpacked[kind, start]

    def _check(self, kind, start):
        if not isinstance(kind, int) and not kind.startswith("["):
            return self.table(kind, start)
        count = self.read("I", start)
        size = 4 + count * (kind if isinstance(kind, int) else 4)
        self.inside(start, size)
        if isinstance(kind, int):
            return size
        self.count(size)
        return size + sum(self.check(kind[1:-1], start + 4 + 4 * number) for number in range(count))

    def count(self, size: int) -> None:
        self.walked += size
        if self.walked > self.most or self.tables > _MOST_TABLES:
            raise struct.error("its parts overlap")

    def table(self, kind: str, start: int) -> int:
        vtable = start - self.read("i", start)
        vtable_bytes, table_bytes = self.read("H", vtable), self.read("H", vtable + 2)
        self.inside(vtable, vtable_bytes)  # also before the beginning, where `unpack_from` counts from the end
        self.inside(start, table_bytes)
        self.tables += 1
        self.count(table_bytes)
        size = table_bytes
        for field, of in _SCHEMA[kind].items():
            if at := self.field(start, field):
                size += self.check(of, at)
        if kind in _OUTSIDE:
            place, length = (self.field(start, field) for field in _OUTSIDE[kind])
            if place and length:
                self.inside(self.read("Q", place), self.read("Q", length))
        return size

    def field(self, table: int, number: int) -> int:
        """Where a field of the table at byte `table` lies; 0 when it was left out."""
        vtable = table - self.read("i", table)
        inside = 6 + 2 * number <= self.read("H", vtable)
        place = self.read("H", vtable + 4 + 2 * number) if inside else 0
        return table + place if place else 0

    def follow(self, at: int) -> int:
        """Where the offset at byte `at` leads."""
        return at + self.read("I", at)

    def read(self, kind: str, at: int) -> int:
        return struct.unpack_from("<" + kind, self.data, at)[0]

    def inside(self, start: int, size: int) -> None:
        if start < 0 or start + size > len(self.data):
            raise struct.error("outside of the file")
