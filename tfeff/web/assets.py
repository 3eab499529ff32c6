"""A file of the page, and those that npm built (`page/`, shipped in `built/`)."""

import gzip
from dataclasses import dataclass
from pathlib import Path

from tfeff.errors import TfeffError

BUILT = Path(__file__).with_name("built")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".tflite": "application/octet-stream",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page.

    Attributes:
        data: its bytes, packed by gzip where `packed`.
        type: its MIME type.
        packed: whether `data` is gzip's.
        lasting: whether its address changes with its bytes, so that a browser may keep it for good.
    """

    data: bytes
    type: str
    packed: bool = False
    lasting: bool = False

    @property
    def plain(self) -> bytes:
        """The bytes as a browser sees them."""
        return gzip.decompress(self.data) if self.packed else self.data


def page_assets() -> dict[str, Asset]:
    """What was built, by address relative to the page.

    Raises:
        TfeffError: the built page is not there: the installation is not whole.
    """
    if not (BUILT / "index.html").is_file():
        raise TfeffError(
            f"{BUILT}: the page's files are missing", "reinstall tfeff, or build them: npm ci && npm run build in page/"
        )
    assets = {}
    for path in sorted(path for path in BUILT.rglob("*") if path.is_file()):
        address = path.relative_to(BUILT).as_posix()
        packed = address.endswith(".gz")
        address = address.removesuffix(".gz")
        # LiteRT's folder carries its version in its name.
        lasting = address.startswith("litert-")
        assets[address] = Asset(path.read_bytes(), mime_type(address), packed, lasting)
    return assets


def mime_type(address: str) -> str:
    """By the end of its name."""
    return _TYPES.get(Path(address).suffix, "application/octet-stream")
