"""Files, records, folders and models that were changed at random, and commands that are killed at random moments.

None of it makes a command show a traceback, die of a signal, take longer than 20 seconds, write outside of `--out`,
read what it was not given, start programs, or say what a terminal would obey. `tests/support/fuzz` makes the cases and
watches; each case is made by the seed and its number alone. TFEFF_FUZZ_SEED takes another seed than the one of every
day.
"""

import json
import os
import select
import shlex
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
SEED = os.environ.get("TFEFF_FUZZ_SEED", "0")
SILENCE_S = 180  # a command is stopped after 20 s by itself, unless it hangs in code that is not Python's


@dataclass
class Told:
    """What a run told: faults in words, and how often each command ended with which code."""

    faults: list[str] = field(default_factory=list)
    codes: Counter = field(default_factory=Counter)


def run(kind, count, folder):
    """Runs all cases of a kind; where one kills the process, the ones behind it run in another."""
    told, first = Told(), 0
    while first < count:
        first = _run_from(kind, first, count, folder / str(first), told)
    return told


def _run_from(kind, first, last, folder, told):
    """The number of the next case that is to be run."""
    command = [sys.executable, "-m", "fuzz", kind, SEED, str(first), str(last), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    number, doing = first, "preparing"
    folder.mkdir()
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment)
        try:
            for line in _lines(process.stdout.fileno()):
                if "number" in line:
                    number, doing = line["number"], f"{line['what']}: {shlex.join(line['command'])}"
                    continue
                words = line.get("command") or shlex.split(doing.partition(": ")[2])
                told.codes[words[0], line["code"]] += 1
                if line["faults"]:
                    _fault(told, kind, number, f"{doing} {shlex.join(line.get('command', []))}", line)
                doing = ""
        except TimeoutError:
            process.kill()
        code = process.wait(60)
        process.stdout.close()
    if code == 0 and not doing:
        return last
    said = (folder / "stderr").read_text(errors="replace")[-2000:]
    _fault(told, kind, number, doing, {"code": f"ended by {code}", "faults": [said]})
    return number + 1


def _fault(told, kind, number, doing, line):
    again = f"PYTHONPATH=tests/support python -m fuzz {kind} {SEED} {number} {number + 1} FOLDER"
    told.faults.append(f"{kind} {number}, {doing}: {line['code']}\n  again: {again}\n  " + "\n  ".join(line["faults"]))


def _lines(number):
    """Lines of JSON; TimeoutError where none comes for too long."""
    left, deadline = b"", time.monotonic() + 2 * SILENCE_S
    while True:
        if not select.select([number], [], [], max(0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        if not (data := os.read(number, 65536)):
            return
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            yield json.loads(line)
            deadline = time.monotonic() + SILENCE_S


# How many of each kind, and ways to end that must be among them: whole ones are there, and the others get far.
COUNTS = {"files": 500, "records": 300, "folders": 100, "models": 60, "making": 36, "kills": 60}
ENDS = {
    "files": {("check", 0), ("check", 1), ("check", 2), ("compare", 0), ("compare", 2), ("debug", 0), ("debug", 2)},
    "records": {("report", 0), ("report", 2), ("compare", 0), ("compare", 2), ("check", 0), ("serve", 2), ("bench", 2)},
    "folders": {("compare", 0), ("compare", 2), ("debug", 0), ("debug", 2), ("serve", 0), ("serve", 2), ("demo", 2)},
    "models": {("info", 0), ("info", 2), ("import-weights", 2)},
    "making": {("export", 0), ("export", 2), ("train", 0), ("train", 2)},
    "kills": set(),
}


@pytest.mark.parametrize("kind", COUNTS)
def test_nothing_breaks(kind, tmp_path):
    told = run(kind, COUNTS[kind], tmp_path)
    assert not told.faults, "\n".join(told.faults)
    assert ENDS[kind] <= told.codes.keys()


# What the watch must see; each is put in the place of a command.
BAD = {
    "writes": "open('../outside', 'w')",
    "reads": "open('../secret/image.png')",
    "starts": "import subprocess; subprocess.run(['true'])",
    "changed": "import ctypes; ctypes.CDLL(None).creat(b'beside', 0o600)",
    "traceback": "raise KeyError('x')",
    "exit code 1": "raise SystemExit(1)",
    "exit code hangs": "\nwhile True: pass",
    "no sentence": "raise SystemExit(2)",
    "stderr has": "import sys; sys.stderr.write('\\x1b[31m')",
    "its JSON": "print('{\"a\": NaN}')",
}


@pytest.mark.parametrize(("said", "code"), BAD.items(), ids=BAD)
def test_the_watch_sees_it(said, code, tmp_path):
    lines = f"""
import sys
from pathlib import Path
from fuzz import watch
import tfeff.cli
from tfeff.cli.ending import ended

def bad(words):
    sys.exit(ended(lambda: exec({code!r})))

watch.LIMIT_S = 1
tfeff.cli.main = bad
folder = Path({str(tmp_path)!r})
(folder / "case").mkdir()
print(watch.Watch(folder).run(["list", "--json"], folder / "case", ("out",)).faults)
"""
    ran = subprocess.run(
        [sys.executable, "-c", lines], env={**os.environ, "PYTHONPATH": str(SUPPORT)}, capture_output=True, text=True
    )
    assert said in ran.stdout, ran.stdout + ran.stderr
