"""The fake-quant graph: the same network in float, one range for all tensors of one scale, saved and loaded whole."""

import keras
import numpy as np
import pytest
import quantize_models
from keras import layers, ops
from network_cases import IMAGES, build, cases
from rewrite_models import images, randomize, stack
from rounding import assert_same

from tfeff.export.quantize.fake_quant import ActivationRange, FakeQuantize, QuantizedWeights
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.simulation import (
    float_model,
    float_network,
    get_ranges,
    is_fake_quant,
    points,
    run_points,
    set_ranges,
    step_by_step,
)
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.copying import CannotRewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target
from tfeff.networks import get_network
from tfeff.presets import aliases, load_preset

PRESETS = {get_network(load_preset(alias).network).builder for alias in aliases("classification")}
# The smallest networks of what no preset is of; presets go through all targets in `tests/export/test_presets.py`.
SMALLEST = [n for n, (_, options) in cases().items() if not options and get_network(n).builder not in PRESETS]
X = quantize_models.images(4)


def calibrated(graph, x):
    """Every range from the least to the largest value of the float network."""
    seen = float_network(graph, rounded_weights=True)(x)[1]
    ends = {name: (float(np.min(value)), float(np.max(value))) for name, value in seen.items()}
    set_ranges(graph, {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in ends.items()})
    return graph


@pytest.mark.parametrize("case", SMALLEST)
def test_the_float_network_in_it_is_the_rewritten_one(case):
    model, x = build(case), IMAGES[:2]
    rewritten, _ = apply_rewrites(model, [load_rewrite(spec) for spec in get_target("litert").rewrites], {"image": x})
    graph = fake_quant_graph(rewritten)
    assert_same(float_network(graph, rounded_weights=False)(x)[0], model(x, training=False), model, x, bar=1e-5)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in graph.layers)
    assert len(points(graph)) > 5
    keras.backend.clear_session()


@pytest.mark.parametrize("name", quantize_models.BUILDERS)
def test_it_is_the_users_network_which_is_left_alone(name):
    model = quantize_models.build(name)
    before, config, expected = model.get_weights(), model.get_config(), model(X)
    graph = fake_quant_graph(model)
    assert_same(float_network(graph, rounded_weights=False)(X)[0], expected, model, X, bar=1e-5)
    assert graph.output_shape == model.output_shape
    for weight in graph.weights:
        weight.assign(np.ones_like(weight))
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.get_config() == config
    assert not is_fake_quant(model)
    assert is_fake_quant(graph)


@pytest.mark.parametrize("name", ["gate", "functional-activations", "split", "two-gates-joined", "slopes"])
def test_the_simulation_is_near_the_network(name):
    """Wrong ranges or scales would be far off."""
    model = quantize_models.build(name)
    graph = calibrated(fake_quant_graph(model), X)
    got, expected = np.asarray(graph(X)), np.asarray(model(X))
    assert 0 < np.abs(got - expected).max() < 0.08 * np.abs(expected).max()
    plain = float_model(graph)
    assert not is_fake_quant(plain)
    assert_same(plain(X), expected, model, X, bar=1e-5)


SAVED = ["gate", "split", "ups", "convolutions", "moves", "gate-joined-with-others", "any-size", "ends-in-softmax"]


@pytest.mark.parametrize("name", SAVED)
def test_saved_and_loaded_it_gives_the_same_bits(name, tmp_path):
    graph = calibrated(fake_quant_graph(quantize_models.build(name), per_tensor=True, train_ranges=True), X)
    graph.save(tmp_path / "graph.keras")
    loaded = keras.saving.load_model(tmp_path / "graph.keras")
    np.testing.assert_array_equal(loaded(X), graph(X))
    assert get_ranges(loaded) == get_ranges(graph)
    assert list(points(loaded)) == list(points(graph))
    for one, other in zip(loaded.layers, graph.layers, strict=True):
        assert (one.name, one.trainable, type(one)) == (other.name, other.trainable, type(other))
        if isinstance(one, ActivationRange):
            assert (one.fixed, one.limits) == (other.fixed, other.limits)
        if isinstance(one, QuantizedWeights):
            assert one.per_tensor
    set_ranges(loaded, {"image": (-3.0, 5.0)})
    assert get_ranges(loaded)["image"] == (-3, 5)


def range_read_by(graph, name):
    """The range that a unit takes its input's scale from."""
    return graph.get_layer(name).input[1]._keras_history.operation


