"""Bias correction in the simulation: the mean of what each layer gives in int8 is brought back to what it is in float.

Rounded weights, and ranges that cut off what is rare, move the mean of a channel; behind a few layers a network sees
other inputs than it was trained on. A bias costs nothing to change (Nagel et al., arXiv 1906.04721, section 4.2; here
measured on the calibration samples, as in their appendix D, and with everything in front of a layer in int8 and
corrected already). Each sample has one say and the most extreme have none, so a few bad ones move nothing.
"""

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfeff.export.quantize.fake_quant import FakeQuantize, QuantizedWeights
from tfeff.export.quantize.simulation import point_of
from tfeff.export.rewrites.copying import in_inference
from tfeff.export.rewrites.graph import walk
from tfeff.layers.keras_private import maker

SAMPLES = 256  # at most so many are looked at
_MEMORY = 1.5e9  # bytes of activations that may be held
_LEFT_OUT = 0.05  # of the samples, at each end


def correct_biases(graph: Any, batch: Mapping[str, np.ndarray], kept: Collection[str] = ()) -> dict[str, Any]:
    """Corrects the biases of a fake-quant graph in place.

    Args:
        graph: of `graph.fake_quant_graph`, with its ranges.
        batch: samples of the calibration, by input, in the graph's order, (n, ...) each; up to 256 are used, evenly
            spread, fewer of large ones.
        kept: points whose operation stays in float.

    Returns:
        `images`, how many samples were used; `places`, the layers whose bias was moved; `largest_shift`, of any channel
        in units of its layer's largest mean magnitude.
    """
    chosen = _some(batch, _room(graph))
    count = len(next(iter(chosen.values())))
    shifts: list[float] = []
    before: dict[int, QuantizedWeights] = {}  # units as they were, without their activation
    in_float = {
        maker(rounding.input[0]).name
        for rounding in graph.layers
        if isinstance(rounding, FakeQuantize) and point_of(rounding) in kept
    }

    def call(operation, *args, **kwargs):
        (rough, *rest), exact = _sides(args, 0), _sides(args, 1)
        if isinstance(operation, FakeQuantize):
            return _Pair(rough if point_of(operation) in kept else operation(rough, *rest), exact[0])
        if isinstance(operation, QuantizedWeights):
            return _unit(operation, rough, rest, exact[0], before, shifts, operation.name in in_float)
        both = [in_inference(operation, *_sides(args, n), **_sides(kwargs, n)) for n in (0, 1)]
        return keras.tree.map_structure(_Pair, *both)

    tensors = [ops.convert_to_tensor(values) for values in chosen.values()]
    walk(graph, [_Pair(each, each) for each in tensors], call)
    return {"images": count, "places": len(shifts), "largest_shift": round(max(shifts, default=0.0), 6)}


class _Pair:
    """A value as int8 has it and as float has it."""

    def __init__(self, rough, exact):
        self.rough, self.exact = rough, exact


def _sides(tree, which):
    return keras.tree.map_structure(
        lambda each: (each.rough, each.exact)[which] if isinstance(each, _Pair) else each, tree
    )


def _unit(unit, rough, ends, exact, before, shifts, in_float):
    """Corrects one unit and runs it on both sides; `in_float`: its weights are not rounded, its input may have been.

    One that is called twice is corrected for the first call.
    """
    layer, linear = unit.layer, before.get(id(unit))
    if linear is not None:
        wanted = linear.layer(exact)
        return _Pair(layer(rough) if in_float else unit(rough, *ends), layer.activation(wanted))
    linear = before[id(unit)] = _linear(unit, rough, ends)
    wanted = linear.layer(exact)
    if layer.bias is not None:
        given = linear.layer(rough) if in_float else linear(rough, *ends)
        channels = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
        means = np.asarray(_by_sample(wanted, channels))  # (n, f)
        shift = _trimmed_mean(means - np.asarray(_by_sample(given, channels)))
        size = float(np.abs(means).mean(0).max())
        if np.any(shift):
            shifts.append(float(np.abs(shift).max()) / max(size, 1e-12))
        corrected = np.asarray(layer.bias) + shift
        layer.bias.assign(corrected)
    return _Pair(layer(rough) if in_float else unit(rough, *ends), layer.activation(wanted))


def _linear(unit, inputs, ends):
    """The unit without its activation."""
    config = unit.layer.get_config()
    config["activation"] = keras.activations.serialize(keras.activations.linear)
    linear = QuantizedWeights(type(unit.layer).from_config(config), unit.per_tensor, name=f"{unit.name}_linear")
    linear(inputs[:1], *ends)
    linear.layer.set_weights(unit.layer.get_weights())
    linear.codes = unit.codes
    return linear


def _by_sample(values, channels):
    """(n, ..., f) -> (n, f): the mean of each sample; `channels` is the axis of f."""
    axes = set(range(1, len(values.shape))) - {channels % len(values.shape)}
    return ops.mean(values, axis=tuple(sorted(axes))) if axes else values


def _trimmed_mean(error):
    """(n, f) -> (f,): the mean over the samples without the most extreme."""
    cut = int(_LEFT_OUT * len(error))
    return np.sort(error, axis=0)[cut : len(error) - cut].mean(axis=0).astype(np.float32)


def _some(batch, most):
    """At most so many samples, evenly spread."""
    count = len(next(iter(batch.values())))
    if count <= most:
        return batch
    return {name: values[np.linspace(0, count - 1, most).astype(int)] for name, values in batch.items()}


def _room(graph):
    """How many samples may be held with all their activations, on both sides."""
    values = sum(
        int(np.prod([side or 1 for side in tensor.shape[1:]]))
        for operation in graph.operations
        for tensor in keras.tree.flatten(operation.output)
    )
    return int(np.clip(_MEMORY / (8 * max(values, 1)), 8, SAMPLES))
