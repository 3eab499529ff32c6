"""From what was measured of a tensor to the range that it is quantized by.

Every method is a pure function of counts and sorted extremes, so the order of the images has no say in the result.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tfeff.calibration.histogram import Histogram
from tfeff.calibration.search import least_divergence, least_error

from tfeff.errors import TfeffError

DEFAULT_METHOD = "image-percentile"


@dataclass(frozen=True)
class Statistics:
    """What is known of a tensor over all images.

    Attributes:
        low, high: its smallest and largest value, exact.
        image_lows, image_highs: the same of each image, (n,); the order means nothing.
        histogram: of all values; None unless a method needs it.
    """

    low: float
    high: float
    image_lows: np.ndarray
    image_highs: np.ndarray
    histogram: Histogram | None = None


@dataclass(frozen=True)
class Method:
    """A way to choose a range.

    Attributes:
        name: as users and records write it, its parameter included: `percentile:99.9`.
        values: whether it needs the histogram of all values, which costs time.
        clips_images: share of the images whose extremes it leaves out on each side, whatever they hold.
        range_of: the range, (low, high).
    """

    name: str
    values: bool
    clips_images: float
    range_of: Callable[[Statistics], tuple[float, float]]


def parse_method(text: str) -> Method:
    """Reads `minmax`, `percentile[:Q]`, `image-percentile[:Q]`, `mse` or `entropy`.

    - `minmax`: from the smallest to the largest value.
    - `percentile`: from the (100 - Q)th to the Qth percentile of all values; Q is 99.9. Right within 1/512.
    - `image-percentile`: the Qth percentile of each image's largest value, and likewise below; Q is 99. It leaves out
      the extremes of whole images, so that a few bad ones have no say.
    - `mse`: the range with the least squared error of 256 steps.
    - `entropy`: the range with the least Kullback-Leibler divergence (Migacz, 8-bit inference with TensorRT, GTC 2017).

    Raises:
        TfeffError: another word, or a Q that is none.
    """
    name, colon, parameter = text.partition(":")
    if name not in _METHODS or (colon and name not in _QUANTILES):
        raise TfeffError(f"calibration method {text!r} is not known", f"choose one of {', '.join(_METHODS)}")
    if name not in _QUANTILES:
        return _METHODS[name]()
    try:
        quantile = float(parameter) if colon else _QUANTILES[name]
    except ValueError:
        quantile = math.nan
    if not 50 < quantile <= 100:
        raise TfeffError(f"calibration method {text!r}: {parameter!r} is no percentile", "give one above 50, up to 100")
    return _METHODS[name](quantile)


def is_method(text: str) -> bool:
    """Whether this begins like a method rather than like a number."""
    return text.partition(":")[0] in _METHODS


def with_zero(low: float, high: float) -> tuple[float, float]:
    """The range, made to hold 0, which a quantized tensor must be able to say exactly."""
    return min(float(low), 0.0), max(float(high), 0.0)


def _minmax():
    return Method("minmax", False, 0.0, lambda seen: (seen.low, seen.high))


def _percentile(quantile):
    def range_of(seen):
        lows, highs, counts = seen.histogram.bins()
        up_to = np.cumsum(counts)
        rank = quantile / 100 * (up_to[-1] - 1)  # of the value, counted from 0
        high = highs[np.searchsorted(up_to, rank, side="right")]
        low = lows[np.searchsorted(up_to, up_to[-1] - 1 - rank, side="right")]
        return max(low, seen.low), min(high, seen.high)

    return Method(f"percentile:{quantile:g}", True, 0.0, range_of)


def _image_percentile(quantile):
    def range_of(seen):
        return np.percentile(seen.image_lows, 100 - quantile), np.percentile(seen.image_highs, quantile)

    return Method(f"image-percentile:{quantile:g}", False, 1 - quantile / 100, range_of)


def _mse():
    return Method("mse", True, 0.0, lambda seen: least_error(*seen.histogram.bins(), seen.low, seen.high))


def _entropy():
    return Method("entropy", True, 0.0, lambda seen: least_divergence(*seen.histogram.bins(), seen.low, seen.high))


_QUANTILES = {"percentile": 99.9, "image-percentile": 99.0}
_METHODS = {
    "minmax": _minmax,
    "percentile": _percentile,
    "image-percentile": _image_percentile,
    "mse": _mse,
    "entropy": _entropy,
}
