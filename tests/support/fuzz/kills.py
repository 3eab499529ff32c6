"""Commands that are ended in the middle: what they leave behind is whole or not there, and no process of theirs lives.

A process of its own each, forked from this one, which has imported what they need: a kill comes at any moment of the
command's own work, not of Python's start.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tfeff.artifact import read_record
from tfeff.cli.endings import Endings
from tfeff.errors import TfeffError

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_MARK = "TFEFF_FUZZ_KILL"
_GONE_S = 10
_SERVE = ["serve", "w.tflite", "--port", "0", "--collect"]
COMMANDS = (
    ["report", "m.json", "--out", "r.html", "--force"], ["compare", "m.tflite", "--samples", "2"],
    ["debug", "m.tflite", "--samples", "2", "--record", "--picture", "p.png", "--force"],
    ["demo", "w.tflite", "--out", "x.apk", "--key", "key.pem", "--force"],
    ["demo", "w.tflite", "--web", "page", "--force"], ["bench", "m.tflite", "--max-seconds", "0.01"], _SERVE,
    ["check", "m.tflite", "--target", "litert"],
)  # fmt: skip


def _apk(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def _page(path: Path) -> None:
    listed = json.loads((path / "models.json").read_text())
    assert all((path / name).is_file() for name in listed["assets"])


def _html(path: Path) -> None:
    assert path.read_text().rstrip().endswith("</html>")


_WHOLE: dict[str, Callable[[Path], object]] = {
    "m.json": read_record, "w.json": read_record, "r.html": _html, "p.png": lambda path: Image.open(path).load(),
    "x.apk": _apk, "page": _page,
}  # fmt: skip


def prepare(folder: Path) -> dict[int, float]:
    """A folder in which every command has run once; seconds that each took, the first a little more."""
    from fuzz.originals import record, write_originals

    write_originals(folder)
    for new, old in (("m", "int8"), ("w", "web")):
        shutil.copy(folder / f"{old}.tflite", folder / f"{new}.tflite")
        told = record(folder / f"{new}.tflite", folder / "float.tflite", "int8" if new == "m" else "float32")
        (folder / f"{new}.json").write_text(json.dumps(told | {"dataset": "images.npz"}))
    took = {}
    for number, command in enumerate(COMMANDS):
        begun = time.monotonic()
        if command is not _SERVE:
            assert _run(command, folder, None, None) == 0, command
        took[number] = time.monotonic() - begun
    return took


def _run(command: list[str], folder: Path, when: float | None, number: signal.Signals | None) -> int:
    """Runs a command in a process of its own, ended after `when` seconds; its exit code, or minus a signal."""
    out = os.open(folder.with_suffix(".out"), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    ready, begins = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(folder)
        os.environ[_MARK] = str(folder)
        os.dup2(out, 1)
        os.dup2(out, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if command is _SERVE:
            Endings.wait = _ORIGINAL_WAIT
        from tfeff.cli import main

        os.write(begins, b"!")
        try:
            main(command)
        except SystemExit as stop:
            sys.stdout.flush()
            os._exit(stop.code if isinstance(stop.code, int) else 0)
        finally:
            os._exit(99)
    os.read(ready, 1)
    for each in (out, ready, begins):
        os.close(each)
    if when is not None and number is not None:
        time.sleep(when)
        os.kill(child, number)
    begun = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - begun > 20:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 98
        time.sleep(0.005)


_ORIGINAL_WAIT = Endings.wait


def kill_one(seed: str, model: Path, took: dict[int, float], place: Path) -> tuple[list[str], str, list[str]]:
    """(command, what was sent when, what is wrong with what it left) of one kill in a copy of the folder `model`."""
    dice = random.Random(seed)
    number = dice.randrange(len(COMMANDS))
    command, how = COMMANDS[number], dice.choice(SIGNALS)
    when = dice.uniform(0, 0.6 if command is _SERVE else 1.1 * took[number])
    shutil.copytree(model, place, symlinks=True)
    code = _run(command, place, when, how)
    said = place.with_suffix(".out").read_text(errors="replace")
    faults = list(_faults(command, place, how, code, said))
    if not faults and how == signal.SIGKILL and command is not _SERVE:
        code = _run(command, place, None, None)  # what was left behind is swept
        faults = [f"afterwards: {fault}" for fault in _faults(command, place, signal.SIGTERM, code, said)]
    place.with_suffix(".out").unlink()
    return command, f"{how.name} after {when:.3f} s", [*faults, said] if faults else []


def _faults(command, place, how, code, said):
    allowed = {0, 128 + how, -how}  # the last: before the command could listen
    if code not in allowed:
        yield f"exit code {code}"
    if "Traceback" in said or "Exception ignored" in said:
        yield "a traceback"
    hidden = [path.name for path in place.iterdir() if path.name.startswith(".")]
    if hidden and (how != signal.SIGKILL or not all(name.startswith(".tfeff-") for name in hidden)):
        yield f"left {hidden}"
    for name, check in _WHOLE.items():
        path = place / name
        if not path.exists():
            if how != signal.SIGKILL or name.endswith(".json"):
                yield f"{name} is gone"
            continue
        try:
            check(path)
        except (OSError, ValueError, AssertionError, TfeffError, zipfile.BadZipFile) as error:
            yield f"{name}: {error!r}"
    deadline = time.monotonic() + _GONE_S
    while living := _living(str(place)):
        if time.monotonic() > deadline:
            yield f"still runs: {living}"
            subprocess.run(["kill", "-9", *map(str, living)], check=False)
            return
        time.sleep(0.05)


def _living(mark: str) -> list[int]:
    """Processes that carry the mark in their environment."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and int(each.name) != os.getpid():
            try:
                if f"{_MARK}={mark}\0".encode() in (each / "environ").read_bytes():
                    found.append(int(each.name))
            except OSError:
                continue
    return found
