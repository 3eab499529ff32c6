"""Weights rounded together: what is looked at is what a layer computes, errors cancel, scales and ends stay, and the
file holds the weights that the graph has."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.data import InputPort
from tfeff.export.quantize import Converter, Int8File
from tfeff.export.quantize.bias_correction import correct_biases
from tfeff.export.quantize.fake_quant import QuantizedWeights
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.simulation import float_network, points, set_ranges
from tfeff.export.quantize.weight_rounding import _Moments, descend, round_weights
from tfeff.layers import GroupConv2D

SHAPE = (7, 6, 4)
KINDS = {
    "conv": lambda: layers.Conv2D(5, (3, 2), 2, "same", use_bias=False),
    "dilated": lambda: layers.Conv2D(5, 2, 1, "valid", dilation_rate=2, use_bias=False),
    "depthwise": lambda: layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, use_bias=False),
    "groups": lambda: layers.Conv2D(6, 3, 1, "valid", groups=2, use_bias=False),
    "own groups": lambda: GroupConv2D(6, 3, 2, padding="same", use_bias=False),
    "dense": lambda: layers.Dense(3, use_bias=False),
}


def images(count, seed=1):
    return np.random.default_rng(seed).normal(0.5, 1, (count, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_looked_at_is_what_the_layer_computes_with(kind):
    keras.utils.set_random_seed(3)
    unit, x = QuantizedWeights(KINDS[kind]()), images(2)
    unit.build(x.shape)
    assert _Moments.takes(unit.layer)
    moments, kernel = _Moments(unit), np.asarray(unit.layer.kernel)
    by_group = moments._by_group(kernel)  # (groups, inputs, outputs)
    made = np.einsum("rgi,gio->rgo", moments._rows(x), by_group)
    np.testing.assert_allclose(made.reshape(-1), np.asarray(unit.layer(x)).reshape(-1), atol=1e-5)
    assert np.array_equal(moments._as_kernel(by_group, kernel.shape), kernel)


def test_no_weight_alone_would_make_it_less_and_ends_stay():
    random = np.random.default_rng(4)
    inputs = random.normal(0.7, 1, (200, 2, 100)) @ random.normal(0, 1, (100, 100))
    inputs[:, 1, 6] = 0  # what is always 0 stays as it is
    energy = np.einsum("rgi,rgj->gij", inputs, inputs) / 200
    steps = random.uniform(-126, 126, (2, 100, 3))
    steps[:, 5] = 127
    nearest, scale = np.round(steps), np.full(steps.shape, 0.01)
    codes = descend(energy, steps, nearest, scale)
    assert np.array_equal(codes, np.round(codes))
    assert np.array_equal(codes[:, 5], nearest[:, 5])
    assert np.array_equal(codes[1, 6], nearest[1, 6])

    def errors(held):
        return np.einsum("gio,gij,gjo->go", held - steps, energy, held - steps)

    assert np.all(errors(codes) < 0.5 * errors(nearest))


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="stem")(image)
    x = layers.DepthwiseConv2D(3, activation="relu", name="dw")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)))


def test_the_outputs_come_nearer_and_scales_stay():
    graph, held = fake_quant_graph(network()), images(64, 2)
    units = [layer for layer in graph.layers if isinstance(layer, QuantizedWeights)]
    wanted, _ = float_network(graph, rounded_weights=False)(keras.ops.convert_to_tensor(held))
    before = [np.asarray(each) for unit in units for each in unit.rounded_kernel()]
    nearest, _ = float_network(graph, rounded_weights=True)(keras.ops.convert_to_tensor(held))
    told = round_weights(graph, {"image": images(64)})
    together, _ = float_network(graph, rounded_weights=True)(keras.ops.convert_to_tensor(held))
    after = [np.asarray(each) for unit in units for each in unit.rounded_kernel()]
    assert (told["images"], told["places"]) == (64, 3)
    assert told["moved"] > 0
    assert keras.ops.mean((together - wanted) ** 2) < 0.5 * keras.ops.mean((nearest - wanted) ** 2)
    for number in range(0, len(after), 2):
        kernel, scale = after[number : number + 2]
        assert np.array_equal(scale, before[number + 1])
        assert np.abs(np.round(kernel / scale)).max() == 127


def test_biases_are_corrected_for_these_weights():
    """Ranges that cut off a good part move means; corrected they are nearer to those of float."""
    graph, samples = fake_quant_graph(network()), images(64)
    wanted, seen = float_network(graph, rounded_weights=False)(keras.ops.convert_to_tensor(samples))
    cut = {point: 1.0 if point == "logits" else 0.7 for point in seen}
    ends = {point: (min(0.0, float(np.min(v)) * cut[point]), float(np.max(v)) * cut[point])
            for point, v in seen.items()}  # fmt: skip
    set_ranges(graph, ends)
    round_weights(graph, {"image": samples})

    def off():
        return np.abs(np.mean(np.asarray(graph(samples)) - np.asarray(wanted), 0)).max()

    before, told = off(), correct_biases(graph, {"image": samples})
    assert told["images"] == 64
    assert off() < 0.4 * before


def test_the_file_gets_them_without_a_conversion(tmp_path):
    graph = fake_quant_graph(network())
    set_ranges(graph, dict.fromkeys(points(graph), (-4.0, 4.0)))
    file = Int8File(None, graph, tmp_path / "int8", [InputPort("image", SHAPE)], ["logits"])
    np.save(tmp_path / "samples.npy", images(2))
    samples = {"image": tmp_path / "samples.npy"}
    with Converter(tmp_path) as converter:
        converter.convert([file.job(samples)])
        file.take()
        round_weights(graph, {"image": images(32)})
        codes = file.codes()
        made = file.recoded(tmp_path / "recoded")
        assert made is not None
        anew = file.again(tmp_path / "anew")
        converter.convert([anew.job(samples)])
        anew.take()
        paths = [tmp_path / "one.tflite", tmp_path / "other.tflite"]
        for each, path in zip((made, anew), paths, strict=True):
            each.quantize({}, {"int8": path}, converter)
    assert file.codes() == codes
    assert paths[0].read_bytes() == paths[1].read_bytes()
    file.set_codes({})
    assert not file.codes()
