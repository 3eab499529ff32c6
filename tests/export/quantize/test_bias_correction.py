"""Bias correction in the simulation: means come back, a few bad images have no say, and nothing else is touched."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.data import InputPort
from tfeff.export.quantize import Converter, Int8File
from tfeff.export.quantize.bias_correction import correct_biases
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.simulation import float_network, points, run_points, set_ranges

SHAPE = (8, 8, 3)


def network(seed=0):
    """Depthwise kernels of few weights, whose rounding moves means, behind ReLUs, whose outputs have means."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(SHAPE)
    x = layers.Conv2D(16, 3, activation="relu", name="stem")(image)
    x = layers.DepthwiseConv2D(3, name="dw")(x)
    x = layers.ReLU(name="dw_relu")(x)
    x = layers.Conv2D(8, 1, activation="hard_silu", name="pw")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)))


def ranged(images, factor=1.0):
    """The graph with its ranges from these images (times `factor`, to clip), and {point: its float values}."""
    graph = fake_quant_graph(network())
    _, seen = float_network(graph, rounded_weights=False)(keras.ops.convert_to_tensor(images))
    seen = {point: np.asarray(value) for point, value in seen.items()}
    set_ranges(graph, {p: (min(0.0, v.min() * factor), max(1e-3, v.max() * factor)) for p, v in seen.items()})
    return graph, seen


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(0.5, 1, (96, *SHAPE)).astype(np.float32)


def means(values):
    return values.mean(axis=tuple(range(values.ndim - 1)))


def offsets(graph, images, wanted):
    """{point: the largest difference of a channel's mean between the simulation and float, in its own steps}."""
    made = run_points(graph, {"image": images})
    steps = {point: (held.bounds[1] - held.bounds[0]) / 255 for point, held in points(graph).items()}
    return {p: np.abs(means(made[p]) - means(wanted[p])).max() / steps[p] for p in ("dw", "pw_linear", "logits")}


def test_means_are_those_of_float(images):
    graph, wanted = ranged(images)
    before = offsets(graph, images, wanted)
    report = correct_biases(graph, {"image": images})
    after = offsets(graph, images, wanted)
    assert report["images"] == len(images)
    assert report["places"] == 4
    assert before["logits"] > 0.5  # or there is nothing to correct
    # The bias itself is a whole number of small steps, and what is trimmed off a normal distribution moves no mean.
    assert after["logits"] < 0.3 * before["logits"]
    assert all(after[point] <= before[point] + 0.05 for point in after)


def test_what_ranges_cut_off_is_made_up_for(images):
    graph, wanted = ranged(images, factor=0.6)
    before = offsets(graph, images, wanted)["logits"]
    correct_biases(graph, {"image": images})
    assert offsets(graph, images, wanted)["logits"] < 0.7 * before  # what the logits' own range cuts off stays off


def test_a_few_bad_images_move_nothing(images):
    spoilt = images.copy()
    spoilt[[10, 50]] *= 40
    clean, _ = ranged(images)
    bad, _ = ranged(images)  # the ranges of the clean ones
    correct_biases(clean, {"image": images})
    correct_biases(bad, {"image": spoilt})
    for name in ("stem", "dw", "pw"):
        one, other = (np.array(graph.get_layer(name).layer.bias) for graph in (clean, bad))
        np.testing.assert_allclose(one, other, atol=5e-3)


def test_only_biases_change(images):
    graph, _ = ranged(images)
    before = {w.path: np.array(w) for w in graph.weights}
    correct_biases(graph, {"image": images})
    changed = {w.path for w in graph.weights if not np.array_equal(before[w.path], w)}
    assert changed
    assert all(path.endswith("/bias") for path in changed)


def test_order_of_layers_one_after_the_other(images):
    """With one layer, the shift is E[W x] - E[W_q x_q] of numpy."""
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.Conv2D(4, 1, name="only")(image))
    graph = fake_quant_graph(model)
    low, high = float(images.min()), float(images.max())
    set_ranges(graph, {"image": (low, high), "only": (-10.0, 10.0)})
    kernel, bias = (np.array(w) for w in model.get_layer("only").get_weights())
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    step = (high - low) / 255
    zero = np.round(-low / step)
    rounded_images = (np.clip(np.round(images / step) + zero, 0, 255) - zero) * step
    bias_step = step * scale
    rough = rounded_images @ (np.round(kernel / scale) * scale)[0, 0] + np.round(bias / bias_step) * bias_step
    error = (images @ kernel[0, 0] + bias).mean(axis=(1, 2)) - rough.mean(axis=(1, 2))
    cut = int(0.05 * len(error))
    wanted = np.sort(error, axis=0)[cut : len(error) - cut].mean(axis=0)
    correct_biases(graph, {"image": images})
    np.testing.assert_allclose(graph.get_layer("only").layer.bias.numpy() - bias, wanted, atol=1e-5)


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with Converter(tmp_path_factory.mktemp("converter")) as started:
        yield started


@pytest.mark.parametrize("equal", [False, True], ids=["each its own", "two equal"])
def test_biases_that_are_put_into_the_file_are_those_of_a_new_conversion(equal, converter, images, tmp_path):
    """Of equal biases the converter leaves one constant, which no single one may change."""
    graph, _ = ranged(images)
    np.save(tmp_path / "image.npy", images)
    samples = {"image": tmp_path / "image.npy"}
    file = Int8File(None, graph, tmp_path / "first", (InputPort("image", SHAPE, "float32"),), ("logits",))
    rng = np.random.default_rng(0)
    file.set_biases({name: rng.standard_normal(b.shape) * 0.1 for name, b in file.biases().items()})
    if equal:  # both have 16 channels
        file.set_biases({name: np.zeros_like(file.biases()[name]) for name in ("stem", "dw")})
    file = Int8File(None, graph, tmp_path / "file", file.inputs, ("logits",))
    converter.convert([file.job(None)], samples)
    file.take()
    before = file.biases()
    correct_biases(graph, {"image": images})
    patched = file.rebiased(before, tmp_path / "patched")
    assert (patched is None) == equal
    if patched is None:
        return
    fresh = file.again(tmp_path / "fresh")
    converter.convert([fresh.job(None)], samples)
    fresh.take()
    written = []
    for name, made in (("patched", patched), ("fresh", fresh)):
        made.quantize(made.own_ranges({}, file), {"int8": tmp_path / f"{name}.tflite"}, converter)
        written.append((tmp_path / f"{name}.tflite").read_bytes())
    assert written[0] == written[1]
    assert len({len(each) for each in before.values()}) == 3  # or one bias alone was tried
