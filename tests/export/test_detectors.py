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
from tfeff.export.targets import get_target, list_targets
from tfeff.networks import get_network, index
from tfeff.networks.detection import spec_of
from tfeff.tflite.graph import read_graph

SHAPE = (64, 64, 3)
IMAGES = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype("float32")
SYMMETRIC = {"symmetric_padding": True}
# case -> network, options. ESNet's pooling is of values of any sign. RefineDet has no small form: 56 million weights.
CASES = {
    "pico-det": ("pico_det_esnet_s", {**SYMMETRIC, "channels": 16, "convolutions": 1}),
    "pico-det-v2": ("pico_det_v2_pp_lcnet_035", {"channels": 16, "convolutions": 1}),
    "ssdlite": ("ssdlite_vargnet_v1_025_g8", {**SYMMETRIC, "extras": (32, 16)}),
}
# The web's file is LiteRT's behind a door of float32.
TARGETS = [name for name in list_targets() if name != "web"]
BOTH = [(case, target) for case in CASES for target in TARGETS]


def build(case):
    """The network, with weights as training leaves them, so that values do not fade away."""
    name, options = CASES[case]
    return randomize(create(name, input_shape=SHAPE, classes=3, **options))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By case: the spec, the outputs, and the files by "float32" and by target."""
    folder = tmp_path_factory.mktemp("detectors")
    np.save(folder / "calibration.npy", IMAGES)
    found, jobs = {}, []
    for case, (name, _) in CASES.items():
        model = build(case)
        outputs = {key: np.asarray(value) for key, value in model(IMAGES, training=False).items()}
        files, made = {"float32": folder / f"{case}.float32.tflite"}, {}
        for target in TARGETS:
            rewrites = [load_rewrite(spec) for spec in get_target(target).rewrites]
            rewritten, applied = apply_rewrites(model, rewrites, {"image": IMAGES})
            if target == "edgetpu" and case != "ssdlite":  # its backbone has none
                assert "hard_swish" in [each.name for each in applied]
            key = tuple((each.name, each.form) for each in applied)
            files[target] = made.setdefault(key, folder / f"{case}.{target}.tflite")  # several targets' may be one
            if files[target].stem != f"{case}.{target}":
                continue
            saved = str(folder / f"{case}.{target}")
            quantize.write_saved_model(
                rewritten, folder / f"{case}.{target}", image_ports(SHAPE), tuple(sorted(outputs))
            )
            jobs.append(quantize.Job(saved, "int8", "int8", str(files[target])))
        jobs.append(quantize.Job(saved, "float32", "float32", str(files["float32"])))
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


@pytest.mark.parametrize(("case", "target"), BOTH)
def test_int8_file_is_taken_whole(exported, case, target):
    spec, _, files = exported[case]
    graph = read_graph(files[target])
    assert graph.float_operations() == []
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}
    assert len(graph.outputs) == len(spec.outputs)
    assert not any(op.name.startswith(("CUSTOM", "FLEX")) for op in graph.operations)
    verdict = get_target(target).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    shapes = {(tuple(tensor.shape), tensor.scale) for tensor in graph.outputs}
    assert len(shapes) > len(spec.levels)  # boxes and scores have ranges of their own


def test_every_detector_is_tried_or_has_no_small_form():
    families = {each.family for each in map(get_network, index()) if each.task == "detection"}
    assert families == {get_network(name).family for name, _ in CASES.values()} | {"refinedet"}
