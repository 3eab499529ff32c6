"""One artifact of a report: its record, read and checked, and whether its files were hashed again."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.artifact import open_artifact, read_record, record_path, verify_twin
from tfeff.errors import TfeffError
from tfeff.report.shape import check_record

_MAX_RECORD_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Subject:
    """An artifact as its record tells it.

    Attributes:
        path: the record.
        record: what it says; everything that a report shows was checked (`shape.check_record`).
        verified: names of the files that were hashed and found to be the record's; empty without `verify`.
    """

    path: Path
    record: dict[str, Any]
    verified: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.record["file"].removesuffix(".tflite")

    @property
    def sha256(self) -> str:
        return self.record["sha256"]

    def part(self, key: str) -> Any:
        """A part of the record; an empty object where it is null or missing."""
        return self.record.get(key) or {}

    def command(self, name: str, *options: str) -> str:
        """A command on this artifact, as one would type it beside the file."""
        return shlex.join(["tfeff", name, self.record["file"], *options])


def read_subjects(paths: Sequence[str | Path], *, verify: bool = False) -> list[Subject]:
    """Reads records, each once, in the order given.

    Args:
        paths: records (`NAME.json`) or the artifacts beside them (`NAME.tflite`).
        verify: whether the files that the records name must be there with the sha256 that they say.

    Raises:
        TfeffError: none given; a record that is missing, cut short, of another schema or changed by hand; with `verify`
            also a file that is missing, damaged or another one.
    """
    if not paths:
        raise TfeffError(
            "report: no record to tell of", "give one or more of the .json files that `tfeff export` wrote"
        )
    if nameless := [str(path) for path in paths if not Path(path).name]:
        raise TfeffError(f"report: {nameless[0]!r} names no file", "give a record: NAME.json")
    records = [path if path.suffix == ".json" else record_path(path) for path in map(Path, paths)]
    unique = {path.resolve(): path for path in records}
    return [_read(path, verify) for path in unique.values()]


def _read(path: Path, verify: bool) -> Subject:
    try:
        if path.is_file() and path.stat().st_size > _MAX_RECORD_BYTES:
            raise TfeffError(
                f"{path}: larger than {_MAX_RECORD_BYTES:,} bytes, not a record", "give the .json beside an artifact"
            )
        record = read_record(path)
        check_record(record, str(path))
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", "give the .json beside an artifact") from None
    except RecursionError:
        raise TfeffError(f"{path}: not a readable record (nested too deep)", "export the network anew") from None
    if not verify:
        return Subject(path, record)
    if record_path(path.with_name(record["file"])) != path:
        raise TfeffError(
            f"{path}: describes {record['file']}, which is not the file beside it", "give record and file one name"
        )
    artifact = open_artifact(path)
    verified = [artifact.path.name]
    if "size_bytes" in record and artifact.path.stat().st_size != record["size_bytes"]:
        raise TfeffError(
            f"{artifact.path}: has {artifact.path.stat().st_size:,} bytes, the record says {record['size_bytes']:,}",
            "export it anew",
        )
    if twin := verify_twin(artifact):
        verified.append(twin.name)
    if compiled := record.get("compiled"):
        _verify_compiled(path.with_name(compiled["file"]), compiled["sha256"])
        verified.append(compiled["file"])
    return Subject(path, record, tuple(verified))


def _verify_compiled(path: Path, expected: str) -> None:
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", "put the file back, or export anew") from None
    if sha256 != expected:
        raise TfeffError(
            f"{path}: is not the file that was compiled (sha256 {sha256[:12]}, the record says {expected[:12]})",
            "put the right file back, or export anew",
        )
