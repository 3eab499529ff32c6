"""How files get to where they belong: whole or not at all, and over nothing that its owner did not give up.

Everything is made in a scratch folder beside its place, so that it gets there by a rename. The kernel holds a lock on a
file in that folder as long as its process lives, in any container: a folder whose lock can be had is a leftover.
"""

import errno
import os
import shutil
import signal
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError

try:
    import fcntl
except ImportError:  # Windows: no locks there, and so no leftovers are swept
    fcntl = None  # type: ignore[assignment]

_LOCK = ".lock"
_HDF5 = (".h5", ".hdf5", ".keras")  # suffixes under which Keras reads it
_UNPACKED, _SLACK = 200, 2**28  # of archives: times their size, and bytes beyond that
_OLD_S = 24 * 3600.0  # of a folder without a lock: it may be that of a process that is about to make one
_PATIENCE_S = 10.0
_ENDS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL)


def home() -> Path:
    """The user's home folder; raises TfeffError where the machine knows none."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        raise TfeffError("the home folder is not known", "set HOME to a folder that you can write to") from None


def check_regular(path: Path, mend: str = "give a file") -> None:
    """Raises TfeffError for what is there and no regular file: reading a pipe or a device may never end."""
    if _is_special(path):
        raise TfeffError(f"{path}: cannot be read (not a regular file)", mend)


def check_unpacked(path: Path) -> None:
    """Whether a file may be unpacked in memory; what is no archive passes.

    Raises:
        TfeffError: a zip archive (`.npz`, `.keras`, `.pth`) or an HDF5 file (`.h5`, or inside a `.keras`) that unpacks
            to far more than it is, which was made to fill its reader's memory; an HDF5 file that takes values from
            another file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            check_held(path, sum(entry.file_size for entry in entries))
            for entry in entries:
                if path.suffix in _HDF5 and entry.filename.endswith(_HDF5):
                    with archive.open(entry) as inner:
                        _check_hdf5(path, inner)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        pass  # no archive, or a damaged one: who reads it says so
    if path.suffix in _HDF5:
        _check_hdf5(path, path)


def check_held(path: Path, held: int) -> None:
    """Raises TfeffError for a file that becomes so many bytes, if it is far smaller."""
    if held > _UNPACKED * path.stat().st_size + _SLACK:
        raise TfeffError(
            f"{path}: unpacks to {held:,} bytes, more than {_UNPACKED} times its size", "save it without compression"
        )


def _check_hdf5(path: Path, file: Any) -> None:
    """By what a file's data sets say of themselves; nothing is unpacked."""
    import h5py

    held, elsewhere = 0, ""

    def look(name: str, entry: Any) -> None:
        nonlocal held, elsewhere
        if isinstance(entry, h5py.Dataset):
            held += (entry.size or 0) * entry.dtype.itemsize
            elsewhere = elsewhere or (name if entry.external or entry.is_virtual else "")

    def follow(name: str, link: Any) -> None:
        nonlocal elsewhere
        elsewhere = elsewhere or (name if isinstance(link, h5py.ExternalLink) else "")

    try:
        with h5py.File(file, "r") as opened:
            opened.visititems(look)
            opened.visititems_links(follow)
    except Exception:  # h5py raises many kinds on a damaged file; who reads it says what is wrong
        return
    if elsewhere:
        raise TfeffError(f"{path}: {elsewhere[:100]!r} lies in another file", "save it in one file")
    check_held(path, held)


def _is_special(path: Path) -> bool:
    try:
        return path.exists() and not path.is_file()
    except OSError:  # too long, or not to be looked at: opening it says so
        return False


def write_whole(path: Path, data: bytes, *, force: bool = True, mend: str = "choose a folder you can write to") -> None:
    """Writes a file; see `written_whole`."""
    with written_whole(path, force=force, mend=mend) as part:
        part.write_bytes(data)


@contextmanager
def written_whole(
    path: Path, *, force: bool = True, mend: str = "choose a folder you can write to", mode: int | None = None
) -> Iterator[Path]:
    """Yields the path of a file to write; it is renamed to `path` at the end, whole or not at all.

    Args:
        path: where the file goes; its folder must exist.
        force: whether a file that is there then is replaced.
        mend: what to do where it cannot be written.
        mode: of the file; the process's own without.

    Raises:
        TfeffError: the file cannot be written; or it is there, and not `force`.
    """
    try:
        with scratch(path.parent) as folder:
            part = folder / f"part{path.suffix[:16]}"
            yield part
            if mode is not None:
                part.chmod(mode)
            publish(part, path, force=force)
    except OSError as error:
        raise TfeffError(f"{path}: cannot be written ({error.strerror or error})", mend) from None


def publish(made: Path, final: Path, *, force: bool) -> None:
    """Gives a finished file its name; without `force` only if nothing has that name at this very instant.

    Raises:
        TfeffError: something is there, and not `force`; or a device, a pipe or a folder, which nothing replaces.
        OSError: the file system refuses.
    """
    if force:
        _check_replaceable(final)
        os.replace(made, final)
        return
    try:
        try:
            os.link(made, final)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL))  # a file system without links
            os.replace(made, final)
        else:
            made.unlink()
    except FileExistsError:
        raise TfeffError(f"{final}: exists already", "give --force to replace it, or another name") from None


