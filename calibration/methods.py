"""From what was measured of a tensor to the range that it is quantized by.

Every method is a pure function of counts and sorted extremes, so the order of the images has no say in the result.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tfeff.calibration.histogram import Histogram
from tfeff.calibration.search import least_divergence, least_error
from tfeff.errors import TfeffError

DEFAULT_METHOD = "auto"
PLAIN = "minmax"  # what every converter does
# What `auto` tries. They need no histogram, and one bad image in fifty moves none but the plain one.
_TRIED = ("image-percentile:95", PLAIN, "image-percentile:90")
_NARROWS = {"image-percentile:90": "image-percentile:95"}


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
        range_of: the range, (low, high).
        candidates: of `auto`, the methods that are tried.
        narrows: of a candidate, the one whose ranges its own lie within: it is tried where that one was best so far.
    """

    name: str
    values: bool
    range_of: Callable[[Statistics], tuple[float, float]]
    candidates: tuple["Method", ...] = ()
    narrows: str | None = None


def parse_method(text: str) -> Method:
    """Reads `auto`, or `minmax`, `percentile[:Q]`, `image-percentile[:Q]`, `mse`, `entropy`, any of them `*FACTOR`.

    - `auto`: several of the others are tried, and the one kept whose int8 file is nearest to the float network on the
      calibration images (see `choice`). Its own `range_of` is `image-percentile:95`, for where nothing is tried.
    - `minmax`: from the smallest to the largest value.
    - `percentile`: from the (100 - Q)th to the Qth percentile of all values; Q is 99.9. Right within 1/512.
    - `image-percentile`: the Qth percentile of each image's largest value, and likewise below; Q is 95. It leaves out
      the extremes of whole images, so that a few bad ones have no say.
    - `mse`: the range with the least squared error of 256 steps.
    - `entropy`: the range with the least Kullback-Leibler divergence (Migacz, 8-bit inference with TensorRT, GTC 2017).
    - `METHOD*FACTOR`: both bounds of METHOD, times FACTOR (0.5 to 2): `minmax*1.02`.

    Raises:
        TfeffError: another word, or a Q or a FACTOR that is none.
    """
    if text == DEFAULT_METHOD:
        tried = tuple(replace(parse_method(method), narrows=_NARROWS.get(method)) for method in _TRIED)
        return Method(text, False, parse_method("image-percentile").range_of, tried)
    plain, star, factor = text.partition("*")
    method = _parse_plain(plain, text)
    return _widened(method, factor, text) if star else method


def _parse_plain(plain, text):
    name, colon, parameter = plain.partition(":")
    if name not in _METHODS or (colon and name not in _QUANTILES):
        raise TfeffError(
            f"calibration method {text!r} is not known", f"choose one of {DEFAULT_METHOD}, {', '.join(_METHODS)}"
        )
    if name not in _QUANTILES:
        return _METHODS[name]()
    quantile = _number(parameter) if colon else _QUANTILES[name]
    if not 50 < quantile <= 100:
        raise TfeffError(f"calibration method {text!r}: {parameter!r} is no percentile", "give one above 50, up to 100")
    return _METHODS[name](quantile)


def _widened(method, factor, text):
    times = _number(factor)
    if not 0.5 <= times <= 2:
        raise TfeffError(f"calibration method {text!r}: {factor!r} is no factor", "give one from 0.5 to 2")

    def range_of(seen):
        low, high = method.range_of(seen)
        return low * times, high * times

    return replace(method, name=f"{method.name}*{times:g}", range_of=range_of)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def is_method(text: str) -> bool:
    """Whether this begins like a method rather than like a number."""
    return text.partition("*")[0].partition(":")[0] in (*_METHODS, DEFAULT_METHOD)


def with_zero(low: float, high: float) -> tuple[float, float]:
    """The range, made to hold 0, which a quantized tensor must be able to say exactly."""
    return min(float(low), 0.0) + 0.0, max(float(high), 0.0) + 0.0  # -0.0 becomes 0.0: its bits depend on the order


def _minmax():
    return Method("minmax", False, lambda seen: (seen.low, seen.high))


def _percentile(quantile):
    def range_of(seen):
        lows, highs, counts = seen.histogram.bins()
        up_to = np.cumsum(counts)
        rank = quantile / 100 * (up_to[-1] - 1)  # of the value, counted from 0
        high = highs[np.searchsorted(up_to, rank, side="right")]
        low = lows[np.searchsorted(up_to, up_to[-1] - 1 - rank, side="right")]
        return max(low, seen.low), min(high, seen.high)

    return Method(f"percentile:{quantile:g}", True, range_of)


def _image_percentile(quantile):
    def range_of(seen):
        return np.percentile(seen.image_lows, 100 - quantile), np.percentile(seen.image_highs, quantile)

    return Method(f"image-percentile:{quantile:g}", False, range_of)


def _searched(search: Callable[..., tuple[float, float]], seen: Statistics) -> tuple[float, float]:
    """By a method that needs all values, which are then counted."""
    assert seen.histogram is not None
    return search(*seen.histogram.bins(), seen.low, seen.high)


def _mse():
    return Method("mse", True, lambda seen: _searched(least_error, seen))


def _entropy():
    return Method("entropy", True, lambda seen: _searched(least_divergence, seen))


_QUANTILES = {"percentile": 99.9, "image-percentile": 95.0}
_METHODS: dict[str, Callable[..., Method]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "image-percentile": _image_percentile,
    "mse": _mse,
    "entropy": _entropy,
}
