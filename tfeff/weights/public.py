"""The registry of public weight files, `public.json`, and fetching one: once, its hash checked before it is read.

`sha256` is the whole hash where it is known, or its first digits where the publisher prints no more (torchvision and
timm put eight or ten into the file's name). A file of which no hash is known is not in the registry.
"""

import hashlib
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.files import home, written_whole

_CACHE = "set TFEFF_CACHE to another folder"

PREFIX = "pretrained"
REGISTRY = Path(__file__).with_name("public.json")
_TIMEOUT_S = 30
_CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class PublicFile:
    """A public weight file.

    Attributes:
        name: `<network>.<publisher's name for it>`.
        network: whose weights it holds.
        layout: the source, as `tfeff.weights.layouts` has it.
        url: where it is.
        sha256: hexadecimal, whole or its first digits (at least 8).
        size_mib: as published, 2^20 bytes; None when unknown.
        preprocessing: how its images were prepared, in the form of `Preprocessing.as_dict`.
        licence: SPDX identifier under which it is published.
        dataset: what it was trained on.
        top1, map: percent, as published, of a classifier and of a detector (COCO); and `source` of that figure.
        notes: what differs from the publisher's evaluation.
    """

    name: str
    network: str
    layout: str
    url: str
    sha256: str
    preprocessing: Mapping[str, Any]
    licence: str
    dataset: str
    source: str
    top1: float | None = None
    map: float | None = None
    size_mib: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]

    def told(self) -> dict[str, Any]:
        """What goes into the metadata of weights made from it."""
        return {
            "public": self.name, "url": self.url, "preprocessing": dict(self.preprocessing), "licence": self.licence,
            "dataset": self.dataset, "notes": list(self.notes),
            **{key: value for key, value in (("top1", self.top1), ("map", self.map)) if value is not None},
        }  # fmt: skip

    @property
    def published(self) -> str:
        """Its figure in words."""
        return f"top-1 {self.top1:.2f} %" if self.top1 is not None else f"mAP {self.map:.1f} %"


def list_public(network: str | None = None) -> list[PublicFile]:
    """The public files of a network, best first, or of all."""
    return [file for file in _read(REGISTRY) if network in (None, file.network)]


@lru_cache
def _read(path):
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [PublicFile(**{**row, "notes": tuple(row.get("notes", ()))}) for row in rows]


def find_public(network: str, word: str = PREFIX) -> PublicFile:
    """The file that `pretrained` (the best) or `pretrained:NAME` means for a network.

    Raises:
        TfeffError: there is none, or none of that name.
    """
    files = list_public(network)
    if not files:
        have = ", ".join(dict.fromkeys(file.network for file in list_public()))
        raise TfeffError(f"network {network}: no public weight file is known", f"there are some for {have}")
    _, _, name = word.partition(":")
    for file in files:
        if name in ("", file.name, file.name.removeprefix(f"{network}.")):
            return file
    raise TfeffError(
        f"network {network}: no public weight file {name!r}", f"one of {', '.join(file.name for file in files)}"
    )


def find_by_hash(network: str, sha256: str) -> PublicFile | None:
    """The registry's entry for a file that was fetched by hand."""
    return next((file for file in list_public(network) if sha256.startswith(file.sha256)), None)


def cache_folder() -> Path:
    """`TFEFF_CACHE`, or `tfeff` in the user's folder for caches."""
    if os.environ.get("TFEFF_CACHE"):
        return Path(os.environ["TFEFF_CACHE"])
    if sys.platform == "darwin":
        base = home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache")
    return base / "tfeff"


def fetch(public: PublicFile, progress: Callable[[int, int], None] | None = None) -> Path:
    """The file on this machine; fetched if it is not there, or if what is there has another hash.

    Args:
        progress: called with (bytes done, bytes in all; 0 when unknown).

    Raises:
        TfeffError: the file cannot be fetched or kept, it is cut short, or its hash is another. Nothing is left behind
        then.
    """
    folder = cache_folder()
    path = folder / public.file
    if path.is_file() and _sha256(path).startswith(public.sha256):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TfeffError(f"cache folder {folder}: cannot be written ({error.strerror or error})", _CACHE) from None
    with written_whole(path, mend=_CACHE) as part:
        with part.open("wb") as file:
            digest = _download(public, file, progress)
        if not digest.startswith(public.sha256):
            raise TfeffError(
                f"weights {public.url}: what came has sha256 {digest[:16]}..., not {public.sha256[:16]}...; it is gone",
                "try again; if it stays so, the file was changed or something stands between, and should not be used",
            )
    return path


def _download(public, file, progress):
    """Writes what the server sends; returns its sha256."""
    request = urllib.request.Request(public.url, headers={"User-Agent": "tfeff"})
    digest, done = hashlib.sha256(), 0
    mend = f"fetch it by hand, then: {_by_hand(public, Path(public.file).suffix)}"
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise _NotWritten(error) from error
                digest.update(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
    except _NotWritten as error:
        raise error.args[0] from None
    except urllib.error.HTTPError as error:
        raise TfeffError(f"weights {public.url}: the server says {error.code} {error.reason}", mend) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise TfeffError(f"weights {public.url}: cannot be fetched ({reason})", mend) from None
    if total and done != total:
        raise TfeffError(f"weights {public.url}: cut short, {done:,} of {total:,} bytes came", f"try again, or {mend}")
    return digest.hexdigest()


class _NotWritten(Exception):
    """The disk failed, not the network."""


def _by_hand(public, suffix):
    stem = public.file.rsplit(".", 1)[0]
    return f"tfeff import-weights {stem}{suffix} --network {public.network} --out {public.network}.npz"


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
