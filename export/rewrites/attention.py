"""Multi-head attention as the fully connected layers, products and softmax that it is made of.

Keras has it as one layer, whose inner tensors are no points of a simulation: what int8 rounds in it, nobody would have
planned. Apart, each has its range and its proof, and the weights their scales by channel.
"""

from typing import Any

import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.copying import again
from tfeff.export.rewrites.core import Rewrite
from tfeff.export.rewrites.graph import GraphView, rebuild
from tfeff.layers.keras_private import nodes_of

_PARTS = "query", "key", "value", "attention_output"


class Attention(Rewrite):
    """Replaces `MultiHeadAttention` over sequences (n, t, c) of known length, without masks and without scores."""

    name = "attention"

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _is_plain(layer)

    def apply(self, model: Any) -> tuple[Any, int]:
        places = {id(layer) for layer in model.layers if _is_plain(layer)}
        if not places:
            return model, 0

        def call(operation, *args, **kwargs):
            if id(operation) not in places:
                return again(operation, *args, **kwargs)
            given = dict(zip(("query", "value", "key"), args, strict=False)) | kwargs
            key = given.get("key")
            return _build(operation, given["query"], given["value"], given["value"] if key is None else key)

        return rebuild(model, call), len(places)


def _is_plain(layer):
    if type(layer) is not layers.MultiHeadAttention:
        return False
    config = layer.get_config()
    if any(config.get(word) for word in ("sliding_window", "use_gate", "flash_attention")):
        return False
    if config.get("attention_axes") not in (None, [1], (1,)) or len(config.get("output_shape") or ()) > 1:
        return False
    (node,) = nodes_of(layer)  # the model was inlined
    args, kwargs = node.arguments({id(tensor): tensor for tensor in node.inputs})
    if len(args) > 3 or any(len(tensor.shape) != 3 or None in tensor.shape[1:] for tensor in node.inputs):
        return False
    return all(_is_off(word, value) for word, value in kwargs.items())


def _is_off(word, value):
    """Whether an argument of the call asks for nothing."""
    return word in ("query", "value", "key", "training") or value is None or value is False


def _build(layer, query, value, key):
    """(n, t, c), (n, s, d), (n, s, e) -> (n, t, out)"""
    config, weights = layer.get_config(), _weights(layer)
    heads, depth = config["num_heads"], config["key_dim"]
    wide = config["value_dim"] or depth
    scale = depth**-0.5

    def projected(x, part, size, order, factor=1.0):
        y = _dense(layer, part, weights[part], x, heads * size, factor)
        return ops.transpose(ops.reshape(y, (-1, x.shape[1], heads, size)), order)

    q = projected(query, "query", depth, (0, 2, 1, 3), scale)  # (n, heads, t, depth)
    k = projected(key, "key", depth, (0, 2, 3, 1))  # (n, heads, depth, s)
    v = projected(value, "value", wide, (0, 2, 1, 3))  # (n, heads, s, wide)
    shares = layers.Softmax(name=f"{layer.name}_softmax")(ops.matmul(q, k))
    joined = ops.transpose(ops.matmul(shares, v), (0, 2, 1, 3))
    joined = ops.reshape(joined, (-1, query.shape[1], heads * wide))
    return _dense(layer, "attention_output", weights["attention_output"], joined, layer.output.shape[-1], 1.0)


def _dense(layer, part, weights, x, units, factor):
    name = layer.name if part == "attention_output" else f"{layer.name}_{part}"
    dense = layers.Dense(units, use_bias=len(weights) > 1, name=name)
    y = dense(x)
    shapes = (-1, units), (units,)
    dense.set_weights(
        [np.reshape(each * np.float32(factor), shape) for each, shape in zip(weights, shapes, strict=False)]
    )
    return y


def _weights(layer):
    """{part: [kernel, bias]}, no bias where there is none."""
    found: dict[str, list[np.ndarray]] = {part: [] for part in _PARTS}
    for variable in layer.weights:
        part = variable.path.split("/")[-2]
        found[part].append(np.asarray(variable))
    return found
