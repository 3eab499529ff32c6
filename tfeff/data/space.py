"""Whether a disk has room for what is about to be written."""

import shutil
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
