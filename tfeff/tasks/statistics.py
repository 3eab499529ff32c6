"""The paired difference of a metric between two files that saw the same samples: one engine for every task.

What is uncertain about the difference comes only from the samples on which the two differ; comparing two separate
intervals would throw that away. Samples are resampled with replacement, both files' parts of a sample together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tfeff.tasks.base import Metric

RESAMPLES = 20_000  # of a mean
_RESAMPLES_OF_ANY = 1_000  # of a figure that is no mean, which is computed anew each time
_DRAWS = 40_000_000  # at most so many numbers are drawn for an interval
_AT_ONCE = 1_000_000  # of these
_FEW = 100  # distinct differences, up to which it is quicker to draw how often each occurs


@dataclass(frozen=True)
class Difference:
    """What quantizing did to a metric.

    Attributes:
        float_value, quantized, delta: the metric of both, and quantized - float, in its unit.
        ci95: 95 % percentile interval of `delta`, from the paired bootstrap over samples.
        p: two-sided p of "quantizing changes nothing".
        test: by which test.
    """

    float_value: float
    quantized: float
    delta: float
    ci95: tuple[float, float]
    p: float
    test: str


def paired_difference(of_float: Metric, of_quantized: Metric, seed: int = 0) -> Difference:
    """The difference between two metrics of one kind, fed with the same samples in the same order.

    Args:
        seed: of the bootstrap and the test.
    """
    before, after = of_float.value(), of_quantized.value()
    parts = of_float.parts(), of_quantized.parts()
    if parts[0] is None or parts[1] is None:
        return Difference(before, after, after - before, *_resampled(of_float, of_quantized, seed))
    change = parts[1].astype(np.float64) - parts[0].astype(np.float64)
    scale, count = of_float.scale, len(change)
    delta = scale * float(change.sum()) / count
    return Difference(before, after, delta, mean_interval(change, scale, seed), *mean_test(change, seed))


def mean_interval(change: np.ndarray, scale: float = 1.0, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of `scale` times the mean of differences, from the bootstrap over samples.

    Samples with the same difference are alike, so drawing n samples and counting them by their difference is drawing
    from a multinomial distribution: where few differences occur, as with right and wrong, that is done, exactly, at a
    cost that does not grow with n.

    Without a single difference there is nothing to resample and the interval is [0, 0]; that says only that a
    difference is rare: with n samples, up to 3/n of them could still differ (the rule of three).
    """
    count = len(change)
    values, counts = np.unique(change, return_counts=True)
    generator = np.random.default_rng(seed)
    if len(values) > _FEW:
        rounds = max(1_000, min(RESAMPLES, _DRAWS // count))
        drawn = np.concatenate([
            change[generator.integers(0, count, (some, count))].sum(axis=1) for some in _portions(rounds, count)
        ])  # fmt: skip
    else:
        some = values != 0  # those without a difference last, as a multinomial draws its last for nothing
        values, counts = np.append(values[some], 0.0), np.append(counts[some], count - counts[some].sum())
        drawn = generator.multinomial(count, counts / count, RESAMPLES) @ values
    low, high = np.percentile(scale * drawn / count, [2.5, 97.5])
    return float(low), float(high)


def mean_test(change: np.ndarray, seed: int = 0) -> tuple[float, str]:
    """Two-sided p that differences are as likely to be positive as negative, and the test's name.

    Where all differences have one size, as with right and wrong, this is McNemar's exact test: the binomial test of the
    samples that lost among those that changed. Otherwise signs are flipped at random (Fisher's randomization test).
    1.0 where nothing changed.
    """
    moved = change[change != 0]
    sizes = np.unique(np.abs(moved))
    if len(sizes) <= 1:
        return mcnemar(int((moved < 0).sum()), int((moved > 0).sum())), "McNemar, exact"
    generator, observed = np.random.default_rng(seed), abs(float(moved.sum()))
    rounds = max(1_000, min(RESAMPLES, _DRAWS // len(moved)))
    as_far = 0
    for some in _portions(rounds, len(moved)):
        signs = generator.integers(0, 2, (some, len(moved))) * 2 - 1
        as_far += int(np.sum(np.abs(signs @ moved) >= observed * (1 - 1e-12)))
    return (1 + as_far) / (1 + rounds), "sign flips"


def _portions(rounds: int, width: int) -> Iterator[int]:
    """How many rounds of `width` numbers at a time, so that memory stays small."""
    most = max(1, _AT_ONCE // width)
    for start in range(0, rounds, most):
        yield min(most, rounds - start)


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p of McNemar's exact test: were the samples that changed sides as likely to be lost as gained?

    The binomial test of `lost` among `lost + gained` with probability 1/2; 1.0 when no sample changed sides.
    """
    from scipy.stats import binomtest  # a second to import, so only where it is needed

    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def resampled(count: int, figures: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> np.ndarray:
    """(..., 1,000) figures of resamples of `count` samples: the bootstrap of what is no mean.

    Args:
        figures: from weights (draws, count), how often each sample was drawn, to (..., draws).
    """
    generator = np.random.default_rng(seed)
    parts = []
    for some in _portions(_RESAMPLES_OF_ANY, count):
        weights = np.stack([np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(some)])
        parts.append(figures(weights))
    return np.concatenate(parts, axis=-1)


def _resampled(of_float, of_quantized, seed):
    """Interval and test of a figure that is no mean: both computed on the same draws of samples."""
    deltas = resampled(of_float.count, lambda weights: of_quantized.values(weights) - of_float.values(weights), seed)
    low, high = np.percentile(deltas, [2.5, 97.5])
    if not np.any(deltas):
        return (float(low), float(high)), 1.0, "bootstrap"
    beyond = min((deltas <= 0).mean(), (deltas >= 0).mean())
    return (float(low), float(high)), float(min(1.0, 2 * max(beyond, 1 / _RESAMPLES_OF_ANY))), "bootstrap"
