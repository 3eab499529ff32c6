"""Normalization of each sample by itself as operations with int8 kernels: the same in float, benign in int8."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import images, kinds, randomize, rewritten

from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.simulation import float_network, points, set_ranges
from tfeff.export.rewrites.normalization import Normalization

CASES = {
    "layer": (lambda: layers.LayerNormalization(), (6, 5, 8)),
    "layer-rows": (lambda: layers.LayerNormalization(epsilon=1e-6), (7, 8)),
    "layer-vector": (lambda: layers.LayerNormalization(), (8,)),
    "layer-whole": (lambda: layers.LayerNormalization(axis=[1, 2, 3]), (4, 3, 8)),
    "layer-columns": (lambda: layers.LayerNormalization(axis=1), (6, 5, 8)),
    "layer-bare": (lambda: layers.LayerNormalization(center=False, scale=False), (6, 5, 8)),
    "layer-scale": (lambda: layers.LayerNormalization(center=False), (6, 5, 8)),
    "group": (lambda: layers.GroupNormalization(4), (6, 5, 8)),
    "group-rows": (lambda: layers.GroupNormalization(4), (7, 8)),
    "group-vector": (lambda: layers.GroupNormalization(2), (8,)),
    "group-all": (lambda: layers.GroupNormalization(1, scale=False), (6, 5, 8)),
    "instance": (lambda: layers.GroupNormalization(-1), (6, 5, 8)),
    "rms": (lambda: layers.RMSNormalization(), (6, 5, 8)),
    "unit": (lambda: layers.UnitNormalization(), (6, 5, 8)),
    "unit-columns": (lambda: layers.UnitNormalization(axis=1), (6, 8)),
}
NORMS = {"LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization"}


def model_of(case):
    make, shape = CASES[case]
    image = keras.Input(shape)
    model = keras.Model(image, make()(image), name="net")
    randomize(model)
    random = np.random.default_rng(4)
    for variable in model.variables:
        if len(variable.shape) > 1:  # of all pixels; `randomize` takes them for kernels
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def uneven(shape, seed=3, count=12):
    """Pixels of very different sizes, and samples of nothing but one value."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, *shape)) * 10 ** random.uniform(-1, 0.5, (count, *shape[:-1], 1))
    values[0], values[1] = 0, 0.5
    return values.astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_same_in_float(case):
    model = model_of(case)
    new, places = Normalization(seen={"x": uneven(CASES[case][1])}).apply(model)
    assert places == 1
    assert not NORMS & set(kinds(new))
    assert "Negative" not in kinds(new)
    x = uneven(CASES[case][1], seed=8)
    expected = np.asarray(model(x))
    np.testing.assert_allclose(new(x), expected, atol=2e-5 * np.abs(expected).max())


def test_without_samples_it_is_the_same_too():
    new, places = rewritten(model_of("layer"), "normalization")
    assert places == 1
    assert "LayerNormalization" not in kinds(new)


def test_what_it_cannot_know_stays():
    image = keras.Input((None, None, 8))
    x = layers.GroupNormalization(2)(image)
    assert Normalization().apply(keras.Model(image, x))[1] == 0
    named = layers.BatchNormalization()(layers.Activation("gelu")(image))
    assert Normalization().apply(keras.Model(image, named))[1] == 0


@pytest.mark.parametrize("case", ["layer", "group", "rms", "unit"])
def test_weak_pixels_keep_their_figures_in_the_simulation(case):
    """Rounded to 8 bits at every step, a pixel a fifth as strong as the strongest is still right to some per cent."""
    shape, random = CASES[case][1], np.random.default_rng(6)
    x = (random.normal(size=(24, *shape)) * random.uniform(0.2, 1, (24, *shape[:-1], 1))).astype(np.float32)
    model = model_of(case)
    graph = fake_quant_graph(model, ["image"], proof={"image": x})
    _, seen = float_network(graph, rounded_weights=True)(x)
    ends = {point: (float(np.min(value)), float(np.max(value))) for point, value in seen.items()}
    set_ranges(graph, {point: (min(low, 0.0), max(high, 0.0)) for point, (low, high) in ends.items()})
    assert set(points(graph)) == set(seen)
    expected = np.asarray(model(x))
    error = np.asarray(graph(x)) - expected
    assert 10 * np.log10(np.sum(expected**2) / np.sum(error**2)) > 27


def test_the_numbers_go_into_the_layer_behind():
    """Gamma and beta cost nothing in front of a fully connected layer."""
    image = keras.Input((7, 8))
    model = randomize(keras.Model(image, layers.Dense(3)(layers.LayerNormalization()(image)), name="net"))
    graph = fake_quant_graph(model, ["image"], proof={"image": images(4, 7, 8)})
    found = kinds(graph)
    assert not {"BatchNormalization", "DepthwiseConv1D"} & set(found)
    assert found.count("QuantizedWeights") == 1
