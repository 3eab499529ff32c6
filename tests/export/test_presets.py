"""Every bundled preset on every target: int8 throughout, unit by unit what was simulated, taken whole by the target's
check, by Vela and by TOSA's converter, and the same network as the plain one."""

from functools import cache

import keras
import numpy as np
import pytest
from quantize_models import least_and_largest
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
from tfeff.presets import aliases, load_preset
from tfeff.tflite.graph import read_graph

TARGETS = sorted(list_targets())
PRESETS = sorted(aliases())
CALIBRATED_ON, COMPARED_ON, PROVEN_ON = 32, 128, 4


@cache
def images(alias):
    """Real images as the preset takes them: for calibration, and others to compare on."""
    sample, preprocessing = open_dataset("fashion_mnist_sample", "test"), load_preset(alias).preprocessing
    every = np.stack([preprocessing(sample.image(n)) for n in range(CALIBRATED_ON + COMPARED_ON)])
    return every[:CALIBRATED_ON], every[CALIBRATED_ON:]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Files by (alias, target), all made in one process; by (alias, target) the classes that Keras gives the images,
    "plain" being the network as it was trained; by (alias, target) what was proven."""
    folder = tmp_path_factory.mktemp("presets")
    files, classes, proofs = {}, {}, {}
    with quantize.Converter(folder) as converter:
        converter.start()
        for alias in PRESETS:
            model, (calibration, compared) = load_preset(alias).build(), images(alias)
            classes[alias, "plain"] = np.asarray(model(compared)).argmax(axis=1)
            made = {}
            for rewrites in dict.fromkeys(get_target(name).rewrites for name in TARGETS):
                network, applied = apply_rewrites(
                    model, [load_rewrite(s) for s in rewrites], {"image": calibration[:PROVEN_ON]}
                )
                names = [name for name in TARGETS if get_target(name).rewrites == rewrites]
                # What was rewritten alike is one network.
                made.setdefault(tuple((a.name, a.form, a.places) for a in applied), (network, []))[1].extend(names)
            for network, names in made.values():
                classes |= dict.fromkeys(((alias, n) for n in names), np.asarray(network(compared)).argmax(axis=1))
                paths, proof = int8_files(network, alias, names, folder, converter)
                files |= {(alias, name): paths[get_target(name).io or "int8"] for name in names}
                proofs |= {(alias, name): proof for name in names}
            keras.backend.clear_session()
    return files, classes, proofs


def int8_files(network, alias, targets, folder, converter):
    """A network's int8 files, by the dtype of their doors, for some targets; and the proof."""
    calibration, compared = images(alias)
    graph = fake_quant_graph(network)
    check_float(graph, network, calibration[:PROVEN_ON])
    made = quantize.Int8File(network, graph, folder / f"{alias}-{targets[0]}", calibration.shape[1:])
    np.save(folder / "one.npy", calibration[:1])
    converter.convert([made.job(folder / "one.npy")])
    made.take()
    doors = sorted({"int8", *(get_target(name).io or "int8" for name in targets)})
    paths = {io: folder / f"{alias}.{targets[0]}.{io}.tflite" for io in doors}
    made.quantize(least_and_largest(made.path, calibration), paths, converter)
    return paths, prove_units(graph, paths["int8"].read_bytes(), *made.scales(paths["int8"]), compared[:PROVEN_ON])


def check_float(graph, rewritten, x):
    """The float network in the graph is the rewritten one."""
    assert_same(float_network(graph, rounded_weights=False)(x)[0], rewritten(x), rewritten, x, bar=1e-5)


both = pytest.mark.parametrize(("alias", "target"), [(alias, target) for alias in PRESETS for target in TARGETS])


@both
def test_is_int8_and_taken_whole(exported, alias, target):
    graph = read_graph(exported[0][alias, target])
    assert graph.float_operations() == []
    verdict = get_target(target).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    names = {op.name for op in graph.operations}
    assert "GATHER" not in names
    if target != "ethos-u":
        assert "TRANSPOSE" not in names


@both
def test_every_unit_is_what_was_simulated(exported, alias, target):
    proof = exported[2][alias, target]
    assert (proof.beyond, proof.rescaled, proof.missing, proof.floats) == ([], (), (), ())
    assert len(proof.units) > 5


@both
def test_nothing_is_quantized_on_the_way(exported, alias, target):
    names = [op.name for op in read_graph(exported[0][alias, target]).operations]
    doors = {"QUANTIZE", "DEQUANTIZE"} if get_target(target).io == "float32" else set()
    assert {"QUANTIZE", "DEQUANTIZE"} & set(names[1:-1]) == set()
    assert {"QUANTIZE", "DEQUANTIZE"} & {names[0], names[-1]} == doors


@both
def test_is_the_same_network_in_float(exported, alias, target):
    """Every class of every image."""
    np.testing.assert_array_equal(exported[1][alias, target], exported[1][alias, "plain"])


@both
def test_tosa_takes_it_whole(exported, alias, target):
    assert left_over(exported[0][alias, target]) == []


@pytest.mark.parametrize("alias", PRESETS)
def test_vela_leaves_nothing_to_the_cpu(exported, alias, tmp_path):
    pytest.importorskip("ethosu.vela", reason="Vela is not installed")
    compiled = vela.compile(exported[0][alias, "ethos-u"], tmp_path, "ethos-u55-128")
    assert compiled.cpu_operators == 0
    assert compiled.npu_operators > 0


@pytest.mark.parametrize("alias", PRESETS)
@pytest.mark.parametrize("target", ["edgetpu", "litert", "tflite-runtime"])
def test_int8_sees_what_float_sees(exported, alias, target):
    """The figures on all images are in docs/targets.md; here, that no rewrite is wrong in int8 alone."""
    runner = Runner(exported[0][alias, target])
    found = np.array([int(runner(image)["logits"].argmax()) for image in images(alias)[1]])
    assert np.mean(found == exported[1][alias, "plain"]) > 0.9
