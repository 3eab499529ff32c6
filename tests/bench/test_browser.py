"""`browser`: the same outputs as here, and nothing left behind whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from web_browser import chromium_path

from tfeff.bench import Settings, bench
from tfeff.bench.devices import find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.compare import Runner
from tfeff.errors import TfeffError

pytest_plugins = ["bench_models", "phone_files"]

needs_browser = pytest.mark.skipif(chromium_path() is None, reason="no Chromium or Chrome on this machine")


@pytest.fixture(autouse=True)
def scratch(monkeypatch, tmp_path_factory):
    """Where temporary files go, empty afterwards. A short path: a browser makes sockets below."""
    tmp_path_factory.getbasetemp()  # pytest's own must not land there
    folder = Path(tempfile.mkdtemp(prefix="tfeff-test-"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    # TensorFlow, which makes the models, leaves files of its own.
    assert [path.name for path in folder.iterdir() if path.name.startswith(("tfeff", ".tfeff", "org."))] == []
    shutil.rmtree(folder)


@needs_browser
def test_outputs_are_this_machines(models, left_behind):
    image = np.random.default_rng(5).standard_normal((1, 24, 24, 3)).astype(np.float32)
    with find_device("browser") as device, device.start() as handle:
        loaded = handle.load(models["float"], threads=1, xnnpack=True, seed=0)
        assert loaded.sha256 == Runner(models["float"]).sha256
        (port,) = loaded.inputs
        assert port.shape == [1, 24, 24, 3]
        (output,) = handle.outputs({port.name: image}).values()
        (expected,) = Runner(models["float"])(image[0]).values()
        np.testing.assert_allclose(output[0], expected, rtol=1e-4, atol=1e-5)
        times = handle.run(50)
        assert len(times) == 50
        assert all(isinstance(one, int) and one > 0 for one in times)
        with pytest.raises(TfeffError, match=r"the model wants .*24, 3\] float32; given is .*\[1, 20, 24, 3\] float32"):
            handle.outputs({port.name: image[:, :20]})
    assert left_behind(5) == 0


def test_a_signal_while_the_profile_is_made(monkeypatch, scratch):
    """It comes when the folder is there and nobody has yet begun to guard it."""
    made = tempfile.mkdtemp

    def disturbed(*given, **named):
        folder = made(*given, **named)
        os.kill(os.getpid(), signal.SIGINT)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", disturbed)
    with find_device(f"browser:{sys.executable}") as device, pytest.raises(KeyboardInterrupt):
        device.start()
    assert list(scratch.iterdir()) == []


def test_a_temporary_folder_that_is_gone(monkeypatch, scratch):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "gone"))
    with find_device(f"browser:{sys.executable}") as device, pytest.raises(TfeffError, match="temporary") as stop:
        device.start()
    assert "TMPDIR" in stop.value.mend


@needs_browser
def test_every_port_of_a_file_with_several(tmp_path, left_behind):
    from phone_files import ports_answer, ports_file  # a plugin of pytest, so not before it is loaded

    path = tmp_path / "ports.tflite"
    path.write_bytes(ports_file(int8=False))  # LiteRT.js has no int8 at its door
    with find_device("browser") as device, device.start() as handle:
        loaded = handle.load(path)
        inputs = seeded_inputs(loaded.inputs, 3)
        assert {name: values.dtype.name for name, values in inputs.items()} == {"pixels": "float32", "words": "int32"}
        outputs = handle.outputs(inputs)
        assert list(outputs) == ["best", "active", "vectors"]
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, ports_answer(**inputs)[name], err_msg=name)
        assert len(handle.run(3)) == 3
    assert left_behind(5) == 0


@needs_browser
def test_bench_says_which_runtime_and_browser(models, left_behind):
    outcome = bench([models["float"], models["gather"]], ["browser"], Settings(max_seconds=0.5))
    for one in outcome.results:
        assert (one.runtime, one.kernels.xnnpack, one.times.pinned) == ("litert.js", "unknown", False)
        assert one.version.count(".") == 2
        assert "Chrome/" in one.environment["user_agent"]
        assert one.environment["isolated"] is True
        assert one.times.rounds >= 15
        assert one.times.ci95_ms[0] <= one.times.median_ms <= one.times.ci95_ms[1]
    assert outcome.ratios[0].ratio < 1  # a gather of 128 values against two convolutions
    assert left_behind(5) == 0


@needs_browser
def test_what_the_browser_cannot_run(models, tmp_path, left_behind):
    def error_of(path, **options):
        with pytest.raises(TfeffError) as caught, find_device("browser") as device, device.start() as handle:
            handle.load(path, **{"threads": 1, "xnnpack": True, "seed": 0, **options})
        assert caught.value.exit_code == 2
        return str(caught.value)

    message = error_of(models["int8"])
    assert "int8.tflite" in message
    assert "--target web" in message
    assert "LiteRT cannot run it" in error_of(models["too_new"])
    assert "XNNPACK" in error_of(models["float"], xnnpack=False)
    assert "cannot be read" in error_of(tmp_path / "none.tflite")
    assert left_behind(5) == 0


@needs_browser
def test_a_browser_that_dies_is_told(models, left_behind):
    with find_device("browser") as device:
        handle = device.start()
        handle.load(models["float"], threads=1, xnnpack=True, seed=0)
        os.killpg(device._browser._process.pid, signal.SIGKILL)
        with pytest.raises(TfeffError, match="the browser ended"):
            handle.run(100000)
    assert left_behind(5) == 0


@needs_browser
def test_a_polite_kill_leaves_nothing(models, scratch, left_behind):
    command = [
        sys.executable,
        "-m",
        "tfeff",
        "bench",
        str(models["float"]),
        "--on",
        "browser",
        "--max-seconds",
        "60",
    ]
    env = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if left_behind() > 4:  # the command, the browser and its helpers
            break
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 143
    assert left_behind(10) == 0


def test_executables_that_cannot_be_one(tmp_path, stand_in, left_behind, models, monkeypatch):
    def error_of(spec):
        with pytest.raises(TfeffError) as caught, find_device(spec) as device:
            device.start()
        assert caught.value.exit_code == 2
        return str(caught.value)

    assert "no such file" in error_of(f"browser:{tmp_path}/none")
    assert "is not executable" in error_of(f"browser:{tmp_path}")
    (tmp_path / "text").write_text("hello")
    assert "is not executable" in error_of(f"browser:{tmp_path}/text")
    (tmp_path / "text").chmod(0o755)
    assert "cannot be started" in error_of(f"browser:{tmp_path}/text")
    message = error_of(f"browser:{stand_in('echo no display >&2; exit 7')}")
    assert "exit code 7" in message
    assert "no display" in message
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert "no Chromium or Chrome found" in error_of("browser")
    assert left_behind(5) == 0


def test_a_browser_that_opens_no_page_is_not_waited_for_for_ever(stand_in, left_behind, monkeypatch):
    from tfeff.bench.devices import browser

    monkeypatch.setattr(browser.Device, "timeout_s", 1.0)
    with pytest.raises(TfeffError, match="no answer to 'hello' within 1 s"):
        find_device(f"browser:{stand_in('exec sleep 600')}").start()
    assert left_behind(5) == 0


def test_only_the_page_is_listened_to(stand_in, tmp_path, monkeypatch):
    """Another program on this machine knows the port, but not the token."""
    import http.client

    from tfeff.bench.devices import browser

    seen = {}

    def ask(self, command, *rest, **values):
        for token in ("", "x", self._token):
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=5)
            body = '{"id": 1, "reply": {}}' if token != self._token else "[]"
            self._commands.put({"id": 5, "command": "test"})
            connection.request("POST", "/agent", body, {"X-Tfeff-Token": token})
            seen[token == self._token, token] = connection.getresponse().status
            connection.close()
        assert self._answers.empty()
        raise TfeffError("enough")

    monkeypatch.setattr(browser._Browser, "ask", ask)
    with pytest.raises(TfeffError, match="enough"):
        find_device(f"browser:{stand_in('exec sleep 600')}").start()
    assert [status for (ours, _), status in seen.items()] == [403, 403, 200]
    assert Path(tempfile.gettempdir()).is_dir()
