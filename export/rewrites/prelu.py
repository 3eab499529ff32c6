"""PReLU made of operations that every int8 runtime has fast kernels for: XNNPACK leaves PRELU to a slow one.

`add`: y = x + relu((a - 1) x) for slopes a <= 1, and what is above that as y = x - relu((1 - a) x). One depthwise
convolution of 1x1 with a fused ReLU and an ADD, which scales its inputs by themselves; a second pair where a layer has
slopes of both kinds.

`maximum`: y = max(x, a x), which holds for every a <= 1, negative ones too; with slopes above 1 it is `add`. The
converter gives both inputs of a MAXIMUM the int8 scale of its output: an x that went straight into it would be cut off
at the smallest y, before a x is computed (10 dB lost with slopes of 0.25). So x goes in by a depthwise convolution of
ones, where it may be cut.

`uneven` is `maximum` where slopes differ: equal ones are a single table for Vela, and stay.
"""

from typing import Any

import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.building import scaled
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView


class PRelu(Rewrite):
    """Replaces `PReLU`; one whose slopes differ by pixel is left alone."""

    name = "prelu"
    forms = ("native", "uneven", "maximum", "add")
    exact = "maximum"

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return isinstance(layer, layers.PReLU) and slopes_of(layer) is not None

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if not self.is_place(layer, graph) or self.form_of(layer) == "native":
            return None
        form, slopes = self.form_of(layer), slopes_of(layer)
        if form == "uneven" and (slopes == slopes[0]).all():
            return None
        build = as_sum if form == "add" else as_maximum
        return Match([layer], lambda x: build(x, slopes, layer.name))

    def candidates(self, layer: Any) -> tuple[str, ...]:
        """Without the one that is `native` or `maximum`."""
        return "native", "maximum", "add"


def slopes_of(prelu: Any) -> np.ndarray | None:
    """(c,): what values below zero are multiplied with, channel by channel; None where it differs by pixel."""
    alpha = np.asarray(prelu.alpha)  # sizes of the input, 1 where they are shared
    first = alpha[(0,) * (alpha.ndim - 1)]
    return np.broadcast_to(first, prelu.output.shape[-1:]) if (alpha == first).all() else None


def as_sum(x: Any, slopes: Any, name: str) -> Any:
    """x above zero, `slopes` (c,) times x below; the shape stays."""
    flat, steep = np.minimum(slopes - 1, 0), np.minimum(1 - slopes, 0)
    if flat.any():
        x, whole = layers.Add(name=f"{name}_add")([x, _positive(x, flat, f"{name}_flat")]), x
    else:
        whole = x
    if steep.any():
        x = layers.Subtract(name=f"{name}_subtract")([x, _positive(whole, steep, f"{name}_steep")])
    return x


def as_maximum(x: Any, slopes: Any, name: str) -> Any:
    """The same by MAXIMUM, where it can be."""
    if (slopes > 1).any() or len(x.shape) != 4:
        return as_sum(x, slopes, name)
    both = [scaled(x, factors, name=f"{name}_{end}") for end, factors in (("x", np.ones_like(slopes)), ("ax", slopes))]
    return layers.Maximum(name=f"{name}_maximum")(both)


def _positive(x, factors, name):
    """relu(factors x)"""
    if len(x.shape) == 4:
        return scaled(x, factors, name=name, activation="relu")
    return layers.ReLU(name=name)(ops.multiply(x, factors))
