"""Intervals of medians by bootstrap, and what a ratio of two artifacts' times may be called."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Verdict = Literal["faster", "slower", "no difference"]

RESAMPLES = 2000
# A difference below this is never called one. Two processes that run the very same file differ by 0.2 % (standard
# deviation, models of 0.1 to 0.5 ms) to 0.8 % (4 us), because each gets its own memory layout; rounds cannot see that.
SMALLEST_DIFFERENCE = 0.01


def median_interval(values: ArrayLike, seed: int = 0, level: float = 0.95) -> tuple[float, float, float]:
    """The median of a sample and its percentile bootstrap interval.

    The same as `scipy.stats.bootstrap(..., np.median, method="percentile")`, in a few lines, because importing
    scipy.stats takes longer than timing a small model.

    Args:
        values: the sample, shape (n,), n >= 1; here one figure a round.
        seed: of the resampling; the same seed and values give the same interval.
        level: of confidence.

    Returns:
        median, low end, high end, in the unit of `values`.
    """
    values = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))  # (resamples, n)
    medians = np.median(values[drawn], axis=1)  # (resamples, n) -> (resamples,)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return float(np.median(values)), float(low), float(high)


def paired_ratio(a: ArrayLike, b: ArrayLike, seed: int = 0) -> tuple[float, float, float]:
    """Median of the per-round ratios a / b and its 95 % bootstrap interval.

    The rounds are resampled as pairs: a round in which the whole machine was slow was slow for both, and cancels.

    Args:
        a, b: times of two artifacts in the same rounds, shape (rounds,), any one unit.
    """
    return median_interval(np.asarray(a, np.float64) / np.asarray(b, np.float64), seed)


def verdict(ratio: float, low: float, high: float, launches: Sequence[float] = ()) -> Verdict:
    """What a ratio of times a / b says of a: "faster", "slower" or "no difference".

    There is a difference when three things hold: the 95 % interval does not hold 1; the ratio is at least
    `SMALLEST_DIFFERENCE` from 1; and so is that of every launch, with processes of its own, on the same side. The last
    guards against a process that was unlucky with its memory layout or its core, which rounds cannot tell.

    Args:
        ratio, low, high: from `paired_ratio`, over all rounds.
        launches: the ratio within each launch.
    """
    seen = [ratio, *launches]
    if high < 1 and max(seen) <= 1 - SMALLEST_DIFFERENCE:
        return "faster"
    if low > 1 and min(seen) >= 1 + SMALLEST_DIFFERENCE:
        return "slower"
    return "no difference"
