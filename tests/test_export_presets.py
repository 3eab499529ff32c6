"""Every bundled preset on every target: int8 throughout, taken whole by the target's check, by Vela and by TOSA's
converter, and the same network as the plain one."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from tfeff.export import quantize
from tfeff.export.compilers import vela
from tfeff.export.flatbuffer import read_graph
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target, list_targets
from tosa import left_over

from tfeff.compare import Runner
from tfeff.data import open_dataset
from tfeff.presets import aliases, load_preset

TARGETS = sorted(list_targets())
PRESETS = sorted(aliases())
CALIBRATED_ON, COMPARED_ON = 32, 128


@cache
def images(alias):
    """Real images as the preset takes them: for calibration, and others to compare on."""
    sample, preprocessing = open_dataset("fashion_mnist_sample", "test"), load_preset(alias).preprocessing
    every = np.stack([preprocessing(sample.image(n)) for n in range(CALIBRATED_ON + COMPARED_ON)])
    return every[:CALIBRATED_ON], every[CALIBRATED_ON:]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Files by (alias, target), all made in one process; by (alias, target) the classes that Keras gives the images,
    "plain" being the network as it was trained."""
    folder = tmp_path_factory.mktemp("presets")
    jobs, classes = {}, {}
    for alias in PRESETS:
        model, (calibration, compared) = load_preset(alias).build(), images(alias)
        np.save(folder / f"{alias}.npy", calibration)
        classes[alias, "plain"] = np.asarray(model(compared)).argmax(axis=1)
        saved, found = {}, {}
        for target in map(get_target, TARGETS):
            if target.rewrites not in saved:
                rewritten, _ = apply_rewrites(model, [load_rewrite(s) for s in target.rewrites], calibration[:8])
                saved[target.rewrites] = folder / f"{alias}-{target.name}"
                quantize.write_saved_model(rewritten, saved[target.rewrites], calibration.shape[1:])
                found[target.rewrites] = np.asarray(rewritten(compared)).argmax(axis=1)
            classes[alias, target.name] = found[target.rewrites]
            path = folder / f"{alias}.{target.name}.tflite"
            jobs[alias, target.name] = quantize.Job(
                str(saved[target.rewrites]), "int8", target.io or "int8", str(path), str(folder / f"{alias}.npy")
            )
        keras.backend.clear_session()
    quantize.convert(list(jobs.values()), None, folder)
    return {key: Path(job.path) for key, job in jobs.items()}, classes


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
    found = np.array([int(runner(image).argmax()) for image in images(alias)[1]])
    assert np.mean(found == exported[1][alias, "plain"]) > 0.9
