"""Every bundled preset: trained, small, and exported by one command as the README says."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from arm_kernels import PhoneWorker, open_up, origins
from classifiers import index_of_classifiers
from cli_runner import tfeff
from stand_in_phone import tool
from tosa import left_over

from tfeff.artifact import open_artifact
from tfeff.bench.adb import protocol, tool_timer
from tfeff.bench.devices import find_device
from tfeff.export.targets import get_target
from tfeff.networks import index
from tfeff.presets import aliases, list_presets, load_preset
from tfeff.tflite.graph import read_graph

pytest_plugins = ["stand_in_phone"]

PRESETS = sorted(list_presets("classification"))
PUBLIC = {"efficientnet_lite"}  # of public weights; no preset, for its smallest is 4.7 million parameters
FAMILIES = {entry["family"] for entry in index_of_classifiers().values()} - PUBLIC
DETECTORS = sorted(list_presets("detection"))
FACES = "vargfacenet"  # has no face images here; its accuracy means little


def test_every_family_has_one_under_its_own_name():
    assert aliases("classification").keys() == FAMILIES
    assert len(PRESETS) == len(FAMILIES)
    for alias, name in aliases("classification").items():
        assert index()[load_preset(name).network]["family"] == alias


def test_all_of_them_are_small():
    assert sum(load_preset(name).weights.stat().st_size for name in PRESETS) < 20e6
    assert load_preset("vargnet").weights.stat().st_size < 1.5e6  # the first command's
    assert all(load_preset(name).weights.stat().st_size < 2e6 for name in DETECTORS)


@pytest.mark.parametrize("name", PRESETS)
def test_is_the_smallest_of_its_family_in_the_small_form(name):
    preset = load_preset(name)
    family = index()[preset.network]["family"]
    sizes = {
        other: entry["counted"]["parameters"]
        for other, entry in index().items()
        if entry["family"] == family and not other.startswith("shiftresnet")  # which shares ShiftNet's file
    }
    # Of VarGNet it is the one of the README's first command.
    assert preset.network == ("vargnet_v1_025_g8" if family == "vargnet" else min(sizes, key=sizes.get))
    assert preset.preprocessing.shape == (32, 32, 3)
    assert preset.arguments["small_image"] is True


def test_each_has_the_calibration_method_that_it_was_measured_with():
    results = Path(__file__).parents[2] / "docs/results/quantization.json"
    measured = json.loads(results.read_text(encoding="utf-8"))
    assert {name: load_preset(name).calibration_method for name in PRESETS} == {
        name: measured[name]["ptq"]["default"]["method"] for name in PRESETS
    }


@pytest.mark.parametrize("name", PRESETS)
def test_is_trained_well_enough(name):
    """As recorded; that the record is true is seen on the sample in `test_presets.py`."""
    preset = load_preset(name)
    assert preset.training["samples"] == 10_000
    assert preset.training["float_top1"] >= (0 if preset.network == FACES else 90)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Where the exports of this module stay, a folder for each family."""
    return tmp_path_factory.mktemp("exported")


def files_of(exported, *names):
    """The int8 files of some families. A test that reads them needs those above to have run."""
    files = [path for name in names for path in (exported / name).glob("*.tflite") if ".twin." not in path.name]
    if len(files) < len(names):
        pytest.skip("not all presets were exported in this run")
    return files


