"""Where an artifact's files go, and that they get there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tfeff.artifact import record_path, write_record
from tfeff.export.context import ExportContext
from tfeff.record import Record


def twin_path(path: Path) -> Path:
    """The float twin of an artifact."""
    return path.with_name(f"{path.stem}.twin.tflite")


def compiled_path(path: Path, suffix: str) -> Path:
    """What a target's compiler makes of an artifact."""
    return path.with_name(f"{path.stem}{suffix}")


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A hidden folder beside the artifact, on the same file system so that renames are atomic; swept when it ends.

    What a killed export left behind (its process is gone) is swept here too.
    """
    prefix = ".tfeff-export-"
    for leftover in path.parent.glob(f"{prefix}*"):
        owner = leftover.name.removeprefix(prefix).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc").exists():
            shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(context: ExportContext, files: Mapping[Path, Path], record: Record) -> None:
    """Renames the finished files; the record comes last, so an artifact with a record is always whole.

    A compiled file of an earlier export, which would not be this artifact's, goes.

    Args:
        files: from where each was made to where it goes.
    """
    own = record_path(context.path)
    own.unlink(missing_ok=True)
    if context.target.compiled_suffix is not None:
        compiled_path(context.path, context.target.compiled_suffix).unlink(missing_ok=True)
    for made, final in files.items():
        os.replace(made, final)
    write_record(own, record)
