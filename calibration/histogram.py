"""Exact counts of float values in bins that their own bits define.

A bin is a float32's sign, exponent and first 9 bits of mantissa, so it is at most 1/512 of its value wide, whatever the
scale, and known before any value is seen. Counts are integers: histograms of the same values are the same, bit for bit,
in whatever order and portions the values came, and their size does not depend on how many there were.
"""

import numpy as np

_DROPPED = 14  # of 23 bits of mantissa
_OCTAVE = 1 << (23 - _DROPPED)  # bins between a power of two and the next
_LOWEST, _HIGHEST = -32, 32  # powers of two: what is smaller counts as 0, what is larger as the last bin
_BINS = (_HIGHEST - _LOWEST) * _OCTAVE  # on each side of 0
_BASE = (127 + _LOWEST) * _OCTAVE


def _edges():
    """The lower edge of each bin above 0, and the upper edge of the last: float64 (bins + 1,)."""
    bits = (_BASE + np.arange(_BINS + 1, dtype=np.uint32)) << _DROPPED
    return bits.view(np.float32).astype(np.float64)


class Histogram:
    """Counts of the values of one tensor."""

    def __init__(self):
        self._counts = np.zeros(2 * _BINS + 1, np.int64)  # below 0, 0 itself, above 0; ascending

    def add(self, values: np.ndarray) -> None:
        """Counts float32 values of any shape, all finite."""
        self._count(values, 1)

    def remove(self, values: np.ndarray) -> None:
        """Takes off values that were counted."""
        self._count(values, -1)

    def _count(self, values, times):
        bits = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.int32)
        magnitude = np.clip(((bits & 0x7FFFFFFF) >> _DROPPED) - (_BASE - 1), 0, _BINS)
        number = _BINS + np.where(bits < 0, -magnitude, magnitude)
        first = int(number.min())
        counted = np.bincount(number - first)
        self._counts[first : first + len(counted)] += times * counted

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(lower edges, upper edges, counts) of the bins that are not empty, ascending; 0 has a bin without width."""
        (used,) = np.nonzero(self._counts)
        edges = _edges()
        rank = np.abs(used - _BINS)
        near = np.where(rank > 0, edges[np.maximum(rank - 1, 0)], 0.0)
        far = np.where(rank > 0, edges[rank], 0.0)
        below = used < _BINS
        return np.where(below, -far, near), np.where(below, -near, far), self._counts[used]
