"""What a phone does wrong: a clear error, exit code 2, and nothing left on it or here."""

import os
import subprocess
import sys
import time

import pytest
from cli_runner import assert_refused, tfeff

from tfeff.bench.adb import client, tool_timer

pytest_plugins = ["bench_models", "phone_files", "adb_daemon"]

# What a tool says of 60 invocations; it computes nothing.
RESULT = """echo 'INFO: count=1 curr=4633'
echo 'INFO: count=60 first=4531 curr=4509 min=4464 max=5786 avg=4524.7 std=88 p5=4475 median=4514 p95=4639'
echo 'INFO: Inference timings in us: Init: 4633, First inference: 4633, Warmup (avg): 4633, Inference (avg): 4524.7'"""


@pytest.fixture
def tool(tmp_path):
    """Makes a tool out of shell text; it knows `--help`."""

    def make(text):
        path = tmp_path / "benchmark_model"
        helped = (
            "[ \"$1\" = --help ] && { echo 'Flags: --graph=x --num_threads=1 --num_runs=50 --min_secs=1'; exit 1; }"
        )
        path.write_text(f"#!/bin/sh\n{helped}\n{text}\n")
        return path

    return make


@pytest.fixture
def run(capfd, files):
    """`tfeff bench float.tflite --on adb` with a tool."""

    def bench(tool, *options, on="adb"):
        arguments = ["bench", files["float"], "--max-seconds", "0.1", "--on", on, "--benchmark-binary", tool, *options]
        return tfeff(capfd, *arguments, "--no-record")

    return bench


def assert_no_trace(phone):
    assert phone.left == []
    assert phone.running == []


def test_a_tool_that_works_shows_that_the_failures_below_are_the_injected_ones(phone, tool, run):
    ran = run(tool(RESULT), "--json")
    assert ran.code == 0, ran.err
    assert ran.json["results"][0]["median_ms"] == 4.514
    assert_no_trace(phone)


def test_no_phone(adb_server, tool, run):
    assert_refused(run(tool(RESULT)), "adb: no phone is connected", "USB debugging")
    assert_refused(run(tool(RESULT), on="adb:R58N"), "no phone R58N is connected", "connected: none")


def test_several_phones_and_the_one_that_is_named(phone, new_phone, adb_server, tool, run):
    other = new_phone()
    adb_server("connect", other.address)
    assert_refused(run(tool(RESULT)), "several phones", phone.address, other.address, "say adb:")
    assert run(tool(RESULT), on=f"adb:{other.address}").code == 0
    assert other.commands
    assert not phone.commands


def test_a_phone_in_the_network_is_connected_to_and_left_as_it_was(phone, adb_server, tool, run):
    adb_server("disconnect", phone.address)
    assert run(tool(RESULT), on=f"adb:{phone.address}").code == 0
    listed = subprocess.run(["adb", "devices"], capture_output=True, text=True).stdout
    assert phone.address not in listed


def test_a_server_that_was_started_for_this_is_ended(phone, adb_server, tool, run, left_behind):
    adb_server("kill-server")
    assert run(tool(RESULT), on=f"adb:{phone.address}").code == 0
    assert left_behind(5) == 0


def test_unauthorized(adb_server, new_phone, tool, run):
    phone = new_phone()
    phone.authorized = False
    connecting = adb_server("connect", phone.address, wait=False)
    try:
        _until(lambda: "unauthorized" in subprocess.run(["adb", "devices"], capture_output=True, text=True).stdout)
        assert_refused(run(tool(RESULT)), "has not allowed this computer", "Allow USB debugging?")
    finally:
        connecting.kill()
        connecting.wait()


def test_offline(phone, tool, run, monkeypatch):
    monkeypatch.setattr(client, "APPEARS_S", 0.5)
    phone.silent = True  # from now on: adb's server connects anew and gets no answer
    phone.break_off()
    _until(lambda: "offline" in subprocess.run(["adb", "devices"], capture_output=True, text=True).stdout)
    assert_refused(run(tool(RESULT)), "the phone is offline", phone.address)


def test_a_name_with_blanks(tool, run, tmp_path, monkeypatch):
    """As adb names a phone without a cable that it found twice."""
    monkeypatch.setattr(client, "APPEARS_S", 0.0)
    adb = tmp_path / "adb"
    adb.write_text(
        '#!/bin/sh\nprintf "List of devices attached\\nadb-R5 (2)._adb-tls-connect._tcp\\tunauthorized\\n"\n'
    )
    adb.chmod(0o755)
    monkeypatch.setenv("ADB", str(adb))
    assert_refused(run(tool(RESULT)), "has not allowed this computer", "(adb-R5 (2)._adb-tls-connect._tcp)")


def test_disk_full(phone, tool, run):
    phone.disk_bytes = 100
    assert_refused(run(tool(RESULT)), "its disk is full", "make room")
    assert_no_trace(phone)


