"""`--delegate`: libraries that a device's runtime loads, real ones made by the C compiler here."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from cli_runner import tfeff

from tfeff.bench.delegate import parse_delegate
from tfeff.bench.devices import find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.errors import TfeffError

pytest_plugins = ["bench_models"]

# TensorFlow Lite's plugin interface: a delegate that takes no operation and writes that it was asked into file `log`.
IDLE = """
#include <stdint.h>
#include <stdio.h>
#include <string.h>
struct delegate {
    void *data; int (*prepare)(void *, struct delegate *); void *copy_from, *copy_to, *free_handle;
    int64_t flags; void *builder;
};
static struct delegate made;
static char log_path[1000];
static int prepare(void *context, struct delegate *self) {
    FILE *log = fopen(log_path, "a");
    if (log) { fprintf(log, "prepared\\n"); fclose(log); }
    return 0;
}
void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(keys[i], "log")) snprintf(log_path, sizeof log_path, "%s", values[i]);
        else { report("it knows only the option log"); return 0; }
    }
    made.prepare = prepare;
    return &made;
}
void tflite_plugin_destroy_delegate(void *delegate) {}
"""
OPTIONS = {"threads": 1, "xnnpack": False, "seed": 0}


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "idle.c").write_text(IDLE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libidle.so", folder / "idle.c"], check=True)
    return folder / "libidle.so"


def test_what_is_written():
    assert parse_delegate("edgetpu") == {"library": "", "options": {}}
    assert parse_delegate("edgetpu:usb:0") == {"library": "", "options": {"device": "usb:0"}}
    wanted = {"library": "/a b/lib.so.1", "options": {"cache": "x=y", "fast": ""}}
    assert parse_delegate("/a b/lib.so.1,cache=x=y,fast=") == wanted
    for wrong in ("edgetpu:gpu0", "", ",a=b", "lib.so,a", "lib.so,=b", "gpu0", "edge"):
        with pytest.raises(TfeffError) as caught:
            parse_delegate(wrong)
        assert "edgetpu" in caught.value.mend


def test_it_is_loaded_with_its_options(idle, models, tmp_path):
    log = tmp_path / "log"
    with find_device("local").start() as handle:
        inputs = seeded_inputs(handle.load(models["int8"], **OPTIONS).inputs, 0)
        (plain,) = handle.outputs(inputs).values()
        assert not log.exists()
        handle.load(models["int8"], **OPTIONS, delegate=parse_delegate(f"{idle},log={log}"))
        (output,) = handle.outputs(inputs).values()
    assert log.read_text() == "prepared\n"
    np.testing.assert_array_equal(output, plain)


def test_from_the_command_line(idle, models, capfd, tmp_path):
    log = tmp_path / "log"
    arguments = ("bench", models["int8"], "--max-seconds", "0.3", "--json", "--delegate")
    ran = tfeff(capfd, *arguments, f"{idle},log={log}")
    assert ran.code == 0, ran.err
    assert log.read_text() == 3 * "prepared\n"  # launches
    assert json.loads(ran.out)["results"][0]["kernels"]["xnnpack"] == "unknown"
    for named, said in ((f"{idle},other=1", "it knows only the option log"), ("/no/lib.so", "/no/lib.so"),
                        ("gpu9", "is no delegate"), ("gpu", "is for a phone")):  # fmt: skip
        ran = tfeff(capfd, *arguments, named)
        assert ran.code == 2
        assert said in ran.err
        assert "mend:" in ran.err
    ran = tfeff(capfd, *arguments, "edgetpu", "--on", "emulated:aarch64")
    assert ran.code == 2
    assert "loads no delegate out of a library" in ran.err


def test_the_edge_tpu_s_library_for_a_plain_file(models, capfd, monkeypatch):
    monkeypatch.setenv("EDGETPU_LIBRARY", "libnowhere.so.7")
    ran = tfeff(capfd, "bench", models["int8"], "--delegate", "edgetpu:usb")
    assert ran.code == 2
    assert "the delegate cannot be opened: its library libnowhere.so.7 cannot be loaded" in " ".join(ran.err.split())
