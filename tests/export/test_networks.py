"""What no bundled preset is: builders that none of them comes from, and every option that changes the graph, each in
the smallest width and the small-image form and for one target in turn. The float file equals Keras, the int8 file is
taken whole; all files are made in one process. Presets go through their targets in `test_presets.py`."""

import inspect
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from classifiers import classifiers
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
from tfeff.presets import aliases, load_preset
from tfeff.tflite.graph import read_graph

# Where group convolutions and shifts are rewritten, for tflite-runtime, which has neither. Of VarGFaceNet that makes
# 1,968 layers: it goes to litert.
TARGETS = {
    "shiftresnet_20_e1": "ethos-u", "vargnet_v2_025_g4": "edgetpu", "mobilenet_v3_large_minimalistic_100": "litert",
    "face_vargnet_v1_100_g8": "litert", "vargnet-g8": "tflite-runtime", "shufflenet-original": "edgetpu",
    "lcnet-bias": "litert", "mobilenet-v1-relu": "ethos-u", "mobilenet-v2-relu": "edgetpu",
    "mobilenet-v3-small": "edgetpu", "mobilenet-v3-torchvision": "litert", "shiftnet-contiguous": "tflite-runtime",
    "as-resnet-far": "tflite-runtime", "fe-net-ramp": "tflite-runtime", "vovnet-code": "edgetpu",
    "ghostnet-symmetric": "ethos-u", "vargfacenet-g4": "litert", "efficientnet-lite": "litert",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Outputs by case; files by (case, precision); the reason, where one could not be made."""
    folder = tmp_path_factory.mktemp("networks")
    np.save(folder / "calibration.npy", IMAGES)
    outputs, jobs = {}, {}
    for case, target in TARGETS.items():
        model = build(case)
        outputs[case] = np.asarray(model(IMAGES, training=False))
        rewritten, _ = apply_rewrites(
            model, [load_rewrite(name) for name in get_target(target).rewrites], {"image": IMAGES}
        )
        save_image_model(rewritten, folder / case, SHAPE)
        for precision in ("float32", "int8"):
            path = folder / f"{case}.{precision}.tflite"
            jobs[case, precision] = quantize.Job(str(folder / case), precision, precision, str(path))
        keras.backend.clear_session()
    return outputs, _convert(jobs, folder)


def _convert(jobs, folder):
    calibration = {"image": folder / "calibration.npy"}
    files = {key: Path(job.path) for key, job in jobs.items()}
    try:
        quantize.convert(list(jobs.values()), calibration, folder)
    except TfeffError:  # one by one, to learn which
        for key, job in jobs.items():
            try:
                quantize.convert([job], calibration, folder)
            except TfeffError as error:
                files[key] = error
    return files


def file_of(exported, *key):
    file = exported[1][key]
    if isinstance(file, TfeffError):
        pytest.fail(file.what)
    return file


def test_all_cases_that_are_no_preset_are_here():
    presets = {get_network(load_preset(alias).network).builder for alias in aliases("classification")}
    assert TARGETS.keys() == {
        case for case, (name, options) in cases().items() if options or get_network(name).builder not in presets
    }


@pytest.mark.parametrize("case", TARGETS)
def test_float_file_equals_keras(exported, case):
    runner, expected = Runner(file_of(exported, case, "float32")), exported[0][case]
    outputs = np.stack([runner(image)["logits"] for image in IMAGES]).reshape(expected.shape)
    assert_same(outputs, expected, lambda images: build(case)(images), IMAGES)


@pytest.mark.parametrize("case", TARGETS)
def test_int8_file_is_taken_whole(exported, case):
    graph = read_graph(file_of(exported, case, "int8"))
    assert graph.float_operations() == []
    assert "DEQUANTIZE" not in {op.name for op in graph.operations}
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}
    assert graph.operations
    assert not any(op.name.startswith(("CUSTOM", "FLEX")) for op in graph.operations)
    verdict = get_target(TARGETS[case]).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    if TARGETS[case] == "tflite-runtime":
        dense = [op for op in graph.operations if op.name == "CONV_2D"]
        assert all(op.inputs[0].shape[3] == op.inputs[1].shape[3] for op in dense)  # no group convolution is left


@pytest.mark.parametrize("case", TARGETS)
def test_tosa_takes_it_whole(exported, case):
    assert left_over(file_of(exported, case, "int8")) == []


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
            "shift_learning_rate",
            "output_stride"}  # of segmentation: test_segmentation_networks.py has it  # fmt: skip
    given = {}
    for name, options in cases().values():
        network = get_network(name)
        given.setdefault(network.family, same.copy()).update({**network.options, **options})
    assert given.keys() == {network.family for network in classifiers().values()}
    assert "stem_activation" in options_of("vargnet")
    for family in given:
        assert options_of(family) <= given[family], family


def test_the_vargnet_cases_have_group_convolutions():
    groups = {
        layer.channels_per_group for case in ("vargnet_v1_025_g4", "vargnet-g8") for layer in build(case).layers
        if isinstance(layer, GroupConv2D)
    }  # fmt: skip
    assert groups == {4, 8}