@pytest.mark.parametrize("alias", sorted(FAMILIES))
def test_export_by_the_family_s_name(capfd, exported, alias):
    """As a user types it, no --dataset, no --calibration and no method, which the preset knows; with fewer images."""
    ran = tfeff(capfd, "export", alias, "--int8", "--no-bench", "--evaluation-samples", "256", "--samples", "64",
                "--out", exported / alias, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    (path,) = files_of(exported, alias)
    record = open_artifact(path).record
    assert record.preset == aliases()[alias]
    assert record.float_twin.relative_error < 1e-4
    (accuracy,) = record.accuracy
    assert accuracy.samples == 256
    assert accuracy.quantized > accuracy.float_value - 5
    simulation = record.quantization.simulation
    assert simulation.units > 5
    assert simulation.beyond == simulation.rescaled == simulation.missing == simulation.float_ == []


@pytest.mark.parametrize("alias", sorted(FAMILIES))
def test_file_is_int8_throughout_and_taken_whole(exported, alias):
    for path in files_of(exported, alias):
        graph = read_graph(path)
        assert graph.float_operations() == []
        verdict = get_target("litert").check(graph)
        assert verdict.ok, verdict.rows()[:3]
        assert not {"GATHER", "TRANSPOSE", "QUANTIZE", "DEQUANTIZE"} & {op.name for op in graph.operations}
        assert left_over(path) == []


# What ARM's kernels compute otherwise than x86's on equal inputs, each by one step at most; all else is the same bytes.
DIFFER = {"litert": {"MUL"}, "tflite-runtime": {"CONV_2D", "DEPTHWISE_CONV_2D"}}


# One of each kind of operation: group convolutions, gates, shuffles, PReLU and dilated kernels, shifts, concatenations.
ON_ARM = ("as_resnet", "espnet_v2", "mobilenet_v3", "shufflenet_v2", "vargnet", "vovnet")


@pytest.mark.parametrize("runtime", sorted(DIFFER))
def test_arm_computes_what_this_machine_does(exported, arm_phone, tmp_path, runtime):
    """Files of above on the stand-in phone's arm64 runtime, operation by operation, against x86: bytes are equal but
    for the operations in `DIFFER`, which are one step off at most."""
    files = files_of(exported, *ON_ARM)
    # x86's own tflite-runtime where it is; else LiteRT without XNNPACK, whose kernels those are.
    other = os.environ.get("TFEFF_TFLITE_RUNTIME_PYTHON")
    here = f"python:{other}" if runtime == "tflite-runtime" and other else "local"
    options = {"threads": 1, "seed": 0, "xnnpack": runtime == "litert"}
    image = np.random.default_rng(0).integers(-128, 128, (1, 32, 32, 3), "i1")
    differing = {}
    with PhoneWorker(arm_phone.address, runtime, os.environ) as arm, find_device(here).start() as x86:
        assert arm.environment["machine"] == "aarch64"
        assert arm.environment["runtime"] == {"litert": "ai-edge-litert"}.get(runtime, runtime)
        for path in files:
            opened = open_up(path, tmp_path)
            loaded = [handle.load(opened.path, **options) for handle in (arm, x86)]
            assert loaded[0].kernels == loaded[1].kernels
            assert (loaded[0].kernels.xnnpack == "none") == (runtime == "tflite-runtime")
            (port,) = loaded[0].inputs
            ours, theirs = (handle.outputs({port.name: image}) for handle in (arm, x86))
            assert len(ours) == len(theirs) == sum(len(outputs) for _, _, outputs in opened.operations)
            found = origins(opened, ours, theirs)
            differing[path.parent.name] = found
            if not found:
                np.testing.assert_array_equal(ours[opened.last], theirs[opened.last])
    assert {name for found in differing.values() for name in found} <= DIFFER[runtime], differing
    assert all(steps == 1 for found in differing.values() for steps in found.values()), differing
    assert sum(not found for found in differing.values()) >= (5 if runtime == "litert" else 1), differing


# Where answers differ, or XNNPACK takes a file in parts; and one that is equal.
TIMED = {"litert": ["mobilenet_v3", "vargnet", "vovnet"], "tflite-runtime": ["mobilenet_v3", "vargnet"]}


@pytest.mark.parametrize("runtime", sorted(DIFFER))
def test_bench_on_a_phone_compares_the_answer_of_each(capfd, exported, arm_phone, tmp_path, monkeypatch, runtime):
    """`tfeff bench --on adb`: a real image through the phone's arm64 runtime and this machine's."""
    files = files_of(exported, *TIMED[runtime])
    monkeypatch.setattr(protocol, "MIN_ROUNDS", 1)  # a start of Python takes seconds under emulation
    for name in ("min_secs", "warmup_min_secs"):
        monkeypatch.setitem(tool_timer.BLOCK, name, 0)
    before = arm_phone.shell("ls -A /data/local/tmp").stdout
    options = ["--no-xnnpack"] if runtime == "tflite-runtime" else []
    ran = tfeff(capfd, "bench", *files, "--on", f"adb:{arm_phone.address}", "--max-seconds", "0.1", "--json",
                "--benchmark-binary", tool(tmp_path, runtime), *options)  # fmt: skip
    assert ran.code == 0, ran.err
    answers = {path.parent.name: one["answer"] for path, one in zip(files, ran.json["results"], strict=True)}
    assert all(one["ok"] for one in answers.values()), answers
    # XNNPACK takes VoVNet in parts, and what is compared then is this machine's answer of the same mixture.
    families = {name: one["family"] for name, one in answers.items()}
    whole = dict.fromkeys(answers, "XNNPACK") | {"vovnet": "mixed"}
    assert families == (whole if runtime == "litert" else dict.fromkeys(answers, "built-in"))
    differ = {name for name, one in answers.items() if not one["equal"]}
    assert differ <= ({"mobilenet_v3"} if runtime == "litert" else set(answers)), answers
    assert all(one["median_ms"] > 0 for one in ran.json["results"])
    assert arm_phone.shell("ls -A /data/local/tmp").stdout == before
