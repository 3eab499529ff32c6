"""Which of a tensor's values make a difference to who reads it, and how long a range is therefore."""

import keras
import pytest
from keras import layers, ops

from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.simulation import points, set_ranges
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_once


def conv_then(build):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="conv")(image)
    return keras.Model(image, build(x))


def swish(x):
    return layers.Activation("hard_silu")(x)


def gate(x):
    return layers.Activation("hard_sigmoid")(x)


CASES = {
    "hard-swish": (swish, (-3.0, 10.0)),
    "two hard-swishes": (lambda x: layers.Add()([swish(x), swish(x)]), (-3.0, 10.0)),
    "hard-sigmoid": (gate, (-3.0, 3.0)),
    "hard-swish and hard-sigmoid": (lambda x: layers.Multiply()([swish(x), gate(x)]), (-3.0, 10.0)),
    "read by another as well": (lambda x: layers.Add()([swish(x), x]), (-10.0, 10.0)),
    "product with another's gate": (
        lambda x: layers.Multiply()([x, gate(layers.Conv2D(4, 1, name="other")(x))]), (-10.0, 10.0)
    ),
    "relu": (lambda x: layers.PReLU()(x), (-10.0, 10.0)),
    "concatenated": (lambda x: swish(layers.Concatenate()([x, x])), (-10.0, 10.0)),
    "another number": (lambda x: layers.Multiply()([x, layers.ReLU(6.0)(ops.add(x, 2.0))]), (-10.0, 10.0)),
    "an output": (lambda x: [x, swish(x)], (-10.0, 10.0)),
}  # fmt: skip


@pytest.mark.parametrize("spelled", ["native", "add_mul"])
@pytest.mark.parametrize("case", CASES)
def test_range_ends_where_values_make_no_difference(case, spelled):
    build, expected = CASES[case]
    model, _ = rewrite_once(conv_then(build), load_rewrite(f"hard_swish:{spelled}"))
    graph = fake_quant_graph(model)
    point = "conv" if "conv" in points(graph) else "conv_linear"
    set_ranges(graph, {point: (-10.0, 10.0)})
    assert points(graph)[point].bounds == expected
