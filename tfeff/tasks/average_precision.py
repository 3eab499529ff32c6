"""Average precision of boxes, as COCO and as PASCAL VOC 2007 define it.

COCO: mean over classes and over IoU thresholds 0.50, 0.55, ... 0.95 of the mean, at 101 recalls, of the largest
precision at that recall or a higher one (pycocotools computes the same). VOC 2007: IoU 0.5, 11 recalls.

Boxes are matched once, when an image is added; a resample of the images only weighs what is kept of that, so that a
thousand of them take seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.tasks.base import GroupValue, Metric
from tfeff.tasks.boxes import Detections, overlaps

IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_VOC_RECALLS = np.arange(11) / 10
_MOST = 100  # detections of an image and class
_AT_ONCE = 300_000  # numbers in memory for resamples
_EXACT = 2**24  # up to which float32 holds every whole number
_BITS = 1 << np.arange(len(IOUS))
_FALSE, _TRUE, _IGNORED = 0, 1, 2  # by VOC


@dataclass(frozen=True)
class _Class:
    """What is kept of a class: its detections by falling score.

    Attributes:
        images: int (n,), which sample each is of.
        true, ignored: of each IoU threshold the places of those that found a box, and of those that do not count.
        voc_true, voc_ignored: the same by VOC's rules.
        boxes: int (samples,), how many boxes are to be found in each.
    """

    images: np.ndarray
    true: list[np.ndarray]
    ignored: list[np.ndarray]
    voc_true: np.ndarray
    voc_ignored: np.ndarray
    boxes: np.ndarray


class AveragePrecision(Metric[Detections]):
    """mAP over classes and IoU thresholds, percent. It keeps 20 bytes a detection, and 24 of one that is shown."""

    name, unit, higher_is_better = "mAP", "%", True

    def __init__(self, labels: Sequence[str] = (), shown: float = 0.5):
        """
        Args:
            labels: names of the classes, where they have any.
            shown: the score from which on a detection is one that people see; see `changed`.
        """
        self._labels, self._shown = tuple(labels), shown
        self._count = 0
        self._found: list[tuple[np.ndarray, ...]] = []  # of each sample: classes, scores, true, ignored, voc
        self._wanted: list[np.ndarray] = []  # classes of the boxes to be found
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []  # classes and boxes of the shown ones
        self._classes: dict[int, _Class] | None = None

    def add(self, prediction: Detections, annotation: Any) -> None:
        """Takes one image.

        Args:
            annotation: with `boxes` (m, 4), `classes` (m,), and bool (m,) `crowd` (a region of many: any number of
                detections in it are neither right nor wrong) and `difficult` (it need not be found).
        """
        classes, scores = prediction.classes, prediction.scores
        order = np.lexsort((np.arange(len(scores)), -scores, classes))
        place = np.arange(len(order)) - np.searchsorted(classes[order], classes[order])
        kept = order[place < _MOST]  # by class, the surest first
        boxes, classes, scores = prediction.boxes[kept], classes[kept], scores[kept]
        skipped = annotation.crowd | annotation.difficult
        overlap = overlaps(boxes, annotation.boxes, annotation.crowd)
        overlap[classes[:, None] != annotation.classes[None]] = -1
        true, ignored = _match(overlap, skipped, annotation.crowd)
        voc = _match_voc(overlap, skipped)
        self._found.append((
            classes.astype(np.int32), scores.astype(np.float64), (true @ _BITS).astype(np.uint16),
            (ignored @ _BITS).astype(np.uint16), voc,
        ))  # fmt: skip
        self._wanted.append(annotation.classes[~skipped].astype(np.int32))
        seen = scores >= self._shown
        self._seen.append((classes[seen].astype(np.int32), boxes[seen].astype(np.float32)))
        self._count += 1
        self._classes = None

    @property
    def count(self) -> int:
        return self._count

    @property
    def boxes(self) -> int:
        """How many boxes are to be found."""
        return sum(map(len, self._wanted))

    def value(self, weights: np.ndarray | None = None) -> float:
        weights = np.ones(self._count) if weights is None else np.asarray(weights)
        return float(self.values(weights[None])[0])

    def values(self, weights: np.ndarray) -> np.ndarray:
        return 100 * _over_classes(self._by_class(weights).mean(axis=1))

    def at(self, iou: float) -> float:
        """mAP at one of the IoU thresholds, percent."""
        return float(self.at_each([iou], np.ones((1, self._count)))[0, 0])

    def at_each(self, ious: Sequence[float], weights: np.ndarray) -> np.ndarray:
        """(thresholds, draws) mAP at some of the IoU thresholds, percent, in resamples `weights`, (draws, samples)."""
        rows = [int(np.flatnonzero(np.isclose(IOUS, iou))[0]) for iou in ious]
        values = self._by_class(weights, rows)
        return 100 * np.stack([_over_classes(values[:, place]) for place in range(len(rows))])

    def voc07(self) -> float:
        """mAP by the rules of PASCAL VOC 2007, percent: each detection is of the box that it overlaps most, whether
        another has found it or not, and what is of a difficult one does not count."""
        weights = np.ones((self._count, 1))
        parts = [_precision(each.images, each.voc_true, each.voc_ignored, weights, each.boxes @ weights, _VOC_RECALLS)
                 for each in self._tables().values()]  # fmt: skip
        return float(100 * _over_classes(np.array(parts).reshape(-1, 1))[0])

    def groups(self) -> list[GroupValue]:
        """By class; `samples` are the boxes to be found, and a class without any is left out."""
        values = 100 * self._by_class(np.ones((1, self._count))).mean(axis=1)[:, 0]
        rows = []
        for (number, table), value in zip(self._tables().items(), values, strict=True):
            label = self._labels[number] if number < len(self._labels) else str(number)
            if total := int(table.boxes.sum()):
                rows.append(GroupValue(label, float(value), total))
        return rows

    def changed(self, other: "AveragePrecision", least: float = 0.9) -> tuple[float, int]:
        """Share in percent of the shown detections of both that have no partner in the other: one of the same class
        with an IoU of `least` or more, each for one only; and how many detections are shown of both."""
        total = alone = 0
        for (classes, boxes), (theirs, others) in zip(self._seen, other._seen, strict=True):
            overlap = overlaps(boxes.astype(np.float64), others.astype(np.float64))
            overlap[classes[:, None] != theirs[None]] = 0
            total += overlap.shape[0] + overlap.shape[1]
            alone += overlap.shape[0] + overlap.shape[1] - 2 * _pairs(overlap, least)
        return (100 * alone / total if total else 0.0), total

    def _by_class(self, weights: np.ndarray, rows: Sequence[int] = range(len(IOUS))) -> np.ndarray:
        """AP of each class and IoU threshold in each of the resamples, (classes, rows, draws); NaN without a box.

        Args:
            rows: which of the thresholds.
        """
        tables = self._tables()
        longest = max((len(table.images) for table in tables.values()), default=0)
        kind = np.float32 if weights.max(initial=0) * longest < _EXACT else np.float64  # half the memory to move
        result = np.full((len(tables), len(rows), len(weights)), np.nan)
        for number, table in enumerate(tables.values()):
            for part in _portions(len(weights), len(table.images)):
                drawn = np.ascontiguousarray(weights[part].T, kind)  # (samples, draws)
                wanted = table.boxes @ drawn.astype(np.float64)
                running = drawn.take(table.images, axis=0)  # (n, draws)
                np.cumsum(running, axis=0, out=running)  # detections so far
                for place, row in enumerate(rows):
                    result[number, place, part] = _precision(
                        table.images, table.true[row], table.ignored[row], drawn, wanted, _RECALLS, running
                    )
        return result

    def _tables(self) -> dict[int, _Class]:
        if self._classes is not None:
            return self._classes
        images = np.repeat(np.arange(self._count, dtype=np.int32), [len(each[0]) for each in self._found])
        found = [np.concatenate(parts) for parts in zip(*self._found, strict=True)]
        holders = np.repeat(np.arange(self._count, dtype=np.int32), [len(each) for each in self._wanted])
        wanted = np.concatenate(self._wanted) if self._wanted else np.zeros(0, np.int32)
        self._classes = {}
        for number in map(int, np.unique(wanted)):
            of = np.flatnonzero(found[0] == number) if found else np.zeros(0, int)
            of = of[np.argsort(-found[1][of], kind="stable")]
            true, ignored, voc = (part[of] for part in found[2:])
            self._classes[number] = _Class(
                images[of],
                [np.flatnonzero(true & bit) for bit in _BITS],
                [np.flatnonzero(ignored & bit) for bit in _BITS],
                np.flatnonzero(voc == _TRUE),
                np.flatnonzero(voc == _IGNORED),
                np.bincount(holders[wanted == number], minlength=self._count),
            )
        return self._classes


def _match(overlap: np.ndarray, skipped: np.ndarray, crowd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO's matching of an image's detections, in the order of their scores, by each IoU threshold.

    Each takes the free box that it overlaps most, of equal ones the last; one that need not be found only where no
    other is left, and then it does not count.

    Returns:
        bool (n, 10): found a box; and found what need not be found.
    """
    found, ignored = np.zeros((2, len(overlap), len(IOUS)), bool)
    free = np.ones((len(IOUS), overlap.shape[1]), bool)
    least = np.minimum(IOUS, 1 - 1e-10)[:, None]
    numbers = np.arange(overlap.shape[1])
    for number in np.flatnonzero((overlap >= IOUS[0]).any(axis=1)):
        row = overlap[number]
        order = np.lexsort((numbers, row, ~skipped))[::-1]
        order = order[row[order] >= IOUS[0]]
        may = (row[order] >= least) & (free[:, order] | crowd[order])  # (10, boxes)
        first = order[may.argmax(axis=1)]
        some = may.any(axis=1)
        free[np.flatnonzero(some), first[some]] = False
        found[number], ignored[number] = some & ~skipped[first], some & skipped[first]
    return found, ignored


