"""The proof that an int8 file is what was simulated: it holds for what users build, and fails for a changed file."""

import keras
import numpy as np
import pytest
import quantize_models
from ai_edge_litert import schema_py_generated as schema
from checking_files import edit
from random_models import draw

from tfeff.export.quantize import Converter
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.prove import prove_units
from tfeff.export.quantize.simulation import get_ranges
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target
from tfeff.tflite.graph import read_graph

IMAGES = quantize_models.images(24)
COMPARED = quantize_models.images(8, seed=6)
# What LOGISTIC and TANH give has a scale of its own; a concatenation with others needs one QUANTIZE.
ROUNDED_ONCE_MORE = {"gate-joined-with-others": 1, "gate-read-twice": 1}
# Also as other targets get them: these spell the most things otherwise.
OTHERS = {
    "tflite-runtime": ["activations", "more-built-in-activations", "slopes", "convolutions", "moves"],
    "edgetpu": ["gate", "more-activations", "slopes", "convolutions", "pools"],
    "ethos-u": ["gate", "activations", "slopes", "stand-alone-norm"],
}
CASES = [(name, "litert") for name in quantize_models.BUILDERS] + [(n, t) for t, names in OTHERS.items() for n in names]
SEEDS = range(200, 204)


def rewritten(model, target, x):
    return apply_rewrites(model, [load_rewrite(spec) for spec in get_target(target).rewrites], {"image": x})[0]


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with Converter(tmp_path_factory.mktemp("converter")) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory, converter):
    """By (name, target): the graph with its ranges, the file, its proof, and what the network gives."""
    folder = tmp_path_factory.mktemp("proven")
    planned, expected, images = {}, {}, {}
    for name, target in CASES:
        model = quantize_models.build(name)
        key = f"{name}-{target}"
        expected[key], images[key] = np.asarray(model(COMPARED)), IMAGES
        network = rewritten(model, target, IMAGES[:4])
        planned[key] = network, fake_quant_graph(network)
    for seed in SEEDS:
        model, shape = draw(seed)
        key = f"drawn-{seed}"
        images[key] = np.random.default_rng(seed).standard_normal((24, *shape)).astype(np.float32)
        expected[key] = np.asarray(model(images[key][:8]))
        network = rewritten(model, "litert", images[key][:4])
        planned[key] = network, fake_quant_graph(network)
    found = {}
    for key, (file, path, _) in quantize_models.make_int8(planned, folder, images, converter).items():
        compared = images[key][:8] if key.startswith("drawn") else COMPARED
        proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), {"image": compared})
        found[key] = file, path, proof, expected[key], compared
    return found


def check(made, key, quantizes=0):
    file, path, proof, expected, images = made[key]
    assert proof.beyond == []
    assert proof.rescaled == proof.missing == proof.floats == ()
    assert proof.images == 8
    assert {unit.unit for unit in proof.units} == file.tensors.keys() - {"image"}
    operations = read_graph(path)
    assert operations.float_operations() == []
    names = [op.name for op in operations.operations]
    assert "DEQUANTIZE" not in names
    assert names.count("QUANTIZE") == quantizes
    got = np.asarray(file.graph(images))
    noise_db = 10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum())
    assert noise_db > 15  # the simulation is the network, in int8


@pytest.mark.parametrize(("name", "target"), CASES)
def test_every_unit_is_what_was_simulated(made, name, target):
    check(made, f"{name}-{target}", ROUNDED_ONCE_MORE.get(name, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_that_nobody_thought_of(made, seed):
    check(made, f"drawn-{seed}")


def test_per_tensor_files_are_what_was_simulated(tmp_path, converter):
    names = ["one-by-one-norms", "convolutions", "ups", "flatten"]
    models = {name: quantize_models.build(name) for name in names}
    planned = {name: (model, fake_quant_graph(model, per_tensor=True)) for name, model in models.items()}
    for file, path, _ in quantize_models.make_int8(planned, tmp_path, IMAGES, converter, per_tensor=True).values():
        proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), {"image": COMPARED})
        assert (proof.beyond, proof.rescaled, proof.missing, proof.floats) == ([], (), (), ())
        weights = [t for op in read_graph(path).operations for t in op.inputs if t.constant and t.dtype == "INT8"]
        assert weights
        assert all(len(tensor.scales) == 1 for tensor in weights)


@pytest.fixture
def simple(made):
    """A proven file of three units, `first`, `second` and so on; and what proves an edited one."""
    file, path, proof, _, images = made["empty-channels-litert"]
    assert proof.beyond == []
    planned = get_ranges(file.graph)

    def prove(change, tmp_path):
        from tfeff.export.quantize.simulation import set_ranges

        set_ranges(file.graph, planned)
        edited = tmp_path / "edited.tflite"
        edited.write_bytes(edit(path.read_bytes(), change))
        found = prove_units(file.graph, edited.read_bytes(), *file.scales(edited), {"image": images})
        set_ranges(file.graph, planned)
        return found

    return file.scales(path)[0], prove


