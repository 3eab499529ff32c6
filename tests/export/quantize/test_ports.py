"""Networks of several inputs and outputs, of any rank and type: the fake-quant graph is the network, its file is the
graph, biases can be corrected and channels equalized."""

import re

import keras
import keras_port_models as port_models
import numpy as np
import pytest
import quantize_models
from keras import layers

from tfeff.compare import Runner
from tfeff.data import InputPort
from tfeff.export.model import named_outputs
from tfeff.export.quantize import Converter, Int8File
from tfeff.export.quantize.bias_correction import correct_biases
from tfeff.export.quantize.equalize import equalize
from tfeff.export.quantize.fake_quant import QuantizedWeights
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.prove import prove_units
from tfeff.export.quantize.simulation import float_model, float_network, points, run_points
from tfeff.export.rewrites.copying import CannotRewrite
from tfeff.export.rewrites.graph import run_model
from tfeff.tflite.graph import read_graph

NAMES = list(port_models.BUILDERS)
# What a recurrent layer holds is measured in the file, not simulated.
OPAQUE = {"recurrent": {"gru"}, "both-ways": {"bidirectional"}}
# What is gone from the file: folded into the convolution behind it.
FOLDED = {"regression": {"normalization"}}


def expected(case):
    """By output, (n, ...) each, as `predict` gives it."""
    return dict(zip(case.outputs, run_model(case.model, case.batch), strict=True))


def some(case, count=8):
    return {name: values[:count] for name, values in case.batch.items()}


def plain(point):
    """Without the number that Keras gives."""
    return re.sub(r"_\d+$", "", point)


def noise_db(got, wanted):
    return 10 * np.log10((wanted**2).sum() / ((got - wanted) ** 2).sum())


@pytest.fixture(scope="module")
def cases():
    return {name: port_models.build(name) for name in NAMES}


@pytest.fixture(scope="module")
def made(cases, tmp_path_factory):
    """By name: the file in the making, the int8 file, and its proof."""
    folder, found = tmp_path_factory.mktemp("ports"), {}
    with Converter(folder) as converter:
        files = {}
        for name, case in cases.items():
            graph = fake_quant_graph(case.model, case.inputs, proof=some(case))
            ports = [InputPort(each, v.shape[1:], str(v.dtype)) for each, v in case.batch.items()]
            files[name] = Int8File(case.model, graph, folder / name, ports, case.outputs)
            np.savez(folder / f"{name}.npz", **case.batch)
            for each, values in case.batch.items():
                np.save(folder / f"{name}.{each}.npy", values[:1])
        paths = {n: {each: folder / f"{n}.{each}.npy" for each in case.batch} for n, case in cases.items()}
        converter.convert([file.job(paths[name]) for name, file in files.items()])
        for name, file in files.items():
            file.take()
            path = folder / f"{name}.tflite"
            file.quantize(quantize_models.least_and_largest(file.path, cases[name].batch), {"int8": path}, converter)
            proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), some(cases[name]))
            found[name] = file, path, proof
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_float_network_in_the_graph_is_the_model(cases, name):
    case = cases[name]
    graph = fake_quant_graph(case.model, case.inputs)
    tensors = [keras.ops.convert_to_tensor(values) for values in case.batch.values()]
    outputs = named_outputs(float_network(graph, rounded_weights=False)(tensors)[0], case.outputs)
    for output, wanted in expected(case).items():
        np.testing.assert_allclose(outputs[output], wanted, atol=2e-5 * max(np.abs(wanted).max(), 1))
    held = {name for name, values in case.batch.items() if values.dtype == np.float32}
    assert held == set(points(graph)) & set(case.batch)  # whole numbers are not rounded


