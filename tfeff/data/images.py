"""Reading image files: whatever has one clear 8-bit meaning is taken, the rest is refused by name."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tfeff.errors import TfeffError
from tfeff.files import check_regular

# Pillow's readers that decode within this process. EPS (which starts Ghostscript), IPTC (which opens what it holds by
# any reader), WMF, and those of data and of film are not among them, whatever suffix a file has.
FORMATS = (
    "AVIF", "BLP", "BMP", "CUR", "DCX", "DDS", "DIB", "FITS", "FLI", "FTEX", "GBR", "GIF", "ICNS", "ICO", "IM", "JPEG",
    "JPEG2000", "MSP", "PCD", "PCX", "PIXAR", "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP",
    "XBM", "XPM",
)  # fmt: skip
_BITS_PER_SAMPLE = 258  # TIFF tag
_ORIENTATION = 274  # EXIF tag; 5 to 8 are turned by a quarter


@cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this machine's Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, lower case, of what is read."""
    known = {*formats(), "MPO"}  # which the reader of JPEG opens
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def read_image(path: Path) -> np.ndarray:
    """Reads an image file as uint8 (h, w) for grey ones, else (h, w, 3) RGB, turned upright by its EXIF tag.

    The format is known by the content, of those in `FORMATS`.

    Raises:
        TfeffError: a file that is no image or is cut short; more than 8 bits a channel (scaling them is a choice that
            changes the result); an alpha channel that is not fully opaque (so is the background).
    """
    check_regular(path, "replace or remove it")
    try:
        with Image.open(path, formats=formats()) as image:
            if (deep := _deep(image, path)) is not None:  # Pillow would drop the lower bits unasked
                raise _too_deep(path, deep)
            image.load()
            return _as_8_bit(ImageOps.exif_transpose(image), path)
    except TfeffError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
        raise TfeffError(f"{path}: cannot be read ({reason.splitlines()[0]})", "replace or remove this file") from None


def _deep(image: Image.Image, path: Path) -> str | None:
    """What holds more than 8 bits a channel, where Pillow makes 8 of them; None where nothing does."""
    kind, tiles = image.format, getattr(image, "tile", None) or []
    raw = [str(tile[3]) for tile in tiles]
    if any(";16" in each and "BGR;16" not in each for each in raw):  # "BGR;16" is 16 bits a pixel
        return f"16-bit {image.mode}"
    if kind == "PPM" and any(isinstance(tile[3], tuple) and tile[3][-1] > 255 for tile in tiles):
        return f"{image.mode} with values up to {max(tile[3][-1] for tile in tiles)}"
    if kind == "TIFF" and max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8:  # type: ignore[attr-defined]
        return f"{max(image.tag_v2[_BITS_PER_SAMPLE])}-bit {image.mode}"  # type: ignore[attr-defined]
    if kind == "DDS" and any("BC6" in each for each in raw):
        return "floating-point DDS"
    bits = {"SGI": _sgi_bits, "JPEG2000": _jpeg2000_bits, "AVIF": _avif_bits}.get(kind or "", lambda data: 8)(
        path.read_bytes() if kind in ("SGI", "JPEG2000", "AVIF") else b""
    )
    return f"{bits}-bit {kind}" if bits > 8 else None


def _sgi_bits(data: bytes) -> int:
    return 8 * data[3]


def _jpeg2000_bits(data: bytes) -> int:
    """The most bits of a component, as the code stream's SIZ marker has them (ITU-T T.800, A.5.1)."""
    size = data.find(b"\xff\x4f\xff\x51") + 4  # SOC, SIZ; 2 bytes of length and 34 of sizes, the last 2 a count
    count = int.from_bytes(data[size + 36 : size + 38], "big")
    return max(((each & 0x7F) + 1 for each in data[size + 38 : size + 38 + 3 * count : 3]), default=8)


def _avif_bits(data: bytes) -> int:
    """The most bits of an image in the file, by the boxes `av1C` (AV1-ISOBMFF, 2.3.3)."""
    bits, place = 8, data.find(b"av1C")
    while place >= 0:
        flags = data[place + 6] if place + 6 < len(data) else 0
        if flags & 0x40:
            bits = max(bits, 12 if flags & 0x20 else 10)
        place = data.find(b"av1C", place + 4)
    return bits


def _too_deep(path: Path, kind: str) -> TfeffError:
    return TfeffError(f"{path}: {kind} holds more than 8 bits a channel", "convert it to an 8-bit image")


def _as_8_bit(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise _too_deep(path, image.mode)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise TfeffError(f"{path}: has transparent pixels", "flatten it onto a background of your choice")
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB"))


def upright_size(path: Path) -> tuple[int, int]:
    """(h, w) of an image file as `read_image` gives it, by its header.

    Raises:
        TfeffError: a file that is no image.
    """
    check_regular(path, "replace or remove it")
    try:
        with Image.open(path, formats=formats()) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
        raise TfeffError(f"{path}: cannot be read ({reason.splitlines()[0]})", "replace or remove this file") from None
