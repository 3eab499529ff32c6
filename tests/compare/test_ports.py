"""How far a port is from its reference, by hand."""

import math

import numpy as np
import pytest

from tfeff.compare.ports import PortDistance, decibels


def agreement(wanted, given):
    distance = PortDistance("out")
    for one, other in zip(wanted, given, strict=True):
        distance.add(one, other)
    return distance.agreement("model", "mine")


def test_real_numbers_by_hand():
    found = agreement(np.float32([[3, 4], [0, 1]]), np.float32([[3, 5], [0, 1]]))
    assert (found.name, found.reference, found.source, found.samples) == ("out", "model", "mine", 2)
    assert found.sqnr_db == pytest.approx(10 * math.log10(26 / 1))
    assert found.max_abs_error == 1.0
    assert found.cosine == pytest.approx((9 + 20 + 1) / math.sqrt(26 * 35))
    assert found.equal_share is None


def test_integers_are_equal_or_not():
    for dtype in (np.int32, np.uint8, bool):
        found = agreement(np.array([[0, 1, 1], [1, 1, 1]], dtype), np.array([[0, 1, 0], [1, 1, 1]], dtype))
        assert found.equal_share == pytest.approx(5 / 6)
        assert (found.sqnr_db, found.cosine, found.max_abs_error) == (None, None, 1.0)


def test_nothing_and_silence():
    same = agreement(np.zeros((2, 3)), np.zeros((2, 3)))
    assert (same.sqnr_db, same.max_abs_error, same.cosine) == (None, 0.0, None)
    noise = agreement(np.zeros((2, 3)), np.ones((2, 3)))  # no signal to compare the noise with
    assert (noise.sqnr_db, noise.max_abs_error, noise.cosine) == (None, 1.0, None)
    assert agreement(np.float32([2.5]), np.float32([2.5])).cosine == pytest.approx(1.0)  # of rank 0


def test_decibels():
    assert decibels(100.0, 1.0) == pytest.approx(20.0)
    assert decibels(1.0, 0.0) is None
    assert decibels(0.0, 1.0) is None