@pytest.mark.parametrize("name", NAMES)
def test_every_unit_of_the_file_is_what_was_simulated(made, name):
    file, path, proof = made[name]
    assert proof.rescaled == proof.floats == ()
    assert {plain(point) for point in proof.missing} == FOLDED.get(name, set())
    assert {plain(point) for point in proof.beyond} <= OPAQUE.get(name, set())
    proven = {unit.unit for unit in proof.units} | set(proof.missing)
    assert proven == file.tensors.keys() - {port.name for port in file.inputs}
    assert read_graph(path).float_operations() == []


@pytest.mark.parametrize("name", NAMES)
def test_the_file_gives_each_output_by_its_name(cases, made, name):
    case, runner = cases[name], Runner(made[name][1])
    assert {port.name for port in runner.inputs} == set(case.batch)
    assert {port.name for port in runner.outputs} == set(case.outputs)
    samples = [{each: values[n] for each, values in case.batch.items()} for n in range(8)]
    given = [runner(sample) for sample in samples]
    for output, wanted in expected(case).items():
        got = np.stack([each[output] for each in given]).reshape(wanted[:8].shape)
        if np.issubdtype(wanted.dtype, np.integer):
            assert np.mean(got == wanted[:8]) >= 0.75
        else:
            assert noise_db(got, wanted[:8]) > (10 if name in OPAQUE else 15), output


@pytest.mark.parametrize("name", NAMES)
def test_means_come_back_whatever_the_rank(made, cases, name):
    """Of what each layer with weights gives in int8, channel by channel."""
    file, batch = made[name][0], some(cases[name], 24)
    units = {each.name for each in file.graph.layers if isinstance(each, QuantizedWeights)}
    before = file.biases()

    def moved():
        tensors = [keras.ops.convert_to_tensor(values) for values in batch.values()]
        rough, corrected = run_points(file.graph, batch), file.biases()
        file.set_biases(before)
        exact = float_network(file.graph, rounded_weights=False)(tensors)[1]
        file.set_biases(corrected)
        return sum(float(np.abs(np.mean(exact[unit] - rough[unit], 0)).mean()) for unit in units & set(exact))

    first = moved()
    report = correct_biases(file.graph, batch)
    assert report["images"] == 24
    assert report["places"] == len(before)
    assert moved() < 1.02 * first
    file.set_biases(before)


@pytest.mark.parametrize("name", ["two-inputs", "siamese", "image-and-vector", "audio", "words-and-image", "u-net"])
def test_equalized_networks_compute_the_same_bits(cases, name):
    case = cases[name]
    first = next(layer for layer in port_models_inlined(case.model) if layer.weights and hasattr(layer, "kernel"))
    kernel, *rest = first.get_weights()
    kernel[..., 0] *= 64  # one channel that all others' steps are too coarse for
    first.set_weights([kernel, *rest])
    wanted = run_model(case.model, case.batch)
    new, report = equalize(case.model, case.batch)
    for got, one in zip(run_model(new, case.batch), wanted, strict=True):
        np.testing.assert_allclose(got, one, rtol=1e-4, atol=1e-4 * np.abs(one).max())
    assert report["images"] == 24
    kernel[..., 0] /= 64
    first.set_weights([kernel, *rest])


def port_models_inlined(model):
    """The layers of a model and of the models within it."""
    for layer in model.layers:
        yield from port_models_inlined(layer) if hasattr(layer, "layers") else [layer]


def test_a_graph_that_computes_something_else_is_not_taken():
    """A layer whose copy by config and weights is another: what it was told later is lost."""

    class Told(layers.Layer):
        factor = 1.0

        def call(self, x):
            return x * self.factor

    facts, told = keras.Input((4,), name="facts"), Told(name="told")
    told.factor = 3.0
    model = keras.Model(facts, layers.Dense(2)(told(facts)))
    batch = {"facts": np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)}
    with pytest.raises(CannotRewrite, match="differs from it by"):
        fake_quant_graph(model, ["facts"], proof=batch)


def test_as_many_names_as_inputs():
    model = port_models.build("two-inputs").model
    with pytest.raises(CannotRewrite, match="takes 2 inputs, not image"):
        fake_quant_graph(model)


