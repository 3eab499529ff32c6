"""What the machine lacks is exit code 2 with a sentence, never a traceback, a hang, or a gate that failed."""

import os
import subprocess
import sys

import click
import pytest
from cli_runner import assert_refused, tfeff

from tfeff.cli import ending, main
from tfeff.cli.output import Output
from tfeff.data.fashion_mnist import find_fashion_mnist
from tfeff.demo.key import default_key_path
from tfeff.errors import TfeffError
from tfeff.export.placing import scratch

LIST = [sys.executable, "-m", "tfeff", "list", "vargnet_v1_025_g4"]


def shell(words, **options):
    return subprocess.run(["sh", "-c", f'"$@" {words}', "sh", *LIST, "--json"], capture_output=True, text=True,
                          timeout=60, **options)  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])  # it is full at the end, or at the first word
def test_a_full_standard_output(unbuffered):
    ran = shell(">/dev/full", env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    assert ran.returncode == 2
    assert "tfeff: " in ran.stderr
    assert "o space left" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    assert shell("2>/dev/full").returncode == 2


def test_closed_streams():
    ran = shell(">&-")
    assert ran.returncode == 2
    assert "standard output is closed" in ran.stderr
    ran = shell("2>&- <&-")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("{")


def test_a_pipe_that_nobody_reads_is_no_gate_that_failed():
    for end in ("2>&1 | true", "2>&1 >/dev/null | true"):
        ran = subprocess.run(["bash", "-c", f'"$@" {end}; exit ${{PIPESTATUS[0]}}', "bash", *LIST], timeout=60,
                             capture_output=True)  # fmt: skip
        assert ran.returncode == 0


SLOW = """
import sys, time
from pathlib import Path
from tfeff.cli.ending import ended, open_standard_streams
from tfeff.cli.output import Output

def work():
    out = Output(False, False)
    for step in range(20):
        out.say(f"step {step}")
        time.sleep(0.02)
    Path("done").touch()

open_standard_streams()
sys.exit(ended(work))
"""


@pytest.mark.parametrize("end", ["2>&1 | head -1", "2>&1 >/dev/null | true", "2>&-"])
def test_work_goes_on_when_nobody_looks_on_any_more(tmp_path, end):
    words = ["bash", "-c", f'"$@" {end}; exit ${{PIPESTATUS[0]}}', "bash", sys.executable, "-c", SLOW]
    assert subprocess.run(words, cwd=tmp_path, timeout=60, capture_output=True).returncode == 0
    assert (tmp_path / "done").exists()


def test_json_for_nobody_is_refused_before_any_work():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", ending._Closed())
        with pytest.raises(TfeffError, match="standard output is closed"):
            Output(True, False)
        Output(False, False)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "/x/y"), "/x/y: no space left on device"),
        (PermissionError(13, "Permission denied", "a\x1b[1mb"), "a\\x1b[1mb: permission denied"),
        (MemoryError(), "out of memory"),
        (RecursionError(), "nested too deep"),
        (RuntimeError("W: /x; No space left on device"), "no space left on device"),
        (KeyError("x"), "an error of tfeff itself"),
        (click.UsageError("no such option"), "no such option"),
        (TfeffError("a\nb", "c\x07"), "a\\nb\n  mend: c\\x07"),
        (TfeffError("x" * 10**6, "y" * 10**6), "xxx...\n  mend: yyy"),
    ],
)
def test_every_error_has_a_sentence(error, said, capfd):
    def run():
        raise error

    assert ending.ended(run) == 2
    told = capfd.readouterr().err
    assert said in told
    assert len(told) < 10_000


@pytest.fixture
def homeless(monkeypatch):
    """As for a user without a name: no HOME, and no entry for the number."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TFEFF_CACHE", "TFEFF_DATA", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(number):
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", nobody)


def test_no_home_folder(homeless):
    find_fashion_mnist()  # looks elsewhere
    with pytest.raises(TfeffError, match="home folder is not known"):
        default_key_path()


@pytest.mark.parametrize("command", ["check", "compare", "debug", "bench", "demo", "serve", "report", "export", "info"])
def test_what_is_no_file(command, capfd, tmp_path):
    os.mkfifo(tmp_path / "f.tflite")
    os.mkfifo(tmp_path / "f.json")
    (tmp_path / "z.tflite").symlink_to("/dev/zero")
    (tmp_path / "z.json").symlink_to("/dev/zero")
    names = ["f.json", "z.json"] if command in ("report", "export", "info") else ["f.tflite", "z.tflite"]
    for name in [*names, "n" * 252 + names[0][1:]]:
        options = {"demo": ["--out", tmp_path / "x.apk"], "check": ["--target", "litert"], "serve": ["--port", 0]}
        assert_refused(tfeff(capfd, command, tmp_path / name, *options.get(command, [])), "tfeff: ")


def test_names_that_are_too_long(capfd, tmp_path):
    name = tmp_path / ("n" * 252 + ".apk")
    (tmp_path / "x.tflite").write_bytes(b"")
    assert_refused(tfeff(capfd, "demo", tmp_path / "x.tflite", "--out", name), "tfeff: ")
    assert_refused(tfeff(capfd, "export", "vargnet", "--out", name.with_suffix(".tflite")), "tfeff: ")


def test_a_disk_that_fills_up_in_an_export(tmp_path):
    def export():
        with scratch(tmp_path / "x.tflite") as folder:
            raise OSError(28, "No space left on device", str(folder / "y"))

    with pytest.raises(TfeffError, match="No space left"):
        export()
    assert not list(tmp_path.iterdir())


def test_names_from_files_are_escaped(capfd):
    name = "a\x1b]0;x\x07\n\u202e\x9bb:smile:[red]"
    out = Output(False, False)
    out.say(name)
    out.table(name, [name], [[name]])
    out.facts(name, [(name, name)])
    said = capfd.readouterr().err
    assert said.count("\\x1b]0;x\\x07\\n\\u202e\\x9bb:smile:[red]") == 7
    assert not set("\x1b\x07\u202e\x9b") & set(said)


def test_doctor(capfd, monkeypatch):
    monkeypatch.setenv("TF_TOKEN_example", "secret")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    ran = tfeff(capfd, "doctor", "--json")
    assert (ran.code, ran.json["missing"]) == (0, [])
    assert "secret" not in ran.out + ran.err
    assert ran.json["environment"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert {"tensorflow", "keras", "ai-edge-litert"} <= {one["name"] for one in ran.json["packages"] if one["version"]}
    assert set(ran.json["tools"]) >= {"adb", "edgetpu_compiler", "vela"}

    from importlib import metadata

    def version(name, before=metadata.version):
        return "1.0" if name == "numpy" else before(name)

    monkeypatch.setattr(metadata, "version", version)
    ran = tfeff(capfd, "doctor")
    assert ran.code == 2
    assert "numpy 1.0 is installed" in ran.err


def test_the_command_line_keeps_its_codes(capfd):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
