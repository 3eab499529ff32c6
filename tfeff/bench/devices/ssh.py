"""`ssh:USER@HOST[:PYTHON]`: a board such as a Raspberry Pi, by the user's own ssh.

What the user's `ssh HOST` does is what is done here: configuration, keys, agent, jump hosts and ports are ssh's own
business. It is never asked for a password. Environment variable TFEFF_SSH replaces the command `ssh`, options and all.

On the board runs its own Python with the runtime that is installed there. One connection keeps a temporary folder there
(`remote_agent.py`), to which the worker and the files go, each named by its sha256 and sent once; the folder
goes when the connection does, whatever ends it.
"""

import base64
import hashlib
import os
import re
import shlex
import threading
from pathlib import Path

from tfeff.bench.client import WORKER, WorkerHandle
from tfeff.bench.devices import BaseDevice, Handle
from tfeff.errors import TfeffError

AGENT = Path(__file__).parents[1] / "remote_agent.py"
# One quoting that every login shell reads alike: no single quote stands in it.
_BOOT = "import base64,sys;exec(base64.b64decode(sys.stdin.readline()))"
_OPTIONS = (
    "-T", "-a", "-x",  # no terminal, and nothing of ours lent to the board
    "-oBatchMode=yes", "-oClearAllForwardings=yes", "-oPermitLocalCommand=no", "-oRemoteCommand=none",
    "-oConnectTimeout=10", "-oServerAliveInterval=5", "-oServerAliveCountMax=3",
)  # fmt: skip
_USER = r"[A-Za-z0-9_][A-Za-z0-9._\\-]*\$?"
_HOST = r"\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\]|[A-Za-z0-9_][A-Za-z0-9._-]*"
_SPEC = re.compile(rf"(?P<host>(?:{_USER}@)?(?:{_HOST}))(?::(?P<python>.+))?")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")

# What ssh says, in the order in which it is looked for; its messages are not translated.
_FAILURES = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is not the one that ssh remembers",
     "if the board was set up anew, forget the old key with `ssh-keygen -R HOST`, then connect once with `ssh {host}`"),
    ("Host key verification failed", "its host key is not known to ssh yet",
     "connect once by hand, `ssh {host}`, compare the fingerprint and say yes"),
    ("Could not resolve hostname", "no such host", "see the board's name or address; `ssh {host}` must work"),
    ("Permission denied", "the board refuses your key",
     "`ssh {host}` must work without a password: `ssh-copy-id {host}`, or `ssh-add` for a key with a passphrase"),
    ("Too many authentication failures", "the board refuses your keys",
     "name the right one in ssh's configuration (IdentityFile, IdentitiesOnly)"),
    ("Connection refused", "nothing answers ssh there", "is sshd running on the board, and on this port?"),
    ("Connection timed out", "the host does not answer", "is the board on, and in this network?"),
    ("No route to host", "the host cannot be reached", "is the board on, and in this network?"),
    ("Network is unreachable", "the host cannot be reached", "is this machine in a network?"),
    ("Bad configuration option", "ssh does not take its configuration", "see what `ssh {host}` says"),
)  # fmt: skip


class Device(BaseDevice):
    usage = "ssh:USER@HOST[:PYTHON]"

    def __init__(self, argument: str):
        super().__init__(argument)
        mend = "write ssh:USER@HOST or ssh:USER@HOST:PYTHON, such as ssh:pi@raspberrypi:venv/bin/python"
        found = _SPEC.fullmatch(argument)
        if not found or _UNSAFE.search(argument):
            raise TfeffError(f"{self.name!r}: names no host", mend)
        self.host, self.python = found["host"], found["python"] or "python3"
        if self.python.startswith("-"):
            raise TfeffError(f"{self.name}: {self.python} is an option, not a Python", mend)
        self._agent: _Agent | None = None
        self._handles, self._entered, self._lock = 0, 0, threading.RLock()

    def start(self) -> Handle:
        with self._lock:
            self._handles += 1
            try:
                if self._agent is None or not self._agent.alive:
                    self._forget()
                    self._agent = _Agent(self)
                return _RemoteWorker(self, self._agent)
            except BaseException:
                self.left()
                raise

    def open(self) -> None:
        with self._lock:
            self._entered += 1

    def close(self) -> None:
        with self._lock:
            self._entered = max(self._entered - 1, 0)
            self._tidy()

    def left(self) -> None:
        """A handle of this device is closed: the folder goes with the last one, unless more are to come."""
        with self._lock:
            self._handles -= 1
            self._tidy()

    def _tidy(self):
        if not self._entered and not self._handles:
            self._forget()

    def _forget(self):
        agent, self._agent = self._agent, None
        if agent:
            agent.close()

    def command(self, *arguments: str) -> list[str]:
        """The local command that runs the board's Python; the arguments are quoted for its shell."""
        said = " ".join(["exec", _quoted(self.python), *map(shlex.quote, arguments)])
        return [*_ssh(), *_OPTIONS, "--", self.host.replace("[", "").replace("]", ""), said]


