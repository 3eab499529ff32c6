"""Detectors as files: raw heads by name, int8 throughout, taken whole by a target. Each system in a small form."""

import keras
import numpy as np
import pytest
from rewrite_models import randomize
from rounding import assert_same
from saving import image_ports

from tfeff import create
from tfeff.compare import Runner
from tfeff.export import quantize
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target
from tfeff.networks.detection import spec_of
from tfeff.tflite.graph import read_graph

SHAPE = (64, 64, 3)
IMAGES = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype("float32")
SYMMETRIC = {"symmetric_padding": True}
# case -> network, options, target. ESNet's pooling is of values of any sign.
CASES = {
    "pico-det": ("pico_det_esnet_s", {**SYMMETRIC, "channels": 16, "convolutions": 1}, "edgetpu"),
    "pico-det-v2": ("pico_det_v2_pp_lcnet_035", {"channels": 16, "convolutions": 1}, "ethos-u"),
    "ssdlite": ("ssdlite_vargnet_v1_025_g8", {**SYMMETRIC, "extras": (32, 16)}, "litert"),
}


def build(case):
    """The network, with weights as training leaves them, so that values do not fade away."""
    name, options, _ = CASES[case]
    return randomize(create(name, input_shape=SHAPE, classes=3, **options))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By case: the spec, the outputs, and the files by precision."""
    folder = tmp_path_factory.mktemp("detectors")
    np.save(folder / "calibration.npy", IMAGES)
    found, jobs = {}, []
    for case, (name, _, target) in CASES.items():
        model = build(case)
        outputs = {key: np.asarray(value) for key, value in model(IMAGES, training=False).items()}
        rewrites = [load_rewrite(spec) for spec in get_target(target).rewrites]
        rewritten, applied = apply_rewrites(model, rewrites, {"image": IMAGES})
        assert target != "edgetpu" or "hard_swish" in [each.name for each in applied]
        quantize.write_saved_model(rewritten, folder / case, image_ports(SHAPE), tuple(sorted(outputs)))
        files = {kind: folder / f"{case}.{kind}.tflite" for kind in ("float32", "int8")}
        jobs += [quantize.Job(str(folder / case), kind, kind, str(path)) for kind, path in files.items()]
        found[case] = spec_of(name, model), outputs, files
        keras.backend.clear_session()
    quantize.convert(jobs, {"image": folder / "calibration.npy"}, folder)
    return found


@pytest.mark.parametrize("case", CASES)
def test_float_file_gives_the_heads_by_name(exported, case):
    spec, expected, files = exported[case]
    runner = Runner(files["float32"])
    outputs = [runner(image) for image in IMAGES]
    assert sorted(outputs[0]) == sorted(spec.outputs)
    for name in spec.outputs:
        got = np.stack([each[name] for each in outputs]).reshape(expected[name].shape)
        assert_same(got, expected[name], lambda images, name=name: build(case)(images)[name], IMAGES)


@pytest.mark.parametrize("case", CASES)
def test_int8_file_is_taken_whole(exported, case):
    spec, _, files = exported[case]
    graph = read_graph(files["int8"])
    assert graph.float_operations() == []
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}
    assert len(graph.outputs) == len(spec.outputs)
    assert not any(op.name.startswith(("CUSTOM", "FLEX")) for op in graph.operations)
    verdict = get_target(CASES[case][2]).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    shapes = {(tuple(tensor.shape), tensor.scale) for tensor in graph.outputs}
    assert len(shapes) > len(spec.levels)  # boxes and scores have ranges of their own
