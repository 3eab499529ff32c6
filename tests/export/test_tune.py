"""`--tune`: every form of every place is timed, the quickest taken, and all of it is told."""

import json
from hashlib import sha256

import keras
import pytest
from cli_runner import tfeff
from keras import layers
from rewrite_models import randomize

from tfeff.bench import Outcome, Ratio, Result
from tfeff.bench.outcome import Times
from tfeff.export import tune
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_once
from tfeff.export.targets import get_target, list_targets
from tfeff.layers import ChannelShuffle, GroupConv2D, GroupShift2D
from tfeff.record.schema import Kernels


@pytest.fixture
def model(tmp_path):
    """Two group convolutions of one shape, one of another, a PReLU, a hard-swish."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 1)(image)
    for number in range(2):
        x = GroupConv2D(8, 3, 4, padding="same", name=f"group{number}")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = GroupConv2D(16, 1, 2, name="other")(x)
    x = layers.Conv2D(8, 1)(layers.Activation("hard_silu", name="swish")(x))
    path = tmp_path / "own.keras"
    randomize(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D(name="pool")(x)))).save(path)
    return path


@pytest.fixture
def export(capfd, model, tmp_path, npz):
    def run(*arguments):
        ran = tfeff(capfd, "export", model, "--calibration", npz, "--samples", "4", "--no-bench", "--json",
                    "--mean", "127.5", "--std", "127.5", "--out", tmp_path / "out", *arguments)  # fmt: skip
        return ran, json.loads(ran.out) if ran.code == 0 else None

    return run


@pytest.fixture
def npz(tmp_path):
    import numpy as np

    path = tmp_path / "images.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8))
    return path


def pretend(monkeypatch, quick):
    """Times that the machine does not decide: the form that `quick` names for a rewrite takes half as long."""
    seen = []

    def bench(paths, devices, settings, **options):
        forms = [path.stem.partition(".")[2] for path in paths]
        seen.append((forms, devices))
        times = [0.5 if form in quick else 1.0 for form in forms]
        results = [
            Result(file=str(path), sha256=sha256(form.encode()).hexdigest(),
                   device="local", runtime="r", version="1", threads=1, xnnpack=True,
                   kernels=Kernels(), environment={"cpu": "c"}, times=Times(ms, (ms, ms), ms, 1, 1))
            for ms, form, path in zip(times, forms, paths, strict=True)
        ]  # fmt: skip
        words = ["faster" if ms < times[0] else "slower" if ms > times[0] else "no difference" for ms in times]
        ratios = [
            Ratio("local", str(path), str(paths[0]), 1, ms / times[0], (ms, ms), [], word)
            for path, ms, word in zip(paths[1:], times[1:], words[1:], strict=True)
        ]
        return Outcome(results, ratios)

    monkeypatch.setattr("tfeff.bench.bench", bench)
    return seen


def test_the_quickest_form_wins_at_each_shape(export, monkeypatch):
    seen = pretend(monkeypatch, {"split"})
    ran, record = export("--tune", "local")
    assert ran.code == 0, ran.err
    tuning = record["tuning"]
    assert tuning["device"] == "local"
    places = {(each["rewrite"], each["layer"]): each for each in tuning["places"]}
    group = places["group_conv", "group0"]
    assert (group["places"], group["table"], group["chosen"]) == (2, "native", "split")
    assert {"native", "split"} <= group["forms"].keys()
    assert ("group_conv", "group1") not in places  # the same shape
    assert places["prelu", "prelu"]["chosen"] == places["prelu", "prelu"]["table"] == "add"
    applied = {each["name"]: each["places"] for each in record["rewrites"]}
    assert applied["group_conv"] == 3
    assert all(forms[0] in ("native", "add", "add_mul", "mean", "depthwise") for forms, _ in seen)


def test_without_a_difference_the_table_decides(export, monkeypatch):
    pretend(monkeypatch, {"native", "split", "add", "maximum", "add_mul", "mean", "keepdims", "average_pool"})
    ran, record = export("--tune")
    assert ran.code == 0, ran.err
    assert all(each["chosen"] == each["table"] for each in record["tuning"]["places"])
    assert "group_conv" not in {each["name"] for each in record["rewrites"]}


def test_a_form_that_the_target_refuses_is_not_tried(export, monkeypatch):
    seen = pretend(monkeypatch, {"native"})
    ran, record = export("--tune", "--target", "edgetpu")
    assert ran.code == 0, ran.err
    for each in record["tuning"]["places"]:
        assert f"{each['rewrite']}:{each['chosen']}" not in get_target("edgetpu").refuses
        for form in each["forms"]:
            assert f"{each['rewrite']}:{form}" not in get_target("edgetpu").refuses
    assert seen


def test_shuffles_and_shifts_are_decided_for_the_whole_network(capfd, tmp_path, npz, monkeypatch):
    image = keras.Input((16, 16, 3))
    x = ChannelShuffle(2)(layers.Conv2D(8, 1)(image))
    x = layers.Conv2D(8, 1)(GroupShift2D(3)(layers.Conv2D(9, 1)(x)))
    path = tmp_path / "own.keras"
    randomize(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))).save(path)
    arguments = ("export", path, "--calibration", npz, "--samples", "4", "--no-bench", "--json", "--mean", "127.5",
                 "--std", "127.5", "--tune", "local", "--out", tmp_path / "out")  # fmt: skip
    pretend(monkeypatch, {"slices", "native"})
    ran = tfeff(capfd, *arguments)
    assert ran.code == 0, ran.err
    record = json.loads(ran.out)
    whole = {each["rewrite"]: each for each in record["tuning"]["places"] if each["layer"] == "whole network"}
    assert (whole["channel_shuffle"]["table"], whole["channel_shuffle"]["chosen"]) == ("fold", "native")
    assert (whole["shift"]["table"], whole["shift"]["chosen"]) == ("depthwise", "slices")
    assert record["rewrites"][0]["name"] == "slice_shift"
    assert "channel_shuffle" not in {each["name"] for each in record["rewrites"]}
    assert "freeze_shift" in record["float_twin"]["rewrites"]


def test_an_unknown_device_is_refused_first(export):
    ran, _ = export("--tune", "moon")
    assert ran.code == 2
    assert "moon" in ran.err


@pytest.mark.parametrize("name", sorted(list_targets()))
def test_specs_are_completed_with_what_the_target_does_not_name(name):
    target = get_target(name)
    specs = tune.complete(target.rewrites)
    assert specs[: len(target.rewrites)] == target.rewrites
    assert {spec.partition(":")[0] for spec in specs} >= {*tune.TUNED}
    for spec in specs[len(target.rewrites) :]:
        rewrite = load_rewrite(spec)
        assert rewrite.form == rewrite.forms[0]


def test_choices_reach_single_places():
    image = keras.Input((16, 16, 8))
    first, second = GroupConv2D(8, 3, 4, padding="same"), GroupConv2D(8, 1, 4)
    model = randomize(keras.Model(image, second(first(image))))
    from tfeff.export.rewrites.core import shape_key

    choices = {shape_key(first): "native"}
    rewritten, places = rewrite_once(model, load_rewrite("group_conv:split", choices))
    assert places == 1
    assert [type(op).__name__ for op in rewritten.operations].count("GroupConv2D") == 1


def test_for_real(export):
    """On this machine. Which form wins is the machine's business, and measured in `benchmarks/rewrites.py`."""
    ran, record = export("--tune", "local")
    assert ran.code == 0, ran.err
    places = record["tuning"]["places"]
    assert {"prelu", "hard_swish", "group_conv", "global_pool"} == {each["rewrite"] for each in places}
    for each in places:
        assert each["chosen"] in each["forms"]
        assert all(form["median_ms"] > 0 and len(form["sha256"]) == 64 for form in each["forms"].values())
    assert record["tuning"]["runtime"] == "ai-edge-litert"
