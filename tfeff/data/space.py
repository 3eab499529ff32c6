"""Whether there is room for what is about to be made: on a disk, and in memory."""

import shutil
from contextlib import suppress
from pathlib import Path

from tfeff.errors import TfeffError

_MIB = 2**20


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raises TfeffError where the folder's disk has fewer than `needed` bytes free.

    Args:
        folder: any folder on that disk that exists.
        needed: bytes.
        what: what they are for, in words.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # a file system that does not tell
        return
    if free < needed:
        raise TfeffError(
            f"{folder}: {what} need about {-(-needed // _MIB):,} MiB of disk, {free // _MIB:,} MiB are free",
            "free some, or choose another --out",
        )


def check_memory(needed: int, what: str) -> None:
    """Raises TfeffError where fewer than `needed` bytes of memory are free.

    Args:
        needed: bytes.
        what: what takes them, in words.
    """
    free = free_memory()
    if free is not None and free < needed:
        raise TfeffError(
            f"{what} takes about {-(-needed // _MIB):,} MiB of memory, {free // _MIB:,} MiB are free",
            "close other programs, or export on a machine with more",
        )


def free_memory() -> int | None:
    """Bytes of memory that a process may still take; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024 * int(line.split()[1]))
    group = Path("/sys/fs/cgroup")  # a container's own limit
    with suppress(OSError, ValueError):
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(limit - used + int(cached.get("inactive_file", 0)))
    return min(found, default=None)
