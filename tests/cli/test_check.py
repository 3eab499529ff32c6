"""`tfeff check`: the table, the JSON, the exit codes; on any .tflite file, with no TensorFlow."""

import hashlib
import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
from checking_files import converted, edit
from cli_runner import assert_refused, tfeff

from tfeff.export.targets import list_targets

pytest_plugins = ["bench_models", "phone_files"]


@pytest.fixture
def file(tmp_path):
    """Writes a network of `checking_files` as NAME.tflite."""

    def write(name, **options):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(converted(name, **options))
        return path

    return write


def record(path, **entries):
    """A record beside a file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entries = {"schema_version": 1, "file": path.name, "sha256": digest, **entries}
    path.with_suffix(".json").write_text(json.dumps(entries))


@pytest.mark.parametrize("target", ["litert", "tflite-runtime", "edgetpu"])
def test_everything_maps(capfd, file, target):
    path = file("conv")
    ran = tfeff(capfd, "check", path, "--target", target, "--json")
    assert ran.code == 0, ran.err
    basis = "confirmed" if target == "litert" else "predicted"  # LiteRT is here, and was asked
    assert f"conv.tflite for {target}, {basis}: 1 of 1 operations mapped" in ran.err
    assert (ran.json["target"], ran.json["basis"], ran.json["ok"]) == (target, basis, True)
    assert ran.json["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert ran.json["operations"][0]["op"] == "CONV_2D"


def test_break_is_named_with_reason_and_mend(capfd, file):
    ran = tfeff(capfd, "check", file("shuffle"), "--target", "edgetpu", "--json")
    assert ran.code == 1
    for words in ("1 of 5 operations mapped", "first break: RESHAPE", "stranded", "4 of 5", "mend:"):
        assert words in ran.err
    assert not ran.json["ok"]
    assert {row["status"] for row in ran.json["operations"]} == {"mapped", "refused", "stranded"}
    assert all(row["reason"] and row["mend"] for row in ran.json["operations"] if row["status"] != "mapped")


def test_whole_file_is_refused(capfd, file):
    ran = tfeff(capfd, "check", file("group"), "--target", "edgetpu")
    assert ran.code == 1
    assert ran.out == ""
    assert "whole file" in ran.err
    assert "0 of 3 operations mapped" in ran.err


def test_door_of_the_web(capfd, file):
    ran = tfeff(capfd, "check", file("conv"), "--target", "web")
    assert ran.code == 1
    assert "takes no int8 input" in ran.err
    assert tfeff(capfd, "check", file("conv", door="float32"), "--target", "web").code == 0


def test_quiet_says_nothing_but_json(capfd, file):
    ran = tfeff(capfd, "check", file("conv"), "--target", "edgetpu", "--quiet", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["facts"]["parameter_bytes"] == 8 * 3 * 3 * 8 + 8 * 4


def test_target_comes_from_the_record(capfd, file):
    path = file("conv")
    record(path, target="tflite-runtime")
    for given in (path, path.with_suffix(".json")):
        ran = tfeff(capfd, "check", given, "--json")
        assert (ran.code, ran.json["target"]) == (0, "tflite-runtime")
    assert tfeff(capfd, "check", path, "--target", "litert", "--json").json["target"] == "litert"


def test_foreign_file_beside_a_foreign_json(capfd, file):
    path = file("conv")
    path.with_suffix(".json").write_text("[1, 2]")
    assert tfeff(capfd, "check", path, "--target", "litert").code == 0
    assert_refused(tfeff(capfd, "check", path), "no record", "--target")
    record(path, target="litert", sha256="0" * 64)  # of another file
    assert_refused(tfeff(capfd, "check", path), "no record", "--target")
    assert_refused(tfeff(capfd, "check", path.with_suffix(".json")), "is not the file that")


def test_a_file_with_several_inputs_outputs_and_signatures(capfd, tmp_path):
    from phone_files import ports_file  # a plugin of pytest, so not before it is loaded

    path = tmp_path / "ports.tflite"
    path.write_bytes(ports_file())
    ran = tfeff(capfd, "check", path, "--target", "litert", "--json")
    loaded = f"LiteRT {version('ai-edge-litert')} loads and allocates it here"
    assert (ran.code, ran.json["total"], ran.json["notes"]) == (0, 4, [loaded]), ran.err
    path.write_bytes(ports_file(signatures=("serving_default", "train")))
    record(path, target="litert")
    ran = tfeff(capfd, "check", path, "--json")
    assert ran.code == 0, ran.err
    said = "has 2 signatures (serving_default, train): the operations of all are judged; --signature chooses one"
    assert f"note: ports.tflite: {said}" in ran.err
    assert ran.json["notes"] == [loaded, f"ports.tflite: {said}"]


def test_unknown_target(capfd, file):
    assert_refused(tfeff(capfd, "check", file("conv"), "--target", "edgtpu"), "unknown target", "edgetpu")


@pytest.mark.parametrize("target", sorted(list_targets()))
def test_no_tflite_file(capfd, tmp_path, target):
    path = tmp_path / "x.tflite"
    assert_refused(tfeff(capfd, "check", path, "--target", target), "no such file")
    path.write_bytes(b"\x89PNG" * 10)
    assert_refused(tfeff(capfd, "check", path, "--target", target), "not a TFLite file")
    path.write_bytes(converted("conv")[:700])
    assert_refused(tfeff(capfd, "check", path, "--target", target), "cut short or damaged")


@pytest.mark.parametrize("target", sorted(list_targets()))
def test_damaged_anywhere_it_is_an_error_not_a_crash(capfd, tmp_path, target):
    """Bytes turned over at seeded places of files that are otherwise whole."""
    path, random = tmp_path / "x.tflite", np.random.default_rng(0)
    codes = set()
    for name in ("shuffle", "slice", "concat_5"):
        for _ in range(40):
            data = bytearray(converted(name))
            for place in random.integers(8, len(data), 3):
                data[place] ^= int(random.integers(1, 256))
            path.write_bytes(data)
            ran = tfeff(capfd, "check", path, "--target", target, "--quiet")
            assert ran.code in (0, 1, 2)
            assert "Traceback" not in ran.err
            codes.add(ran.code)
    assert 2 in codes


def test_operation_without_its_inputs(capfd, tmp_path):
    def strip(model):
        model.subgraphs[0].operators[0].inputs = []

    path = tmp_path / "x.tflite"
    path.write_bytes(edit(converted("conv"), strip))
    assert_refused(tfeff(capfd, "check", path, "--target", "edgetpu"), "operator 0 (CONV_2D) has 0 inputs")


@pytest.mark.parametrize("target", ["edgetpu", "ethos-u"])
def test_float_file_for_an_int8_target(capfd, file, target):
    path = file("conv", door="float32", precision="float32")
    assert_refused(tfeff(capfd, "check", path, "--target", target), path.name, "float32", "--int8")


@pytest.mark.parametrize("target", ["edgetpu", "ethos-u"])
def test_dynamic_shape(capfd, file, target):
    path = file("conv", batch=None)
    assert_refused(tfeff(capfd, "check", path, "--target", target), path.name, "(?, 8, 8, 8)", "fixed batch")


def test_options_of_other_targets(capfd, file):
    path = file("conv")
    assert_refused(tfeff(capfd, "check", path, "--target", "litert", "--accelerator", "ethos-u55-128"), "--accelerator")
    assert_refused(tfeff(capfd, "check", path, "--target", "litert", "--confirm"), "no compiler")


def test_confirm_without_a_compiler(capfd, file, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGETPU_COMPILER", str(tmp_path / "nowhere"))
    assert_refused(tfeff(capfd, "check", file("conv"), "--target", "edgetpu", "--confirm"), "coral.ai")


def test_confirm_asks_the_compiler(capfd, file, monkeypatch, stand_in):
    log = f"{'Operator':31}{'Count':11}Status\\n\\n{'CONV_2D':31}{1:<11}Mapped to Edge TPU"
    monkeypatch.setenv("EDGETPU_COMPILER", str(stand_in(
        'echo "Edge TPU Compiler version 16.0.384591198"; [ "$1" = --version ] && exit 0\n'
        'for in; do :; done; cp "$in" "$2/conv_edgetpu.tflite"\n'
        'echo "Model compiled successfully in 9 ms."; echo "Number of Edge TPU subgraphs: 1"\n'
        f"printf '{log}\\n'; echo 'Compilation succeeded!'"
    )))  # fmt: skip
    ran = tfeff(capfd, "check", file("conv"), "--target", "edgetpu", "--confirm", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["basis"], ran.json["mapped"]) == ("confirmed", 1)
    assert "confirmed: 1 of 1" in ran.err


@pytest.mark.parametrize("target", sorted(list_targets()))
def test_loads_no_tensorflow(file, target):
    code = (
        "import sys\n"
        "from tfeff.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert stop.code in (0, 1), stop.code\n"
        "loaded = {'tensorflow', 'keras', 'scipy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    command = [sys.executable, "-c", code, "check", str(file("conv")), "--target", target]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
