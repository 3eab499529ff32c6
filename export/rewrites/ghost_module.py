"""GhostNet's module without its concatenation, where it has few channels (arXiv 1911.11907, figure 2b).

A module makes half of its channels by a convolution and the other half of these by a depthwise one, and joins them.
Kernels that work on 16 channels at a time are half empty with 8, and copying 8 bytes at a time is slow. So the
convolution makes each channel twice, and the depthwise convolution passes the first copies on: equal, as long as both
halves end in the same activation.
"""

from typing import Any

import numpy as np
from keras import layers

from tfeff.export.rewrites.building import rebuilt
from tfeff.export.rewrites.copying import copy_layer
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import fold, is_batch_norm, is_dense_conv, is_relu, relu_of

_TILE = 16  # channels that XNNPACK's int8 kernels work on at a time


class GhostModule(Rewrite):
    """Replaces convolution, depthwise convolution of its output, and the concatenation of both."""

    name = "ghost_module"
    forms = ("native", "double")

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if self.form_of(layer) == "native" or not is_dense_conv(layer) or 2 * layer.filters > _TILE:
            return None
        first = graph.chain(layer, is_batch_norm, is_relu)
        readers = graph.consumers(first[-1].output)
        cheap = next((reader for reader in readers if _is_cheap(reader)), None)
        if cheap is None or len(readers) != 2 or graph.is_output(first[-1].output):
            return None
        second = graph.chain(cheap, is_batch_norm, is_relu)
        concat = graph.only_consumer(second[-1])
        if not isinstance(concat, layers.Concatenate) or concat.axis not in (-1, 3) or concat not in readers:
            return None
        if [id(t) for t in concat.input] != [id(first[-1].output), id(second[-1].output)]:
            return None
        if _activation(first) != _activation(second):
            return None
        return Match([*first, *second, concat], lambda x: _double(x, first, second))


def _double(x, first, second):
    """(n, h, w, c) -> (n, h', w', 2 f)"""
    conv, cheap = first[0], second[0]
    kernel, bias, _ = fold(conv, [layer for layer in first[1:] if is_batch_norm(layer)])
    options = {"use_bias": True, "activation": _activation(first) or "linear"}
    weights = [np.concatenate([kernel, kernel], axis=-1), np.concatenate([bias, bias])]
    x = rebuilt(conv, x, weights, filters=2 * conv.filters, **options)  # -> (n, h', w', 2 f), each channel twice
    passing = np.zeros_like(cheap.kernel)
    passing[cheap.kernel_size[0] // 2, cheap.kernel_size[1] // 2] = 1
    taps = [np.concatenate([passing, cheap.kernel], axis=2)]
    if cheap.use_bias:
        taps.append(np.concatenate([np.zeros(conv.filters, np.float32), cheap.bias]))
    x = rebuilt(cheap, x, taps, activation="linear")
    for layer in second[1:]:
        x = _batch_norm(layer, x) if is_batch_norm(layer) else copy_layer(layer)(x)
    return x if relu_of(second[-1]) else _activated(cheap, x)


def _batch_norm(layer, x):
    """BN of the second half; the first passes: gamma and variance such that it is multiplied by one."""
    new = type(layer).from_config({**layer.get_config(), "scale": True, "center": True})
    y = new(x)
    count = x.shape[-1] // 2
    gamma = np.ones(count) if layer.gamma is None else np.asarray(layer.gamma)
    beta = np.zeros(count) if layer.beta is None else np.asarray(layer.beta)
    zero, one = np.zeros(count), np.ones(count)
    halves = [
        (one, gamma),
        (zero, beta),
        (zero, np.asarray(layer.moving_mean)),
        (one - layer.epsilon, np.asarray(layer.moving_variance)),
    ]
    new.set_weights([np.concatenate(pair).astype(np.float32) for pair in halves])
    return y


def _activated(cheap, x):
    name = _activation([cheap])
    return layers.ReLU(6.0 if name == "relu6" else None, name=f"{cheap.name}_relu")(x) if name else x


def _activation(chain):
    """The ReLU that a chain ends in, its own layer or built in: "relu", "relu6", or None; False for any other."""
    if is_relu(chain[-1]):
        return relu_of(chain[-1])
    name = getattr(chain[0].activation, "__name__", "")
    return {"linear": None, "relu": "relu", "relu6": "relu6"}.get(name, False)


def _is_cheap(layer):
    return (
        type(layer) is layers.DepthwiseConv2D
        and layer.depth_multiplier == 1
        and layer.strides == (1, 1)
        and layer.padding == "same"
        and layer.data_format == "channels_last"
        and all(size % 2 for size in layer.kernel_size)
    )
