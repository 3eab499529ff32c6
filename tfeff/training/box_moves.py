"""Images and their boxes moved together: a random window of the image becomes the new image. NumPy and Pillow."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfeff.data.preprocessing import FILL

ZOOM = 1.4  # the window is up to so many times smaller or larger than the image,
_STRETCH = 1.1  # and up to so many times as wide or as high besides
_LEAST_SEEN = 0.35  # share of a box that must lie in the window, or the box goes
_LEAST_SIDE = 2.0  # pixels of what is left of it
_LIGHT, _CONTRAST, _TINT = 0.15, 0.2, 0.1  # by which shares brightness, contrast and each channel change at most


@dataclass(frozen=True)
class Window:
    """Which part of an image becomes the new one, in pixels of the image; it may reach beyond the border.

    Attributes:
        left, top, width, height: of the window.
        mirrored: whether left and right change places in the new image.
    """

    left: float
    top: float
    width: float
    height: float
    mirrored: bool = False


def draw_window(random: np.random.Generator, size: tuple[int, int], move: float) -> Window:
    """A random window of an image of `size` (h, w), its middle moved by up to the share `move` of the size."""
    scale, stretch = ZOOM ** random.uniform(-1, 1), _STRETCH ** random.uniform(-1, 1)
    height, width = size[0] * scale / stretch, size[1] * scale * stretch
    down, across = random.uniform(-move, move, 2)
    top, left = (0.5 + down) * size[0] - height / 2, (0.5 + across) * size[1] - width / 2
    return Window(left, top, width, height, bool(random.random() < 0.5))


def moved_pixels(pixels: np.ndarray, window: Window) -> np.ndarray:
    """uint8 (h, w, c) -> the same shape, what the window shows, bilinear; grey beyond the border."""
    height, width, channels = pixels.shape
    across, down = window.width / width, window.height / height
    # Where the corner of the new image lies in the old one, and how far a pixel goes there.
    matrix = (across, 0, window.left, 0, down, window.top)
    if window.mirrored:
        matrix = (-across, 0, window.left + window.width, 0, down, window.top)
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    fill = FILL if channels == 1 else (FILL,) * channels
    moved = picture.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(moved).reshape(pixels.shape)


def moved_boxes(boxes: np.ndarray, window: Window, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) of an image of `size` (h, w) as they lie in the new image, cut off at its border, and which of them
    are still seen, bool (n,)."""
    scale = np.array([size[1] / window.width, size[0] / window.height] * 2)
    there = (boxes - [window.left, window.top] * 2) * scale
    if window.mirrored:
        there = np.stack([size[1] - there[:, 2], there[:, 1], size[1] - there[:, 0], there[:, 3]], axis=1)
    cut = np.clip(there, 0, [size[1], size[0]] * 2)
    sides, whole = cut[:, 2:] - cut[:, :2], there[:, 2:] - there[:, :2]
    seen = (sides.prod(axis=1) >= _LEAST_SEEN * whole.prod(axis=1)) & (sides.min(axis=1, initial=np.inf) >= _LEAST_SIDE)
    return cut, seen


def recoloured(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """uint8 (n, h, w, c) -> float32, 0 to 255: brightness, contrast and channels of each image changed at random."""
    count, channels = len(images), images.shape[3]
    values = images.astype(np.float32)
    middle = values.mean((1, 2, 3), keepdims=True)
    contrast = random.uniform(1 - _CONTRAST, 1 + _CONTRAST, (count, 1, 1, 1)).astype(np.float32)
    light = random.uniform(1 - _LIGHT, 1 + _LIGHT, (count, 1, 1, 1)).astype(np.float32)
    tint = random.uniform(1 - _TINT, 1 + _TINT, (count, 1, 1, channels)).astype(np.float32)
    values -= middle
    values *= contrast * tint
    values += middle * light * tint
    return np.clip(values, 0, 255, out=values)