def publish_all(files: Mapping[Path, Path], away: Mapping[Path, bool], folder: Path, *, force: bool) -> None:
    """Gives several finished files their names: all of them or none, and never an old one beside a new one.

    Old files leave first, so a kill between two renames leaves too few files, never files that do not belong together.

    Args:
        files: from where each was made to where it goes; the last one is the last to appear.
        away: other files that go, if they are there -> whether only `force` lets them go.
        folder: a scratch folder on the same file system.

    Raises:
        TfeffError: one of them is there, and not `force`.
        OSError: the file system refuses; what was there before is back.
    """
    moved: list[tuple[Path, Path]] = []
    placed: list[Path] = []
    with _turn(next(iter(files.values())).parent):
        try:
            for number, old in enumerate([*reversed(list(files.values())), *away]):
                if not os.path.lexists(old):
                    continue
                _check_replaceable(old)
                if not force and away.get(old, True):
                    raise TfeffError(f"{old}: exists already", "give --force to replace it, or another --out")
                os.rename(old, kept := folder / f".replaced-{number}")
                moved.append((kept, old))
            for made, final in files.items():
                publish(made, final, force=False)
                placed.append(final)
        except BaseException:
            for final in reversed(placed):
                final.unlink(missing_ok=True)
            for kept, old in reversed(moved):
                os.rename(kept, old)
            raise


def _check_replaceable(path: Path) -> None:
    if path.is_dir():
        raise TfeffError(f"{path}: is a folder", "give the name of a file")
    if _is_special(path):
        raise TfeffError(f"{path}: is a device or a pipe, not a file", "give another name")


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One process at a time in this block, for a folder; not for ever, where somebody else's program holds its lock."""
    with _opened(folder) as number:
        deadline = time.monotonic() + _PATIENCE_S
        while number is not None and not _lock(number) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A file or folder, opened; None where that cannot be."""
    number = None
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        if number is not None:
            os.close(number)


def _lock(number: int) -> bool:
    """Takes a file's lock, held until it is closed or the process is gone; False where another has it. True too where
    the file system has no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def scratch(parent: Path, kind: str = "part") -> Iterator[Path]:
    """A hidden folder in `parent`, on the same file system so that renames are atomic; gone when the block ends.

    What killed commands left behind is swept first.

    Raises:
        OSError: `parent` cannot be written.
    """
    sweep(parent)
    made: tuple[Path, int] | None = None
    try:
        with _undisturbed():
            made = _made(parent, kind)
        yield made[0]
    finally:
        if made is not None:
            with _undisturbed():
                shutil.rmtree(made[0], ignore_errors=True)
                os.close(made[1])


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Lets a signal that ends the command wait for the end of the block: between the making of a folder and the moment
    when somebody is there to remove it, it would leave the folder behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs handlers in the main thread alone
        return
    came: list[tuple[int, Any]] = []
    before = {number: signal.getsignal(number) for number in _ENDS}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in came[:1]:
            handlers[number](number, frame)


def _made(parent: Path, kind: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".tfeff-{kind}-", dir=parent))
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            if folder.parent.is_dir():
                continue  # a sweep took the empty folder
            raise
        if _lock(lock) and _is(lock, folder / _LOCK):
            return folder, lock
        os.close(lock)  # a sweep came between the two


def _is(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False


def sweep(parent: Path) -> None:
    """Removes the scratch folders in `parent` whose processes are gone: those whose lock can be had."""
    if fcntl is None:
        return
    with suppress(OSError):
        for leftover in list(parent.glob(".tfeff-*-*")):
            with suppress(OSError):
                _sweep_one(leftover)


def _sweep_one(leftover: Path) -> None:
    if leftover.is_symlink() or not leftover.is_dir():
        return
    try:
        number = os.open(leftover / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        with suppress(OSError):  # nothing in it yet: whoever makes it begins again
            leftover.rmdir()
            return
        if time.time() - leftover.stat().st_mtime > _OLD_S:
            shutil.rmtree(leftover, ignore_errors=True)
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
        shutil.rmtree(leftover, ignore_errors=True)
    finally:
        os.close(number)


def write_folder(folder: Path, write: Callable[[Path], None], *, force: bool) -> None:
    """Lets `write` fill a new folder and gives it its name, whole or not at all; with `force` in place of one there.

    Raises:
        TfeffError: something is there, and not `force`.
        OSError: the file system refuses; what was there before is back.
    """
    with scratch(folder.parent) as place:
        new, old = place / "new", place / "old"
        new.mkdir()
        write(new)
        with _turn(folder.parent):
            there = os.path.lexists(folder) and not _empty(folder)
            if there and not force:
                raise TfeffError(f"{folder}: exists", "name a new folder, or replace it with --force")
            if there:
                os.rename(folder, old)
            try:
                os.rename(new, folder)  # over an empty folder, or nothing: the kernel refuses others
            except BaseException:
                if there and not os.path.lexists(folder):
                    os.rename(old, folder)
                raise


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
