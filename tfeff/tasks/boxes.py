"""Boxes: what a detector answers, overlap, and class-aware suppression.

Boxes are float (n, 4), x1 y1 x2 y2 in pixels, x2 and y2 exclusive: a pixel at (3, 5) alone is (3, 5, 4, 6).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """An answer, the surest box first.

    Attributes:
        boxes: float64 (n, 4), pixels of the network's input.
        classes: int64 (n,).
        scores: float64 (n,), 0 to 1.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


def overlaps(boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """(n, m) intersection over union of every box with every other; 0 where both are empty.

    Args:
        boxes, others: (n, 4) and (m, 4).
        crowd: bool (m,), which of `others` is a region of many: of these it is the share of the box that lies in it.
    """
    left, top, right, bottom = boxes.T[:, :, None]  # (n, 1) each
    others_left, others_top, others_right, others_bottom = others.T[:, None]  # (1, m)
    wide = np.minimum(right, others_right) - np.maximum(left, others_left)  # (n, m)
    high = np.minimum(bottom, others_bottom) - np.maximum(top, others_top)
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    own = areas(boxes)[:, None]
    union = own + areas(others)[None] - shared
    if crowd is not None:
        union = np.where(crowd[None], own, union)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def paired_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) intersection over union of each box with the other of its number; 0 where both are empty."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = areas(boxes) + areas(others) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    """(n,) square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Numbers of the boxes that stay, the surest first; of equal scores the first box counts as surer.

    A box is dropped where it overlaps one that stays by more than `threshold`.
    """
    order = np.argsort(-scores, kind="stable")
    overlap = overlaps(boxes[order], boxes[order]) > threshold  # (n, n)
    dropped = np.zeros(len(order), bool)
    for place in range(len(order)):
        if not dropped[place]:
            dropped[place + 1 :] |= overlap[place, place + 1 :]
    return order[~dropped]


def partners(boxes: Detections, others: Detections, least: float) -> np.ndarray:
    """int64 (n,): which of `others` is the partner of each, -1 without one: of the same class, with an IoU of `least`
    or more; each is the partner of one only, the largest overlaps first."""
    found = np.full(len(boxes), -1)
    overlap = overlaps(boxes.boxes, others.boxes)
    overlap[boxes.classes[:, None] != others.classes[None]] = 0
    rows, columns = np.nonzero(overlap >= least)
    taken = np.zeros(len(others), bool)
    for place in np.argsort(-overlap[rows, columns], kind="stable"):
        row, column = rows[place], columns[place]
        if found[row] < 0 and not taken[column]:
            found[row], taken[column] = column, True
    return found
