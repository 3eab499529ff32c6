"""Every family converts: the float file equals Keras, the int8 file has no float operation. In the smallest width, in
the small-image form, and with every option that changes the graph; all files are made in one process."""

import inspect
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from network_cases import IMAGES, SHAPE, build, cases
from rounding import assert_same
from saving import save_image_model
from tosa import left_over

from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target
from tfeff.layers import GroupConv2D
from tfeff.networks import get_network, registry
from tfeff.tflite.graph import read_graph

# Also for tflite-runtime, where group convolutions and shifts are rewritten.
REWRITTEN = ["vargnet-g8", "espnet_v2_050", "shiftnet-contiguous", "as-resnet-far", "fe-net-ramp", "vargfacenet-g4"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Outputs by case; files by (case, precision) and (case, target); the reason, where one could not be made."""
    folder = tmp_path_factory.mktemp("networks")
    np.save(folder / "calibration.npy", IMAGES)
    outputs, jobs = {}, {}
    for case in cases():
        model = build(case)
        outputs[case] = np.asarray(model(IMAGES, training=False))
        for target in ("litert", "edgetpu", "tflite-runtime") if case in REWRITTEN else ("litert", "edgetpu"):
            rewrites = [load_rewrite(name) for name in get_target(target).rewrites]
            rewritten, _ = apply_rewrites(model, rewrites, {"image": IMAGES})
            saved = folder / f"{case}-{target}"
            save_image_model(rewritten, saved, SHAPE)
            for precision in ("float32", "int8") if target == "litert" else ("int8",):
                path = f"{saved}-{precision}.tflite"
                jobs[case, target, precision] = quantize.Job(str(saved), precision, precision, path)
        keras.backend.clear_session()
    return outputs, _convert(jobs, folder)


def _convert(jobs, folder):
    calibration = folder / "calibration.npy"
    files = {key: Path(job.path) for key, job in jobs.items()}
    try:
        quantize.convert(list(jobs.values()), {"image": calibration}, folder)
    except TfeffError:  # one by one, to learn which
        for key, job in jobs.items():
            try:
                quantize.convert([job], {"image": calibration}, folder)
            except TfeffError as error:
                files[key] = error
    return files


def file_of(exported, *key):
    file = exported[1][key]
    if isinstance(file, TfeffError):
        pytest.fail(file.what)
    return file


@pytest.mark.parametrize("case", cases())
def test_float_file_equals_keras(exported, case):
    runner, expected = Runner(file_of(exported, case, "litert", "float32")), exported[0][case]
    outputs = np.stack([runner(image)["logits"] for image in IMAGES]).reshape(expected.shape)
    assert_same(outputs, expected, lambda images: build(case)(images), IMAGES)


@pytest.mark.parametrize("case", cases())
def test_int8_file_has_no_float_operation(exported, case):
    check_int8(file_of(exported, case, "litert", "int8"))


@pytest.mark.parametrize("case", cases())
def test_int8_file_for_the_edge_tpu_is_taken_whole(exported, case):
    verdict = get_target("edgetpu").check(check_int8(file_of(exported, case, "edgetpu", "int8")))
    assert verdict.ok, verdict.rows()[:3]


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("target", ["litert", "edgetpu"])
def test_tosa_takes_it_whole(exported, case, target):
    assert left_over(file_of(exported, case, target, "int8")) == []


@pytest.mark.parametrize("case", REWRITTEN)
def test_int8_file_for_tflite_runtime(exported, case):
    graph = check_int8(file_of(exported, case, "tflite-runtime", "int8"))
    assert get_target("tflite-runtime").check(graph).ok
    dense = [op for op in graph.operations if op.name == "CONV_2D"]
    assert all(op.inputs[0].shape[3] == op.inputs[1].shape[3] for op in dense)  # no group convolution is left


def check_int8(path):
    graph = read_graph(path)
    assert graph.float_operations() == []
    assert "DEQUANTIZE" not in {op.name for op in graph.operations}
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}
    assert graph.operations
    assert not any(op.name.startswith(("CUSTOM", "FLEX")) for op in graph.operations)
    return graph


def options_of(family):
    """Keyword-only arguments of the functions that build the networks of a family."""
    modules = {sys.modules[network.builder.__module__] for network in registry.import_families().values()
               if network.family == family}  # fmt: skip
    functions = [value for module in modules for value in vars(module).values()
                 if inspect.isfunction(value) and value.__module__ == module.__name__]  # fmt: skip
    found = [inspect.signature(function).parameters for function in functions]
    return {p.name for parameters in found if "features_only" in parameters for p in parameters.values()
            if p.kind is p.KEYWORD_ONLY}  # fmt: skip


def test_every_option_that_changes_the_graph_is_here():
    same = {"name", "small_image", "include_top", "features_only", "bn_epsilon", "dropout", "penalty",
            "shift_learning_rate"}  # fmt: skip
    given = {}
    for name, options in cases().values():
        network = get_network(name)
        given.setdefault(network.family, same.copy()).update({**network.options, **options})
    assert given.keys() == {network.family for network in registry.import_families().values()}
    assert "stem_activation" in options_of("vargnet")
    for family in given:
        assert options_of(family) <= given[family], family


def test_the_vargnet_cases_have_group_convolutions():
    groups = {
        layer.channels_per_group for case in ("vargnet_v1_025_g4", "vargnet-g8") for layer in build(case).layers
        if isinstance(layer, GroupConv2D)
    }  # fmt: skip
    assert groups == {4, 8}
