"""Statistics against numbers that were found another way."""

import math

import numpy as np
import pytest

from tfeff.compare.statistics import bootstrap_interval, by_class, decibels, mcnemar, paired_difference, worst_classes


def outcomes(both, lost, gained, neither):
    """Two bool arrays with so many images of each kind."""
    counts = [both, lost, gained, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_paired_difference_by_hand():
    result = paired_difference(*outcomes(both=80, lost=7, gained=3, neither=10))
    assert result["float_top1"] == 87.0
    assert result["quantized_top1"] == 83.0
    assert result["delta"] == -4.0
    # 2 * (C(10,0) + C(10,1) + C(10,2) + C(10,3)) / 2^10 = 2 * (1 + 10 + 45 + 120) / 1024
    assert result["mcnemar_p"] == pytest.approx(352 / 1024)
    low, high = result["ci95"]
    assert low < -4.0 < high


@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (5, 0), (4, 4), (30, 12), (7, 55), (400, 460), (3000, 2900)])
def test_mcnemar_is_the_binomial_test(lost, gained):
    changed, fewer = lost + gained, min(lost, gained)
    tail = sum(math.comb(changed, k) for k in range(fewer + 1))  # in whole numbers, so exact
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail / 2**changed), rel=1e-9)


def test_mcnemar_of_nothing_and_of_very_many():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5000, 0) == 0.0  # 2^-4999 is below the smallest float


@pytest.mark.parametrize(("lost", "gained", "samples"), [(60, 40, 1000), (250, 180, 10_000), (30, 30, 400)])
def test_interval_has_the_analytic_width(lost, gained, samples):
    error = math.sqrt(lost + gained - (lost - gained) ** 2 / samples) / samples  # of the mean of -1, 0 and 1
    low, high = bootstrap_interval(lost, gained, samples)
    centre = 100 * (gained - lost) / samples
    assert low == pytest.approx(centre - 196 * error, abs=0.08 * 196 * error)
    assert high == pytest.approx(centre + 196 * error, abs=0.08 * 196 * error)


def test_interval_is_the_bootstrap_over_images():
    float_right, quantized_right = outcomes(both=120, lost=16, gained=7, neither=57)
    difference = quantized_right.astype(float) - float_right
    generator = np.random.default_rng(5)
    means = [100 * generator.choice(difference, len(difference)).mean() for _ in range(4000)]
    low, high = paired_difference(float_right, quantized_right)["ci95"]
    assert [low, high] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.51)  # one image is 0.5 points


def test_interval_covers_the_true_difference():
    generator = np.random.default_rng(1)
    truth = 100 * (0.03 - 0.05)
    covered = 0
    for seed in range(300):
        lost, gained, _ = generator.multinomial(1000, [0.05, 0.03, 0.92])
        low, high = bootstrap_interval(lost, gained, 1000, seed)
        covered += low <= truth <= high
    assert 0.91 < covered / 300 < 0.98


def test_interval_depends_on_the_seed_only():
    assert bootstrap_interval(70, 40, 1000, 3) == bootstrap_interval(70, 40, 1000, 3)
    assert bootstrap_interval(70, 40, 1013, 3) != bootstrap_interval(70, 40, 1013, 4)


def test_identical_predictions():
    result = paired_difference(*outcomes(both=50, lost=0, gained=0, neither=50))
    assert (result["delta"], result["ci95"], result["mcnemar_p"]) == (0.0, [0.0, 0.0], 1.0)


def test_worst_classes_are_those_that_lost_worst_first():
    labels = np.repeat(np.arange(5), 10)
    right = np.ones(50, bool)
    after = right.copy()
    after[[0, 10, 11, 12, 20, 21, 30, 31, 32, 33]] = False  # classes a to d lose 1, 3, 2, 4; e loses none
    rows = worst_classes(labels, right, after, ("a", "b", "c", "d", "e"))
    assert [(row["label"], row["delta"]) for row in rows] == [("d", -40.0), ("b", -30.0), ("c", -20.0)]
    assert rows[0] == {"label": "d", "float_top1": 100.0, "quantized_top1": 60.0, "delta": -40.0, "samples": 10}
    assert worst_classes(labels, after, right, ("a", "b", "c", "d", "e")) == []


def test_by_class_counts_every_class_that_has_images():
    random = np.random.default_rng(5)
    labels = random.choice([0, 1, 3], 200)  # none of the third class
    right, after = random.random(200) < 0.9, random.random(200) < 0.8
    rows = by_class(labels, right, after, ("a", "b", "c", "d"))
    assert [row["label"] for row in rows] == ["a", "b", "d"]
    for row, number in zip(rows, (0, 1, 3), strict=True):
        assert row["samples"] == np.count_nonzero(labels == number)
        assert row["float_top1"] == pytest.approx(100 * right[labels == number].mean())
        assert row["quantized_top1"] == pytest.approx(100 * after[labels == number].mean())
        assert row["delta"] == pytest.approx(row["quantized_top1"] - row["float_top1"])


def test_classes_without_a_name_are_called_by_their_number():
    right = np.array([True, True, True])
    rows = by_class(np.array([0, 1, 2]), right, ~right, ("a",))
    assert [row["label"] for row in rows] == ["a", "1", "2"]
    assert [row["label"] for row in worst_classes(np.array([0, 1, 2]), right, ~right, ())] == ["0", "1", "2"]


def test_decibels():
    assert decibels(100.0, 1.0) == pytest.approx(20.0)
    assert decibels(1.0, 0.0) is None
    assert decibels(0.0, 1.0) is None
