"""Ranges that go together, so that what stands for one operation need not round, or be coarser, than that operation.

relu6(x + 3), the gate of hard-swish and hard-sigmoid as ADD, has a range of its own and so rounds once more than a
HARD_SWISH does. It rounds nothing where its steps are those of x and 3 is a whole number of them: x + 3 and 6 are then
whole numbers of steps, too.

The larger of two values lies above the smallest of either: what is below has no say, though both inputs of a MAXIMUM
have one range with its output; and likewise above of a MINIMUM.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from tfeff.export.quantize.fake_quant import STEPS, ActivationRange, FakeQuantize, point_of
from tfeff.export.quantize.placement import fused_relu
from tfeff.layers.keras_private import maker, nodes, nodes_of

Bounds = tuple[float, float]

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


def cut(graph: Any, bounds: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """Ranges of points that have one range in the file, those that only a maximum or a minimum reads cut to what it
    gives.

    Args:
        graph: a fake-quant graph.
        bounds: (low, high) by point.
    """
    found = dict(bounds)
    for kind, points in _extrema(graph):
        if set(points) <= bounds.keys():
            lows, highs = zip(*(bounds[point] for point in points), strict=True)
            best = max if kind == "Maximum" else min
            found |= dict.fromkeys(points, (best(lows), best(highs)))
    return found


def _extrema(graph: Any) -> Iterator[tuple[str, list[str]]]:
    """("Maximum" or "Minimum", the points that it reads) of each whose points nothing else reads."""
    readers: dict[int, int] = {}
    every = list(nodes(graph))
    for tensor in (*(tensor for node in every for tensor in node.inputs), *graph.outputs):
        readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for node in every:
        made = [maker(tensor) for tensor in node.inputs]
        kind = type(node.operation).__name__
        if kind not in ("Maximum", "Minimum") or len(made) < 2:
            continue
        alone = [readers[id(tensor)] == 1 for tensor in node.inputs]
        if all(alone) and all(isinstance(each, FakeQuantize) for each in made):
            yield kind, [point_of(each) for each in made]


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
