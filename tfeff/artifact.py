"""The record beside an artifact: `<name>.tflite` + `<name>.json`, how it was made and all that was measured on it.

Every figure in a record belongs to one file, named by its sha256. What a record holds: `tfeff.record`.
"""

import hashlib
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfeff.errors import TfeffError
from tfeff.record import Record, decode, encode


@dataclass(frozen=True)
class Artifact:
    """A `.tflite` file and its record.

    Attributes:
        path: the `.tflite` file.
        record: what its `.json` says (see `docs/record.md`); None for a file that came without one.
        sha256: of the file as it is now.
    """

    path: Path
    record: Record | None
    sha256: str

    @property
    def twin(self) -> Path | None:
        """The float file that the record names as this one's twin; it lies in the same folder."""
        if self.record is None or self.record.float_twin is None:
            return None
        return self.path.with_name(self.record.float_twin.file)


def record_path(tflite: Path) -> Path:
    """Where the record of a `.tflite` file lies."""
    return tflite.with_suffix(".json")


def open_artifact(path: str | Path) -> Artifact:
    """Opens an artifact by its `.tflite` or its `.json` file, and verifies that the two belong together.

    Raises:
        TfeffError: no such file, not a TFLite file, cut short, or not the file that its record was written for.
    """
    path = Path(path)
    tflite = path.with_suffix(".tflite") if path.suffix == ".json" else path
    sha256 = check_tflite(tflite)
    record = None
    if path.suffix == ".json" or record_path(tflite).is_file():
        record = read_record(record_path(tflite))
        if record.sha256 != sha256:
            raise TfeffError(
                f"{tflite}: is not the file that {record_path(tflite).name} describes (sha256 {sha256[:12]}, the "
                f"record says {record.sha256[:12]})",
                "export it anew, or remove the record",
            )
    return Artifact(tflite, record, sha256)


def verify_twin(artifact: Artifact) -> Path | None:
    """The float twin of an artifact, checked to be the file that was exported with it; None when the record names none.

    Raises:
        TfeffError: the twin is missing, damaged or another file than the record says.
    """
    twin = artifact.twin
    if twin is None or artifact.record is None or artifact.record.float_twin is None:
        return None
    if not twin.is_file():
        raise TfeffError(
            f"{artifact.path}: its float twin {twin} is missing", "put the file back beside it, or export anew"
        )
    expected, sha256 = artifact.record.float_twin.sha256, check_tflite(twin)
    if sha256 != expected:
        raise TfeffError(
            f"{twin}: is not the float twin of {artifact.path.name} (sha256 {sha256[:12]}, the record says "
            f"{expected[:12]})",
            "put the right file back, or export anew",
        )
    return twin


def check_tflite(path: Path) -> str:
    """Checks that a file is a whole TFLite flatbuffer and returns its sha256.

    Every table, string and vector of the schema must lie inside the file, so a file that was cut short anywhere is
    refused before a runtime that trusts its offsets reads past the end. Of an operator's options only the table's head
    is checked; LiteRT checks the rest.

    Raises:
        TfeffError: no such file, unreadable, not TFLite, or cut short or damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TfeffError(f"{path}: no such file", "`tfeff export NETWORK --int8` makes one") from None
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise TfeffError(f"{path}: not a TFLite file", "give a .tflite file that `tfeff export` or a converter wrote")
    try:
        _Flatbuffer(data).check("Model", 0)
    except struct.error:
        raise TfeffError(f"{path}: cut short or damaged ({len(data):,} bytes)", "copy or export it again") from None
    return hashlib.sha256(data).hexdigest()


def custom_operators(path: Path) -> tuple[str, ...]:
    """Names of a file's custom operators, such as `edgetpu-custom-op`; none for a file that is no whole TFLite file."""
    names = []
    with suppress(OSError, struct.error):
        file = _Flatbuffer(path.read_bytes())
        codes = file.field(file.follow(0), 1)
        for number in range(file.read("I", file.follow(codes)) if codes else 0):
            if name := file.field(file.follow(file.follow(codes) + 4 + 4 * number), 1):
                start = file.follow(name)
                names.append(file.data[start + 4 : start + 4 + file.read("I", start)].decode(errors="replace"))
    return tuple(names)


