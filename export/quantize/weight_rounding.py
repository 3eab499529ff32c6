"""Weights rounded together: up or down so that the errors of one layer's weights cancel on the inputs that it gets.

To the nearest step each weight is wrong by itself, and what neighbours see is alike: the taps of a depthwise kernel,
channels that fire together. So the errors of a channel's weights add up. Here those of one output channel, e, are
chosen to make e' H e small, where H is the mean of x x' over the layer's own inputs x in the float network: one weight
after the other gets the step that is best with the others as they are, until none moves (coordinate descent: Behdin et
al., QuantEase, arXiv 2309.01885; the aim: Nagel et al., AdaRound, arXiv 2004.10568). Scales stay what they were: a
weight at its channel's end is not moved. It costs the file nothing.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.quantize.fake_quant import WEIGHT_STEPS, FakeQuantize, QuantizedWeights
from tfeff.export.rewrites.copying import in_inference
from tfeff.export.rewrites.graph import walk
from tfeff.layers import GroupConv2D

SAMPLES = 64  # at most so many are looked at
_TOGETHER = 8  # samples at a time
_PLACES = 64  # of a sample, at most so many of a layer's output are looked at
_MOST = 2304  # inputs of one output value: beyond, a layer stays as it is (3x3 of 256 channels)
_SWEEPS = 4
_BLOCK = 64  # weights whose effect on the others is reckoned together
_RIDGE = 0.01  # of a mean input's energy, at least; more where there are few samples for so many inputs


def round_weights(graph: Any, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Chooses the steps of every weight of a fake-quant graph that it can: `QuantizedWeights.codes`.

    Args:
        graph: of `graph.fake_quant_graph`.
        batch: samples of the calibration, by input, in the graph's order, (n, ...) each; up to 64 are used.

    Returns:
        `images`, how many samples were used; `places`, the layers whose weights were moved; `moved`, the share of their
        weights that went to another than the nearest step.
    """
    chosen = [values[:SAMPLES] for values in batch.values()]
    count = len(chosen[0])
    seen: dict[int, _Moments] = {}
    for first in range(0, count, _TOGETHER):
        _look([values[first : first + _TOGETHER] for values in chosen], graph, seen)
    places = moved = weights = 0
    for moments in seen.values():
        changed, size = moments.choose(count)
        places, moved, weights = places + bool(changed), moved + changed, weights + size
    return {"images": count, "places": places, "moved": round(moved / max(weights, 1), 4)}


