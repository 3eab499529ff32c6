"""Bundled presets on targets other than litert: int8 throughout, unit by unit what was simulated, taken whole by the
target's check, by Vela and by TOSA's converter, and in float the same network. `tests/presets/test_bundled.py` exports
every preset for litert, `test_networks.py` what no preset is, `benchmarks/targets_table.py` all presets for all."""

from functools import cache

import keras
import numpy as np
import pytest
from quantize_models import make_int8
from rounding import assert_same
from tosa import left_over

from tfeff.compare import Runner
from tfeff.data import open_dataset
from tfeff.export import quantize
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.prove import prove_units
from tfeff.export.quantize.simulation import float_network
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target, list_targets
from tfeff.export.targets.ethos_u import compiler as vela
from tfeff.presets import load_preset
from tfeff.tflite.graph import read_graph

# What each target rewrites most: shifts, group convolutions, gates, concatenations and shuffles.
TARGETS = {
    "as_resnet": "edgetpu", "espnet_v2": "tflite-runtime", "ghostnet": "ethos-u", "mobilenet_v3": "edgetpu",
    "pp_lcnet": "ethos-u", "shufflenet_v2": "tflite-runtime",
}  # fmt: skip
CALIBRATED_ON, COMPARED_ON, PROVEN_ON = 16, 48, 2


@cache
def images(alias):
    """Real images as the preset takes them: for calibration, and others to compare on."""
    sample, preprocessing = open_dataset("fashion_mnist_sample", "test"), load_preset(alias).preprocessing
    every = np.stack([preprocessing(sample.image(n)) for n in range(CALIBRATED_ON + COMPARED_ON)])
    return every[:CALIBRATED_ON], every[CALIBRATED_ON:]


def rewritten(model, alias, target):
    rewrites = [load_rewrite(spec) for spec in get_target(target).rewrites]
    return apply_rewrites(model, rewrites, {"image": images(alias)[0][:PROVEN_ON]})[0]


def classes(network, alias):
    return np.asarray(network(images(alias)[1])).argmax(axis=1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By alias: the file, what was proven, and the classes that Keras gives the images, by the network as it was
    trained and by the rewritten one. All files are made in one process."""
    folder = tmp_path_factory.mktemp("presets")
    found = {}
    with quantize.Converter(folder) as converter:
        converter.start()
        for alias, target in TARGETS.items():
            model, (calibration, compared) = load_preset(alias).build(), images(alias)
            network = rewritten(model, alias, target)
            graph = fake_quant_graph(network)
            check_float(graph, network, calibration[:PROVEN_ON])
            (made,) = make_int8({alias: (network, graph)}, folder, calibration, converter).values()
            file, path, _ = made
            proof = prove_units(graph, path.read_bytes(), *file.scales(path), {"image": compared[:PROVEN_ON]})
            found[alias] = path, proof, classes(model, alias), classes(network, alias)
            keras.backend.clear_session()
    return found


def check_float(graph, network, x):
    """The float network in the graph is the rewritten one."""
    assert_same(float_network(graph, rounded_weights=False)(x)[0], network(x), network, x, bar=1e-5)


def test_every_other_target_is_here():
    assert {*TARGETS.values()} == {*list_targets()} - {"litert", "web"}
    assert get_target("web").rewrites == get_target("litert").rewrites  # it differs in the doors of the file


@pytest.mark.parametrize("alias", TARGETS)
def test_is_int8_and_taken_whole(exported, alias):
    graph = read_graph(exported[alias][0])
    assert graph.float_operations() == []
    verdict = get_target(TARGETS[alias]).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    names = {op.name for op in graph.operations}
    assert not {"GATHER", "QUANTIZE", "DEQUANTIZE"} & names
    if TARGETS[alias] != "ethos-u":
        assert "TRANSPOSE" not in names


@pytest.mark.parametrize("alias", TARGETS)
def test_every_unit_is_what_was_simulated(exported, alias):
    proof = exported[alias][1]
    assert (proof.beyond, proof.rescaled, proof.missing, proof.floats) == ([], (), (), ())
    assert len(proof.units) > 5


@pytest.mark.parametrize("alias", TARGETS)
def test_is_the_same_network_in_float(exported, alias):
    """Every class of every image."""
    _, _, plain, after = exported[alias]
    np.testing.assert_array_equal(after, plain)


@pytest.mark.parametrize("alias", TARGETS)
def test_tosa_takes_it_whole(exported, alias):
    assert left_over(exported[alias][0]) == []


@pytest.mark.parametrize("alias", [alias for alias, target in TARGETS.items() if target == "ethos-u"])
def test_vela_leaves_nothing_to_the_cpu(exported, alias, tmp_path):
    pytest.importorskip("ethosu.vela", reason="Vela is not installed")
    compiled = vela.compile(exported[alias][0], tmp_path, "ethos-u55-128")
    assert compiled.cpu_operators == 0
    assert compiled.npu_operators > 0


@pytest.mark.parametrize("alias", [alias for alias, target in TARGETS.items() if target != "ethos-u"])
def test_int8_sees_what_float_sees(exported, alias):
    """The figures on all images are in docs/targets.md; here, that no rewrite is wrong in int8 alone."""
    path, _, plain, _ = exported[alias]
    runner = Runner(path)
    assert np.mean([int(runner(image)["logits"].argmax()) for image in images(alias)[1]] == plain) > 0.9
