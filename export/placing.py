"""Where an artifact's files go, and that they get there whole or not at all."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tfeff import files
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
    if context.request.force and final.exists():
        os.replace(final, context.folder / "failed.before")
    try:
        os.rename(folder, final)
    except OSError:  # something took the name meanwhile
        return None
    return final


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A hidden folder beside the artifact, where its files are made; gone when the block ends.

    What a killed export left behind is swept here too.

    Raises:
        TfeffError: the disk is full, or the folder cannot be written; whatever the block was doing then.
    """
    try:
        with files.scratch(path.parent, "export") as folder:
            yield folder
    except OSError as error:
        where = error.filename or path.parent
        raise TfeffError(
            f"{where}: cannot be read or written ({error.strerror or error})", "make room, or choose another --out"
        ) from error


def put_in_place(context: ExportContext, made: Mapping[Path, Path], record: Record) -> None:
    """Renames the finished files; the record comes last, so an artifact with a record is always whole.

    A compiled file of an earlier export, which would not be this artifact's, goes.

    Args:
        made: from where each was made to where it goes.

    Raises:
        TfeffError: without `--force`, and a file of that name was made meanwhile.
    """
    written = context.folder / "record.json"
    write_record(written, record)
    suffix = context.target.compiled_suffix
    stale = {compiled_path(context.path, suffix): True} if suffix is not None else {}
    stale = {path: forced for path, forced in stale.items() if path not in made.values()}
    files.publish_all({**made, written: record_path(context.path)}, stale, context.folder, force=context.request.force)
