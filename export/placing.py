"""Where an artifact's files go, and that they get there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tfeff.artifact import check_tflite, record_path, write_record
from tfeff.errors import GateFailed, TfeffError
from tfeff.export.context import ExportContext
from tfeff.record import Record


def twin_path(path: Path) -> Path:
    """The float twin of an artifact."""
    return path.with_name(f"{path.stem}.twin.tflite")


def compiled_path(path: Path, suffix: str) -> Path:
    """What a target's compiler makes of an artifact."""
    return path.with_name(f"{path.stem}{suffix}")


def failed_path(path: Path) -> Path:
    """The folder for what was made of an artifact that was refused (`--keep-failed`)."""
    return path.with_name(f"{path.stem}.failed")


def refused(context: ExportContext, error: TfeffError) -> TfeffError:
    """The error of an export as its user should read it: without the scratch folder's name, and with where the files
    are that were made, if they are to be kept."""
    what = error.what.replace(f"{context.folder}{os.sep}", "")
    what = what if what == error.what else f"{context.model.network}: {what}"
    mend, plain = error.mend, error.mend.removesuffix("nothing was written").rstrip("; ")
    if context.request.keep_failed and (kept := _keep(context, what, plain)) is not None:
        mend = f"{plain}; what was made is in {kept}".lstrip("; ")
    if (what, mend) == (error.what, error.mend):
        return error
    return (GateFailed if isinstance(error, GateFailed) else TfeffError)(what, mend)


def _keep(context: ExportContext, what: str, mend: str) -> Path | None:
    """Moves the whole files to `failed_path`, under names that are no artifact's; None where there are none."""
    made = []
    for file in (context.folder / context.path.name, context.folder / twin_path(context.path).name):
        try:
            check_tflite(file)
        except TfeffError:
            continue
        made.append(file)
    if not made:
        return None
    folder, final = context.folder / "failed", failed_path(context.path)
    folder.mkdir()
    for file in made:
        os.replace(file, folder / f"{file.stem}.failed.tflite")
    (folder / "why.txt").write_text(f"{what}\n{mend}\n", encoding="utf-8")
    if final.exists():  # --force, as checked at the start
        shutil.rmtree(final)
    os.replace(folder, final)
    return final


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
