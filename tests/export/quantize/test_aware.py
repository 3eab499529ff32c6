"""Quantization-aware training: the user's network stays, every weight that should learn does, what is frozen stays, a
saved network goes on exactly, and the file of a trained network is what was simulated and not worse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfeff import TfeffError, quantize_aware
from tfeff.compare import Runner
from tfeff.data import InputPort, Preprocessing, image_port, open_dataset
from tfeff.export import Request, export_model, quantize
from tfeff.export.model import classifier
from tfeff.export.quantize.fake_quant import ActivationRange, FakeQuantize, QuantizedWeights
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.measuring import train_ranges_by
from tfeff.export.quantize.simulation import float_model, float_network, get_ranges, points, set_ranges
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.graph import inline
from tfeff.export.targets import get_target, list_targets
from tfeff.export.trained import TrainedGraph
from tfeff.layers import GroupConv2D, GroupShift2D
from tfeff.presets import load_preset
from tfeff.training.qat import Recipe, Teacher, train_quantized

SHAPE = (8, 8, 3)


def network():
    """A group convolution, a squeeze-and-excite gate, a hard-swish, a shift, a split and a concatenation."""
    keras.utils.set_random_seed(1)
    image = keras.Input(SHAPE)
    x = layers.Conv2D(12, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.Activation("hard_silu", name="stem_act")(x)
    x = GroupShift2D(name="shift")(x)
    x = GroupConv2D(12, 3, 4, padding="same", name="grouped")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Activation("hard_sigmoid")(layers.Conv2D(12, 1, name="gate")(gate))
    x = layers.Multiply()([x, gate])
    one, two = keras.ops.split(x, 2, axis=-1)
    x = layers.Concatenate()([layers.PReLU(shared_axes=[1, 2])(one), layers.ReLU()(two)])
    return keras.Model(image, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x)), name="small")


def images(count=64, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


def labels(count=64):
    return np.random.default_rng(5).integers(0, 4, count)


@pytest.fixture(scope="module")
def aware(tmp_path_factory):
    """A network, its outputs, and a file of its fake-quant graph."""
    model = network()
    graph = quantize_aware(model, images(), train_ranges=False)
    path = tmp_path_factory.mktemp("aware") / "graph.keras"
    graph.save(path)
    return model, path


@pytest.fixture
def graph(aware):
    return keras.saving.load_model(aware[1])


def compiled(graph, rate=1e-3):
    graph.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return graph


def test_the_float_model_stays_and_is_what_lies_inside(aware, graph):
    model, _ = aware
    before = [np.array(weights) for weights in model.get_weights()]
    expected = model.predict(images(), verbose=0)
    inside = float_model(measured(fake_quant_graph(model), images()))
    np.testing.assert_allclose(inside.predict(images(), verbose=0), expected, atol=1e-6)
    assert 0 < np.abs(graph.predict(images(), verbose=0) - expected).mean() < 0.1 * np.abs(expected).max()
    compiled(graph).fit(images(), labels(), epochs=1, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fit_trains_weights_and_leaves_ranges_and_shifts(graph):
    compiled(graph)
    ranges = get_ranges(graph)
    frozen = [v for v in graph.weights if "shift" in v.path]
    assert frozen
    before, loss = [np.array(v) for v in frozen], graph.evaluate(images(), labels(), verbose=0)
    graph.fit(images(), labels(), epochs=8, verbose=0)
    assert graph.evaluate(images(), labels(), verbose=0) < loss
    assert get_ranges(graph) == ranges
    for old, new in zip(before, frozen, strict=True):
        np.testing.assert_array_equal(old, new)


def test_fit_does_not_go_through_xla(graph):
    assert compiled(graph).jit_compile is False


def test_a_saved_network_goes_on_exactly(aware, tmp_path):
    def fit(model, epochs):
        model.fit(images(), labels(), epochs=epochs, shuffle=False, batch_size=16, verbose=0)
        return model

    whole = fit(compiled(keras.saving.load_model(aware[1])), 2)
    half = fit(compiled(keras.saving.load_model(aware[1])), 1)
    half.save(tmp_path / "half.keras")
    resumed = fit(keras.saving.load_model(tmp_path / "half.keras"), 1)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def measured(graph, inputs):
    """Gives a graph the ranges of what it computes in float."""
    _, seen = float_network(graph, rounded_weights=False)(inputs)
    seen = {point: np.asarray(values) for point, values in seen.items()}
    set_ranges(graph, {point: (min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for point, v in seen.items()})
    return graph


def test_trained_ranges_move_but_not_what_is_fixed_or_zero(aware):
    graph = measured(fake_quant_graph(aware[0], train_ranges=True), images())
    before = get_ranges(graph)
    compiled(graph, 1e-2).fit(images(), labels(), epochs=2, verbose=0)
    after, layer = get_ranges(graph), points(graph)
    moved = [point for point in before if before[point] != after[point]]
    assert len(moved) > len(before) / 2
    assert after["image"] == before["image"]
    assert all(after[point] == before[point] for point in before if layer[point].fixed)
    assert all(after[point][0] == 0 for point in before if before[point][0] == 0)


@pytest.mark.parametrize(
    ("method", "wanted", "trained"),
    [(None, None, True), ("minmax", None, False), ("percentile", None, True), ("mse", None, True),
     ("entropy", False, False), (None, False, False), (None, True, True), ("image-percentile:95", None, True)],
)  # fmt: skip
def test_ranges_are_trained_unless_their_method_clips_nothing(method, wanted, trained):
    assert train_ranges_by(method, wanted) is trained


def test_gradient_of_a_trained_range_is_that_of_lsq():
    """Against the formulas of the paper, written with NumPy."""
    image = keras.Input((6,))
    bounds = ActivationRange(-0.5, 1.5, trainable=True)
    model = keras.Model(image, FakeQuantize(True)(image, *bounds(image)))
    x, upstream = np.array([[-2.0, -0.3, 0.1234, 0.77, 1.2, 3.0]], np.float32), np.arange(1.0, 7.0, dtype=np.float32)
    with tf.GradientTape() as tape:
        given = tf.constant(x)
        tape.watch(given)
        loss = tf.reduce_sum(model(given) * upstream)
    to_x, to_low, to_high = tape.gradient(loss, [given, bounds.low, bounds.high])
    scale = 2.0 / 255
    zero = round(0.5 / scale)
    steps = np.clip(np.round(x[0] / scale) + zero, 0, 255) - zero
    inside = (x[0] >= -0.5) & (x[0] <= 1.5)
    to_scale = np.where(inside, steps - x[0] / scale, 0) @ upstream
    np.testing.assert_allclose(to_x[0], upstream * inside)
    np.testing.assert_allclose(to_low, upstream[0] - to_scale / 255, atol=1e-5)
    np.testing.assert_allclose(to_high, upstream[5] + to_scale / 255, atol=1e-5)


def lost(model, target, inputs):
    """Names of the trained weights of a network, as a target gets it, that no gradient reaches, and of how many."""
    model = inline(model)
    for spec in get_target(target).rewrites:
        model, _ = load_rewrite(spec).apply(model)
    graph = measured(fake_quant_graph(model), inputs)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(graph(inputs)))
    variables = graph.trainable_variables
    learning = [layer for layer in graph.layers if isinstance(layer, QuantizedWeights) and layer.layer.trainable]
    slopes = sum(isinstance(layer, layers.PReLU) for layer in graph.layers)
    assert len(variables) == 2 * len(learning) + slopes  # a kernel and a bias each, ranges frozen
    gradients = tape.gradient(loss, variables)
    dead = [v.path for v, g in zip(variables, gradients, strict=True) if g is None or not np.any(np.asarray(g))]
    return dead, len(variables)


@pytest.mark.parametrize("target", sorted(list_targets()))
def test_gradients_reach_every_weight_of_every_form(aware, target):
    dead, count = lost(aware[0], target, images(8))
    assert dead == []
    assert count >= 10


# `benchmarks/quantization_qat.py --gradients` does it for all presets and targets; these have what the others have.
@pytest.mark.parametrize(
    ("alias", "target"),
    [("shufflenet_v2", "litert"), ("vargnet", "litert"), ("mobilenet_v3", "tflite-runtime")],
)
def test_gradients_reach_every_weight_of_a_preset(alias, target):
    preset, sample = load_preset(alias), open_dataset("fashion_mnist_sample", "test")
    inputs = np.stack([preset.preprocessing(sample.image(n)) for n in range(4)])
    dead, count = lost(preset.build(), target, inputs)
    assert dead == []
    assert count > 20
    keras.backend.clear_session()


def test_the_file_of_a_trained_network_is_what_was_simulated_and_nearer_to_float(tmp_path):
    preset = load_preset("mobilenet_v1")
    model = classifier(preset.build(), preset.name, preset.network, preset.preprocessing, preset.labels)
    sample = open_dataset("fashion_mnist_sample", "train")
    # Ranges of a method that is bad here leave something to mend.
    graph = quantize_aware(model.callable, "fashion_mnist_sample", preprocessing=preset.preprocessing, samples=64,
                           method="percentile:99", train_ranges=False, allow_audit=True)  # fmt: skip
    test = open_dataset("fashion_mnist_sample", "test")
    inputs = np.stack([preset.preprocessing(test.image(n)) for n in range(128)])
    expected = np.asarray(model.callable.predict(inputs, verbose=0))

    def divergence(outputs):
        log_p, log_q = (y - np.log(np.exp(y).sum(1, keepdims=True)) for y in (expected, outputs))
        return float((np.exp(log_p) * (log_p - log_q)).sum(1).mean())

    before = divergence(graph.predict(inputs, verbose=0))
    teacher = Teacher(model.callable, model.inputs, model.outputs, model.tasks)
    entry = train_quantized(graph, teacher, sample, Recipe(2, batch_size=32, learning_rate=3e-4))
    assert entry["best_epoch"] > 0
    request = Request(calibration="fashion_mnist_sample", devices=())
    made = export_model(model, tmp_path / "trained.tflite", request, trained=TrainedGraph(graph))
    proof = made.record.quantization.simulation
    assert proof.beyond == proof.rescaled == proof.missing == []
    assert proof.units > 25
    runner = Runner(made.path)
    assert divergence(np.stack([runner(image)["logits"].reshape(-1) for image in inputs])) < 0.8 * before


def test_weights_halfway_between_two_steps_are_rounded_as_in_the_simulation(tmp_path):
    """The converter turns division by a constant into a product, which rounds such ties elsewhere."""
    image = keras.Input((1, 1, 2))
    model = keras.Model(image, layers.Conv2D(1000, 1, name="conv")(image))
    largest = np.linspace(1.0, 1.9, 1000, dtype=np.float32)
    halfway = largest / np.float32(127) * np.float32(3.5)
    model.set_weights([np.stack([largest, halfway])[None, None], np.zeros(1000, np.float32)])
    graph = fake_quant_graph(model)
    (unit,) = (layer for layer in graph.layers if isinstance(layer, QuantizedWeights))
    ports = [InputPort("image", (1, 1, 2))]
    int8 = quantize.Int8File(model, graph, tmp_path / "int8", ports, ["logits"])
    np.save(tmp_path / "one.npy", np.float32([[[[0.0, 1.0]]]]))
    quantize.convert([int8.job(None)], {"image": tmp_path / "one.npy"}, tmp_path)
    given = Runner(int8.path)(np.float32([[[0.0, 1.0]]]))["logits"]
    np.testing.assert_allclose(given.ravel(), np.asarray(unit.rounded_kernel()[0])[0, 0, 1], rtol=1e-5)


def test_where_training_makes_it_worse_the_network_is_as_it_was(aware, graph, tmp_path):
    np.savez(tmp_path / "set.npz", images=np.random.default_rng(0).integers(0, 256, (100, *SHAPE), np.uint8),
             labels=labels(100))  # fmt: skip
    before = graph.get_weights()
    rows = []
    task = classifier(aware[0], "small", "small", Preprocessing(SHAPE[:2])).tasks
    teacher = Teacher(aware[0], (image_port(Preprocessing(SHAPE[:2])),), ("logits",), task)
    entry = train_quantized(graph, teacher, open_dataset(str(tmp_path / "set.npz"), "train"),
                            Recipe(1, batch_size=16, learning_rate=1.0), report=rows.append)  # fmt: skip
    assert entry["best_epoch"] == 0
    assert rows[1]["held_out_loss"] > rows[0]["held_out_loss"]
    for old, new in zip(before, graph.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("calibration", "options", "words"),
    [
        (images()[:, :4], {}, "shape"),
        (images().astype(np.int32), {}, "int32"),
        (images() * np.nan, {}, "NaN"),
        ("fashion_mnist_sample", {}, "preprocessing"),
        (images(), {"method": "minmax", "train_ranges": True}, "minmax"),
        (images(), {"method": "median"}, "not known"),
        (images(), {"target": "abacus"}, "unknown target"),
        (images()[:0], {}, "shape"),
    ],
)
def test_bad_input_is_refused(calibration, options, words):
    with pytest.raises(TfeffError, match=words):
        quantize_aware(network(), calibration, **options)


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TfeffError, match="no graph of layers"):
        quantize_aware(Own(), images())


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1, "learning_rate": -1.0}, "learning_rate"),
        ({"epochs": 1, "steps": 0}, "steps"),
        ({"epochs": 1, "label_weight": -0.1}, "label_weight"),
        ({"epochs": 1, "validation": 1.0}, "validation"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(recipe, words):
    with pytest.raises(TfeffError, match=words):
        Recipe(**recipe)
