"""Paired statistics of two classifiers on the same images. Shares are in percent, differences in percentage points."""

import math

import numpy as np

RESAMPLES = 20_000


def paired_difference(float_right: np.ndarray, quantized_right: np.ndarray, seed: int = 0) -> dict:
    """Top-1 of two classifiers and the difference between them.

    The two see the same images, so what is uncertain about the difference comes only from the images on which one is
    right and the other wrong; comparing two separate intervals would throw that away.

    Args:
        float_right, quantized_right: bool (n,), whether each image was classified rightly; n above 0.
        seed: of the bootstrap.

    Returns:
        `float_top1`, `quantized_top1` (percent), `delta` (quantized - float, points), `ci95` (points, see
        `bootstrap_interval`) and `mcnemar_p` (see `mcnemar`).
    """
    samples = len(float_right)
    lost = int(np.sum(float_right & ~quantized_right))
    gained = int(np.sum(~float_right & quantized_right))
    return {
        "float_top1": percent(int(np.sum(float_right)), samples),
        "quantized_top1": percent(int(np.sum(quantized_right)), samples),
        "delta": percent(gained - lost, samples),
        "ci95": bootstrap_interval(lost, gained, samples, seed),
        "mcnemar_p": mcnemar(lost, gained),
    }


def bootstrap_interval(lost: int, gained: int, samples: int, seed: int = 0) -> list[float]:
    """95 % percentile interval [low, high] of the difference in points, from the paired bootstrap over images.

    An image is one of three things: lost (only the float file is right), gained (only the quantized one), or alike.
    Drawing n images with replacement and counting those is drawing the counts from a multinomial distribution, so the
    bootstrap over images is done exactly, and costs the same for any number of images.

    Without a single lost or gained image there is nothing to resample and the interval is [0, 0]; that says only that a
    difference is rare: with n images, up to 3/n of them could still differ (the rule of three).
    """
    alike = samples - lost - gained
    draws = np.random.default_rng(seed).multinomial(samples, np.array([lost, gained, alike]) / samples, RESAMPLES)
    low, high = np.percentile(100.0 * (draws[:, 1] - draws[:, 0]) / samples, [2.5, 97.5])
    return [float(low), float(high)]


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p of McNemar's exact test: were the images that changed sides as likely to be lost as gained?

    The binomial test of `lost` among `lost + gained` with probability 1/2; 1.0 when no image changed sides.
    """
    from scipy.stats import binomtest  # a second to import, so only where it is needed

    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def by_class(
    labels: np.ndarray, float_right: np.ndarray, quantized_right: np.ndarray, names: tuple[str, ...]
) -> list[dict]:
    """Top-1 of both classifiers on the images of each class, in the order of the classes.

    Args:
        labels: int (n,); float_right, quantized_right: bool (n,).
        names: one a class; a class without one is called by its number.

    Returns:
        For each class with images: `label`, `float_top1`, `quantized_top1` (percent), `delta` (points), `samples`.
    """
    rows = []
    for number in np.unique(labels):
        here = labels == number
        samples, before, after = int(here.sum()), int(float_right[here].sum()), int(quantized_right[here].sum())
        rows.append({
            "label": names[number] if number < len(names) else str(number),
            "float_top1": percent(before, samples),
            "quantized_top1": percent(after, samples),
            "delta": percent(after - before, samples),
            "samples": samples,
        })  # fmt: skip
    return rows


def worst_classes(
    labels: np.ndarray, float_right: np.ndarray, quantized_right: np.ndarray, names: tuple[str, ...], count: int = 3
) -> list[dict]:
    """The rows of `by_class` that lost most: at most `count` with a negative delta, the worst first."""
    rows = by_class(labels, float_right, quantized_right, names)
    return sorted((row for row in rows if row["delta"] < 0), key=lambda row: row["delta"])[:count]


def decibels(signal: float, noise: float) -> float | None:
    """10 log10 signal / noise; None when it is infinite (JSON has no infinity)."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def percent(part: int, whole: int) -> float:
    return 100 * part / whole
