"""Runs `tfeff` as a user would: in this process where speed matters, in one of its own where isolation does."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

from record_schema import validate_files

from tfeff.cli import main


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def tfeff(capfd, *arguments) -> Ran:
    """`tfeff ARGUMENTS` in this process; `capfd` is pytest's."""
    capfd.readouterr()
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    captured = capfd.readouterr()
    return Ran(code, captured.out, captured.err)


def tfeff_process(*arguments, **options) -> Ran:
    """`python -m tfeff ARGUMENTS` in a process of its own."""
    command, begun = [sys.executable, "-m", "tfeff", *map(str, arguments)], time.time() - 1
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    validate_files(map(str, arguments), begun)
    return Ran(done.returncode, done.stdout, done.stderr)


def assert_refused(ran: Ran, *words: str) -> None:
    """Exit code 2, a message with every one of `words`, no traceback, nothing on stdout."""
    assert ran.code == 2, ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for word in words:
        assert word in ran.err, ran.err
