"""`tfeff export --on adb` and `--tune adb`: the figures of a phone in the record of the export."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from keras import layers
from rewrite_models import randomize

from tfeff.bench.adb import protocol, tool_timer
from tfeff.layers import GroupConv2D

pytest_plugins = ["adb_daemon"]


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(protocol, "MIN_ROUNDS", 2)
    monkeypatch.setitem(tool_timer.BLOCK, "min_secs", 0)
    monkeypatch.setitem(tool_timer.BLOCK, "warmup_min_secs", 0)


@pytest.fixture
def export(capfd, tmp_path):
    """`tfeff export` of a small network of one's own, with the random images that it is calibrated on."""
    image = keras.Input((16, 16, 3))
    x = layers.ReLU()(GroupConv2D(8, 3, 4, padding="same", name="group")(layers.Conv2D(8, 1)(image)))
    model = randomize(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    model.save(tmp_path / "own.keras")
    images = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)

    def run(*arguments):
        return tfeff(capfd, "export", tmp_path / "own.keras", "--calibration", tmp_path / "images.npz",
                     "--mean", "127.5", "--std", "127.5", "--out", tmp_path / "own.tflite", *arguments)  # fmt: skip

    return run


def test_a_phone_s_times_and_ratio_go_into_the_record(phone, benchmark_tool, export, tmp_path):
    ran = export("--on", "adb", "--benchmark-binary", benchmark_tool, "--json")
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "own.json").read_text())
    (entry,) = record["latency"]
    assert (entry["device"], entry["cpu"], entry["runtime"]) == ("adb", "Pretended", "benchmark_model")
    assert entry["sha256"] == record["sha256"]
    assert entry["of_float"]["sha256"] == record["float_twin"]["sha256"]
    twin, own = ran.json["bench"]["results"]
    assert (twin["answer"]["equal"], own["answer"]["equal"]) == (True, True)
    assert entry["of_float"]["ratio"] == ran.json["bench"]["ratios"][0]["ratio"]
    assert phone.left == []


def test_forms_are_tuned_on_a_phone(phone, benchmark_tool, export, tmp_path):
    ran = export("--tune", "adb", "--benchmark-binary", benchmark_tool, "--no-bench")
    assert ran.code == 0, ran.err
    tuning = json.loads((tmp_path / "own.json").read_text())["tuning"]
    assert (tuning["device"], tuning["runtime"], tuning["cpu"]) == ("adb", "benchmark_model", "Pretended")
    (group,) = (place for place in tuning["places"] if place["rewrite"] == "group_conv")
    assert {"native", "split"} <= group["forms"].keys()
    assert group["wrong"] == {}
    assert group["chosen"] in group["forms"]
    assert phone.left == []


def test_a_phone_that_computes_wrongly_is_a_missed_gate_without_a_time(phone, benchmark_tool, export, tmp_path):
    script = Path(__file__).parents[1] / "support" / "benchmark_model_stand_in.py"
    wrong, right = tmp_path / "wrong.py", 'interpreter.get_tensor(detail["index"])).tobytes()'
    assert right in script.read_text()
    wrong.write_text(script.read_text().replace(right, right.replace(").tobytes", "[..., ::-1]).tobytes")))
    benchmark_tool.write_text(f'#!/bin/sh\nexec {sys.executable} {wrong} "$@"\n')
    ran = export("--on", "adb", "--on", "local", "--benchmark-binary", benchmark_tool)
    assert ran.code == 1
    assert "WRONG answer" in ran.err
    assert "own.tflite: output " in ran.err
    assert "this machine's" in ran.err
    record = json.loads((tmp_path / "own.json").read_text())
    assert [entry["device"] for entry in record["latency"]] == ["local"]
    assert any("adb" in gate for gate in record["gates"]["failed"])


def test_a_tool_that_cannot_be_had_is_told_before_anything_is_made(phone, export, tmp_path):
    for option in ("--on", "--tune"):
        assert_refused(export(option, "adb"), "benchmark_model: none was named", "--benchmark-binary")
    assert list(tmp_path.glob("own*")) == [tmp_path / "own.keras"]
    assert phone.left == []


def test_refusals_come_before_anything_is_made(adb_server, export, tmp_path):
    assert_refused(export("--on", "adb"), "adb: no phone is connected", "USB debugging")
    assert_refused(export("--tune", "adb"), "adb: no phone is connected")
    assert_refused(export("--on", "emulated:aarch64"), "--on emulated:aarch64: counts instructions and tells no time")
    assert_refused(export("--tune", "emulated:aarch64"), "--tune emulated:aarch64: counts instructions")
    assert_refused(export("--benchmark-binary", tmp_path / "x"), "--benchmark-binary: is for a phone")
    assert_refused(export("--on", "adb", "--benchmark-binary", tmp_path / "x"), "x: no such file")
    assert list(tmp_path.glob("own*")) == [tmp_path / "own.keras"]