def _match_voc(overlap: np.ndarray, skipped: np.ndarray) -> np.ndarray:
    """VOC's matching (devkit of 2007, section 4.4): uint8 (n,), false, true or ignored."""
    result = np.zeros(len(overlap), np.uint8)
    taken = np.zeros(overlap.shape[1], bool)
    for number in np.flatnonzero((overlap >= 0.5).any(axis=1)):
        box = int(overlap[number].argmax())
        if skipped[box]:
            result[number] = _IGNORED
        elif not taken[box]:
            result[number], taken[box] = _TRUE, True
    return result


def _precision(
    images: np.ndarray,
    true: np.ndarray,
    ignored: np.ndarray,
    drawn: np.ndarray,
    wanted: np.ndarray,
    recalls: np.ndarray,
    running: np.ndarray | None = None,
) -> np.ndarray:
    """(draws,) mean over `recalls` of the largest precision at that recall or a higher one; NaN without a box.

    Only the detections that found a box need be looked at: between two of them the precision falls and the recall
    stays.

    Args:
        images, true, ignored: see `_Class`.
        drawn: (samples, draws) how often each sample was drawn.
        wanted: (draws,) boxes to be found.
        recalls: rising, evenly from 0 to 1.
        running: (n, draws) sum of `drawn` over the detections up to each.
    """
    if running is None:
        running = np.cumsum(drawn[images], axis=0)
    right = np.cumsum(drawn[images[true]], axis=0, dtype=np.float64)  # (k, draws)
    told = running[true]
    if len(ignored):
        none = np.zeros((1, drawn.shape[1]))
        told = told - np.concatenate([none, np.cumsum(drawn[images[ignored]], axis=0)])[np.searchsorted(ignored, true)]
    precision = right / np.maximum(told, 1e-30)  # none of those drawn: 0
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = right / wanted
    reached = _reached(np.where(wanted > 0, recall, 0.0), recalls)  # (k, draws)
    before = np.concatenate([np.zeros((1, drawn.shape[1]), int), reached[:-1]]) if len(reached) else reached
    total = ((reached - before) * best).sum(axis=0) / len(recalls)
    return np.where(wanted > 0, total, np.nan)


def _reached(recall: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """How many of `recalls` lie at or below each; quicker than a search, and exact."""
    steps = len(recalls) - 1
    ends = np.append(recalls, np.inf)
    count = (recall * steps).astype(np.int64)  # `recalls[count]` is that value but for rounding
    count += ends[count + 1] <= recall
    return count + (ends[count] <= recall)


def _over_classes(values: np.ndarray) -> np.ndarray:
    """(draws,) mean over the classes that have a box; 0 where none has."""
    there = ~np.isnan(values)
    return np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)


def _pairs(overlap: np.ndarray, least: float) -> int:
    """How many pairs there are, the largest overlap first, each in one only."""
    rows, columns = np.nonzero(overlap >= least)
    order = np.argsort(-overlap[rows, columns], kind="stable")
    left, right = set(), set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in left and column not in right:
            left.add(row)
            right.add(column)
    return len(left)


def _portions(draws: int, width: int) -> Iterator[slice]:
    """Of the draws, so many at a time that memory stays small."""
    most = max(1, _AT_ONCE // max(1, width))
    for start in range(0, draws, most):
        yield slice(start, min(draws, start + most))
