"""Which files of a folder are images, what is left out of it, and in which order names are."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tfeff.data.images import image_suffixes
from tfeff.errors import TfeffError

# What systems and programs put beside people's files; hidden names (.DS_Store, ._photo.jpg, .ipynb_checkpoints) too.
_SYSTEM_FOLDERS = {"__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp", "$recycle.bin", "__pycache__",
                   "system volume information", "lost+found", "found.000"}  # fmt: skip
_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini"}
# What says something of the images and is read.
DESCRIPTIONS = ("labels.csv", "classes.txt")
_SHOWN = 6  # suffixes in a message


@dataclass(frozen=True)
class Listed:
    """What lies below a folder.

    Attributes:
        images: files that are read, in the order of their paths as text.
        left_out: how many others, by suffix in lower case; "" for names without one.
    """

    images: list[Path]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def notes(self, folder: str) -> tuple[str, ...]:
        """A line about what was left out; none where nothing was."""
        if not self.left_out:
            return ()
        count, words = sum(self.left_out.values()), suffixes_in_words(self.left_out)
        return (f"{folder}: {count:,} file{'s' * (count > 1)} left out, not read as images: {words}",)


def exists(path: Path) -> bool:
    """Whether something is there; False for what can be no path."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, a NUL
        return False


def is_ignored(name: str, *, folder: bool) -> bool:
    """Whether a file or folder is hidden or a system's own."""
    return name.startswith(".") or name.lower() in (_SYSTEM_FOLDERS if folder else _SYSTEM_FILES)


def list_files(folder: Path) -> Listed:
    """The images below a folder, and what else there is but hidden and system files. Links are followed, once.

    Raises:
        TfeffError: a folder that cannot be read.
    """
    found, seen, others = [], set(), Counter[str]()
    for place, folders, files in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = (
            [] if real in seen else [name for name in folders if not is_ignored(name, folder=True)]
        )  # links may go round
        if real in seen:
            continue
        seen.add(real)
        for name in files:
            path, suffix = Path(place, name), Path(name).suffix.lower()
            if is_ignored(name, folder=False) or not path.is_file():
                continue
            if suffix in image_suffixes():
                found.append(path)
            elif name.lower() not in DESCRIPTIONS:
                others[suffix] += 1
    return Listed(sorted(found), dict(sorted(others.items(), key=lambda each: (-each[1], each[0] == "", each[0]))))


def _unreadable(error: OSError) -> NoReturn:
    raise TfeffError(f"{error.filename}: cannot be read ({error.strerror})", "check the folder's permissions")


def list_images(folder: Path) -> list[Path]:
    """The image files below a folder by suffix, sorted by path; hidden and system files are left out."""
    return list_files(folder).images


def suffixes_in_words(counts: Mapping[str, int]) -> str:
    """`{".heic": 20, "": 1}` -> `20 .heic, 1 without a suffix`."""
    shown = {suffix: suffix if suffix.isprintable() else ascii(suffix) for suffix in counts}
    parts = [f"{count:,} {shown[suffix] or 'without a suffix'}" for suffix, count in counts.items()]
    more = len(parts) - _SHOWN
    return ", ".join(parts[:_SHOWN]) + (f" and {more} more suffixes" if more > 0 else "")


def in_order(names: Iterable[str]) -> list[str]:
    """Names in natural order: what stands in them as a number counts as one (c2 before c10); else as text."""
    return sorted(names, key=lambda name: (_parts(name), name))


def _parts(name: str) -> list[tuple[int, int, str]]:
    """Texts and numbers by turns, so that a text is always compared with a text; a number by its digits, of which
    Python reads no more than 4,300."""
    parts = re.split(r"([0-9]+)", name)
    parts = [part.lstrip("0") if number % 2 else part for number, part in enumerate(parts)]
    return [(1, len(part), part) if number % 2 else (0, 0, part) for number, part in enumerate(parts)]