JOINS = {
    "concat": lambda a, b: layers.Concatenate()([a, b]),
    "concat-slice": lambda a, b: layers.Concatenate()([a, b])[..., 2:9],
    "pools": lambda a, b: layers.Concatenate()([layers.MaxPooling2D(2)(a), layers.AveragePooling2D(2)(b)]),
    "pads": lambda a, b: layers.Concatenate()([layers.ZeroPadding2D()(a), ops.pad(b, ((0, 0), *[(1, 1)] * 2, (0, 0)))]),
    "reshapes": lambda a, b: layers.Reshape((5, 20, 16))(layers.Concatenate()([a, ops.transpose(b, (0, 2, 1, 3))])),
    "split": lambda a, b: layers.Concatenate()([ops.split(a, 2, axis=-1)[1], ops.split(b, 2, axis=-1)[0]]),
    "crop": lambda a, b: layers.Concatenate()([layers.Cropping2D(1)(a), b[:, 1:-1, 1:-1]]),
    "up": lambda a, b: layers.Concatenate()([layers.UpSampling2D(2)(a),
                                             layers.UpSampling2D(2, interpolation="bilinear")(b)]),
    "maximum": lambda a, b: layers.Maximum()([a, b]),
    "minimum": lambda a, b: ops.minimum(a, b),
}  # fmt: skip


@pytest.mark.parametrize("join", JOINS)
def test_what_is_joined_has_one_range(join):
    image = keras.Input((10, 10, 3))
    a, b = layers.Conv2D(8, 1, name="a")(image), layers.Conv2D(8, 1, name="b")(image)
    x = layers.Conv2D(4, 1, name="reader")(JOINS[join](a, b))
    graph = fake_quant_graph(randomize(keras.Model(image, x)))
    found = points(graph)
    assert found["a"] is found["b"] is range_read_by(graph, "reader")
    assert len({id(each) for each in found.values()}) == 3  # the image's, the joined one's, the reader's
    set_ranges(graph, {"a": (-1.0, 2.0), "b": (-0.5, 3.0)})
    assert get_ranges(graph)["a"] == get_ranges(graph)["b"] == (-1, 3)


@pytest.mark.parametrize(
    ("made", "bounds"),
    [
        (layers.Activation("sigmoid", name="made"), (0, 255 / 256)),
        (layers.Activation("tanh", name="made"), (-1, 127 / 128)),
        (layers.Softmax(name="made"), (0, 255 / 256)),
        (layers.Conv2D(4, 1, activation="sigmoid", name="made"), (0, 255 / 256)),
        (layers.Conv2D(4, 1, activation="tanh", name="made"), (-1, 127 / 128)),
        (layers.Dense(4, activation="softmax", name="made"), (0, 255 / 256)),
    ],
    ids=["sigmoid", "tanh", "softmax", "conv-sigmoid", "conv-tanh", "dense-softmax"],
)
def test_ranges_of_the_specification_stay(made, bounds):
    model = stack(layers.Conv2D(4, 1, name="a"), made, layers.MaxPooling2D(2), layers.Conv2D(3, 1, name="b"))
    graph = fake_quant_graph(model, train_ranges=True)
    own = points(graph)["made"]
    assert own.fixed
    assert not own.trainable
    assert range_read_by(graph, "b") is own  # a pool hands it on
    set_ranges(graph, {"made": (-7.0, 7.0), "a": (-7.0, 7.0)})
    assert get_ranges(graph)["made"] == bounds
    assert get_ranges(graph)["a"] == (-7, 7)


def test_a_fixed_range_among_others_is_rounded_once_more():
    image = keras.Input((10, 10, 3))
    gate, other = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(image), layers.Conv2D(8, 1, name="o")(image)
    x = layers.Conv2D(4, 1, name="reader")(layers.Concatenate()([gate, other]))
    graph = fake_quant_graph(randomize(keras.Model(image, x)))
    found = points(graph)
    assert found["gate"].fixed
    assert found["gate_requantized"] is found["o"] is range_read_by(graph, "reader")
    assert not found["o"].fixed


def test_a_relu_is_part_of_what_stands_in_front_of_it():
    """But not where that is read once more."""
    fused = fake_quant_graph(stack(layers.Conv2D(4, 1, name="a"), layers.BatchNormalization(), layers.ReLU(6.0)))
    assert list(points(fused)) == ["image", "a"]
    assert fused.get_layer("a").layer.activation is keras.activations.relu6
    image = keras.Input((10, 10, 3))
    y = layers.Conv2D(4, 1, name="a")(image)
    twice = fake_quant_graph(keras.Model(image, layers.Add(name="sum")([layers.ReLU(name="relu")(y), y])))
    assert list(points(twice)) == ["image", "a", "relu", "sum"]
    assert twice.get_layer("a").layer.activation is keras.activations.linear


