"""mIoU: the mean over classes of intersection over union, of all images' pixels together."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.tasks.base import GroupValue, Metric
from tfeff.tasks.pixels import Pixels

IGNORED = -1  # in a mask: a pixel that does not count


class MeanIoU(Metric[Pixels]):
    """Of the confusion matrix n[true][predicted] of all images, IoU of class i = n_ii / (row i + column i - n_ii), and
    its mean over the classes that occur, as true or as predicted ones. Pixels that the mask leaves out do not count.

    The matrix of each image is not kept: its diagonal and its sums of rows and columns are enough. The answers are kept
    compressed, to tell which pixels changed.
    """

    name, unit, higher_is_better = "mIoU", "%", True

    def __init__(self, labels: Sequence[str] = ()):
        self._labels = tuple(labels)
        self._sums: list[np.ndarray] = []  # an image: (3, classes), pixels that are right, true and predicted
        self._answers: list[bytes] = []
        self._stacked: np.ndarray | None = None

    def add(self, prediction: Pixels, annotation: Any) -> None:
        labels = prediction.labels
        if labels.shape != annotation.shape:
            raise TfeffError(
                f"a mask of {annotation.shape[0]}x{annotation.shape[1]} for an image of "
                f"{labels.shape[0]}x{labels.shape[1]}, height x width",
                "give masks of the size of their images",
            )
        valid, classes = annotation > IGNORED, prediction.scores.shape[2]
        true, predicted = annotation[valid], labels[valid]
        parts = (true[true == predicted], true, predicted)
        self._sums.append(np.stack([np.bincount(part, minlength=classes) for part in parts]))
        self._answers.append(zlib.compress(labels.tobytes(), 1))
        self._stacked = None

    @property
    def count(self) -> int:
        return len(self._sums)

    def value(self, weights: np.ndarray | None = None) -> float:
        return float(self.values(np.ones((1, self.count)) if weights is None else np.asarray(weights)[None])[0])

    def values(self, weights: np.ndarray) -> np.ndarray:
        right, true, predicted = (weights.astype(np.float64) @ part for part in self._all())  # (draws, classes)
        union = true + predicted - right
        occurs = union > 0
        ious = np.where(occurs, right / np.maximum(union, 1), 0.0)
        return 100 * ious.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1)

    def groups(self) -> list[GroupValue]:
        """By class, those that are in the masks; `samples` are images."""
        right, true, predicted = self._all()
        images, union = (true > 0).sum(axis=0), (true + predicted - right).sum(axis=0)
        return [
            GroupValue(
                self._labels[number] if number < len(self._labels) else str(number),
                float(100 * right[:, number].sum() / union[number]), int(images[number]),
            )
            for number in np.flatnonzero(images)
        ]  # fmt: skip

    @property
    def classes(self) -> int:
        """How many classes the mean is over."""
        right, true, predicted = self._all()
        return int(((true + predicted - right).sum(axis=0) > 0).sum())

    def pixel_accuracy(self) -> float:
        """Percent of the pixels whose class is right."""
        right, true, _ = self._all()
        return float(100 * right.sum() / max(1, true.sum()))

    def agreement(self, other: "MeanIoU") -> np.ndarray:
        """(n,) percent of each image's pixels that have the same class in both; all pixels, in the masks or not."""
        pairs = zip(self._answers, other._answers, strict=True)
        both = ([np.frombuffer(zlib.decompress(each), np.uint8) for each in pair] for pair in pairs)
        return np.array([100 * float((one == two).mean()) for one, two in both])

    def _all(self):
        """(3, n, classes)"""
        if self._stacked is None:
            self._stacked = np.stack(self._sums, axis=1)
        return self._stacked
