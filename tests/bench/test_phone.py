"""`tfeff bench --on adb` with a stand-in phone: arm64 adbd and the real ARM runtimes, under emulation."""

import json
import shutil

import pytest
from cli_runner import tfeff
from stand_in_phone import tool

from tfeff.bench.adb import protocol, tool_timer

pytest_plugins = ["bench_models", "phone_files", "stand_in_phone"]

HOME = "/data/local/tmp"


def bench(capfd, phone, *arguments):
    return tfeff(capfd, "bench", *arguments, "--on", f"adb:{phone.address}", "--max-seconds", "1", "--json")


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """A start of Python takes seconds under emulation: two rounds of few invocations."""
    monkeypatch.setattr(protocol, "MIN_ROUNDS", 2)
    monkeypatch.setitem(tool_timer.BLOCK, "min_secs", 0)
    monkeypatch.setitem(tool_timer.BLOCK, "warmup_min_secs", 0)


@pytest.fixture(autouse=True)
def tidy(arm_phone):
    yield
    assert arm_phone.shell(f"ls -A {HOME}").stdout == ""


def test_the_phone_is_one(arm_phone):
    assert arm_phone.shell("uname -m").stdout.strip() == "aarch64"
    assert arm_phone.shell("getprop ro.product.cpu.abi").stdout.strip() == "arm64-v8a"
    assert arm_phone.shell("exit 7").returncode == 7


@pytest.mark.parametrize(("runtime", "family"), [("litert", "XNNPACK"), ("tflite-runtime", "built-in")])
def test_bench_on_a_phone(arm_phone, models, tmp_path, capfd, runtime, family):
    hostile = models["int8"].rename(tmp_path / "it's; touch harmed; `touch harmed`.tflite")
    arguments = ["--no-xnnpack"] if runtime == "tflite-runtime" else []
    ran = bench(capfd, arm_phone, hostile, "--benchmark-binary", tool(tmp_path, runtime), *arguments)
    assert ran.code == 0, ran.err
    (result,) = json.loads(ran.out)["results"]
    assert result["answer"]["family"] == family
    assert result["answer"]["ok"] is True
    assert result["answer"]["equal"] is True
    assert result["kernels"]["xnnpack"] == ("all" if runtime == "litert" else "none")
    assert result["environment"]["machine"] == "arm64-v8a"
    assert result["environment"]["model"] == "Debian Stand-in"
    assert result["environment"]["state"]["battery_percent"] == 80
    assert result["runs"] >= 10
    assert result["median_ms"] > 0
    assert result["init_ms"] > 0
    assert "harmed" not in arm_phone.shell(f"ls / {HOME}").stdout


def test_a_file_with_several_inputs_and_outputs_on_a_phone(arm_phone, files, tmp_path, capfd):
    """ARM's own kernels for all of it, given every input."""
    ran = bench(capfd, arm_phone, files["ports"], "--benchmark-binary", tool(tmp_path, "litert"))
    assert ran.code == 0, ran.err
    (result,) = ran.json["results"]
    assert (result["answer"]["ok"], result["answer"]["family"]) == (True, "mixed")
    told = {one["name"]: one for one in result["answer"]["outputs"]}
    assert list(told) == ["best", "active", "small", "vectors"]
    assert all(one["equal"] for one in told.values())
    assert result["median_ms"] > 0


def test_a_wrong_answer_voids_the_time(arm_phone, models, tmp_path, capfd):
    change = (
        'interpreter.get_tensor(detail["index"])).tobytes()',
        'interpreter.get_tensor(detail["index"]) ^ 64).tobytes()',
    )
    ran = bench(capfd, arm_phone, models["int8"], "--benchmark-binary", tool(tmp_path, "litert", change))
    assert ran.code == 1, ran.err
    (result,) = json.loads(ran.out)["results"]
    assert result["answer"]["ok"] is False
    assert "median_ms" not in result


def test_a_model_that_the_phone_s_runtime_does_not_know(arm_phone, models, tmp_path, capfd):
    copy = shutil.copy(models["too_new"], tmp_path / "new.tflite")
    ran = bench(capfd, arm_phone, copy, "--benchmark-binary", tool(tmp_path, "litert"))
    assert ran.code == 2
    assert "failed with exit code 1" in ran.err


def test_a_program_that_ends_in_the_middle(arm_phone, models, tmp_path, capfd):
    tool_path = tool(tmp_path, "litert", ("    times = runs(", "    os.kill(os.getpid(), 11)\n    times = runs("))
    ran = bench(capfd, arm_phone, models["int8"], "--benchmark-binary", tool_path)
    assert ran.code == 2
    assert "SIGSEGV" in ran.err
