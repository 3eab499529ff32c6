"""Runs a command in this process and tells what it did that no command may do, whatever it was given."""

import contextlib
import io
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 20  # of a machine that has a core for it; more where many want one
_MOST_LOAD = 6
# Programs that commands start, by the beginnings of their names; the last is what Python asks for the machine's name.
_STARTED = ("python", "vela", "adb", "uname")
_CHANGES = {"os.rename": 2, "os.link": 2, "os.symlink": 2, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1,
            "os.truncate": 1, "os.chmod": 1, "os.utime": 1}  # fmt: skip  # how many arguments are paths


class Hang(BaseException):
    """A command took too long; no `except Exception` keeps it."""


@dataclass
class Ran:
    """How a command ended, and what is wrong with that."""

    code: int | str
    seconds: float
    faults: list[str] = field(default_factory=list)
    out: str = ""
    err: str = ""


class Watch:
    """Sees what is opened, renamed, started and imported, by Python's audit events.

    Args:
        folder: holds cases, `home` and `tmp`; nothing else there may be changed but what a case allows, and nothing
            outside of it. A folder `secret` there may not be read.
    """

    def __init__(self, folder: Path):
        self._folder, self._secret = str(folder.resolve()), folder / "secret"
        self._secret.mkdir()
        (self._secret / "image.png").write_bytes(b"secret")
        self._allowed: tuple[str, ...] | None = None
        self._faults: list[str] = []
        sys.addaudithook(self._seen)

    def run(self, words: list[str], place: Path, written: tuple[str, ...]) -> Ran:
        """`tfeff WORDS`, which may write what is in or begins like one of `written` in the folder `place`."""
        from tfeff.cli import main

        before = self._listed(place)
        mine = tuple(str(place.resolve() / name) for name in written)
        self._faults = []
        self._allowed = (
            *mine,
            *(f"{self._folder}/{name}" for name in ("home", "tmp")),
            "/dev/null",
            "/dev/shm",
            "/proc",
        )
        streams, self._begun = (sys.stdout, sys.stderr, sys.stdin), time.monotonic()
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape") for _ in range(2))
        out, err = sys.stdout, sys.stderr
        signal.signal(signal.SIGALRM, self._hangs)
        signal.alarm(LIMIT_S)
        code: int | str = "returned"
        try:
            with _inside(place):
                main(words)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else str(stop.code)
        except Hang:
            code = "hangs"
        except BaseException as error:
            code = f"raised {type(error).__name__}"
        finally:
            signal.alarm(0)
            self._allowed = None
            sys.stdout, sys.stderr, sys.stdin = streams
        texts = [_text(stream) for stream in (out, err)]
        ran = Ran(code, round(time.monotonic() - self._begun, 2), self._faults, *texts)
        ran.faults += [f"changed {name}" for name in self._changed(before, place, mine)]
        ran.faults += _faults(words, ran)
        if ran.faults:
            ran.faults += texts
        return ran

    def _hangs(self, number, frame):
        crowd = min(os.getloadavg()[0] / (os.cpu_count() or 1), _MOST_LOAD)
        left = LIMIT_S * max(crowd, 1) - (time.monotonic() - self._begun)
        if left < 1:
            raise Hang
        signal.alarm(int(left))

    def _seen(self, event, arguments):
        if self._allowed is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int):
                return
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
                self._writes(path)
            self._reads(path)
        elif event in _CHANGES:
            if (
                arguments[-1] not in (-1, None)
                and isinstance(arguments[-1], int)
                and event in ("os.remove", "os.rmdir")
            ):
                return  # below a folder that is open: `shutil.rmtree`, which is seen by the folder itself
            for path in arguments[: _CHANGES[event]]:
                if not (event in ("os.symlink", "os.link") and path is arguments[0]):
                    self._writes(path)
        elif event in ("os.listdir", "os.scandir"):
            self._reads(arguments[0])
        elif event == "subprocess.Popen":
            name = os.path.basename(os.fsdecode(arguments[0] or arguments[1][0]))
            if not name.startswith(_STARTED):
                self._faults.append(f"starts {arguments[1]}")
        elif event == "os.system":
            self._faults.append(f"starts {arguments[0]}")

    def _writes(self, path):
        if isinstance(path, int) or path is None:
            return
        path = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(path)))),
                            os.path.basename(os.fsdecode(path)))  # fmt: skip
        if not path.startswith(self._allowed) and "__pycache__" not in path:
            self._faults.append(f"writes {path}")

    def _reads(self, path):
        if path is not None and not isinstance(path, int):
            path = os.path.realpath(os.fsdecode(path))
            if path.startswith(str(self._secret)):
                self._faults.append(f"reads {path}")

    def _listed(self, place):
        """What is in the case's folder and beside it: {path: (size, changed)}."""
        found = {}
        for folder in (self._folder, str(self._secret), str(place)):
            for entry in os.scandir(folder):
                if folder != str(place) and entry.name in ("home", "tmp", place.name):
                    continue
                told = entry.stat(follow_symlinks=False)
                found[entry.path] = (told.st_size, told.st_mtime_ns) if not entry.is_dir() else ()
        return found

    def _changed(self, before, place, allowed):
        after = self._listed(place)
        both = before.keys() | after.keys()
        return sorted(repr(p) for p in both if before.get(p) != after.get(p) and not p.startswith(allowed))


@contextlib.contextmanager
def _inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _text(stream):
    stream.flush()
    return stream.detach().getvalue().decode("utf-8", "backslashreplace")


def _faults(words, ran):
    """What is wrong with how it ended and with what it said."""
    may_fail = {"check", "calibrate", "debug", "compare"} | ({words[0]} if "--max-drop" in words else set())
    if ran.code not in (0, 2) and not (ran.code == 1 and words[0] in may_fail):
        yield f"exit code {ran.code}"
    if "Traceback" in ran.err or "an error of tfeff itself" in ran.err:
        yield "a traceback"
    if ran.code == 2 and "tfeff: " not in ran.err and "Error: " not in ran.err:
        yield "no sentence"
    if "out of memory" in ran.err:
        yield "takes memory without end"
    if ran.code == 2 and ran.out:
        yield "speaks on stdout though it fails"
    for name, text in (("stdout", ran.out), ("stderr", ran.err)):
        if wrong := {letter for letter in text if letter != "\n" and not letter.isprintable()}:
            yield f"{name} has {sorted(wrong)}"
    if ran.code == 0 and "--json" in words:
        try:
            json.loads(ran.out, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
        except ValueError as error:
            yield f"its JSON: {error}"
