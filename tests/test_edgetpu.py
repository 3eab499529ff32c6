"""Files compiled for accelerators: known as such, run through the runtime's delegate, and refused in words where the
library, the device or the whole idea is missing."""

import ctypes.util
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from custom_operator import put_custom_operator

from tfeff import edgetpu
from tfeff.bench import worker
from tfeff.bench.devices import find_device
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.tflite.graph import read_graph
from tfeff.tflite.verify import custom_operators

pytest_plugins = ["bench_models"]

# What libedgetpu exports, for a machine without an Edge TPU: it says which options it was given, and opens nothing.
NO_DEVICE = """
#include <stdio.h>
void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    char text[200] = "nothing plugged in;";
    for (size_t i = 0; i < count; i++) {
        size_t used = 0;
        while (text[used]) used++;
        snprintf(text + used, sizeof text - used, " %s=%s", keys[i], values[i]);
    }
    report(text);
    return 0;
}
void tflite_plugin_destroy_delegate(void *delegate) {}
"""


@pytest.fixture(scope="session")
def library_without_device(tmp_path_factory):
    """A shared library that stands in for libedgetpu where no Edge TPU is plugged in."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("libedgetpu")
    (folder / "stand_in.c").write_text(NO_DEVICE)
    library = folder / "libstand_in.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "stand_in.c"], check=True)
    return library


@pytest.fixture
def compiled(models):
    return put_custom_operator(models["int8"], edgetpu.OPERATOR)


@pytest.fixture
def for_ethos_u(models):
    return put_custom_operator(models["float"], edgetpu.ETHOS_U)


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setenv("EDGETPU_LIBRARY", "libnowhere.so.7")


@pytest.fixture
def delegate(monkeypatch):
    """A runtime whose `load_delegate` works: what it was asked for, and what the interpreter was given."""
    seen = SimpleNamespace(asked=[], given=[])

    def load_delegate(library, options):
        seen.asked.append((library, options))
        return "the delegate"

    def interpreter(**options):
        seen.given.append(options.get("experimental_delegates"))
        raise ValueError("stopped here")

    library = SimpleNamespace(tflite_plugin_create_delegate=None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setenv("EDGETPU_LIBRARY", "libstand_in.so")
    seen.module = SimpleNamespace(load_delegate=load_delegate, Interpreter=interpreter)
    return seen


def test_custom_operators_are_those_that_the_schema_shows(models, compiled, for_ethos_u, tmp_path):
    for path in (*models.values(), compiled, for_ethos_u):
        shown = {op.name.removeprefix("CUSTOM ") for op in read_graph(path).operations if op.name.startswith("CUSTOM ")}
        assert set(custom_operators(path)) == shown
    assert custom_operators(compiled) == ("edgetpu-custom-op",)
    (tmp_path / "none.tflite").write_bytes(compiled.read_bytes()[:40])
    assert custom_operators(tmp_path / "none.tflite") == ()


def test_a_tensor_of_that_name_is_no_operator(models):
    data = models["gather"].read_bytes()
    models["gather"].write_bytes(data + b"\x07\0\0\0ethos-u\0" + b"\x11\0\0\0edgetpu-custom-op\0")
    assert not edgetpu.needs_edgetpu(models["gather"])


def test_compare_says_which_library_is_missing(compiled, no_library):
    with pytest.raises(TfeffError, match=r"compiled for the Edge TPU.*libnowhere\.so\.7") as refused:
        Runner(compiled)
    assert "EDGETPU_LIBRARY" in refused.value.mend


def test_bench_says_which_library_is_missing(compiled, models, no_library):
    with find_device("local").start() as handle:
        with pytest.raises(TfeffError, match=r"compiled for the Edge TPU.*libnowhere\.so\.7") as refused:
            handle.load(compiled, threads=1, xnnpack=True, seed=0)
        assert "EDGETPU_LIBRARY" in refused.value.mend
        assert handle.load(models["gather"], threads=1, xnnpack=True, seed=0).sha256  # the worker goes on


def test_the_systems_library_is_looked_for_unless_another_is_named(compiled, monkeypatch):
    monkeypatch.delenv("EDGETPU_LIBRARY", raising=False)
    if not sys.platform.startswith("linux") or ctypes.util.find_library("edgetpu"):
        pytest.skip("needs a Linux without libedgetpu")
    with pytest.raises(TfeffError, match=r"libedgetpu\.so\.1"):
        Runner(compiled)


def test_worker_and_runner_look_for_the_same_library():
    assert worker.EDGETPU_LIBRARIES == edgetpu.LIBRARIES


@pytest.mark.skipif(not ctypes.util.find_library("c"), reason="needs any shared library")
def test_a_library_that_is_no_delegate(compiled, monkeypatch):
    monkeypatch.setenv("EDGETPU_LIBRARY", ctypes.util.find_library("c"))
    with pytest.raises(TfeffError, match="cannot be loaded"):
        Runner(compiled)


@pytest.mark.parametrize("device", ["", "usb", "usb:0", "pci:1", ":1"])
def test_runner_gives_the_delegate_to_the_interpreter(compiled, models, delegate, monkeypatch, device):
    import ai_edge_litert.interpreter as runtime

    monkeypatch.setenv("EDGETPU_DEVICE", device)
    monkeypatch.setattr(runtime, "load_delegate", delegate.module.load_delegate)
    monkeypatch.setattr(runtime, "Interpreter", delegate.module.Interpreter)
    for path in (compiled, models["gather"]):
        with pytest.raises(TfeffError, match="stopped here"):
            Runner(path, isolated=False)
    assert delegate.asked == [("libstand_in.so", {"device": device} if device else {})]
    assert delegate.given == [["the delegate"], None]


@pytest.mark.parametrize("device", ["", "usb:0"])
def test_worker_gives_the_delegate_to_the_interpreter(compiled, models, delegate, device):
    one = worker.Worker()
    one.numpy, one.module = np, delegate.module
    request = {"threads": 1, "xnnpack": True, "seed": 0, "core": None}
    asked = {"library": "", "options": {"device": device} if device else {}}
    for path, wanted in ((compiled, asked), (models["gather"], None)):
        with pytest.raises(worker.Failure, match="stopped here"):
            one.load({**request, "path": str(path), "delegate": wanted})
    assert delegate.asked == [("libstand_in.so", {"device": device} if device else {})]
    assert delegate.given == [["the delegate"], None]


def test_what_no_device_says_in_litert(compiled, library_without_device, monkeypatch):
    """The runtime's own `load_delegate`, down into a library."""
    monkeypatch.setenv("EDGETPU_LIBRARY", str(library_without_device))
    monkeypatch.setenv("EDGETPU_DEVICE", "usb:3")
    for run in (Runner, _load_locally):
        with pytest.raises(TfeffError, match="nothing plugged in; device=usb:3") as refused:
            run(compiled)
        assert "EDGETPU_DEVICE" in refused.value.mend


