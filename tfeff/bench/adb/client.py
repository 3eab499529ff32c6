"""A phone's shell and files, through the real `adb` command; what was made there is gone when it is closed."""

import hashlib
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tfeff.errors import TfeffError

HOME = "/data/local/tmp"  # the one folder of a phone in which adb may write and execute
APPEARS_S = 5.0  # how long a phone that is on its way is waited for
CLEANING_S = (0.0, 1.0, 3.0)  # waits before each try to clean up on a phone that was lost
CLEANING_TIMEOUT_S = 30.0  # of each try; a lost connection is told at once
_MARK = "tfeff-exit:"
_SUMMARY = re.compile(r"\d+ files? (pushed|pulled)")  # a push ends with it also where it failed
_ADDRESS = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_STATES = {
    "unauthorized": (
        "the phone has not allowed this computer to use it",
        "unlock its screen and answer `Allow USB debugging?`; if it does not ask, switch USB debugging off and on",
    ),
    "offline": ("the phone is offline: adb sees it, but it does not answer", "plug it in anew, or `adb reconnect`"),
    "no permissions": (
        "this user may not open the phone's USB device",
        "install the udev rules (Debian: android-sdk-platform-tools-common), then plug it in anew",
    ),
}
_PLUG = "plug it in and allow USB debugging (docs/on-device.md); `adb devices` must list it as `device`"


