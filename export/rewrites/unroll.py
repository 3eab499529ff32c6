"""Recurrent layers as the steps that they are made of.

The converter makes a loop of one (WHILE), whose body no int8 file can hold: its quantizer dies of it. A step is fully
connected layers, sums, products, sigmoids and tanh, which all have int8 kernels.
"""

from typing import Any

import keras
from keras import layers

from tfeff.export.rewrites.copying import again, copy_layer
from tfeff.export.rewrites.core import Rewrite
from tfeff.export.rewrites.graph import GraphView, rebuild

_RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
MOST_STEPS = 128  # of some 15 operations each


class Unroll(Rewrite):
    """Replaces GRU, LSTM and SimpleRNN, alone or within `Bidirectional`, over a known number of steps, up to 128."""

    name = "unroll"

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _is_loop(layer)

    def apply(self, model: Any) -> tuple[Any, int]:
        places = {id(layer) for layer in model.layers if _is_loop(layer)}
        if not places:
            return model, 0

        def call(operation, *args, **kwargs):
            if id(operation) in places:
                return copy_layer(operation, config=_unrolled(operation))(*args, **kwargs)
            return again(operation, *args, **kwargs)

        return rebuild(model, call), len(places)


def _is_loop(layer):
    cells = [layer.forward_layer, layer.backward_layer] if isinstance(layer, layers.Bidirectional) else [layer]
    if not all(isinstance(cell, _RECURRENT) and not cell.unroll and not cell.stateful for cell in cells):
        return False
    steps = keras.tree.flatten(layer.input)[0].shape[1]
    return steps is not None and steps <= MOST_STEPS


def _unrolled(layer):
    """What of its config is another."""
    if not isinstance(layer, layers.Bidirectional):
        return {"unroll": True}
    config = layer.get_config()
    for word in ("layer", "backward_layer"):
        config[word] = {**config[word], "config": {**config[word]["config"], "unroll": True}}
    return {word: config[word] for word in ("layer", "backward_layer")}
