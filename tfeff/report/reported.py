"""One artifact of a report: its record, and whether its files were hashed again."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfeff.artifact import open_artifact, read_record, record_path, verify_twin
from tfeff.errors import TfeffError
from tfeff.record import Record
from tfeff.tasks import get_task, list_tasks


@dataclass(frozen=True)
class Reported:
    """An artifact as its record tells it.

    Attributes:
        path: the record.
        record: what it says.
        verified: names of the files that were hashed and found to be the record's; empty without `verify`.
    """

    path: Path
    record: Record
    verified: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.record.file.removesuffix(".tflite")

    @property
    def sha256(self) -> str:
        return self.record.sha256

    @property
    def has_metric(self) -> bool:
        """Whether what its outputs mean can be measured against annotations; true where that is not known."""
        known = [spec for spec in self.record.tasks if spec.name in list_tasks()]
        return len(known) < max(1, len(self.record.tasks)) or any(
            get_task(spec.name).metric(spec) is not None for spec in known
        )

    def command(self, name: str, *options: str) -> str:
        """A command on this artifact, as one would type it beside the file."""
        return shlex.join(["tfeff", name, self.record.file, *options])


def read_reported(paths: Sequence[str | Path], *, verify: bool = False) -> list[Reported]:
    """Reads records, each once, in the order given.

    Args:
        paths: records (`NAME.json`) or the artifacts beside them (`NAME.tflite`).
        verify: whether the files that the records name must be there with the sha256 that they say.

    Raises:
        TfeffError: none given; a record that is missing, cut short, of a newer schema or changed by hand; with `verify`
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


def _read(path: Path, verify: bool) -> Reported:
    record = read_record(path)
    _check_tasks(path, record)
    if not verify:
        return Reported(path, record)
    if record_path(path.with_name(record.file)) != path:
        raise TfeffError(
            f"{path}: describes {record.file}, which is not the file beside it", "give record and file one name"
        )
    artifact = open_artifact(path)
    verified = [artifact.path.name]
    if record.size_bytes is not None and artifact.path.stat().st_size != record.size_bytes:
        raise TfeffError(
            f"{artifact.path}: has {artifact.path.stat().st_size:,} bytes, the record says {record.size_bytes:,}",
            "export it anew",
        )
    if twin := verify_twin(artifact):
        verified.append(twin.name)
    if record.compiled is not None:
        _verify_compiled(path.with_name(record.compiled.file), record.compiled.sha256)
        verified.append(record.compiled.file)
    return Reported(path, record, tuple(verified))


def _check_tasks(path: Path, record: Record) -> None:
    """Whether the tasks that are known here fit the outputs: what they mean is told on the page."""
    ports = {port.name: port for port in record.outputs}
    for spec in record.tasks:
        if spec.name in list_tasks() and ports:
            try:
                get_task(spec.name).check(spec, [ports[name] for name in spec.outputs])
            except TfeffError as error:
                raise TfeffError(f"{path}: {error.what}", error.mend) from None


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
