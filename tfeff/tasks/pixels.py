"""A map of class scores as an answer: which class each pixel of an image has."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

HALF_PIXEL, ALIGN_CORNERS = "half-pixel", "align-corners"
_AT_ONCE = 4_000_000  # scores that are resized at a time


def places(at: np.ndarray, length: int, to: int, resize: str) -> np.ndarray:
    """Where points of an axis of `length` pixels lie in a map of `to` pixels, counted from its first pixel's centre.

    Args:
        at: from the axis' beginning, pixels; a pixel's centre is 0.5 behind its edge.
        resize: `HALF_PIXEL` or `ALIGN_CORNERS`.
    """
    if resize == ALIGN_CORNERS:
        return (at - 0.5) * ((to - 1) / (length - 1) if length > 1 else 0.0)
    return at * to / length - 0.5


@dataclass(frozen=True)
class Pixels:
    """An answer.

    Attributes:
        scores: float32 (h', w', classes), as the file gives them; at most 255 classes.
        rows, columns: float64 (h,), (w,): where the pixels that the answer is of lie in `scores`; what lies outside has
            the scores of the border.
        size: (h, w) of the network's input.
        resize: see `places`.
    """

    scores: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    size: tuple[int, int]
    resize: str

    @classmethod
    def of(cls, labels: np.ndarray) -> "Pixels":
        """The answer that says these classes, (h, w)."""
        classes = int(labels.max(initial=0)) + 1
        rows, columns = (np.arange(side, dtype=np.float64) for side in labels.shape)
        scores = (labels[..., None] == np.arange(classes)).astype(np.float32)
        return cls(scores, rows, columns, (labels.shape[0], labels.shape[1]), HALF_PIXEL)

    def at(self, size: tuple[int, int], scale: tuple[float, float], offset: tuple[float, float]) -> "Pixels":
        """The same answer in the pixels of an image.

        Args:
            size: (h, w) of the image.
            scale, offset: (y, x) from the image's pixels to the input's: times `scale`, and `offset` more.
        """
        axes = zip(size, scale, offset, self.size, self.scores.shape[:2], strict=True)
        rows, columns = (
            places((np.arange(side) + 0.5) * factor + more, length, to, self.resize)
            for side, factor, more, length, to in axes
        )
        return replace(self, rows=rows, columns=columns)

    @cached_property
    def labels(self) -> np.ndarray:
        """uint8 (h, w), the class of each pixel; of equal scores the first."""
        across = _between(self.scores.transpose(1, 0, 2), self.columns).transpose(1, 0, 2)  # (h', w, classes)
        found = np.empty((len(self.rows), len(self.columns)), np.uint8)
        most = max(1, _AT_ONCE // max(1, across.shape[1] * across.shape[2]))
        for start in range(0, len(self.rows), most):
            found[start : start + most] = _between(across, self.rows[start : start + most]).argmax(axis=2)
        return found


def _between(values, at):
    """Linear interpolation along the first axis, float32."""
    at = np.clip(at, 0, len(values) - 1)
    low = np.floor(at).astype(np.int64)
    share = (at - low).astype(np.float32)[:, None, None]
    below = values[low]
    return below + (values[np.minimum(low + 1, len(values) - 1)] - below) * share


def colours(count: int) -> np.ndarray:
    """float32 (count, 3), 0 to 255: PASCAL VOC's colours of the first classes; the background is black."""
    found = np.zeros((count, 3), np.int64)
    for number in range(count):
        rest = number
        for bit in range(7, -1, -1):
            for channel in range(3):
                found[number, channel] |= (rest >> channel & 1) << bit
            rest >>= 3
    return found.astype(np.float32)