def as_stored(kernel: np.ndarray, layer: Any) -> np.ndarray:
    """A kernel of a layer as TensorFlow Lite's file holds it: (f, kh, kw, c), depthwise (1, kh, kw, f), (f, c)."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return kernel.reshape(1, *kernel.shape[:2], -1)
    return np.moveaxis(kernel, -1, 0)


def _look(batch, graph, seen):
    """Runs the float network on some samples and adds up what each layer is given."""

    def call(operation, *args, **kwargs):
        if isinstance(operation, FakeQuantize):
            return args[0]
        if not isinstance(operation, QuantizedWeights):
            return in_inference(operation, *args, **kwargs)
        if id(operation) not in seen and _Moments.takes(operation.layer):
            seen[id(operation)] = _Moments(operation)
        if id(operation) in seen:
            seen[id(operation)].add(np.asarray(args[0]))
        return operation.apply(args[0], keras.ops.convert_to_tensor(operation.layer.kernel), None)

    walk(graph, [keras.ops.convert_to_tensor(values) for values in batch], call)


class _Moments:
    """Second moments of what the output values of one layer are made of: (groups, inputs, inputs)."""

    def __init__(self, unit: QuantizedWeights):
        self._unit = unit
        self._sum: Any = 0
        self._count = self._samples = 0
        self._random = np.random.default_rng(0)

    @staticmethod
    def takes(layer: Any) -> bool:
        """Whether it is of a kind whose inputs are known here, and not too large."""
        kernel = layer.kernel.shape
        if isinstance(layer, layers.DepthwiseConv2D):
            return math.prod(kernel[:2]) > 1
        known = isinstance(layer, layers.Dense | layers.Conv2D | GroupConv2D)
        transposed = isinstance(layer, layers.Conv2DTranspose)
        first = getattr(layer, "data_format", None) == "channels_first"
        return known and not transposed and not first and 1 < math.prod(kernel[:-1]) <= _MOST

    def add(self, x: np.ndarray) -> None:
        """Of inputs (n, ...)."""
        rows = self._rows(x)  # (rows, groups, inputs)
        self._sum = self._sum + np.einsum("rgi,rgj->gij", rows, rows, optimize=True)
        self._count, self._samples = self._count + len(rows), self._samples + len(x)

    def _rows(self, x):
        layer = self._unit.layer
        if isinstance(layer, layers.Dense):
            x = x.reshape(len(x), -1, x.shape[-1])
            x = x[:, self._some(x.shape[1])]
            return x.reshape(-1, 1, x.shape[-1])
        size, strides, rates = layer.kernel.shape[:2], layer.strides, layer.dilation_rate
        places, pads = [], []
        for length, tap, stride, rate in zip(x.shape[1:3], size, strides, rates, strict=True):
            reach = (tap - 1) * rate + 1
            if layer.padding == "same":
                outputs = -(-length // stride)
                spare = max((outputs - 1) * stride + reach - length, 0)
                pads.append((spare // 2, spare - spare // 2))
            else:
                outputs = (length - reach) // stride + 1
                pads.append((0, 0))
            places.append(outputs)
        x = np.pad(x, ((0, 0), *pads, (0, 0)))
        down, across = np.unravel_index(self._some(math.prod(places)), places)
        taps = [
            x[:, down * strides[0] + row * rates[0], across * strides[1] + column * rates[1]]
            for row in range(size[0])
            for column in range(size[1])
        ]
        groups = self._groups()
        stacked = np.stack(taps, 2).reshape(-1, len(taps), groups, x.shape[-1] // groups)
        return stacked.transpose(0, 2, 1, 3).reshape(len(stacked), groups, -1)

    def _some(self, count):
        """Numbers of the places that are looked at."""
        if count <= _PLACES:
            return np.arange(count)
        return np.sort(self._random.choice(count, _PLACES, replace=False))

    def _groups(self):
        layer = self._unit.layer
        if isinstance(layer, layers.Dense):
            return 1
        return layer.kernel.shape[2] if isinstance(layer, layers.DepthwiseConv2D) else layer.groups

    def choose(self, samples: int) -> tuple[int, int]:
        """Gives the unit its codes; how many are not the nearest, of how many."""
        unit = self._unit
        kernel, scale = np.asarray(unit.layer.kernel, np.float64), np.asarray(unit.rounded_kernel()[1], np.float64)
        steps = self._by_group(kernel / scale)
        nearest = np.clip(np.round(steps), -WEIGHT_STEPS, WEIGHT_STEPS)
        wide = self._by_group(np.broadcast_to(scale, kernel.shape))
        codes = descend(self._energy(samples), steps, nearest, wide)
        unit.codes = self._as_kernel(codes, kernel.shape).astype(np.float32)
        return int(np.sum(codes != nearest)), codes.size

    def _energy(self, samples):
        """The moments, the more of a ridge the fewer samples there are for so many inputs."""
        mean = self._sum / max(self._count, 1)
        inputs = mean.shape[-1]
        middle = np.trace(mean, axis1=1, axis2=2) / inputs
        places = min(self._count / max(self._samples, 1), 16)  # of one sample, which are alike
        ridge = max(_RIDGE, inputs / (samples * places))
        return mean + (ridge * middle)[:, None, None] * np.eye(inputs)

    def _by_group(self, kernel):
        """(groups, inputs, outputs)"""
        if isinstance(self._unit.layer, layers.DepthwiseConv2D):
            return kernel.reshape(-1, *kernel.shape[2:]).transpose(1, 0, 2)
        flat = kernel.reshape(-1, self._groups(), kernel.shape[-1] // self._groups())
        return flat.transpose(1, 0, 2)

    def _as_kernel(self, values, shape):
        return values.transpose(1, 0, 2).reshape(shape)


def descend(energy: np.ndarray, steps: np.ndarray, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Whole numbers near `steps` that make the energy of their errors small; no more than that of `codes`.

    Args:
        energy: (groups, inputs, inputs), of the inputs.
        steps: (groups, inputs, outputs), the weights over their scale.
        codes: the same, whole numbers to begin with; those at the ends stay.
        scale: the same: of errors of one output that have several scales none is worth more than the other.
    """
    codes, movable = codes.copy(), np.abs(codes) < WEIGHT_STEPS
    errors = (codes - steps) * scale
    slope = energy @ errors
    own = np.diagonal(energy, axis1=1, axis2=2)[..., None]  # (groups, inputs, 1)
    own = np.where(own > 0, own, np.inf)  # what is always 0 may have any weight
    inputs = energy.shape[-1]
    for _ in range(_SWEEPS):
        moved = False
        for first in range(0, inputs, _BLOCK):
            block = slice(first, min(first + _BLOCK, inputs))
            near, before = slope[:, block].copy(), errors[:, block].copy()
            for number in range(first, block.stop):
                at = number - first
                best = errors[:, number] - near[:, at] / own[:, number]
                found = np.clip(np.round(steps[:, number] + best / scale[:, number]), -WEIGHT_STEPS, WEIGHT_STEPS)
                found = np.where(movable[:, number], found, codes[:, number])
                by = (found - codes[:, number]) * scale[:, number]
                if not by.any():
                    continue
                codes[:, number] = found
                errors[:, number] += by
                near += energy[:, block, number][..., None] * by[:, None]
                moved = True
            slope += energy[:, :, block] @ (errors[:, block] - before)
        if not moved:
            break
    return codes
