"""The gate of a hard-swish on the grid of its x: the sum rounds nothing, and neither range is coarser than need be."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.simulation import get_ranges, run_points, set_ranges
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_once


@pytest.fixture(scope="module")
def graph():
    keras.utils.set_random_seed(2)
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Activation("hard_silu", name="swish")(layers.Conv2D(4, 1, name="made")(image))
    model = keras.Model(image, layers.Conv2D(2, 1, name="last")(x))
    return fake_quant_graph(rewrite_once(model, load_rewrite("hard_swish:add_mul"))[0])


def ranged(graph, low, high, aligned=True):
    """Steps of x and of its gate, and how far what each holds is from a whole number of them."""
    set_ranges(graph, {"image": (-2.0, 2.0), "made": (low, high), "swish": (-3.0, 20.0)}, aligned=aligned)
    found = get_ranges(graph)
    (gate,) = (point for point in found if point not in ("image", "made", "swish", "last"))
    step, gate_step = ((found[point][1] - found[point][0]) / 255 for point in ("made", gate))
    return found["made"], found[gate], step, gate_step


@pytest.mark.parametrize(("low", "high"), [(-7.0, 3.0), (-3.0, 4.7), (-9.0, 11.0), (-2.8, 5.0), (-3.0, 25.0)])
def test_the_sum_is_exact(graph, low, high):
    made, gate, step, gate_step = ranged(graph, low, high)
    assert gate_step == pytest.approx(step, rel=1e-6)
    assert abs(3 / step - round(3 / step)) < 1e-3
    assert gate[0] == 0
    assert gate[1] >= min(6, high + 3) - 1e-5
    assert made[1] >= high - 1e-5
    assert made[0] <= max(low, -3) + step / 2
    assert step <= (high - max(low, -3)) / 255 * (1 + step / 2)  # of n steps in 3, coarser by less than one in n
    assert ranged(graph, *made)[0] == pytest.approx(made)
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    points = run_points(graph, {"image": x})
    wanted = np.clip(points["made"] + 3, 0, 6)
    name = next(point for point in points if point not in ("image", "made", "swish", "last"))
    assert np.abs(points[name] - wanted).max() < 1e-5


def test_ranges_that_cannot_go_together_stay(graph):
    for low, high in ((-0.5, 1.0), (-3.0, 60.0)):  # the gate would not fit; x would be much coarser
        made, gate, _, _ = ranged(graph, low, high)
        assert made == pytest.approx((low, high))
        assert gate != pytest.approx((0.0, high - low))


def test_they_are_as_they_are_given_unless_it_is_wished(graph):
    made, _, _, _ = ranged(graph, -7.0, 4.7, aligned=False)
    assert made == pytest.approx((-3.0, 4.7))
