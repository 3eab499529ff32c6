"""Each method against NumPy or a plain search over all values, kept in memory."""

import numpy as np
import pytest

from tfeff.calibration.histogram import Histogram
from tfeff.calibration.methods import Statistics, parse_method
from tfeff.errors import TfeffError

RNG = np.random.default_rng(11)
SHAPES = {
    "normal": RNG.normal(0.3, 1.0, (60, 400)),
    "relu": np.maximum(RNG.normal(0, 2.0, (60, 400)), 0),
    "heavy": RNG.standard_t(3, (60, 400)),
    "hard swish": (lambda x: x * np.clip(x + 3, 0, 6) / 6)(RNG.normal(0, 3.0, (60, 400))),
    "tiny": RNG.normal(0, 1e-5, (60, 400)),
    "negative": -np.abs(RNG.normal(0, 1.0, (60, 400))),
}
SHAPES = {name: values.astype(np.float32) for name, values in SHAPES.items()}


def statistics(images, order=None):
    images = images if order is None else images[order]
    histogram = Histogram()
    for image in images:
        histogram.add(image)
    return Statistics(float(images.min()), float(images.max()), images.min(1), images.max(1), histogram)


def squared_error(values, low, high):
    """As TFLite stores it: uint8 with a whole zero point, clamped."""
    scale = (high - low) / 255
    zero = round(-low / scale)
    stored = np.clip(np.rint(values.astype(np.float64) / scale) + zero, 0, 255)
    return float((((stored - zero) * scale - values) ** 2).sum())


@pytest.mark.parametrize("name", SHAPES)
def test_histogram_counts_what_numpy_counts(name):
    values = SHAPES[name]
    lows, highs, counts = statistics(values).histogram.bins()
    assert counts.sum() == values.size
    flat = np.sort(values.reshape(-1)).astype(np.float64)
    for low, high, count in zip(lows[::97], highs[::97], counts[::97], strict=True):
        inside = (flat >= low) & (flat < high) if low > 0 else (flat > low) & (flat <= high) if high < 0 else flat == 0
        assert count == inside.sum()
    assert (np.diff(lows) > 0).all()
    wide = (highs - lows)[counts > 0]
    assert (wide <= np.maximum(np.abs(lows), np.abs(highs)) / 512 + 1e-12).all()


def test_histogram_takes_zeros_and_extremes():
    histogram = Histogram()
    histogram.add(np.array([0.0, -0.0, 1e-30, 1e30, -1e30], np.float32))
    lows, _, counts = histogram.bins()
    assert counts.tolist() == [1, 3, 1]
    assert lows[1] == 0


@pytest.mark.parametrize("name", SHAPES)
def test_minmax(name):
    values = SHAPES[name]
    assert parse_method("minmax").range_of(statistics(values)) == (values.min(), values.max())


@pytest.mark.parametrize("quantile", [95, 99, 99.9, 99.99, 100])
@pytest.mark.parametrize("name", SHAPES)
def test_percentile_is_numpys_within_a_bin(name, quantile):
    values = SHAPES[name].astype(np.float64)
    low, high = parse_method(f"percentile:{quantile}").range_of(statistics(SHAPES[name]))
    for got, q, method in ((low, 100 - quantile, "lower"), (high, quantile, "higher")):
        around = [np.percentile(values, q, method=kind) for kind in ("lower", "higher")]
        slack = np.max(np.abs(around)) / 256
        assert around[0] - slack <= got <= around[1] + slack, method


@pytest.mark.parametrize("quantile", [95, 99, 100])
@pytest.mark.parametrize("name", SHAPES)
def test_image_percentile_is_numpys(name, quantile):
    values = SHAPES[name]
    low, high = parse_method(f"image-percentile:{quantile}").range_of(statistics(values))
    assert low == np.percentile(values.min(1), 100 - quantile)
    assert high == np.percentile(values.max(1), quantile)


@pytest.mark.parametrize("method", ["minmax", "percentile:99", "mse"])
def test_a_factor_widens_both_bounds(method):
    plain, wider = (parse_method(text).range_of(statistics(SHAPES["heavy"])) for text in (method, f"{method}*1.25"))
    assert wider == (1.25 * plain[0], 1.25 * plain[1])
    assert parse_method(f"{method}*1.25").name == f"{parse_method(method).name}*1.25"


