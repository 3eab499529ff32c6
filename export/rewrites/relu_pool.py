"""ReLU moved in front of a max pooling, which is the same: the converter fuses one behind it into MAX_POOL_2D, and the
Edge TPU refuses a pooling with an activation. In front it goes into the convolution that is usually there."""

from typing import Any

from keras import layers

from tfeff.export.rewrites.copying import copy_layer
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import is_relu


class ReluPool(Rewrite):
    """Swaps `MaxPooling2D` and the ReLU that alone reads it."""

    name = "relu_pool"
    forms = ("native", "ahead")

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if self.form_of(layer) == "native" or not isinstance(layer, layers.MaxPooling2D):
            return None
        chain = graph.chain(layer, is_relu)
        if len(chain) < 2:
            return None
        pool, relu = chain
        return Match(chain, lambda x: copy_layer(pool)(copy_layer(relu)(x)))