# The offsets of the TFLite schema, by table and field number: a table's name, a list of tables ("[name]"), or a vector
# of scalars by the size of one in bytes (a string is a vector of 1). Plain scalars lie inside their table.
_SCHEMA = {
    "Model": {1: "[OperatorCode]", 2: "[SubGraph]", 3: 1, 4: "[Buffer]", 5: 4, 6: "[Metadata]", 7: "[SignatureDef]"},
    "OperatorCode": {1: 1},
    "SubGraph": {0: "[Tensor]", 1: 4, 2: 4, 3: "[Operator]", 4: 1},
    "Tensor": {0: 4, 3: 1, 4: "Quantization", 6: "Options", 7: 4, 9: "[Options]"},
    "Quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: "Options"},
    "Operator": {1: 4, 2: 4, 4: "Options", 5: 1, 7: 1, 8: 4, 12: "Options"},
    "Buffer": {0: 1},
    "Metadata": {0: 1},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: 1},
    "TensorMap": {0: 1},
    "Options": {},
}
# Fields that hold the place and size of data behind the flatbuffer itself (files above 2 GB), as two uint64.
_OUTSIDE = {"Buffer": (1, 2), "Operator": (9, 10)}


class _Flatbuffer:
    """Walks a flatbuffer; `struct.error` when something lies outside of it."""

    def __init__(self, data: bytes):
        self.data = data
        self.seen = set()  # tables may be shared; each is walked once, so that a hostile file cannot make it slow

    def check(self, kind: str | int, at: int) -> None:
        """Checks what the offset at byte `at` points to."""
        start = self.follow(at)
        if isinstance(kind, int):
            self.inside(start + 4, self.read("I", start) * kind)
        elif kind.startswith("["):
            count = self.read("I", start)
            self.inside(start + 4, count * 4)
            for number in range(count):
                self.check(kind[1:-1], start + 4 + 4 * number)
        elif (kind, start) not in self.seen:
            self.seen.add((kind, start))
            self.table(kind, start)

    def table(self, kind: str, start: int) -> None:
        vtable = start - self.read("i", start)
        vtable_bytes, table_bytes = self.read("H", vtable), self.read("H", vtable + 2)
        self.inside(vtable, vtable_bytes)  # also before the beginning, where `unpack_from` counts from the end
        self.inside(start, table_bytes)
        for field, of in _SCHEMA[kind].items():
            if at := self.field(start, field):
                self.check(of, at)
        if kind in _OUTSIDE:
            offset, size = (self.field(start, field) for field in _OUTSIDE[kind])
            if offset and size:
                self.inside(self.read("Q", offset), self.read("Q", size))

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


def read_record(path: Path) -> Record:
    """Reads a record, of this schema or an older one.

    Raises:
        TfeffError: missing, unreadable, or what `record.decode` refuses.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TfeffError(f"{path}: no such record", "`tfeff export` writes one beside each file") from None
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", "export the network anew") from None
    return decode(data, str(path))


def write_record(path: Path, record: Record) -> None:
    """Writes a record whole or not at all: a temporary file beside it, then a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(encode(record))
        os.replace(temporary, path)
    except OSError as error:
        raise TfeffError(f"{path}: cannot be written ({error.strerror})", "choose a folder you can write to") from None
    finally:
        temporary.unlink(missing_ok=True)


def update_record(artifact: Artifact, change: Callable[[Record], None]) -> bool:
    """Lets `change` edit the record of an artifact and writes it; False when the file has no record."""
    if artifact.record is None:
        return False
    path = record_path(artifact.path)
    record = read_record(path)  # anew: another command may have appended to it
    if record.sha256 != artifact.sha256:
        raise TfeffError(f"{path}: was replaced while it was being measured", "run the command again")
    change(record)
    write_record(path, record)
    return True