class Phone:
    """A phone that adb reaches, with a temporary folder on it.

    Args:
        name: how errors name it.
        serial: which one; empty for the only one. HOST:PORT is connected to where adb does not know it yet.
        timeout_s: how long an answer may take.

    Attributes:
        serial: adb's name of the phone.
        folder: the temporary folder, removed by `close` with all that runs out of it.

    Raises:
        TfeffError: no adb; no phone, or several; it is offline, unauthorized or full.
    """

    def __init__(self, name: str, serial: str, timeout_s: float):
        self.name, self.timeout_s, self.folder = name, timeout_s, ""
        self._adb, self._connected = find_adb(), False
        self._leaving: list[tuple[str, str]] = []
        self._own_server = not _listens()
        try:
            self._call("start-server")
            self.serial = self._choose(serial)
            folder = f"{HOME}/tfeff-{secrets.token_hex(6)}"
            code, said = self.shell(f"{_STALE}\nmkdir -m 700 {folder}")
            if code:
                raise self._failure(said, f"cannot make {folder}")
            self.folder = folder
        except BaseException:
            self.close()
            raise

    def shell(self, script: str, timeout_s: float | None = None) -> tuple[int, str]:
        """Runs a shell script on the phone.

        Args:
            script: for the phone's own shell; whatever comes from outside must have gone through `quoted`.

        Returns:
            the exit code; stdout and stderr together.

        Raises:
            TfeffError: the connection was lost, or no end within the time.
        """
        # Phones before Android 7 do not tell the exit code, and a lost connection must not look like an end.
        wrapped = f"(\n{script}\n) 2>&1 </dev/null; code=$?; echo; echo {_MARK}$code"
        done = self._run("-s", self.serial, "shell", wrapped, timeout_s=timeout_s)
        text = done.stdout.replace("\r\n", "\n")
        body, found, code = text.rpartition(f"\n{_MARK}")
        if not found or not code.strip().isdigit():
            raise self._failure(done.stderr or text, "the connection was lost", lost=True)
        return int(code), body

    def push(self, local: Path, name: str = "", executable: bool = False) -> str:
        """Copies a file into the phone's folder unless its very bytes are there, and returns its path there.

        The name there is the sha256 of the bytes with the suffix, or what the caller says; never the file's own.
        """
        try:
            sha256 = hashlib.sha256(local.read_bytes()).hexdigest()
        except OSError as error:
            raise TfeffError(f"{local}: {error.strerror}") from None
        suffix = local.suffix if re.fullmatch(r"\.\w{1,8}", local.suffix, re.ASCII) else ""
        there = f"{self.folder}/{name or sha256 + suffix}"
        if self._sha256(there) == sha256:
            return there
        part = f"{there}.part"
        done = self._run("-s", self.serial, "push", str(local.absolute()), part, timeout_s=10 * self.timeout_s)
        if done.returncode:
            raise self._failure(done.stdout + done.stderr, f"cannot copy {local.name} to the phone")
        if self._sha256(part) != sha256:
            raise TfeffError(f"{self.name}: {local.name} did not arrive whole on the phone", "see its cable, try again")
        mode = "755" if executable else "644"
        code, said = self.shell(f"chmod {mode} {part} && mv {part} {there}")
        if code:
            raise self._failure(said, f"cannot write {there}")
        return there

    def put_bytes(self, data: bytes) -> str:
        """`push` of bytes that lie in no file."""
        with tempfile.TemporaryDirectory(prefix="tfeff-") as folder:
            path = Path(folder) / "bytes"
            path.write_bytes(data)
            return self.push(path)

    def pull(self, there: str) -> bytes:
        """The bytes of a file of the phone's folder."""
        with tempfile.TemporaryDirectory(prefix="tfeff-") as folder:
            here = Path(folder) / "pulled"
            done = self._run("-s", self.serial, "pull", there, str(here), timeout_s=10 * self.timeout_s)
            if done.returncode or not here.is_file():
                raise self._failure(done.stdout + done.stderr, f"cannot read {there}")
            return here.read_bytes()

    def execute(self, command: list[str], timeout_s: float) -> tuple[int, str]:
        """Runs a program on the phone; whatever ends this, the program ends too.

        Args:
            command: program and arguments; quoted here.

        Returns:
            exit code (128 + the signal for one that was killed); stdout and stderr together.
        """
        pid = f"{self.folder}/pid"
        inner = f"echo $$ >{pid}; exec {' '.join(map(quoted, command))}"
        try:
            return self.shell(f"cd {self.folder}; sh -c {quoted(inner)}; code=$?; rm -f {pid}; exit $code", timeout_s)
        except BaseException:
            with suppress(TfeffError):
                self.shell(_END.format(folder=self.folder), CLEANING_TIMEOUT_S)
            raise

    def leave(self, script: str, what: str) -> None:
        """A shell script that `close` runs there as well, before all that was given earlier.

        Args:
            what: it takes away; said where the phone is lost, and it may have stayed.
        """
        self._leaving.insert(0, (script, what))

    def close(self) -> None:
        """Ends what runs there, removes the folder, and leaves adb's server as it was; safe to call again."""
        try:
            if self.folder:
                self._clean()
        finally:
            if self._connected:
                self._connected = False
                self._call("disconnect", self.serial)
            if self._own_server:
                self._own_server = False
                self._call("kill-server")

    def _clean(self) -> None:
        scripts = [script for script, _ in self._leaving]
        script = "\n".join([_END.format(folder=self.folder), *scripts, f"rm -rf {self.folder}"])
        folder, self.folder = self.folder, ""
        for wait_s in CLEANING_S:  # a phone that was disconnected may come back
            time.sleep(wait_s)
            with suppress(TfeffError):
                self.shell(script, CLEANING_TIMEOUT_S)
                return
        left = " and ".join([folder, *(what for _, what in self._leaving)])
        raise TfeffError(
            f"{self.name}: {left} may have stayed on the phone", f"`adb -s {self.serial} shell rm -r {folder}`"
        )

    def __enter__(self) -> "Phone":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except TfeffError as left:
            if not isinstance(error, TfeffError):
                raise
            what = f"{error.what}; {left.what.removeprefix(self.name + ': ')}"
            raise type(error)(what, error.mend or left.mend) from None

    def _choose(self, serial: str) -> str:
        """The one phone that is meant and ready, by adb's name of it."""
        deadline = time.monotonic() + APPEARS_S
        while True:
            states = self._states()
            if serial not in states and not self._connected and _ADDRESS.fullmatch(serial):
                self._call("connect", serial)
                self._connected = True
                states = self._states()
            known = [serial] if serial in states else [] if serial else list(states)
            ready = [one for one in known if states[one] == "device"]
            if len(ready) == 1:
                return ready[0]
            if ready or time.monotonic() >= deadline or not _waits(known, states):
                break
            time.sleep(0.2)
        there = ", ".join(f"{one} ({state})" for one, state in states.items()) or "none"
        if len(ready) > 1:
            raise TfeffError(f"{self.name}: several phones are connected: {', '.join(ready)}", f"say adb:{ready[0]}")
        if not known and serial:
            mend = f"connected: {there}; `adb devices` lists them"
            raise TfeffError(f"{self.name}: no phone {serial} is connected", mend)
        if not known:
            raise TfeffError(f"{self.name}: no phone is connected", _PLUG)
        state = states[known[0]]
        for sign, (what, mend) in _STATES.items():
            if state.startswith(sign):
                raise TfeffError(f"{self.name}: {what} ({known[0]})", mend)
        raise TfeffError(f"{self.name}: the phone {known[0]} is in state {state!r}", "let it start Android, unlock it")

    def _states(self) -> dict[str, str]:
        done = self._run("devices")
        # A tab stands between; names that adb makes of phones without a cable may hold blanks.
        rows = [line.partition("\t") for line in done.stdout.splitlines() if line[:1] != "*"]
        return {serial.strip(): state.strip() for serial, _, state in rows if state.strip()}

    def _sha256(self, there: str) -> str | None:
        """Of a file on the phone; None where there is none."""
        code, said = self.shell(f"[ -f {there} ] || exit 9; sha256sum {there}", 10 * self.timeout_s)
        if code == 9:
            return None
        if code:  # phones before Android 8 have no sha256sum
            return hashlib.sha256(self.pull(there)).hexdigest()
        return said.split()[0] if said.split() else None

    def _failure(self, said: str, what: str, lost: bool = False) -> TfeffError:
        lines = [line.strip() for line in said.splitlines() if line.strip() and not _SUMMARY.search(line)]
        lost = lost or not lines
        last = lines[-1][-200:] if lines else ""
        where = f"{self.name}: {what}" + (f" ({last})" if last else "")
        if "No space left" in said:
            return TfeffError(f"{self.name}: {what}: its disk is full", f"make room in {HOME} on the phone")
        for state in ("unauthorized", "offline"):
            if f"device {state}" in said:
                return TfeffError(f"{self.name}: {_STATES[state][0]}", _STATES[state][1])
        gone = (
            "not found",
            "closed",
            "EOF",
            "protocol fault",
            "connection reset",
            "no devices",
            "connect failed",
            "read from device",
        )
        if lost or any(sign in said for sign in gone):
            return TfeffError(where, "is it still plugged in? see its cable, then run the command again")
        return TfeffError(where, f"is {HOME} writable on the phone?" if "ermission denied" in said else "")

    def _call(self, *arguments: str) -> None:
        """An adb command of which nothing is read; its server must not hold a pipe of ours."""
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [self._adb, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.timeout_s,
            )
            if done.returncode and arguments == ("start-server",):
                raise TfeffError(f"{self.name}: adb's server does not start", "see what `adb start-server` says")

    def _run(self, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess:
        timeout_s = timeout_s or self.timeout_s
        try:
            return subprocess.run(
                [self._adb, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            told = f"{self.name}: no end within {timeout_s:g} s"
            raise Timeout(told, "is the phone awake and its cable good?") from None


class Timeout(TfeffError):
    """What was asked of a phone took too long."""


# Folders of commands that were killed a day ago or more; a younger one may belong to a command that still runs.
_STALE = f"find {HOME} -maxdepth 1 -name 'tfeff-*' -mtime +0 -exec rm -rf {{}} + 2>/dev/null"
# Kills what `execute` started with its whole process group. The folder's name is our own, so it needs no quotes.
_END = """if [ -f {folder}/pid ]; then
  pid=$(cat {folder}/pid); set -- $(cat /proc/$pid/stat 2>/dev/null)
  [ "${{5:-0}}" -gt 1 ] && kill -9 -$5
  [ "${{pid:-0}}" -gt 1 ] && kill -9 $pid
  rm -f {folder}/pid
fi 2>/dev/null"""


def quoted(text: str) -> str:
    """Text as one word for the phone's shell."""
    return shlex.quote(text)


def find_adb() -> str:
    """The `adb` command: ADB, that of the path, or that of the Android SDK.

    Raises:
        TfeffError: there is none.
    """
    sdks = [os.environ.get(name) for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT")]
    places = [os.environ.get("ADB"), "adb", *(f"{sdk}/platform-tools/adb" for sdk in sdks if sdk)]
    for place in filter(None, places):
        if found := shutil.which(place):
            return found
    raise TfeffError("adb: there is no such command", "install it (Debian: `apt-get install adb`), or set ADB to it")


def _waits(known: list[str], states: dict[str, str]) -> bool:
    """Whether a phone is on its way: adb says so for a moment after its server starts or a plug goes in."""
    return any(states[one] in ("authorizing", "connecting", "offline") for one in known)


def _listens() -> bool:
    """Whether an adb server runs already."""
    if os.environ.get("ADB_SERVER_SOCKET"):
        return True
    with suppress(OSError, ValueError):
        port = int(os.environ.get("ANDROID_ADB_SERVER_PORT", "5037"))
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False
