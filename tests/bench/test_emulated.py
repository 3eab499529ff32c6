"""The emulated ARM core: real arm64 runtimes under QEMU, in the root that `python -m tfeff.bench.arm_root` builds."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import tfeff

from tfeff.artifact import open_artifact
from tfeff.bench import Settings, arm_root
from tfeff.bench.client import WORKER, WorkerHandle
from tfeff.bench.devices import BaseDevice, find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.bench.instructions import compare_with_local, count_on
from tfeff.errors import TfeffError

pytest_plugins = ["bench_models", "phone_files"]

FOLDER = arm_root.default_folder()
try:
    VERSIONS, WHY = arm_root.versions(FOLDER), ""
except TfeffError as error:
    VERSIONS, WHY = {"counting": None}, str(error).replace("\n", ";")
built = pytest.mark.skipif(bool(WHY), reason=WHY)
counting = pytest.mark.skipif(
    not VERSIONS["counting"], reason="no counting QEMU; python -m tfeff.bench.arm_root --counting"
)
OPTIONS = {"threads": 1, "xnnpack": True, "seed": 0}


def refused(spec):
    with pytest.raises(TfeffError) as caught:
        find_device(spec).start().close()
    assert caught.value.exit_code == 2
    assert caught.value.mend
    return str(caught.value)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(-128, 128, (1, 24, 24, 3), "i1")


def outputs_of(handle, loaded, image):
    """The outputs of a file with one input."""
    return handle.outputs({loaded.inputs[0].name: image})


@built
def test_litert_computes_the_bytes_of_this_machine_s(models, image, left_behind):
    """XNNPACK's int8 kernels differ between ARM and x86 in how, not in what they compute."""
    with find_device("emulated:aarch64").start() as handle:
        assert handle.environment["machine"] == "aarch64"
        assert "cortex-a76, emulated by QEMU" in handle.environment["cpu"]
        loaded = handle.load(models["int8"], **OPTIONS)
        outputs = outputs_of(handle, loaded, image)
        told = str(handle.environment["version"])
    assert told == "2.3.0"
    assert loaded.kernels.xnnpack == "all"
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(models["int8"]))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    (output,) = outputs.values()
    np.testing.assert_array_equal(output, interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert np.unique(output).size > 4
    assert left_behind(10) == 0


@built
def test_tflite_runtime_computes_what_the_reference_of_its_kernels_does(models, image):
    """Its built-in kernels on ARM against TensorFlow's own interpreter without delegates, another build of them."""
    import tensorflow as tf

    with find_device("emulated:aarch64:tflite-runtime").start() as handle:
        assert (handle.environment["runtime"], handle.environment["version"]) == ("tflite-runtime", "2.14.0")
        loaded = handle.load(models["int8"], **OPTIONS)
        (output,) = outputs_of(handle, loaded, image).values()
    assert loaded.kernels.xnnpack == "none"
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(str(models["int8"]), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.abs(output.astype(int) - expected.astype(int)).max() <= 1


@built
@counting
def test_instructions_are_counted_and_repeat(models, left_behind):
    """Twice in new processes, within the 0.1 % that the docs promise; and a core without dot product takes more."""
    found = {}
    for spec in ("emulated:aarch64", "emulated:aarch64 again", "emulated:aarch64:litert:cortex-a53"):
        with find_device(spec.removesuffix(" again")).start() as handle:
            handle.load(models["int8"], **OPTIONS)
            found[spec] = handle.count(4)[1:]
    every = found["emulated:aarch64"] + found["emulated:aarch64 again"]
    assert max(every) - min(every) <= 0.001 * min(every) + 300  # a few hundred are the interpreter's, not the model's
    # 12 x 12 x 16 outputs of 27 products and 12 x 12 x 16 of 16: at most 32 products an instruction with dot product.
    products = 12 * 12 * 16 * (27 + 16)
    assert min(every) > products / 32
    assert min(found["emulated:aarch64:litert:cortex-a53"]) > max(every)
    assert left_behind(10) == 0


@built
def test_bench_says_instructions_and_never_milliseconds(models, capfd):
    record = models["int8"].with_suffix(".json")
    ran = tfeff(capfd, "bench", models["int8"], "--on", "emulated:aarch64", "--json")
    assert ran.code == 0, ran.err
    assert "instructions, not milliseconds" in " ".join(ran.err.split())
    (result,) = json.loads(ran.out)["results"]
    assert result["local"]["equal"] is True
    assert "median_ms" not in result
    assert (result["instructions"] is not None) == bool(VERSIONS["counting"])
    assert not record.exists()
    ran = tfeff(capfd, "bench", models["int8"], "--on", "emulated:aarch64", "--threads", "2")
    assert ran.code == 2
    assert "one thread" in ran.err


def test_other_bytes_are_measured(files):
    """A comparison that cannot fail would be none: one output of several is changed."""
    with find_device("local").start() as handle:
        loaded = handle.load(files["ports"], **OPTIONS)
        inputs = seeded_inputs(loaded.inputs, 0)
        outputs = {name: values.copy() for name, values in handle.outputs(inputs).items()}
        environment = handle.environment
    arguments = (open_artifact(files["ports"]), inputs, outputs, environment, loaded)
    assert compare_with_local(*arguments).equal
    values = outputs["small"]
    values.flat[0] += 3 if values.flat[0] < 100 else -3
    told = compare_with_local(*arguments)
    assert [(one.name, one.differing, one.max_difference) for one in told.unequal] == [("small", 1 / values.size, 3.0)]
    assert (told.equal, told.same_runtime, told.same_kernels) == (False, True, True)
    worst = told.as_dict()
    assert (worst["equal"], worst["max_difference"], worst["differing"]) == (False, 3.0, 1 / values.size)
    assert [one["equal"] for one in worst["outputs"]] == [True, True, False, True]


def test_an_output_that_differs_is_named(files):
    class Liar(WorkerHandle):
        """The worker of this machine, but that it spoils an output, and claims to count."""

        counting = True

        def count(self, runs):
            return [1000] * runs

        def outputs(self, inputs):
            return {name: values + (name == "best") for name, values in super().outputs(inputs).items()}

    class Emulator(BaseDevice):
        def start(self):
            return Liar(self.name, [sys.executable, str(WORKER)], dict(os.environ), 60)

    outcome = count_on(Emulator("x"), [open_artifact(files["ports"])], Settings(), lambda: None)
    (said,) = outcome.warnings
    assert "ports.tflite: other bytes of output best than on this machine" in said
    assert "100.0 % of the elements differ, by up to 1" in said
    assert outcome.results[0].counted.instructions == 1000


@built
def test_every_output_of_a_file_with_several_on_the_emulated_core(files, capfd):
    ran = tfeff(capfd, "bench", files["ports"], "--on", "emulated:aarch64", "--json")
    assert ran.code == 0, ran.err
    (result,) = ran.json["results"]
    assert list(result["outputs_sha256"]) == ["best", "active", "small", "vectors"]
    assert result["local"]["equal"] is True


def test_a_spec_that_is_wrong(monkeypatch, tmp_path):
    assert "only aarch64" in refused("emulated:riscv64")
    assert "only aarch64" in refused("emulated")
    assert "unknown runtime torch" in refused("emulated:aarch64:torch")
    assert "is no processor" in refused("emulated:aarch64:litert:a b,c=d")
    monkeypatch.setenv("TFEFF_AARCH64", str(tmp_path / "none"))
    assert "python -m tfeff.bench.arm_root" in refused("emulated:aarch64")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "versions.json").write_text('{"schema_version": 0}')
    monkeypatch.setenv("TFEFF_AARCH64", str(tmp_path / "old"))
    assert "--force" in refused("emulated:aarch64")
    (tmp_path / "old" / "versions.json").write_text(
        json.dumps({"schema_version": arm_root.SCHEMA_VERSION, "qemu": "1", "counting": None})
    )
    assert "cannot be started" in refused("emulated:aarch64")


@built
def test_a_processor_that_qemu_does_not_know(left_behind):
    assert "QEMU knows no processor cortex-z80" in refused("emulated:aarch64:litert:cortex-z80")
    assert left_behind(10) == 0


@built
def test_counting_without_a_qemu_that_counts(models, tmp_path, monkeypatch, capfd):
    for name in ("root", "qemu-aarch64"):
        (tmp_path / name).symlink_to(FOLDER / name)
    (tmp_path / "versions.json").write_text(json.dumps({**VERSIONS, "counting": None}))
    monkeypatch.setenv("TFEFF_AARCH64", str(tmp_path))
    ran = tfeff(capfd, "bench", models["int8"], "--on", "emulated:aarch64", "--json")
    assert ran.code == 0, ran.err
    assert "arm_root --counting" in " ".join(ran.err.split())
    assert json.loads(ran.out)["results"][0]["instructions"] is None


def build(*arguments, **environment):
    command = [sys.executable, "-m", "tfeff.bench.arm_root", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_the_builder_s_refusals(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    ran = build("--out", tmp_path / "mine")
    assert ran.returncode == 2
    assert "holds something else" in ran.stderr
    ran = build("--out", tmp_path / "new", PATH="/nowhere")
    assert ran.returncode == 2
    assert "mmdebstrap" in ran.stderr
    assert "apt-get install" in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    assert (tmp_path / "mine" / "file").read_text() == "keep"


@pytest.mark.skipif(not (shutil.which("apt-get") and shutil.which("mmdebstrap")), reason="needs apt and mmdebstrap")
def test_a_build_that_fails_leaves_nothing(tmp_path):
    ran = build("--out", tmp_path / "new", "--mirror", f"file://{tmp_path}/no-mirror")
    assert ran.returncode == 2, ran.stderr
    assert "--mirror" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@built
def test_a_root_that_is_there_is_left_alone():
    before = (FOLDER / "versions.json").stat().st_mtime_ns
    ran = build("--out", FOLDER)
    assert (ran.returncode, ran.stderr) == (0, f"{FOLDER}: is there already\n")
    assert (FOLDER / "versions.json").stat().st_mtime_ns == before