def _load_locally(path):
    with find_device("local").start() as handle:
        handle.load(path, threads=1, xnnpack=True, seed=0)


def test_what_no_device_says_in_tflite_runtime(compiled, library_without_device, tflite_runtime_python, monkeypatch):
    monkeypatch.setenv("EDGETPU_LIBRARY", str(library_without_device))
    with find_device(f"python:{tflite_runtime_python}").start() as handle:
        assert handle.environment["runtime"] == "tflite-runtime"
        with pytest.raises(TfeffError, match=r"no device can be opened .*nothing plugged in"):
            handle.load(compiled, threads=1, xnnpack=True, seed=0)


@pytest.mark.parametrize("device", ["gpu", "usb:", "usb:x", "1", "usb 0"])
def test_a_device_that_is_none(compiled, monkeypatch, device):
    monkeypatch.setenv("EDGETPU_DEVICE", device)
    for run in (Runner, _load_locally):
        with pytest.raises(TfeffError, match=f"EDGETPU_DEVICE={device}"):
            run(compiled)


def test_a_file_for_ethos_u_runs_on_no_computer(for_ethos_u):
    for run in (Runner, _load_locally):
        with pytest.raises(TfeffError, match="compiled for Ethos-U") as refused:
            run(for_ethos_u)
        assert refused.value.exit_code == 2


def test_commands_refuse(compiled, for_ethos_u, models, no_library, capfd):
    assert_refused(tfeff(capfd, "bench", compiled, "--no-record"), "libnowhere.so.7", "EDGETPU_LIBRARY")
    assert_refused(tfeff(capfd, "bench", for_ethos_u, "--no-record"), "Ethos-U")
    options = ("--against", models["gather"], "--mean", "0", "--std", "1", "--dataset", "fashion_mnist_sample")
    assert_refused(tfeff(capfd, "compare", compiled, *options), "libnowhere.so.7", "EDGETPU_LIBRARY")
    assert_refused(tfeff(capfd, "compare", for_ethos_u, *options), "Ethos-U")
