"""A `benchmark_model` for phones: a file of the user's, or one at an address that he names together with its sha256.

TensorFlow publishes the program only as "nightly/latest": no version, no hash, another file every day. Such a file is
not fetched and run on anybody's phone.
"""

import hashlib
import http.client
import os
import re
import urllib.request
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.files import home, write_whole

MAX_BYTES = 256 << 20
_PINNED = re.compile(r"(https?://[^\s#]+)#sha256=([0-9a-f]{64})", re.IGNORECASE)
_BY_HAND = (
    "fetch or build one (docs/on-device.md says where), then name it: --benchmark-binary PATH, "
    "or https://...#sha256=HEX, which is fetched and must be that very file"
)


def found_tool(named: str | None) -> dict[str, Any]:
    """The tool that the user named.

    Args:
        named: a path, or an address with the sha256 of the file there: `https://host/file#sha256=HEX`.

    Returns:
        `path`; of a fetched one `sha256`, `url` and `version` too.

    Raises:
        TfeffError: none was named; an address without a hash; it cannot be fetched, or something else came.
    """
    if named is None:
        raise TfeffError("benchmark_model: none was named, and none is published with a version and a hash", _BY_HAND)
    if "://" not in named:
        return {"path": named}
    pinned = _PINNED.fullmatch(named)
    if pinned is None:
        raise TfeffError(f"--benchmark-binary {named[:200]}: names no sha256 of what must come", _BY_HAND)
    return _fetched(pinned[1], pinned[2].lower())


def _fetched(url: str, sha256: str) -> dict[str, Any]:
    """Fetched once, and kept under its hash; a kept file that was changed is fetched anew."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "tfeff" / "benchmark_model"
    path, about = folder / sha256, {"url": url, "sha256": sha256, "version": f"sha256 {sha256[:12]}"}
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return {"path": str(path), **about}
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        code, reason = getattr(error, "code", None), getattr(error, "reason", None) or error
        reason = f"{code} {reason}" if code else reason
        raise TfeffError(f"{url}: cannot be fetched ({reason})", _BY_HAND) from None
    came = hashlib.sha256(data).hexdigest()
    if came != sha256:
        raise TfeffError(
            f"{url}: what came has sha256 {came[:16]}..., not {sha256[:16]}...; it was not kept",
            "see whether the file was changed or something stands between",
        )
    if data[:4] != b"\x7fELF":
        raise TfeffError(f"{url}: what came is no program ({len(data):,} bytes)", _BY_HAND)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TfeffError(f"{folder}: cannot be written ({error.strerror})", "set XDG_CACHE_HOME to a folder") from None
    write_whole(path, data, mend="set XDG_CACHE_HOME to a folder")
    return {"path": str(path), **about}
