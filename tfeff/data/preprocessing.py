"""Preprocessing as a value: the one way from an image to a network's input, in training, calibration and comparison."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tfeff.errors import TfeffError

_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}
WAYS = ("exact", "cover", "fit")
FILL = 114  # grey, as detectors' letterbox has it
_LONGEST = 2**15  # pixels of a side
_LARGEST = 2**24  # pixels of an image that is resized whole before the centre is cut out


@dataclass(frozen=True)
class Placement:
    """Where an image lies in a network's input: there = here * scale + offset, both (y, x).

    Attributes:
        scale: pixels of the input to a pixel of the image.
        offset: of the image's corner, in pixels of the input; below 0 where it is cut off.
        size: (h, w) of the image.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    size: tuple[int, int]

    def there(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) x1 y1 x2 y2 in pixels of the image -> in pixels of the input, not cut off."""
        return np.asarray(boxes, np.float64) * _twice(self.scale) + _twice(self.offset)

    def back(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) in pixels of the input -> in pixels of the image, cut off at its border."""
        found = (np.asarray(boxes, np.float64) - _twice(self.offset)) / _twice(self.scale)
        return np.clip(found, 0, _twice(self.size))


@dataclass(frozen=True)
class Preprocessing:
    """How an 8-bit image of any size becomes a network's input.

    1. Resize with Pillow's bilinear filter (it averages when it shrinks): `exact` to `resize_size`, whatever the shape;
       `cover` so that the image, its proportions kept, just covers `resize_size`; `fit` so that it just fits in.
    2. Cut out the centre, `size`; after `fit` fill up around the image to `size`. An odd remainder leaves the extra
       pixel at the bottom and right.
    3. Colour order: `rgb`, `bgr`, or `gray` (one channel, ITU-R 601). A grey image is repeated into three channels.
    4. float32 (pixel - mean) / std, per channel, pixels in 0..255.

    Attributes:
        size: (h, w) of the network's input, pixels.
        resize: "exact", "cover" or "fit".
        resize_size: (h, w) to resize to before the centre is cut out; `size` when nothing is cut off, as with "fit".
        colour: "rgb", "bgr" or "gray".
        mean, std: one value per channel, in pixel values (0..255).
        fill: what stands around the image after "fit", 0..255, in every channel.
    """

    size: tuple[int, int]
    resize: str = "exact"
    resize_size: tuple[int, int] | None = None
    colour: str = "rgb"
    mean: tuple[float, ...] = (128.0, 128.0, 128.0)
    std: tuple[float, ...] = (128.0, 128.0, 128.0)
    fill: int = FILL

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(int(v) for v in self.size))
        object.__setattr__(self, "resize_size", tuple(int(v) for v in self.resize_size or self.size))
        object.__setattr__(self, "mean", tuple(float(v) for v in self.mean))
        object.__setattr__(self, "std", tuple(float(v) for v in self.std))
        if self.resize not in WAYS:
            raise TfeffError(f"preprocessing: resize must be 'exact', 'cover' or 'fit', not {self.resize!r}")
        if isinstance(self.fill, bool) or not isinstance(self.fill, int) or not 0 <= self.fill <= 255:
            raise TfeffError(f"preprocessing: fill must be a whole number from 0 to 255, not {self.fill!r}")
        if self.colour not in _CHANNELS:
            raise TfeffError(f"preprocessing: colour must be one of {', '.join(_CHANNELS)}, not {self.colour!r}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise TfeffError(
                f"preprocessing: mean and std need {self.channels} values each for colour {self.colour!r}, "
                f"not {len(self.mean)} and {len(self.std)}"
            )
        if not all(s > 0 for s in self.std) or not np.isfinite([*self.mean, *self.std]).all():
            raise TfeffError(f"preprocessing: mean {self.mean} and std {self.std} must be finite, every std above 0")
        if not len(self.size) == len(self.resized) == 2 or min(self.size) < 1:
            raise TfeffError(f"preprocessing: sizes are (h, w), at least 1, not {self.size} and {self.resize_size}")
        if max(self.resized) > _LONGEST:
            raise TfeffError(f"preprocessing: resizes to {self.resized}, no image is so large", "export it anew")
        if self.resized[0] < self.size[0] or self.resized[1] < self.size[1]:
            raise TfeffError(f"preprocessing: cannot cut {self.size} out of an image resized to {self.resize_size}")
        if self.resize == "fit" and self.resized != self.size:
            raise TfeffError(f"preprocessing: 'fit' fills up to {self.size}, so it resizes to that, not {self.resized}")

    @property
    def channels(self) -> int:
        return _CHANNELS[self.colour]

    @property
    def resized(self) -> tuple[int, int]:
        """(h, w) that an image is resized to before the centre is cut out."""
        return self.resize_size or self.size

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the network's input."""
        return (*self.size, self.channels)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """Steps 1 to 3: uint8 (h, w), (h, w, 1) or (h, w, 3) in RGB order -> uint8 `shape`."""
        picture = self._sized(Image.fromarray(check_image(image)))
        if self.colour == "gray":
            return np.asarray(picture.convert("L"))[..., None]
        pixels = np.asarray(picture.convert("RGB"))
        return np.ascontiguousarray(pixels[..., ::-1]) if self.colour == "bgr" else pixels

    def _sized(self, picture: Image.Image) -> Image.Image:
        """Steps 1 and 2; memory is bounded by the image's and the input's size, whatever the image's proportions."""
        width, height = picture.size
        to_height, to_width = self._resized_to(height, width)
        if self.resize == "fit":
            return self._filled_up(picture.resize((to_width, to_height), Image.Resampling.BILINEAR))
        top, left = (to_height - self.size[0]) // 2, (to_width - self.size[1]) // 2
        whole = (to_height, to_width) == self.size
        if to_height * to_width > _LARGEST and not whole:  # only what is cut out, by the same filter
            across, down = width / to_width, height / to_height
            right, bottom = min(width, (left + self.size[1]) * across), min(height, (top + self.size[0]) * down)
            box = (left * across, top * down, right, bottom)
            return picture.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR, box=box)
        if (to_width, to_height) != picture.size:
            picture = picture.resize((to_width, to_height), Image.Resampling.BILINEAR)
        return picture if whole else picture.crop((left, top, left + self.size[1], top + self.size[0]))

    def _resized_to(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) that an image of this size is resized to."""
        to_height, to_width = self.resized
        if self.resize == "cover":
            scale = max(to_height / height, to_width / width)
            return max(to_height, int(height * scale + 0.5)), max(to_width, int(width * scale + 0.5))
        if self.resize == "fit":
            scale = min(to_height / height, to_width / width)
            return _within(int(height * scale + 0.5), to_height), _within(int(width * scale + 0.5), to_width)
        return to_height, to_width

    def _filled_up(self, picture: Image.Image) -> Image.Image:
        if picture.mode != "L":
            picture = picture.convert("RGB")
        whole = Image.new(picture.mode, self.size[::-1], self.fill if picture.mode == "L" else (self.fill,) * 3)
        whole.paste(picture, ((self.size[1] - picture.width) // 2, (self.size[0] - picture.height) // 2))
        return whole

    def placement(self, height: int, width: int) -> Placement:
        """Where an image of this size lies in the network's input."""
        to_height, to_width = self._resized_to(height, width)
        free = self.size[0] - to_height, self.size[1] - to_width  # below 0 where it is cut off
        offset = [each // 2 if each >= 0 else -(-each // 2) for each in free]
        return Placement((to_height / height, to_width / width), (float(offset[0]), float(offset[1])), (height, width))

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """Step 4: uint8 (..., h, w, c) -> float32 of the same shape."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return (pixels.astype(np.float32) - mean) / std

    @property
    def as_it_is(self) -> bool:
        """Whether pixels stay the whole numbers that they are, 0 to 255."""
        return not any(self.mean) and all(each == 1 for each in self.std)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """All steps: uint8 image -> float32 `shape`."""
        return self.normalize(self.pixels(image))

    def as_dict(self) -> dict[str, Any]:
        """The form that the record and the preset carry."""
        return {
            "resize": {
                "mode": self.resize, "height": self.resized[0], "width": self.resized[1],
                "filter": "bilinear", **({"fill": self.fill} if self.resize == "fit" else {}),
            },
            "crop": {"mode": "center", "height": self.size[0], "width": self.size[1]},
            "colour": self.colour,
            "mean": list(self.mean),
            "std": list(self.std),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Preprocessing":
        """Reads `as_dict`'s form; raises TfeffError when it is not that."""
        try:
            resize, crop = value["resize"], value["crop"]
            if resize["filter"] != "bilinear" or crop["mode"] != "center":
                raise KeyError("filter or crop mode")
            return cls(
                size=(crop["height"], crop["width"]),
                resize=resize["mode"],
                resize_size=(resize["height"], resize["width"]),
                colour=value["colour"],
                mean=tuple(value["mean"]),
                std=tuple(value["std"]),
                fill=resize.get("fill", FILL),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TfeffError(f"preprocessing {json.dumps(value)[:200]} is not understood ({error})") from None


def from_record(value: Any) -> Preprocessing | None:
    """The preprocessing of a record's port (`record.schema.Preprocessing`); None for a port without one."""
    if value is None:
        return None
    return Preprocessing(
        size=(value.crop.height, value.crop.width),
        resize=value.resize.mode,
        resize_size=(value.resize.height, value.resize.width),
        colour=value.colour,
        mean=tuple(value.mean),
        std=tuple(value.std),
        fill=value.resize.filled,
    )


def _twice(pair: tuple[float, float]) -> np.ndarray:
    """(y, x) for the sides x1 y1 x2 y2 of a box."""
    return np.array([pair[1], pair[0]] * 2, np.float64)


def _within(value: int, most: int) -> int:
    return max(1, min(value, most))


def check_image(image: np.ndarray) -> np.ndarray:
    """Returns an image as uint8 (h, w) or (h, w, 3); raises TfeffError for any other kind."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.dtype != np.uint8:
        raise TfeffError(f"an image of dtype {image.dtype}", "give 8-bit images (uint8, 0..255)")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or 0 in image.shape:
        raise TfeffError(f"an image of shape {image.shape}", "give (h, w), (h, w, 1) or (h, w, 3) in RGB order")
    return image