def test_disconnected_in_the_middle_of_a_push_and_back_again(phone, tool, run, monkeypatch):
    phone.cut_after_bytes = 50
    ran = run(tool(RESULT))
    assert_refused(ran, "cannot copy benchmark_model to the phone", "still plugged in")
    assert_no_trace(phone)


def test_disconnected_for_good_says_what_may_have_stayed(phone, tool, run, monkeypatch):
    monkeypatch.setattr(client, "CLEANING_S", (0, 0.1))
    phone.cut_after_bytes, phone.returns = 50, False
    ran = run(tool(RESULT))
    assert_refused(ran, "cannot copy benchmark_model", "may have stayed on the phone")
    assert f"/data/local/tmp/{phone.left[0]}" in ran.err  # it tells the truth


def test_a_crash(phone, tool, run):
    ran = run(tool("echo 'ERROR: about to touch what is not ours'\nkill -SEGV $$"))
    assert_refused(ran, "crashed (SIGSEGV)", "about to touch", "another build")
    assert_no_trace(phone)


def test_a_failure_that_the_tool_tells(phone, tool, run):
    said = "ERROR: Didn't find op for builtin opcode 'CONV_2D' version '9'"
    assert_refused(run(tool(f'echo "{said}"\nexit 1')), "failed with exit code 1", "version '9'")
    assert_no_trace(phone)


@pytest.mark.parametrize(
    ("says", "word"),
    [
        ("head -c 4000 /dev/urandom", "no result"),
        ("true", "no result"),
        (RESULT.replace("median=4514", "median=nan").replace("avg=4524.7", "avg=0"), "impossible times"),
        (RESULT.rpartition("\n")[0], "no result"),
        ("echo '========== BENCHMARK RESULTS =========='", "Inference (avg)"),
    ],
)
def test_garbage(phone, tool, run, says, word):
    assert_refused(run(tool(says)), word)
    assert_no_trace(phone)


def test_a_tool_that_never_ends_is_ended_with_its_children(phone, tool, run, monkeypatch):
    monkeypatch.setattr(tool_timer, "CHECK", {"max_secs": 0})
    monkeypatch.setattr(tool_timer, "GRACE_S", 2.0)
    ran = run(tool("sleep 300 &\nsleep 300"))
    assert_refused(ran, "did not end within", "was ended")
    assert_no_trace(phone)


def test_a_tool_for_another_processor(phone, run, tmp_path):
    path = tmp_path / "arm"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(40))
    assert_refused(run(path), "is built for arm64-v8a, the phone is x86_64")
    assert_refused(run(tmp_path / "none"), "No such file")
    assert_no_trace(phone)


def test_a_phone_that_goes_while_the_tool_runs(phone, tool, run):
    phone_breaks = tool("touch $(dirname $0)/../../broken; sleep 20")

    def watch():
        _until(lambda: (phone.root / "broken").exists())
        phone.break_off()

    import threading

    thread = threading.Thread(target=watch)
    thread.start()
    ran = run(phone_breaks)
    thread.join()
    assert_refused(ran, "the connection was lost", "plugged in")
    assert_no_trace(phone)


def test_ctrl_c_leaves_nothing(phone, tool, files, left_behind):
    marker = phone.root / "started"
    path = tool("touch $(dirname $0)/../../started; sleep 60")
    command = [sys.executable, "-m", "tfeff", "bench", files["float"], "--on", "adb", "--benchmark-binary", path]
    before = left_behind()
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _until(marker.exists)
    started.send_signal(2)
    _, said = started.communicate(timeout=30)
    assert (started.returncode, said.strip()) == (130, "tfeff: interrupted")
    assert_no_trace(phone)
    assert left_behind() == before


def test_hostile_names_do_nothing(phone, tool, files, capfd, tmp_path):
    folder = tmp_path / "$(touch pwned) `touch pwned`; touch pwned"
    folder.mkdir()
    path = folder / "-rf ' \" & touch pwned.tflite"
    path.write_bytes(files["float"].read_bytes())
    ran = tfeff(capfd, "bench", path, "--on", "adb", "--benchmark-binary", tool(RESULT), "--max-seconds", "0.1")
    assert ran.code == 0, ran.err
    assert not list(tmp_path.rglob("pwned"))
    assert not os.path.exists("pwned")
    assert not [command for command in phone.commands if "pwned" in command]
    assert_no_trace(phone)


@pytest.mark.parametrize("spec", ["adb:-s", "adb:a b", "adb:x\n"])
def test_serials_that_cannot_be(spec, run, tool, adb_server):
    assert_refused(run(tool(RESULT), on=spec), "names no phone", "adb:SERIAL")


def test_no_adb(run, tool, monkeypatch, tmp_path):
    for name in ("ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_refused(run(tool(RESULT)), "no such command", "apt-get install adb")


def test_options_of_phones_without_a_phone(capfd, files):
    assert_refused(tfeff(capfd, "bench", files["float"], "--cores", "big"), "--cores: is for a phone")


def _until(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
