"""Intervals and verdicts on numbers whose answer is known."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from tfeff.bench.intervals import median_interval, paired_ratio, verdict


def noisy_rounds(random, rounds, ratio):
    """Times of two artifacts, (rounds,) each, that share the machine's noise; the true ratio of a to b is given."""
    machine = random.lognormal(0, 0.2, rounds)
    a = ratio * machine * random.lognormal(0, 0.01, rounds)
    return a, machine * random.lognormal(0, 0.01, rounds)


def test_median_interval_agrees_with_scipy():
    values = np.random.default_rng(3).lognormal(0, 0.3, 60)
    median, low, high = median_interval(values)
    reference = bootstrap((values,), np.median, n_resamples=4000, method="percentile").confidence_interval
    assert median == np.median(values)
    # Two resamplings of one sample: the ends differ by little against the width.
    width = reference.high - reference.low
    assert abs(low - reference.low) < 0.15 * width
    assert abs(high - reference.high) < 0.15 * width


def test_median_interval_covers_the_true_median_about_95_times_in_100():
    random = np.random.default_rng(0)
    intervals = [median_interval(random.lognormal(0, 0.2, 30), seed) for seed in range(300)]
    covered = sum(low <= 1 <= high for _, low, high in intervals)
    assert 270 <= covered <= 298


def test_median_interval_of_constant_values_is_a_point():
    assert median_interval([2.0] * 7) == (2.0, 2.0, 2.0)


def test_median_interval_is_the_same_for_the_same_seed():
    values = np.random.default_rng(1).normal(10, 1, 40)
    assert median_interval(values, 5) == median_interval(values, 5)
    assert median_interval(values, 5) != median_interval(values, 6)


def test_paired_ratio_is_far_narrower_than_the_noise_that_both_share():
    a, b = noisy_rounds(np.random.default_rng(0), 40, 1.1)
    ratio, low, high = paired_ratio(a, b)
    assert low <= 1.1 <= high
    assert ratio == pytest.approx(1.1, rel=0.02)
    alone, its_low, its_high = median_interval(a)
    assert (high - low) / ratio < 0.2 * (its_high - its_low) / alone


@pytest.mark.parametrize(("ratio", "word"), [(0.8, "faster"), (1.25, "slower"), (1.05, "slower")])
def test_a_clear_difference_is_found(ratio, word):
    a, b = noisy_rounds(np.random.default_rng(7), 30, ratio)
    assert verdict(*paired_ratio(a, b)) == word


def test_equal_times_are_no_difference():
    random = np.random.default_rng(11)
    words = [verdict(*paired_ratio(*noisy_rounds(random, 30, 1.0), seed)) for seed in range(100)]
    assert words == ["no difference"] * 100


@pytest.mark.parametrize(
    ("ratio", "low", "high", "launches", "word"),
    [
        (0.9, 0.85, 1.0, (), "no difference"),  # holds 1
        (0.9, 0.85, 0.95, (), "faster"),
        (1.1, 1.05, 1.15, (1.2, 1.1, 1.02), "slower"),
        (1.1, 1.05, 1.15, (1.2, 1.1, 1.009), "no difference"),  # one launch saw hardly any
        (1.1, 1.05, 1.15, (1.2, 1.1, 0.99), "no difference"),  # one launch saw the other file ahead
        (1.009, 1.008, 1.0095, (), "no difference"),  # sure, but smaller than what a memory layout does
        (0.9905, 0.99, 0.991, (), "no difference"),
        (1.0, 1.0, 1.0, (1.0, 1.0, 1.0), "no difference"),
    ],
)
def test_verdict(ratio, low, high, launches, word):
    assert verdict(ratio, low, high, launches) == word
