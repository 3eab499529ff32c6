"""Searches for a range over a histogram: the least squared error, and the least divergence."""

import numpy as np

_LEVELS = 256
_FINE = 16  # candidates between a bound and its half
_HALVINGS = 10  # the narrowest candidate is 1/1024 of the range
_COARSE = 2.0 ** -(np.arange(_FINE * _HALVINGS + 1) / _FINE)  # of the widest bound
_CLOSER = 2.0 ** (np.arange(-_FINE, _FINE + 1) / _FINE**2)  # of the best bound so far
_LINEAR_BINS, _STRIDE = 2048, 8  # of the entropy method, as published; thresholds are that many bins apart


def least_error(
    lows: np.ndarray, highs: np.ndarray, counts: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """The range whose 256 steps give the least squared error.

    Both bounds are moved in turn over bound * 2^(-k/16) until neither moves; then once more by sixteenths of that. A
    bin stands for four values, the middles of its quarters.

    Args:
        lows, highs, counts: bins, ascending.
        low, high: smallest and largest value.
    """
    sums = _sums(lows, highs, counts, low, high)
    bounds = [min(low, 0.0), max(high, 0.0)]
    if bounds[0] == bounds[1]:
        return low, high
    best = _error(*sums, *bounds)
    widest = tuple(bounds)
    for ratios in (_COARSE, _CLOSER):
        moved = True
        while moved:
            moved = False
            for side in (0, 1):
                start = widest[side] if ratios is _COARSE else bounds[side]
                for bound in start * ratios if start else ():
                    tried = [bound, bounds[1]] if side == 0 else [bounds[0], bound]
                    error = _error(*sums, *tried)
                    if error < best:
                        best, bounds, moved = error, tried, True
    return bounds[0], bounds[1]


def _sums(lows, highs, counts, low, high):
    """Values that stand for the bins, eight to a step at the top of the range; sums up to each of 1, value, value^2."""
    parts = 4
    lows, highs = np.clip(lows, low, high), np.clip(highs, low, high)
    at = (np.arange(parts) + 0.5) / parts
    values, weights = (lows[:, None] + (highs - lows)[:, None] * at).reshape(-1), np.repeat(counts / parts, parts)
    return values, *(np.concatenate([[0.0], np.cumsum(weights * values**power)]) for power in (0, 1, 2))


def _error(values, numbers, firsts, seconds, low, high):
    """Squared error of all values, quantized as the runtime would: 0 is one of the steps."""
    step = (high - low) / (_LEVELS - 1)
    real = (np.arange(_LEVELS) - np.round(-low / step)) * step
    bounds = np.searchsorted(values, real[:-1] + step / 2)
    bounds = np.concatenate([[0], bounds, [len(values)]])
    count, first = np.diff(numbers[bounds]), np.diff(firsts[bounds])
    return float(seconds[-1] - 2 * real @ first + real**2 @ count)


def least_divergence(
    lows: np.ndarray, highs: np.ndarray, counts: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """The range by the least Kullback-Leibler divergence of quantized from clipped magnitudes.

    As published (Migacz, 2017): 2,048 equal bins of |value|, every 8th threshold from the number of levels on, those
    beyond it added to its last bin; 128 levels where values lie on both sides of 0, 256 where on one. 0 itself, which
    every threshold keeps exactly, has no say.

    Args:
        lows, highs, counts: bins, ascending.
        low, high: smallest and largest value.
    """
    largest = max(-low, high)
    if largest <= 0:
        return low, high
    levels = _LEVELS if low >= 0 or high <= 0 else _LEVELS // 2
    bins = _linear(lows, highs, counts, largest)
    if not bins.any():
        return low, high
    best, threshold = np.inf, largest
    beyond = bins.sum() - np.cumsum(bins)
    for kept in range(levels, _LINEAR_BINS + 1, _STRIDE):
        divergence = _divergence(bins[:kept], beyond[kept - 1], levels)
        if divergence < best:
            best, threshold = divergence, largest * kept / _LINEAR_BINS
    return max(low, -threshold), min(high, threshold)


def _linear(lows, highs, counts, largest):
    """Counts of magnitudes in equal bins up to `largest`; a bin that straddles an edge is shared by its overlap."""
    near, far = np.minimum(np.abs(lows), np.abs(highs)), np.maximum(np.abs(lows), np.abs(highs))
    some = far > 0
    near, far, counts = near[some], np.minimum(far[some], largest), counts[some].astype(np.float64)
    near = np.minimum(near, far)
    order = np.argsort(near, kind="stable")
    near, far, counts = near[order], far[order], counts[order]
    edges = np.linspace(0, largest, _LINEAR_BINS + 1)
    width = np.maximum(far - near, 1e-300)
    total = np.zeros(_LINEAR_BINS)
    first = np.minimum(np.searchsorted(edges, near, side="right") - 1, _LINEAR_BINS - 1)
    last = np.minimum(np.searchsorted(edges, far, side="left") - 1, _LINEAR_BINS - 1)
    inside = first >= last
    np.add.at(total, first[inside], counts[inside])
    for number in np.nonzero(~inside)[0]:
        span = np.arange(first[number], last[number] + 1)
        overlap = np.minimum(edges[span + 1], far[number]) - np.maximum(edges[span], near[number])
        total[span] += counts[number] * overlap / width[number]
    return total


def _divergence(bins, beyond, levels):
    """KL of the clipped distribution from itself in so many levels; infinite where a level has lost what was there."""
    level = np.arange(len(bins)) * levels // len(bins)
    filled = bins > 0
    mass = np.bincount(level, bins, levels)
    share = mass / np.maximum(np.bincount(level, filled, levels), 1)
    quantized = np.where(filled, share[level], 0.0)
    clipped = bins.copy()
    clipped[-1] += beyond
    if quantized[-1] == 0 and clipped[-1] > 0:
        return np.inf
    seen = clipped > 0
    p, q = clipped[seen] / clipped.sum(), quantized[seen] / quantized.sum()
    return float(p @ np.log(p / q))
