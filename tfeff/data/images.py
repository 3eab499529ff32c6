"""Reading image files: whatever has one clear 8-bit meaning is taken, the rest is refused by name."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tfeff.errors import TfeffError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


def read_image(path: Path) -> np.ndarray:
    """Reads an image file as uint8 (h, w) for grey ones, else (h, w, 3) RGB, turned upright by its EXIF tag.

    Raises:
        TfeffError: a file that is no image or is cut short; more than 8 bits a channel (scaling them is a choice that
            changes the result); an alpha channel that is not fully opaque (so is the background).
    """
    try:
        with Image.open(path) as image:
            raw = [str(tile[3]) for tile in image.tile]  # "BGR;16" is 16 bits a pixel
            if any(";16" in kind and "BGR;16" not in kind for kind in raw):  # Pillow would drop the lower half unasked
                raise _too_deep(path, f"16-bit {image.mode}")
            image.load()
            return _as_8_bit(ImageOps.exif_transpose(image), path)
    except TfeffError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
        raise TfeffError(f"{path}: cannot be read ({reason})", "replace or remove this file") from None


def list_images(folder: Path) -> list[Path]:
    """The image files below a folder by suffix, sorted by path; hidden ones are left out."""
    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = (
            [] if real in seen else [name for name in folders if not name.startswith(".")]
        )  # links may go round
        if real not in seen:
            found += [Path(place, name) for name in files if not name.startswith(".")]
        seen.add(real)
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _too_deep(path, kind):
    return TfeffError(f"{path}: {kind} holds more than 8 bits a channel", "convert it to an 8-bit image")


def _as_8_bit(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise _too_deep(path, image.mode)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise TfeffError(f"{path}: has transparent pixels", "flatten it onto a background of your choice")
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB"))