def weights_of(model, point, scales):
    """The weights and the bias, as buffers, of the operation that makes a point."""
    (graph,) = model.subgraphs
    (op,) = (op for op in graph.operators if int(op.outputs[0]) == scales[point].tensor)
    return [model.buffers[graph.tensors[int(number)].buffer] for number in op.inputs[1:3]]


@pytest.mark.parametrize("point", ["first", "second"])
def test_one_wrong_weight_is_found(simple, tmp_path, point):
    scales, prove = simple

    def change(model):
        buffer, _ = weights_of(model, point, scales)
        data = np.array(buffer.data, np.uint8).view(np.int8)
        data[0] = 127 if data[0] < 0 else -127
        buffer.data = data.view(np.uint8)

    proof = prove(change, tmp_path)
    assert proof.beyond == [point]  # those behind it are given its own values
    assert proof.rescaled == proof.missing == ()
    assert proof.record().max_lsb > 1


def test_one_wrong_bias_is_found(simple, tmp_path):
    scales, prove = simple

    def change(model):
        _, buffer = weights_of(model, "second", scales)
        data = np.array(buffer.data, np.uint8).view(np.int32)
        data[0] += 5000
        buffer.data = data.view(np.uint8)

    assert prove(change, tmp_path).beyond == ["second"]


def test_a_scale_that_is_not_the_planned_one_is_found(simple, tmp_path):
    scales, prove = simple

    def change(model):
        model.subgraphs[0].tensors[scales["first"].tensor].quantization.scale[0] *= 1.5

    proof = prove(change, tmp_path)
    assert proof.rescaled == ("first",)
    assert proof.beyond == ["second"]  # its bias counts in steps of what the scale was to be


def test_a_zero_point_that_is_not_the_planned_one_is_found(simple, tmp_path):
    scales, prove = simple

    def change(model):
        model.subgraphs[0].tensors[scales["first"].tensor].quantization.zeroPoint[0] += 2

    assert prove(change, tmp_path).rescaled == ("first",)


def test_a_scale_of_weights_is_found(simple, tmp_path):
    scales, prove = simple

    def change(model):
        (graph,) = model.subgraphs
        (op,) = (op for op in graph.operators if int(op.outputs[0]) == scales["second"].tensor)
        graph.tensors[int(op.inputs[1])].quantization.scale *= 1.1

    assert prove(change, tmp_path).beyond == ["second"]


def test_another_activation_is_found(simple, tmp_path):
    scales, prove = simple

    def change(model):
        (graph,) = model.subgraphs
        (op,) = (op for op in graph.operators if int(op.outputs[0]) == scales["second"].tensor)
        op.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU_N1_TO_1

    assert prove(change, tmp_path).beyond == ["second"]


def test_a_point_that_is_not_in_the_file_is_named(simple, tmp_path):
    scales, prove = simple

    def change(model):
        model.subgraphs[0].tensors[scales["second"].tensor].name = b"something"

    proof = prove(change, tmp_path)
    assert proof.missing == ("second",)
    assert proof.record().missing == ["second"]


def test_layers_left_in_float_are_named_and_the_rest_is_proven(tmp_path, converter):
    model = quantize_models.build("empty-channels")
    (made,) = quantize_models.make_int8(
        {"kept": (model, fake_quant_graph(model))}, tmp_path, IMAGES, converter, rounded_weights=False
    ).values()
    file, path, ranges = made
    file.quantize(ranges, {"int8": path}, converter, kept=["second"])
    left = {op.name for op in read_graph(path).float_operations()}
    assert left == {"DEQUANTIZE", "CONV_2D", "QUANTIZE"}
    proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), {"image": COMPARED})
    assert proof.floats == ("second",)
    assert "second" not in {unit.unit for unit in proof.units}
    assert (proof.beyond, proof.rescaled, proof.missing) == ([], (), ())
    assert len(proof.units) == 3


def test_without_a_graph_a_file_is_made_all_the_same(tmp_path, converter):
    """Of a SavedModel, say: every tensor's range is measured, and there is nothing to prove."""
    model = quantize_models.build("residual")
    ((file, path, _),) = quantize_models.make_int8({"bare": (model, None)}, tmp_path, IMAGES, converter).values()
    assert file.graph is None
    assert read_graph(path).float_operations() == []
    from tfeff.compare import Runner

    runner, expected = Runner(path), np.asarray(model(COMPARED))
    got = np.stack([runner(image)["logits"] for image in COMPARED]).reshape(expected.shape)
    assert 10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum()) > 15
    keras.backend.clear_session()
