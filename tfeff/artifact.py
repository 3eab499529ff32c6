"""The record beside an artifact: `<name>.tflite` + `<name>.json`, how it was made and all that was measured on it.

Every figure in a record belongs to one file, named by its sha256. What a record holds: `tfeff.record`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tfeff.errors import TfeffError
from tfeff.files import write_whole
from tfeff.record import MAX_BYTES, Record, decode, encode
from tfeff.tflite.verify import check_tflite


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


def read_record(path: Path) -> Record:
    """Reads a record, of this schema or an older one.

    Raises:
        TfeffError: missing, unreadable, or what `record.decode` refuses.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise TfeffError(f"{path}: cannot be read (not a regular file)", "give the .json beside an artifact")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise TfeffError(f"{path}: no such record", "`tfeff export` writes one beside each file") from None
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", "export the network anew") from None
    return decode(data, str(path))


def write_record(path: Path, record: Record) -> None:
    """Writes a record whole or not at all, over the one that is there."""
    write_whole(path, encode(record))


def check_ports(artifact: Artifact) -> None:
    """Whether the record's inputs and outputs are those of the file, for who uses them without opening the file.

    Raises:
        TfeffError: a shape or a type that the file does not have.
    """
    if artifact.record is None:
        return
    from tfeff.tflite.graph import read_graph

    graph = read_graph(artifact.path)
    for side in ("inputs", "outputs"):
        own = sorted((list(tensor.shape), tensor.dtype.lower()) for tensor in getattr(graph, side))
        said = sorted((port.shape, port.dtype) for port in getattr(artifact.record, side))
        if own != said:
            raise TfeffError(
                f"{artifact.path}: its {side} are {_shapes(own)}, its record says {_shapes(said)}", "export it anew"
            )


def _shapes(ports: Iterable[tuple[list[int], str]]) -> str:
    return ", ".join(f"{dtype} {shape}" for shape, dtype in ports) or "none"


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
