"""The graph under the rewrites: inlined, walked, and left alone where it cannot be."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import randomize

from tfeff.export.rewrites.copying import CannotRewrite, again
from tfeff.export.rewrites.core import shape_key
from tfeff.export.rewrites.graph import GraphView, as_functional, inline, rebuild

IMAGES = np.random.default_rng(1).standard_normal((2, 8, 8, 4)).astype(np.float32)


def test_inlining_unfolds_models_and_shared_layers_and_drops_what_only_trains():
    inner_image = keras.Input((8, 8, 4))
    inner = keras.Model(inner_image, layers.Conv2D(4, 1, name="same")(layers.Dropout(0.5)(inner_image)), name="inner")
    shared = layers.Conv2D(4, 3, padding="same", name="same")
    image = keras.Input((8, 8, 4))
    x = shared(inner(shared(image)))
    model = randomize(keras.Model(image, keras.Sequential([keras.Input((8, 8, 4)), layers.GaussianNoise(1.0)])(x)))
    flat = inline(model)
    assert [type(op).__name__ for op in flat.operations] == ["InputLayer", "Conv2D", "Conv2D", "Conv2D"]
    assert [layer.name for layer in flat.layers[1:]] == ["same", "same_2", "same_3"]
    np.testing.assert_allclose(flat(IMAGES), model(IMAGES), atol=1e-6)
    assert all(len(operation._inbound_nodes) == 1 for operation in flat.operations)


def test_structures_of_inputs_and_outputs_are_kept():
    a, b = keras.Input((8, 8, 4), name="a"), keras.Input((8, 8, 4), name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": layers.Add()([a, b]), "parts": [a * 2.0, ops.relu(b)]})
    flat = inline(model)
    values = flat({"a": IMAGES, "b": -IMAGES})
    assert values.keys() == {"sum", "parts"}
    np.testing.assert_allclose(values["parts"][0], 2 * IMAGES)
    np.testing.assert_allclose(values["sum"], 0 * IMAGES)


def test_operations_called_twice_are_copies():
    image = keras.Input((8, 8, 4))
    flat = inline(keras.Model(image, image[..., :2] + image[..., 2:]))
    rebuilt = rebuild(flat, again)
    np.testing.assert_allclose(rebuilt(IMAGES), IMAGES[..., :2] + IMAGES[..., 2:])
    assert {id(op) for op in flat.operations}.isdisjoint(id(op) for op in rebuilt.operations)


def test_who_feeds_whom():
    image = keras.Input((8, 8, 4))
    conv, relu, add = layers.Conv2D(4, 1), layers.ReLU(), layers.Add()
    x = conv(image)
    model = keras.Model(image, [add([relu(x), x]), x])
    graph = GraphView(model)
    assert graph.consumers(x) == [relu, add] or graph.consumers(x) == [add, relu]
    assert graph.is_output(x)
    assert graph.only_consumer(conv) is None
    assert graph.only_consumer(relu) is add
    assert graph.producer(relu) is None
    assert graph.chain(conv, lambda layer: True) == [conv]


def test_what_has_no_graph():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    assert as_functional(Subclassed()) is None
    assert as_functional(layers.ReLU()) is None
    assert as_functional(keras.Sequential([layers.ReLU()])) is None  # not built


def test_a_layer_that_hides_its_config_is_named():
    class Secret(layers.Layer):
        def __init__(self, size):
            super().__init__(name="secret")
            self.size = size

        def call(self, x):
            return x * self.size

        def get_config(self):
            return super().get_config()

    image = keras.Input((8, 8, 4))
    with pytest.raises(CannotRewrite, match="'secret'") as refused:
        inline(keras.Model(image, Secret(2)(image)))
    assert "get_config" in refused.value.mend


def test_equal_shapes_have_one_key_and_others_another():
    def key(channels=4, **options):
        conv = layers.Conv2D(8, 3, **options)
        conv(keras.Input((8, 8, channels)))
        return shape_key(conv)

    assert key() == key(kernel_initializer="zeros", name="other")
    assert len({key(), key(5), key(strides=2), key(padding="same")}) == 4
