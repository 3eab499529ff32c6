"""The one statistics engine against numbers that were found another way."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from tfeff.tasks.base import Metric
from tfeff.tasks.statistics import mcnemar, mean_interval, mean_test, paired_difference


class Mean(Metric):
    """The mean of the parts themselves, times `scale`."""

    name, unit, higher_is_better = "mean", "", True

    def __init__(self, parts, scale=1.0):
        self._parts, self.scale = np.asarray(parts), scale

    def add(self, prediction, annotation):
        raise NotImplementedError

    @property
    def count(self):
        return len(self._parts)

    def parts(self):
        return self._parts

    def value(self, weights=None):
        weights = np.ones(self.count) if weights is None else weights
        return float(self.scale * (self._parts @ weights) / weights.sum())


class Opaque(Mean):
    """The same figure, of which the engine knows nothing but `value`."""

    def parts(self):
        return None


def outcomes(both, lost, gained, neither):
    """Two bool arrays with so many samples of each kind."""
    counts = [both, lost, gained, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def shares(both, lost, gained, neither, seed=0):
    """Their difference in percent."""
    return paired_difference(*(Mean(right, 100.0) for right in outcomes(both, lost, gained, neither)), seed)


def test_paired_difference_by_hand():
    result = shares(both=80, lost=7, gained=3, neither=10)
    assert (result.float_value, result.quantized, result.delta) == (87.0, 83.0, -4.0)
    # 2 * (C(10,0) + C(10,1) + C(10,2) + C(10,3)) / 2^10 = 2 * (1 + 10 + 45 + 120) / 1024
    assert result.p == pytest.approx(352 / 1024)
    assert result.test == "McNemar, exact"
    low, high = result.ci95
    assert low < -4.0 < high


@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (5, 0), (4, 4), (30, 12), (7, 55), (400, 460)])
def test_mcnemar_is_the_binomial_test(lost, gained):
    changed, fewer = lost + gained, min(lost, gained)
    tail = sum(math.comb(changed, k) for k in range(fewer + 1))  # in whole numbers, so exact
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail / 2**changed), rel=1e-9)
    assert mcnemar(lost, gained) == pytest.approx(stats.binomtest(lost, lost + gained).pvalue, rel=1e-12)


def test_mcnemar_of_nothing_and_of_very_many():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5000, 0) == 0.0  # 2^-4999 is below the smallest float


def multinomial_interval(lost, gained, samples, seed):
    """As tfeff drew it when it knew only classification: the same bits are wanted."""
    alike = samples - lost - gained
    draws = np.random.default_rng(seed).multinomial(samples, np.array([lost, gained, alike]) / samples, 20_000)
    low, high = np.percentile(100.0 * (draws[:, 1] - draws[:, 0]) / samples, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize(
    ("both", "lost", "gained", "neither"),
    [(80, 7, 3, 10), (900, 0, 4, 96), (900, 4, 0, 96), (0, 4, 5, 0), (50, 0, 0, 50), (0, 10, 0, 0), (871, 61, 58, 10)],
)
def test_intervals_of_right_and_wrong_are_those_of_before_to_the_bit(both, lost, gained, neither):
    for seed in (0, 7):
        found = shares(both, lost, gained, neither, seed)
        assert found.ci95 == multinomial_interval(lost, gained, both + lost + gained + neither, seed)
        assert found.delta == 100 * (gained - lost) / (both + lost + gained + neither)


@pytest.mark.parametrize(("lost", "gained", "samples"), [(60, 40, 1000), (250, 180, 10_000), (30, 30, 400)])
def test_interval_has_the_analytic_width(lost, gained, samples):
    error = math.sqrt(lost + gained - (lost - gained) ** 2 / samples) / samples  # of the mean of -1, 0 and 1
    low, high = shares(samples - lost - gained, lost, gained, 0).ci95
    centre = 100 * (gained - lost) / samples
    assert low == pytest.approx(centre - 196 * error, abs=0.08 * 196 * error)
    assert high == pytest.approx(centre + 196 * error, abs=0.08 * 196 * error)


def test_interval_is_the_bootstrap_over_samples():
    float_right, quantized_right = outcomes(both=120, lost=16, gained=7, neither=57)
    difference = quantized_right.astype(float) - float_right
    generator = np.random.default_rng(5)
    means = [100 * generator.choice(difference, len(difference)).mean() for _ in range(4000)]
    interval = shares(120, 16, 7, 57).ci95
    assert interval == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.51)  # one sample is 0.5 points


@pytest.mark.parametrize("kinds", [5, 400], ids=["few differences", "all different"])
def test_interval_of_any_mean_is_scipys_bootstrap(kinds):
    random = np.random.default_rng(2)
    before = random.normal(size=400)
    after = before + (
        random.choice(random.normal(0.1, 0.3, kinds), 400) if kinds < 400 else random.normal(0.1, 0.3, 400)
    )
    found = paired_difference(Mean(before), Mean(after))
    theirs = stats.bootstrap(
        (after - before,), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    spread = theirs.high - theirs.low
    assert found.ci95 == pytest.approx((theirs.low, theirs.high), abs=0.04 * spread)
    assert found.delta == pytest.approx(after.mean() - before.mean())


def test_sign_flips_are_scipys_permutation_test():
    change = np.random.default_rng(4).normal(0.12, 1, 120)
    p, name = mean_test(change)
    theirs = stats.permutation_test(
        (change,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(9)
    ).pvalue
    assert name == "sign flips"
    assert 0.02 < theirs < 0.9  # so that the next line says something
    assert p == pytest.approx(theirs, abs=0.015)


def test_a_figure_that_is_no_mean_is_computed_on_the_same_draws():
    random = np.random.default_rng(6)
    before, after = random.random(300) < 0.8, random.random(300) < 0.7
    known = paired_difference(Mean(before, 100.0), Mean(after, 100.0))
    found = paired_difference(Opaque(before, 100.0), Opaque(after, 100.0))
    assert (found.float_value, found.quantized, found.delta) == pytest.approx(
        (known.float_value, known.quantized, known.delta)
    )
    assert found.test == "bootstrap"
    assert found.ci95 == pytest.approx(known.ci95, abs=0.9)  # of 1,000 draws; the interval is 13 points wide
    assert found.p == pytest.approx(known.p, abs=0.02)
    same = paired_difference(Opaque(before), Opaque(before))
    assert (same.delta, same.ci95, same.p) == (0.0, (0.0, 0.0), 1.0)


def test_interval_covers_the_true_difference():
    generator = np.random.default_rng(1)
    truth = 100 * (0.03 - 0.05)
    covered = 0
    for seed in range(150):
        lost, gained, alike = generator.multinomial(1000, [0.05, 0.03, 0.92])
        change = np.repeat([-1.0, 1.0, 0.0], [lost, gained, alike])
        low, high = mean_interval(change, 100.0, seed)
        covered += low <= truth <= high
    assert 0.9 < covered / 150 < 0.99


def test_interval_depends_on_the_seed_only():
    change = np.random.default_rng(0).normal(size=200)
    assert mean_interval(change, seed=3) == mean_interval(change, seed=3)
    assert mean_interval(change, seed=3) != mean_interval(change, seed=4)
    assert mean_test(change, 3) == mean_test(change, 3)


def test_identical_predictions():
    result = shares(both=50, lost=0, gained=0, neither=50)
    assert (result.delta, result.ci95, result.p) == (0.0, (0.0, 0.0), 1.0)


def test_ten_thousand_samples_cost_next_to_nothing():
    """Right and wrong are counted, not drawn sample by sample; continuous differences are drawn at a bounded cost."""
    random = np.random.default_rng(0)
    shares(10, 1, 1, 0)  # scipy's import
    begun = time.process_time()
    shares(both=8713, lost=61, gained=58, neither=1168)
    assert time.process_time() - begun < 1.0
    begun = time.process_time()
    paired_difference(Mean(random.normal(size=10_000)), Mean(random.normal(size=10_000)))
    assert time.process_time() - begun < 20.0
