"""Concatenation moved behind a depthwise convolution with a stride, where there is less to copy.

GhostNet's modules end in one: half of the channels of the largest maps are copied only to be read once by a depthwise
convolution of stride 2, which treats each channel alone. So it, its BN and its ReLU are done part by part.
"""

from typing import Any

import numpy as np
from keras import layers

from tfeff.export.rewrites.copying import copy_layer
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import is_batch_norm, is_relu


class Concatenation(Rewrite):
    """Moves CONCATENATION of channels behind the strided depthwise convolution that alone reads it."""

    name = "concatenation"
    forms = ("native", "sink")

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if not isinstance(layer, layers.Concatenate) or self.form_of(layer) == "native":
            return None
        if layer.axis not in (-1, 3) or len(layer.output.shape) != 4:
            return None
        chain = graph.chain(layer, _is_strided, is_batch_norm, is_relu)
        if len(chain) < 2 or not _is_strided(chain[1]):
            return None
        sizes = [tensor.shape[-1] for tensor in layer.input]
        return Match(chain, lambda parts: _sink(parts, sizes, *chain))


def _sink(parts, sizes, concat, *rest):
    """(n, h, w, c_i) each -> (n, h/s, w/s, sum c_i)"""
    ends = np.cumsum(sizes)
    done = []
    for number, (part, size, end) in enumerate(zip(parts, sizes, ends, strict=True)):
        own = slice(end - size, end)
        for layer in rest:
            axis = 2 if isinstance(layer, layers.DepthwiseConv2D) else -1
            name = f"{layer.name}_part{number}"
            part = copy_layer(layer, name, lambda w, axis=axis, own=own: _take(w, axis, own))(part)
        done.append(part)  # (n, h/s, w/s, c_i)
    return copy_layer(concat)(done)


def _take(weight, axis, own):
    """The channels `own` of a depthwise kernel (kh, kw, c, 1) or of what has one number a channel."""
    return weight[:, :, own] if axis == 2 and weight.ndim == 4 else weight[own]


def _is_strided(layer):
    return (
        isinstance(layer, layers.DepthwiseConv2D)
        and layer.depth_multiplier == 1
        and max(layer.strides) > 1
        and layer.data_format == "channels_last"
    )
