"""Devices: what is said when one is not fit for use, and that no process stays behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tfeff.bench import bench
from tfeff.bench.devices import BaseDevice, device_names, find_device
from tfeff.errors import TfeffError

pytest_plugins = ["bench_models"]

# A worker that knows hello and does something else when a model is loaded.
TALKER = """exec "$PYTHON" -c '
import json, os, resource, signal, sys, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.stdin.readline()
print(json.dumps({{"runtime": "stub", "version": "1", "cpu": "c"}}), flush=True)
sys.stdin.readline()
{then}
'"""


def error_of(spec, path=None):
    with pytest.raises(TfeffError) as caught, find_device(str(spec)).start() as handle:
        handle.load(path, threads=1, xnnpack=True, seed=0, core=None)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_devices_are_the_files_of_their_folder():
    assert device_names() == ["adb", "browser", "emulated", "local", "python", "ssh"]
    assert find_device("local").name == "local"
    assert find_device(f"python:{sys.executable}").name == f"python:{sys.executable}"


def test_an_unknown_device_names_its_neighbours():
    assert "python:PATH" in error_of("pyton:/usr/bin/python3")
    message = error_of("zzz")
    assert "local" in message
    assert "python:PATH" in message


def test_an_interpreter_that_cannot_be_one(tmp_path):
    assert "no such file" in error_of(f"python:{tmp_path}/none")
    assert "is a folder" in error_of(f"python:{tmp_path}")
    (tmp_path / "text").write_text("hello")
    assert "is not executable" in error_of(f"python:{tmp_path}/text")
    (tmp_path / "text").chmod(0o755)
    assert "cannot be started" in error_of(f"python:{tmp_path}/text")
    assert "python:PATH" in error_of("python:")
    assert "takes nothing" in error_of("local:4")


def test_a_python_without_numpy(stand_in):
    path = stand_in('exec "$PYTHON" -S "$@"')
    message = error_of(f"python:{path}")
    assert "no usable NumPy" in message
    assert 'pip install tflite-runtime==2.14.0 "numpy<2"' in message


def test_a_python_without_a_runtime(stand_in, tmp_path):
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "numpy.py").write_text("__version__ = '1'\n")
    path = stand_in(f'PYTHONPATH={tmp_path}/stub exec "$PYTHON" -S "$@"')
    message = error_of(f"python:{path}")
    assert "neither ai-edge-litert nor tflite-runtime" in message
    assert "pip install ai-edge-litert" in message

    (tmp_path / "stub" / "tflite_runtime").mkdir()
    (tmp_path / "stub" / "tflite_runtime" / "__init__.py").touch()
    broken = tmp_path / "stub" / "tflite_runtime" / "interpreter.py"
    broken.write_text("raise ImportError('numpy.core.multiarray failed to import')\n")
    message = error_of(f"python:{path}")
    assert "tflite_runtime cannot be imported: ImportError: numpy.core.multiarray failed to import" in message
    assert "numpy<2" in message


def test_what_is_no_python(stand_in):
    assert "answered 'usage: toaster'" in error_of(f"python:{stand_in('echo usage: toaster; read line')}")
    assert "ended with exit code 3" in error_of(f"python:{stand_in('echo broken >&2; exit 3')}")
    assert "(broken)" in error_of(f"python:{stand_in('echo broken >&2; exit 3')}")


def test_a_worker_that_crashes_is_told_by_its_signal(stand_in, models, left_behind):
    path = stand_in(TALKER.format(then="os.kill(os.getpid(), signal.SIGSEGV)"))
    message = error_of(f"python:{path}", models["int8"])
    assert "killed by SIGSEGV while asked to 'load'" in message
    # A wrapper that does not exec reports the signal as an exit code.
    path = stand_in(TALKER.format(then="os.kill(os.getpid(), signal.SIGABRT)").replace("exec ", "") + "\nexit $?")
    assert "killed by SIGABRT" in error_of(f"python:{path}", models["int8"])
    assert left_behind() == 0


def test_a_worker_that_hangs_is_ended_with_all_its_children(stand_in, models, left_behind, monkeypatch):
    monkeypatch.setattr(BaseDevice, "timeout_s", 0.5)
    assert "no answer to 'hello' within 0 s" in error_of(f"python:{stand_in('sleep 60 & sleep 60')}").replace(
        "0.5", "0"
    )
    monkeypatch.setattr(BaseDevice, "timeout_s", 3.0)
    path = stand_in(TALKER.format(then="time.sleep(60)").replace("exec ", ""))
    assert "no answer to 'load'" in error_of(f"python:{path}", models["int8"])
    assert left_behind() == 0


def test_a_model_that_the_runtime_does_not_know(models, left_behind):
    with pytest.raises(TfeffError) as caught:
        bench([models["int8"], models["too_new"]])
    message = str(caught.value)
    assert "too_new.tflite: ai-edge-litert 2." in message
    assert "'CONV_2D' version '99'" in message
    assert left_behind() == 0  # the worker of the first file is gone too


def test_closing_twice_is_harmless(left_behind):
    handle = find_device("local").start()
    assert left_behind() == 1
    handle.close()
    handle.close()
    assert left_behind() == 0


def test_ctrl_c_ends_the_workers(models, left_behind):
    command = [sys.executable, "-m", "tfeff", "bench", str(models["float"]), str(models["int8"]), "--max-seconds", "60"]
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )
    deadline = time.monotonic() + 30
    while left_behind() < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=30)
    assert (started.returncode, errors.strip()) == (130, "tfeff: interrupted")
    assert left_behind(10) == 0  # a worker caught while it was being started ends by itself: its stdin is closed


def test_ctrl_c_before_the_reader_runs_is_no_other_error(monkeypatch, left_behind):
    """The moment between a worker's start and its reader's, which a busy machine makes long enough to be hit."""

    def interrupted(thread):
        raise KeyboardInterrupt

    monkeypatch.setattr("threading.Thread.start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_device("local").start()
    assert left_behind(10) == 0


def test_a_worker_does_not_outlive_a_killed_parent(left_behind):
    code = (
        "import time; from tfeff.bench.devices import find_device as f; h = f('local').start(); print(1, flush=True); "
    )
    started = subprocess.Popen([sys.executable, "-c", code + "time.sleep(60)"], stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "1\n"
    assert left_behind() == 2
    started.kill()
    started.communicate()
    assert left_behind(seconds=10) == 0