def test_removed_values_leave_no_trace():
    images = SHAPES["hard swish"]
    histogram = Histogram()
    for image in images:
        histogram.add(image)
    for image in images[::3]:
        histogram.remove(image)
    rest = statistics(np.delete(images, np.s_[::3], 0)).histogram
    for found, expected in zip(histogram.bins(), rest.bins(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SHAPES)
def test_mse_is_as_good_as_trying_all_bounds(name):
    values = SHAPES[name]
    found = squared_error(values, *parse_method("mse").range_of(statistics(values)))
    sides = [
        np.linspace(0, bound, 41)[1:] if bound else [0.0] for bound in (min(values.min(), 0), max(values.max(), 0))
    ]
    best = min(squared_error(values, low, high) for low in sides[0] for high in sides[1])
    assert found <= 1.02 * best
    assert found <= squared_error(values, min(values.min(), 0), max(values.max(), 0)) * 1.001


def divergence(values, threshold, largest, levels):
    """Migacz' steps in plain loops, on NumPy's own histogram of magnitudes."""
    bins = np.histogram(np.abs(values[values != 0]).astype(np.float64), 2048, (0, largest))[0].astype(float)
    kept = round(threshold / largest * 2048)
    p = bins[:kept].copy()
    q = np.zeros(kept)
    for level in range(levels):
        inside = [i for i in range(kept) if i * levels // kept == level and bins[i] > 0]
        for i in inside:
            q[i] = sum(bins[j] for j in inside) / len(inside)
    p[-1] += bins[kept:].sum()
    if any(p[i] > 0 and q[i] == 0 for i in range(kept)):
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    return sum(p[i] * np.log(p[i] / q[i]) for i in range(kept) if p[i] > 0)


@pytest.mark.parametrize("name", ["normal", "relu", "heavy"])
def test_entropy_finds_the_least_divergence(name):
    """Our bins straddle those of NumPy and are shared out, so the best of the thresholds around ours counts: one whose
    last bin happens to be empty has an infinite divergence."""
    values = SHAPES[name]
    low, high = parse_method("entropy").range_of(statistics(values))
    largest = float(np.abs(values).max())
    levels = 256 if values.min() >= 0 else 128
    tried = {kept: divergence(values, largest * kept / 2048, largest, levels) for kept in range(levels, 2049, 64)}
    best = min(tried.values())
    ours = round(max(-low, high) / largest * 2048)
    near = (divergence(values, largest * kept / 2048, largest, levels) for kept in range(ours - 4, min(ours + 5, 2049)))
    assert min(near) <= 1.1 * best + 1e-3


def test_entropy_clips_a_lone_outlier():
    values = SHAPES["normal"].copy()
    values[0, 0] = 50.0
    low, high = parse_method("entropy").range_of(statistics(values))
    assert high < 15
    assert low == pytest.approx(max(values.min(), -high))


@pytest.mark.parametrize("method", ["minmax", "percentile", "image-percentile", "mse", "entropy"])
def test_the_order_of_the_images_has_no_say(method):
    values = SHAPES["heavy"]
    chosen = parse_method(method)
    ranges = {chosen.range_of(statistics(values, RNG.permutation(len(values)))) for _ in range(4)}
    assert ranges == {chosen.range_of(statistics(values))}


@pytest.mark.parametrize("method", ["minmax", "percentile", "image-percentile", "mse", "entropy"])
def test_a_tensor_of_zeros(method):
    assert parse_method(method).range_of(statistics(np.zeros((5, 7), np.float32))) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "kl",
        "minmax:3",
        "percentile:",
        "percentile:x",
        "percentile:50",
        "percentile:101",
        "mse:9",
        "minmax*",
        "minmax*9",
        "minmax*x",
        "*2",
        "auto:3",
        "auto*1.1",
    ],
)
def test_unknown_methods(text):
    with pytest.raises(TfeffError) as caught:
        parse_method(text)
    assert repr(text) in caught.value.what
    assert caught.value.mend