def test_what_lies_within_a_unit_keeps_its_measured_ranges(cases, tmp_path):
    """Of a recurrent layer, in the file that is made again once biases are corrected."""
    case = cases["recurrent"]
    graph = fake_quant_graph(case.model, case.inputs)
    with Converter(tmp_path) as converter:
        made = quantize_models.make_int8({"gru": (case.model, graph)}, tmp_path, case.batch, converter, case.outputs)
        first, _, measured = made["gru"]
        again = first.again(tmp_path / "again")
        converter.convert([again.job({"sound": tmp_path / "gru.sound.npy"})])
        again.take()
        ranges = again.own_ranges(measured, first)
        inner = set(measured) - set(first.tensors.values())
        assert len(inner) > 50
        assert {number: ranges[number] for number in inner} == {number: measured[number] for number in inner}
        assert {point: ranges[tensor] for point, tensor in again.tensors.items()} == again.ranges()
        again.quantize(ranges, {"int8": tmp_path / "again.tflite"}, converter)
    runner, (wanted,) = Runner(tmp_path / "again.tflite"), expected(case).values()
    got = np.stack([runner({"sound": sound})["words"] for sound in case.batch["sound"]])
    assert noise_db(got, wanted) > 25


@pytest.fixture(scope="module")
def siamese(cases):
    """The graph that is trained: the encoder is called twice and is one."""
    case = cases["siamese"]
    return case, fake_quant_graph(case.model, case.inputs, tied=True, proof=some(case))


def units(graph):
    return [layer for layer in graph.layers if isinstance(layer, QuantizedWeights)]


def test_a_layer_that_is_called_twice_trains_as_one(siamese):
    case, graph = siamese
    apart = fake_quant_graph(case.model, case.inputs)
    assert len(units(graph)) == 3  # convolution, embedding, distance
    assert len(units(apart)) == 5
    assert list(points(graph)) == list(points(apart))
    graph.compile(keras.optimizers.SGD(0.1), "mse")
    batch = list(case.batch.values())
    before = [np.array(each) for each in units(graph)[0].layer.get_weights()]
    graph.fit(batch, np.ones((24, 1)), epochs=1, verbose=0)
    assert not np.array_equal(before[0], units(graph)[0].layer.kernel)
    same = [batch[0], batch[0]]
    plain = float_model(graph)
    bias = units(graph)[-1].layer.bias
    np.testing.assert_allclose(plain(same), np.broadcast_to(bias, (24, 1)), atol=1e-6)  # nothing is far from itself
    assert len([layer for layer in plain.layers if layer.weights]) == 3


def test_it_is_saved_and_loaded_as_one(siamese, tmp_path):
    case, graph = siamese
    graph.save(tmp_path / "graph.keras")
    loaded = keras.saving.load_model(tmp_path / "graph.keras")
    batch = list(case.batch.values())
    np.testing.assert_array_equal(loaded(batch), graph(batch))
    assert len(units(loaded)) == 3


def test_its_bias_is_corrected_once(siamese):
    case, graph = siamese
    report = correct_biases(graph, some(case, 24))
    assert report["places"] == 3


def test_its_file_is_what_was_simulated(siamese, tmp_path):
    case, graph = siamese
    with Converter(tmp_path) as converter:
        made = quantize_models.make_int8({"tied": (None, graph)}, tmp_path, case.batch, converter, case.outputs)
    file, path, _ = made["tied"]
    proof = prove_units(graph, path.read_bytes(), *file.scales(path), some(case))
    assert (proof.beyond, proof.rescaled, proof.missing) == ([], (), ())


def test_layers_that_are_alike_by_chance_stay_two():
    """Equal config and equal weights, but two layers of the user's."""
    image = keras.Input((8, 8, 3), name="image")
    one, two = (layers.Conv2D(4, 3, kernel_initializer="ones")(image) for _ in range(2))
    graph = fake_quant_graph(keras.Model(image, layers.Concatenate()([one, two])), tied=True)
    assert len(units(graph)) == 2