def test_batch_norm_is_in_kernel_and_bias():
    conv, norm = layers.Conv2D(4, 1, use_bias=False, name="a"), layers.BatchNormalization()
    graph = fake_quant_graph(stack(conv, norm))
    factor = norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)
    inner = graph.get_layer("a").layer
    np.testing.assert_allclose(inner.kernel, conv.kernel * factor, rtol=1e-5)
    np.testing.assert_allclose(inner.bias, norm.beta - norm.moving_mean * factor, rtol=1e-4, atol=1e-6)


def test_hard_sigmoid_rounds_between_its_sum_and_its_factor():
    graph = fake_quant_graph(stack(layers.Conv2D(4, 3, padding="same"), layers.Activation("hard_sigmoid", name="h")))
    found = [name for name in points(graph) if name.startswith("h")]
    assert found == ["h_add", "h"]
    set_ranges(graph, {"h_add": (0.0, 6.0), "h": (0.0, 1.0), "image": (-4.0, 4.0)})
    values = run_points(graph, {"image": images(2, 9, 8, 6)})
    assert len(np.unique(np.round(values["h_add"] / 6 * 255, 3))) > 50
    np.testing.assert_allclose(values["h_add"] * 255 / 6, np.round(values["h_add"] * 255 / 6), atol=1e-3)


def test_what_always_is_0_has_a_range_and_no_say():
    graph = fake_quant_graph(quantize_models.build("dead-first"))
    set_ranges(graph, {"first": (0.0, 0.0)})
    assert get_ranges(graph)["first"] == (0, 1)
    assert np.isfinite(graph(X)).all()
    image = keras.Input((10, 10, 3))
    a, b = layers.Conv2D(8, 1, name="a")(image), layers.Conv2D(8, 1, name="b")(image)
    graph = fake_quant_graph(keras.Model(image, layers.Concatenate()([a, b])))
    set_ranges(graph, {"a": (0.0, 0.0), "b": (-0.01, 0.02)})
    assert get_ranges(graph)["a"] == pytest.approx((-0.01, 0.02))


def test_options_reach_every_unit_and_every_range():
    model = quantize_models.build("sigmoid-gate")
    graph = fake_quant_graph(model, per_tensor=True, train_ranges=True)
    assert all(each.per_tensor for each in graph.layers if isinstance(each, QuantizedWeights))
    for name, layer in points(graph).items():
        assert layer.trainable == (name != "image" and not layer.fixed), name
    for layer in graph.layers:
        if isinstance(layer, FakeQuantize):
            assert layer.trains_range == points(graph)[layer.name.removesuffix("_fq")].trainable
    frozen = fake_quant_graph(model)
    assert not any(each.trainable for each in frozen.layers if isinstance(each, ActivationRange))
    assert len(frozen.trainable_weights) == 2 * sum(isinstance(each, QuantizedWeights) for each in frozen.layers)


def test_step_by_step_hands_on_what_is_given():
    """A point sees the values given for those in front of it, and none that the simulation makes."""
    graph = calibrated(fake_quant_graph(quantize_models.build("residual")), X)
    own = run_points(graph, {"image": X})
    made = step_by_step(graph, {"image": own["image"]}, own)
    assert made.keys() == own.keys()
    for name, values in made.items():
        np.testing.assert_allclose(values, own[name], atol=1e-6, err_msg=name)
    first = list(made)[1]
    spoilt = step_by_step(graph, {"image": own["image"]}, {**own, first: np.zeros_like(own[first])})
    np.testing.assert_array_equal(spoilt[first], made[first])
    changed = {name for name in made if not np.array_equal(spoilt[name], made[name])}
    assert changed
    assert len(changed) < len(made) - 1  # those that read it, not those behind them


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            lambda: keras.Model([a := keras.Input((8, 8, 3)), b := keras.Input((8, 8, 3))], layers.Add()([a, b])),
            "2 inp",
        ),
        (lambda: type("Own", (keras.Model,), {"call": lambda self, x: x})(name="own"), "own"),
    ],
    ids=["two-inputs", "subclassed"],
)
def test_what_has_no_plan_is_refused(model, words):
    with pytest.raises(CannotRewrite, match=words):
        fake_quant_graph(model())


def test_a_layer_that_cannot_be_copied_is_named():
    class Secret(layers.Layer):
        def __init__(self, size):
            super().__init__(name="secret")
            self.size = size

        def call(self, x):
            return x * self.size

        def get_config(self):
            return super().get_config()

    with pytest.raises(CannotRewrite, match="'secret'"):
        fake_quant_graph(stack(layers.Conv2D(4, 1), Secret(2)))
