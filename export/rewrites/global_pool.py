"""Global average pooling: MEAN, MEAN that keeps the rank, or AVERAGE_POOL_2D over the whole map.

tflite-runtime 2.14 computes an int8 MEAN that drops h and w some ten times as slowly as one that keeps them, and
AVERAGE_POOL_2D is faster still. But AVERAGE_POOL_2D has the int8 scale of its input, while a MEAN has its own, and a
mean is much smaller than the largest pixel: in `average_pool` it is rounded more coarsely.
"""

from typing import Any

from keras import layers

from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView


class GlobalPool(Rewrite):
    """Replaces `GlobalAveragePooling2D` over maps of a known size."""

    name = "global_pool"
    forms = ("mean", "keepdims", "average_pool")

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return (
            isinstance(layer, layers.GlobalAveragePooling2D)
            and layer.data_format == "channels_last"
            and None not in layer.input.shape[1:]
        )

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        form = self.form_of(layer) if self.is_place(layer, graph) else "mean"
        if form == "mean" or (form == "keepdims" and layer.keepdims):
            return None
        return Match([layer], lambda x: _build(x, layer, form))


def _build(x, pool, form):
    """(n, h, w, c) -> (n, c), or (n, 1, 1, c) if `pool` keeps them."""
    height, width, channels = x.shape[1:]
    if form == "average_pool":
        x = layers.AveragePooling2D((height, width), name=pool.name)(x)  # -> (n, 1, 1, c)
    else:
        x = layers.GlobalAveragePooling2D(keepdims=True, name=pool.name)(x)  # -> (n, 1, 1, c)
    return x if pool.keepdims else layers.Reshape((channels,), name=f"{pool.name}_flat")(x)
