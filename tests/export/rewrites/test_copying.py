"""Copies of layers hold all that the layers hold: what Keras would save of them, whatever kind of state that is."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.export.rewrites.copying import CannotRewrite, copy_layer, in_inference
from tfeff.export.rewrites.graph import inline, run_model

RNG = np.random.default_rng(4)


@keras.saving.register_keras_serializable(package="tests")
class Offsets(layers.Layer):
    """Holds an array that is no variable, and saves it by itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.offsets = np.zeros(3, np.float32)

    def call(self, x):
        return x + self.offsets

    def save_own_variables(self, store):
        store["offsets"] = self.offsets

    def load_own_variables(self, store):
        self.offsets = np.asarray(store["offsets"])


@keras.saving.register_keras_serializable(package="tests")
class Counter(layers.Layer):
    """Holds a variable that is neither trained nor of floating point, and one within a layer of its own."""

    def build(self, shape):
        self.shift = self.add_weight(name="shift", shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.inner = layers.BatchNormalization()
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x) + keras.ops.cast(self.shift, "float32")


def adapted(layer, *values):
    layer.adapt(np.stack(values).astype(np.float32))
    return layer


def told():
    layer = Offsets()
    layer.offsets = np.float32([1, -2, 3])
    return layer


def counting(x):
    layer = Counter()
    layer(x)
    layer.shift.assign(5)
    layer.inner.moving_mean.assign([0.5, -0.5, 0.25])
    return layer


def trained(layer):
    """As training leaves it, statistics and all."""

    def make(x):
        layer(x)
        for variable in layer.variables:
            if "float" in variable.dtype:
                variable.assign(RNG.uniform(0.2, 1.5, variable.shape))
        return layer

    return make


SAMPLES = RNG.normal(3, 2, (64, 4, 4, 3)).astype(np.float32)
VECTORS = RNG.normal(3, 2, (64, 3)).astype(np.float32)
STATE = {
    "normalization": (SAMPLES, lambda x: adapted(layers.Normalization(), *SAMPLES)),
    "normalization-of-vectors": (VECTORS, lambda x: adapted(layers.Normalization(), *VECTORS)),
    "normalization-told": (SAMPLES, lambda x: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])),
    "denormalization": (SAMPLES, lambda x: adapted(layers.Normalization(invert=True), *SAMPLES)),
    "discretization": (VECTORS, lambda x: adapted(layers.Discretization(num_bins=5), *VECTORS)),
    "batch-norm": (SAMPLES, trained(layers.BatchNormalization())),
    "layer-norm": (SAMPLES, trained(layers.LayerNormalization())),
    "group-norm": (SAMPLES, trained(layers.GroupNormalization(3))),
    "unit-norm": (SAMPLES, trained(layers.UnitNormalization())),
    "spectral-norm": (SAMPLES, trained(layers.SpectralNormalization(layers.Conv2D(2, 3)))),
    "recurrent": (SAMPLES[:, 0], trained(layers.Bidirectional(layers.GRU(3)))),
    "attention": (SAMPLES[:, 0], lambda x: trained(layers.MultiHeadAttention(2, 4))),
    "prelu": (SAMPLES, trained(layers.PReLU(shared_axes=[1, 2]))),
    "time-distributed": (SAMPLES, trained(layers.TimeDistributed(layers.Dense(2)))),
    "its-own-array": (VECTORS, lambda x: told()),
    "whole-numbers-and-parts": (VECTORS, counting),
}


@pytest.mark.parametrize("kind", [kind for kind in STATE if kind != "attention"])
def test_a_copy_computes_what_the_layer_does(kind, tmp_path):
    samples, make = STATE[kind]
    image = keras.Input(samples.shape[1:], name="x")
    model = keras.Model(image, make(image)(image))
    expected = np.asarray(model(samples, training=False))
    (got,) = run_model(inline(model), {"x": samples})
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    model.save(tmp_path / "m.keras")  # what was saved and loaded is what a user brings
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    (got,) = run_model(inline(loaded), {"x": samples})
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_attention_with_two_arguments():
    sequence = keras.Input((4, 3), name="x")
    layer = layers.MultiHeadAttention(2, 4)
    model = keras.Model(sequence, layer(sequence, sequence))
    x = SAMPLES[:, 0]
    np.testing.assert_allclose(run_model(inline(model), {"x": x})[0], model(x, training=False), rtol=1e-5, atol=1e-6)


def test_vocabularies_are_copied():
    """A lookup keeps its words in a file of their own."""
    lookup = layers.IntegerLookup(output_mode="one_hot")
    lookup.adapt(np.array([11, 11, 7, 42]))
    numbers = keras.Input((1,), dtype="int64", name="x")
    model = keras.Model(numbers, lookup(numbers))
    x = np.array([[7], [11], [3]])
    np.testing.assert_array_equal(run_model(inline(model), {"x": x})[0], model(x))


def test_what_trains_only_is_dropped_and_predict_is_what_is_copied():
    image = keras.Input((8, 8, 3), name="x")
    x = layers.RandomFlip()(image)
    x = layers.RandomTranslation(0.1, 0.1)(x, training=True)  # `predict` says otherwise
    x = layers.GaussianNoise(1.0)(layers.SpatialDropout2D(0.5)(layers.RandomContrast(0.2)(x)))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(x), training=True)
    model = keras.Model(image, layers.Dropout(0.5)(x, training=True))
    flat = inline(model)
    assert [type(each).__name__ for each in flat.layers] == ["InputLayer", "Conv2D", "BatchNormalization"]
    samples = RNG.normal(0, 1, (4, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(run_model(flat, {"x": samples})[0], model.predict(samples, verbose=0), atol=1e-6)


def test_an_idle_layer_that_changes_the_type_stays():
    pixels = keras.Input((8, 8, 3), dtype="uint8", name="x")
    flat = inline(keras.Model(pixels, layers.Conv2D(2, 3)(layers.RandomFlip()(pixels))))
    assert [type(each).__name__ for each in flat.layers] == ["InputLayer", "RandomFlip", "Conv2D"]
    out = in_inference(flat.layers[1], np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3))
    np.testing.assert_array_equal(np.asarray(out).ravel(), np.arange(192))


def test_a_model_with_a_call_of_its_own_has_no_graph():
    """It is built functionally, and computes something else."""

    class Doubled(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs)

    from tfeff.export.rewrites.graph import as_functional

    x = keras.Input((3,))
    assert as_functional(Doubled(x, layers.Dense(2)(x))) is None
    assert as_functional(keras.Model(x, layers.Dense(2)(x))) is not None


def test_state_that_does_not_fit_is_told_with_the_layer():
    class Grows(layers.Layer):
        """Has one more variable each time that it is made."""

        made = 0

        def build(self, shape):
            type(self).made += 1
            for number in range(type(self).made):
                self.add_weight(name=f"w{number}", shape=(3,))

        def call(self, x):
            return x

    layer = Grows(name="grows")
    layer(np.zeros((1, 3), np.float32))
    with pytest.raises(CannotRewrite, match=r"'grows' \(Grows\) cannot be copied"):
        copy_layer(layer)(keras.Input((3,)))
