"""Ranges that go together, so that a step of a rewritten hard-swish need not round.

relu6(x + 3), the gate of hard-swish and hard-sigmoid as ADD, has a range of its own and so rounds once more than a
HARD_SWISH does. It rounds nothing where its steps are those of x and 3 is a whole number of them: x + 3 and 6 are then
whole numbers of steps, too.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras

from tfeff.export.quantize.fake_quant import STEPS, ActivationRange, FakeQuantize
from tfeff.export.quantize.placement import fused_relu
from tfeff.layers.keras_private import maker, nodes_of

_SHIFT, _END = 3.0, 6.0  # relu6(x + 3)
_LEAST = 24  # steps in 3: with fewer, x would be coarser by more than a 24th


def align_gates(graph: Any) -> None:
    """Gives each gate the steps of its x, and x steps of which 3 is a whole number; where x is too coarse for that, or
    its range too small to hold the gate's, both keep their ranges.

    Args:
        graph: a fake-quant graph that has its ranges.
    """
    for given, gate in _gates(graph):
        low, high = given.bounds
        count = math.floor(_SHIFT * STEPS / (high - low) + 1e-3)  # of an aligned range again the same
        if count < _LEAST:
            continue
        step = _SHIFT / count
        zero = round(-low / step)
        if STEPS * step < min(_END, high + _SHIFT) or zero > STEPS:
            continue
        given.set_bounds(-zero * step, (STEPS - zero) * step)
        gate.set_bounds(0.0, STEPS * step)


def _gates(graph: Any) -> Iterator[tuple[ActivationRange, ActivationRange]]:
    """(range of x, range of relu6(x + 3)) of each gate that shares its range with nothing else."""
    rounded = [layer for layer in graph.layers if isinstance(layer, FakeQuantize)]
    users: dict[int, int] = {}
    for layer in rounded:
        own = maker(layer.input[1])
        users[id(own)] = users.get(id(own), 0) + 1
    for layer in rounded:
        relu, gate = maker(layer.input[0]), maker(layer.input[1])
        if fused_relu(relu) != "relu6" or users[id(gate)] > 1 or gate.fixed:
            continue
        added = maker(relu.input)
        if type(added).__name__ != "Add" or isinstance(added, keras.layers.Layer):
            continue
        numbers = [each for each in nodes_of(added)[0].given() if isinstance(each, int | float)]
        given = [each for each in nodes_of(added)[0].inputs if isinstance(maker(each), FakeQuantize)]
        if numbers == [_SHIFT] and len(given) == 1:
            source = maker(maker(given[0]).input[1])
            if not source.fixed:
                yield source, gate
