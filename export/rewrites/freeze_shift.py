"""Shift layer -> depthwise convolutions with constant kernels.

For runtimes with a fast int8 depthwise kernel (LiteRT: XNNPACK), and for every float file: a learned shift computes its
kernel out of its weight, with a shape that depends on it, and no converter takes that.

A kernel of up to 3x3 is one convolution. Beyond that a column of taps and a row of taps follow each other: XNNPACK's
kernels end at 25 taps, and what is larger takes more than ten times as long (`benchmarks/shift.py`).
"""

from typing import Any

import numpy as np
from keras import layers

from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.layers import ActiveShift2D, GroupShift2D, SparseShift2D

SHIFTS = (GroupShift2D, ActiveShift2D, SparseShift2D)
WHOLE_KERNEL = 9  # taps; larger ones are taken apart


class FreezeShift(Rewrite):
    """Replaces every shift layer by one or two `DepthwiseConv2D` that hold the shifts as they are now."""

    name = "freeze_shift"
    kinds = SHIFTS

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        return Match([layer], lambda x: taps(x, layer)) if isinstance(layer, SHIFTS) else None


def taps(x: Any, shift: Any, whole_kernel: int = WHOLE_KERNEL) -> Any:
    """(n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c): what `shift` computes.

    Args:
        whole_kernel: the largest number of taps for which rows and columns are taken at once.
    """
    stride = stride_of(shift)
    columns, rows = (axis_taps(pixels, size) for pixels, size in zip(shift.pixels(), x.shape[1:3], strict=True))
    reach = len(columns) // 2, len(rows) // 2
    padding = "same"
    if stride > 1:  # where "same" puts the odd pixel depends on the size
        x, padding = layers.ZeroPadding2D(reach, name=f"{shift.name}_pad")(x), "valid"
    if len(columns) * len(rows) <= whole_kernel or 1 in (len(columns), len(rows)):
        kernel = columns[:, None] * rows  # (2 r_y + 1, 2 r_x + 1, c)
        return depthwise(x, kernel, strides=stride, padding=padding, name=f"{shift.name}_taps")
    x = depthwise(x, columns[:, None], padding=padding, name=f"{shift.name}_y")
    # The stride in both directions at once, for no depthwise convolution has two; the rows between were for nothing.
    return depthwise(x, rows[None], strides=stride, padding=padding, name=f"{shift.name}_x")


def axis_taps(shifts: Any, size: int) -> Any:
    """(2r + 1, c): the weights of the offsets -r..r in one direction, 1 - f at floor(shift), f behind it.

    Args:
        shifts: (c,), pixels.
        size: of the map, pixels, None when it is open; what points beyond it is left out, for all is zero there.
    """
    low = np.floor(shifts)
    reach = int(np.ceil(np.abs(shifts)).max())
    offsets = np.arange(-reach, reach + 1)[:, None]
    weights = np.where(offsets == low, 1 - (shifts - low), 0) + np.where(offsets == low + 1, shifts - low, 0)
    beyond = max(0, reach - size + 1) if size is not None else 0
    return weights[beyond : len(weights) - beyond]


def depthwise(x: Any, kernel: Any, **options: Any) -> Any:
    """A depthwise convolution of `x` with a constant `kernel`, (k_h, k_w, c)."""
    layer = layers.DepthwiseConv2D(kernel.shape[:2], use_bias=False, trainable=False, **options)
    y = layer(x)
    layer.set_weights([kernel[..., None]])
    return y


def stride_of(shift: Any) -> int:
    """Of the pixels that are kept, in both directions."""
    return getattr(shift, "strides", 1)
