"""Segmentation networks as files: int8 throughout, taken whole by a target, near the float network. Each in a small
form."""

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
from tfeff.tflite.graph import read_graph

SHAPE = (64, 64, 3)
IMAGES = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype("float32")
# case -> network, options, target, SQNR in dB that the int8 file has at least, with random weights
CASES = {
    "lraspp": ("lraspp_mobilenet_v3_small", {"channels": 16}, "litert", 35),
    "deeplab-v3": (
        "deeplab_v3_mobilenet_v3_large",
        {"backbone": "mobilenet_v3_small_075", "channels": 8, "rates": (2, 12), "upsample": True},
        "litert",
        35,
    ),
    "deeplab-v3-plus": (
        "deeplab_v3_plus_pp_lcnet_050",
        {"backbone": "pp_lcnet_025", "channels": 8, "low_channels": 4, "rates": (2,)},
        "litert",
        35,
    ),
    "espnet-v2": ("espnet_v2_seg_050", {}, "litert", 35),
}


def build(case):
    """The network, with weights as training leaves them, so that values do not fade away."""
    name, options, _, _ = CASES[case]
    return randomize(create(name, input_shape=SHAPE, classes=4, **options))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By case: the float network's logits, and the files by precision."""
    folder = tmp_path_factory.mktemp("segmentation")
    np.save(folder / "calibration.npy", IMAGES)
    found, jobs = {}, []
    for case, (_, _, target, _) in CASES.items():
        model = build(case)
        logits = np.asarray(model(IMAGES, training=False))
        rewrites = [load_rewrite(spec) for spec in get_target(target).rewrites]
        rewritten, _ = apply_rewrites(model, rewrites, {"image": IMAGES})
        quantize.write_saved_model(rewritten, folder / case, image_ports(SHAPE), ("logits",))
        files = {kind: folder / f"{case}.{kind}.tflite" for kind in ("float32", "int8")}
        jobs += [quantize.Job(str(folder / case), kind, kind, str(path)) for kind, path in files.items()]
        found[case] = logits, files
        keras.backend.clear_session()
    quantize.convert(jobs, {"image": folder / "calibration.npy"}, folder)
    return found


def outputs(path):
    runner = Runner(path)
    return np.concatenate([np.asarray(runner(image)["logits"]).reshape(1, -1) for image in IMAGES])


@pytest.mark.parametrize("case", CASES)
def test_float_file_gives_the_logits(exported, case):
    expected, files = exported[case]
    got = outputs(files["float32"]).reshape(expected.shape)
    assert_same(got, expected, lambda images: build(case)(images), IMAGES)


@pytest.mark.parametrize("case", CASES)
def test_int8_file_is_taken_whole_and_near(exported, case):
    expected, files = exported[case]
    graph = read_graph(files["int8"])
    assert graph.float_operations() == []
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}
    assert not any(op.name.startswith(("CUSTOM", "FLEX")) for op in graph.operations)
    verdict = get_target(CASES[case][2]).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    flat = expected.reshape(len(IMAGES), -1)
    sqnr = 10 * np.log10((flat**2).sum() / ((outputs(files["int8"]) - flat) ** 2).sum())
    assert sqnr >= CASES[case][3], sqnr
