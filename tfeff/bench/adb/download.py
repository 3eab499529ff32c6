"""TensorFlow Lite's own `benchmark_model`, fetched once from its public address and kept with its sha256."""

import hashlib
import http.client
import json
import os
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError

# As TensorFlow's page "Performance measurement" names them; the address always holds the last nightly build.
ADDRESS = (
    "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest/"
    "{platform}_benchmark_model"
)
PLATFORMS = {"arm64-v8a": "android_aarch64", "armeabi-v7a": "android_arm"}
_BY_HAND = "fetch or build one, then name it: --benchmark-binary PATH"


def fetched_tool(abi: str, address: str = ADDRESS) -> dict[str, Any]:
    """The tool for a kind of phone; fetched when it is not at hand.

    The address does not name a version, so the server's date of the file is kept as the version, and the sha256 of what
    came that day; later calls use that very file.

    Args:
        abi: Android's name of the instruction set.
        address: with `{platform}` in it.

    Returns:
        `path`, `sha256`, `url`, `version`.

    Raises:
        TfeffError: there is none for this ABI, the server cannot be reached, or the kept file was changed.
    """
    if abi not in PLATFORMS:
        raise TfeffError(f"benchmark_model: none is published for {abi}", _BY_HAND)
    url = address.format(platform=PLATFORMS[abi])
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfeff" / "benchmark_model"
    path = folder / f"{PLATFORMS[abi]}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    about = path.with_suffix(".json")
    if path.is_file() and about.is_file():
        try:
            kept = json.loads(about.read_text(encoding="utf-8"))
            if kept["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest():
                return {"path": str(path), **{key: kept[key] for key in ("sha256", "url", "version")}}
        except (ValueError, KeyError, TypeError):
            pass
        raise TfeffError(f"{path}: is not the file that was fetched", f"remove it and {about.name}; it is fetched anew")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data, expected = answer.read(), answer.headers.get("Content-Length")
            dated = answer.headers.get("Last-Modified") or answer.headers.get("Date") or "unknown"
    except (OSError, ValueError, http.client.HTTPException) as error:
        code, reason = getattr(error, "code", None), getattr(error, "reason", None) or error
        reason = f"{code} {reason}" if code else reason
        raise TfeffError(f"{url}: cannot be fetched ({reason})", _BY_HAND) from None
    if (expected and int(expected) != len(data)) or data[:4] != b"\x7fELF":
        raise TfeffError(f"{url}: what came is no program ({len(data):,} bytes)", _BY_HAND)
    kept = {"url": url, "sha256": hashlib.sha256(data).hexdigest(), "version": f"nightly of {dated}"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, data)
        _write(about, json.dumps(kept, indent=1).encode())
    except OSError as error:
        raise TfeffError(f"{folder}: cannot be written ({error.strerror})", "set XDG_CACHE_HOME to a folder") from None
    return {"path": str(path), **kept}


def _write(path: Path, data: bytes) -> None:
    """Under another name first, so that a killed command leaves no half of it."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