class _SshHandle(WorkerHandle):
    """A process on the board, spoken to through ssh."""

    def __init__(self, device: Device, arguments: list[str], preamble: str = ""):
        self.device = device
        super().__init__(device.name, device.command(*arguments), dict(os.environ), device.timeout_s, preamble)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _read(self) -> None:
        """Passes over what a login shell's start files print before the first reply."""
        begun = False
        for line in self._stdout:
            begun = begun or line.startswith("{")
            if begun:
                self._replies.put(line)
        self._replies.put(None)

    def _death(self, command: str) -> TfeffError:
        told = super()._death(command)
        lines, code = self._stderr_lines(), self._process.poll()
        said = "\n".join(lines)
        name, host = self.name, self.device.host
        if code == 255:  # ssh's own
            if "environment" in vars(self):
                what = f"the connection was lost while asked to {command!r}"
                return TfeffError(f"{name}: {what}", "see the board's power and network, then run the command again")
            for sign, what, mend in _FAILURES:
                if sign in said:
                    return TfeffError(f"{name}: {what}", mend.format(host=host))
            last = lines[-1][:200] if lines else "ssh ended with exit code 255"
            return TfeffError(f"{name}: cannot connect ({last})", f"`ssh {host}` must work without a password")
        if command == "hello" and code in (126, 127):
            return TfeffError(
                f"{name}: {self.device.python} cannot be run on the board ({lines[-1][:200] if lines else code})",
                "name one that is there: ssh:USER@HOST:PYTHON, such as ssh:pi@raspberrypi:venv/bin/python",
            )
        return told


class _Agent(_SshHandle):
    """The board's temporary folder."""

    def __init__(self, device: Device):
        source = base64.b64encode(AGENT.read_bytes()).decode("ascii")
        super().__init__(device, ["-I", "-c", _BOOT], source + "\n")
        self.folder = self.environment["folder"]
        try:
            self.worker = self.put(WORKER, "worker.py")
        except BaseException:
            self.close()
            raise

    def put(self, path: Path, name: str = "") -> str:
        """Sends a file unless the board has its bytes already, and returns its path there."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TfeffError(f"{path}: {error.strerror}") from None
        sha256 = hashlib.sha256(data).hexdigest()
        name = name or sha256 + path.suffix
        if not self._ask("has", name=name, sha256=sha256)["has"]:
            self._ask("put", name=name, sha256=sha256, base64=base64.b64encode(data).decode("ascii"))
        return f"{self.folder}/{name}"


class _RemoteWorker(_SshHandle):
    """The worker, in the board's folder."""

    install = (
        "on the board: `python3 -m venv venv && venv/bin/pip install ai-edge-litert` "
        '(or tflite-runtime "numpy<2"), then name it: ssh:USER@HOST:venv/bin/python'
    )

    def __init__(self, device: Device, agent: _Agent):
        self._agent, self._open = agent, True
        super().__init__(device, [agent.worker])

    def _there(self, path: Path) -> str:
        there = self._agent.put(path)
        self._shown[there] = path.name
        return there

    def close(self) -> None:
        super().close()
        if self._open:
            self._open = False
            self.device.left()


def _ssh() -> list[str]:
    try:
        return shlex.split(os.environ.get("TFEFF_SSH", "")) or ["ssh"]
    except ValueError as error:
        raise TfeffError(f"TFEFF_SSH: {error}", 'write it as in a shell: TFEFF_SSH="ssh -F file"') from None


def _quoted(python: str) -> str:
    """A path for the board's shell; a leading ~/ stays the user's home there."""
    home, rest = ("~/", python[2:]) if python.startswith("~/") else ("", python)
    return home + shlex.quote(rest)
