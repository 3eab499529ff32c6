"""A phone in this process: the daemon's side of adb's protocol, spoken to by the real `adb` client.

Written from the protocol's description (AOSP, packages/modules/adb: protocol.txt, docs/dev/sync.md). Its shell is this
machine's, in which the phone's folders stand for folders of a temporary one; programs of Android are small scripts in
`bin`. What a real phone does wrong is injected by attributes.
"""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(name, "little") for name in b"CNXN AUTH OPEN OKAY CLSE WRTE".split()
)
VERSION, MAX_DATA = 0x01000001, 64 * 1024
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  level: 87
  temperature: 268
"""
SCRIPTS = {
    "getprop": 'case "$1" in ro.product.model) echo Stand-in;; ro.product.cpu.abilist) echo x86_64,x86;;\n'
    "  ro.build.version.release) echo 14;; ro.soc.model) echo Pretended;; esac",
    "dumpsys": 'cat "$(dirname "$0")/../$1" 2>/dev/null',
    # Android's takes a mask in hexadecimal. What it was told is written down; the cores here are this machine's.
    "taskset": 'echo "$1" >>"$(dirname "$0")/../masks"; shift; exec "$@"',
}
# Two big, two middle and four little cores, as the kernel tells them.
CAPACITIES = [300, 300, 300, 300, 700, 700, 1024, 1024]


class AdbDaemon:
    """The daemon, listening on the loopback.

    Attributes:
        address: what `adb connect` takes.
        root: the phone's files; `tmp` in it is /data/local/tmp.
        authorized, silent: whether the computer is allowed in; whether nothing is ever answered.
        disk_bytes: that a push may write before the disk is full; None for any.
        cut_after_bytes: of a push, after which the connection breaks.
        returns: whether the phone can be had again after that.
        shell_v2: whether it tells exit codes, as phones do since Android 7.
        commands: shell commands that it was given.
        processes: that these started.
    """

    def __init__(self, root: Path):
        self.root = root
        self.authorized, self.silent, self.shell_v2, self.returns = True, False, True, True
        self.disk_bytes = self.cut_after_bytes = None
        self.commands, self.processes, self._connections = [], [], []
        for name in ("tmp", "bin", "sys"):
            (root / name).mkdir()
        for name, text in SCRIPTS.items():
            self.program(name, text)
        (root / "battery").write_text(BATTERY)
        self.heat(0)
        for core, capacity in enumerate(CAPACITIES):
            self.system_file(f"devices/system/cpu/cpu{core}/cpu_capacity", capacity)
        self.clock(1_800_000)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def program(self, name, text):
        """A script in the phone's path."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def system_file(self, name, value):
        path = self.root / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def heat(self, status):
        """Android's thermal status."""
        sensor = "Temperature{mValue=41.2, mType=0, mName=CPU0, mStatus=0}"
        (self.root / "thermalservice").write_text(f"IsStatusOverride: false\nThermal Status: {status}\n\t{sensor}\n")

    def clock(self, limit_khz, highest_khz=2_800_000):
        """What the big cores may run at."""
        values = {"affected_cpus": "6 7", "scaling_governor": "schedutil", "scaling_cur_freq": 900_000}
        values |= {"scaling_max_freq": limit_khz, "cpuinfo_max_freq": highest_khz}
        for name, value in values.items():
            self.system_file(f"devices/system/cpu/cpufreq/policy6/{name}", value)

    @property
    def left(self):
        """Files in /data/local/tmp."""
        return sorted(path.name for path in (self.root / "tmp").iterdir())

    @property
    def running(self):
        """Programs that a shell command started and that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"TFEFF_PHONE={self.root}\0".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return [one for one in found if one]

    def path(self, there):
        """Where a path of the phone lies here."""
        return there.replace("/data/local/tmp", f"{self.root}/tmp").replace("/sdcard/", f"{self.root}/sdcard/")

    def script(self, text):
        return self.path(text).replace("/sys/", f"{self.root}/sys/")

    def break_off(self):
        for connection in list(self._connections):
            connection.close()
        if not self.returns:
            self._stop_listening()

    def close(self):
        self._stop_listening()
        for connection in list(self._connections):
            connection.close()
        for process in self.processes:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, 9)
            process.wait()

    def _stop_listening(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = _Connection(self, self._listener.accept()[0])
                self._connections.append(connection)
                threading.Thread(target=connection.serve, daemon=True).start()


class _Connection:
    """One computer's connection."""

    def __init__(self, daemon, sock):
        self.daemon, self.sock, self.streams, self.lock, self.count = daemon, sock, {}, threading.Lock(), 0

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for stream in list(self.streams.values()):
            stream.end()

    def send(self, command, first, second, data=b""):
        head = struct.pack("<6I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        with self.lock, contextlib.suppress(OSError):
            self.sock.sendall(head + data)

    def serve(self):
        with contextlib.suppress(OSError, EOFError):
            while True:
                command, first, second, length, _, _ = struct.unpack("<6I", self._exactly(24))
                data = self._exactly(length)
                if not self.daemon.silent:
                    self._answer(command, first, second, data)
        self.close()

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _answer(self, command, first, second, data):
        if command in (CNXN, AUTH) and not self.daemon.authorized:
            if command == CNXN or first == 2:  # another token for every signature, until the public key comes
                self.send(AUTH, 1, 0, os.urandom(20))
        elif command == CNXN:
            features = "shell_v2,cmd" if self.daemon.shell_v2 else "cmd"
            banner = f"device::ro.product.name=standin;ro.product.model=Stand_in;features={features}"
            self.send(CNXN, VERSION, MAX_DATA, banner.encode())
        elif command == OPEN:
            self.count += 1
            stream = self.streams[self.count] = _Stream(self, self.count, first)
            service = data.rstrip(b"\0").decode(errors="surrogateescape")
            run = _sync if service == "sync:" else _shell if service.startswith("shell") else None
            if run is None:
                self.send(CLSE, 0, first)
                return
            self.send(OKAY, self.count, first)
            threading.Thread(target=run, args=(self.daemon, stream, service), daemon=True).start()
        elif second in self.streams:
            stream = self.streams[second]
            if command == WRTE:
                stream.arrive(data)
                self.send(OKAY, second, first)
            elif command == OKAY:
                stream.ready.set()
            elif command == CLSE:
                stream.end()


class _Stream:
    """One opened service: bytes both ways, each packet of ours acknowledged before the next."""

    def __init__(self, connection, here, there):
        self.connection, self.here, self.there = connection, here, there
        self.arrived, self.more, self.ended = b"", threading.Condition(), False
        self.ready = threading.Event()
        self.ready.set()

    def arrive(self, data):
        with self.more:
            self.arrived += data
            self.more.notify_all()

    def end(self):
        self.connection.streams.pop(self.here, None)
        with self.more:
            self.ended = True
            self.more.notify_all()
        self.ready.set()

    def read(self, count):
        with self.more:
            self.more.wait_for(lambda: len(self.arrived) >= count or self.ended)
            if len(self.arrived) < count:
                raise EOFError
            data, self.arrived = self.arrived[:count], self.arrived[count:]
            return data

    def write(self, data):
        for start in range(0, len(data), MAX_DATA):
            self.ready.wait()
            if self.ended:
                raise EOFError
            self.ready.clear()
            self.connection.send(WRTE, self.here, self.there, data[start : start + MAX_DATA])

    def close(self):
        self.ready.wait()
        self.connection.send(CLSE, self.here, self.there)
        self.connection.streams.pop(self.here, None)


def _shell(daemon, stream, service):
    kind, _, command = service.partition(":")
    version_2 = "v2" in kind.split(",")
    daemon.commands.append(command)
    process = subprocess.Popen(
        [shutil.which("mksh") or "/bin/sh", "-c", daemon.script(command)],  # mksh is Android's
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=daemon.root,
        env={**os.environ, "PATH": f"{daemon.root}/bin:{os.environ['PATH']}", "TFEFF_PHONE": str(daemon.root)},
        start_new_session=True,  # as adbd does it; and like adbd's, it is not killed when nobody listens any more
    )
    daemon.processes.append(process)
    with contextlib.suppress(EOFError, OSError):
        while data := os.read(process.stdout.fileno(), MAX_DATA - 5):
            stream.write(struct.pack("<BI", 1, len(data)) + data if version_2 else data)
        code = process.wait()
        if version_2:
            stream.write(struct.pack("<BIB", 3, 1, code if code >= 0 else 128 - code))
        stream.close()
    process.stdout.close()


def _sync(daemon, stream, service):
    with contextlib.suppress(EOFError):
        while True:
            request, length = struct.unpack("<4sI", stream.read(8))
            there = stream.read(length).decode(errors="surrogateescape")
            if request == b"QUIT":
                break
            try:
                {b"STAT": _stat, b"SEND": _send, b"RECV": _receive}[request](daemon, stream, there)
            except OSError as error:
                said = (error.strerror or str(error)).encode()
                stream.write(struct.pack("<4sI", b"FAIL", len(said)) + said)
        stream.close()


def _stat(daemon, stream, there):
    try:
        found = os.stat(daemon.path(there))
        stream.write(struct.pack("<4s3I", b"STAT", found.st_mode, found.st_size, int(found.st_mtime)))
    except OSError:
        stream.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))


def _send(daemon, stream, there):
    path, _, mode = there.rpartition(",")
    written, full = 0, False
    with open(daemon.path(path), "wb") as file:
        while True:
            kind, length = struct.unpack("<4sI", stream.read(8))
            if kind == b"DONE":
                break
            data = stream.read(length)
            written += len(data)
            if daemon.cut_after_bytes is not None and written > daemon.cut_after_bytes:
                daemon.cut_after_bytes = None
                daemon.break_off()
            full = full or (daemon.disk_bytes is not None and written > daemon.disk_bytes)
            if not full:
                file.write(data)
    if full:
        os.unlink(daemon.path(path))
        said = b"write failed: No space left on device"
        stream.write(struct.pack("<4sI", b"FAIL", len(said)) + said)
        return
    os.chmod(daemon.path(path), int(mode) & 0o777)
    stream.write(struct.pack("<4sI", b"OKAY", 0))


def _receive(daemon, stream, there):
    data = Path(daemon.path(there)).read_bytes()
    for start in range(0, len(data), 60_000):
        part = data[start : start + 60_000]
        stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
    stream.write(struct.pack("<4sI", b"DONE", 0))


@pytest.fixture
def adb_server(tmp_path, monkeypatch):
    """A private adb server, with keys of its own; yields what runs an adb command."""
    if not shutil.which("adb"):
        pytest.skip("needs the adb command (Debian: adb)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "home").mkdir()
    for name, value in {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ADB_MDNS_AUTO_CONNECT", "0")
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ADB"):
        monkeypatch.delenv(name, raising=False)

    def adb(*arguments, wait=True):
        command = ["adb", *arguments]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run(command, **quiet, timeout=30) if wait else subprocess.Popen(command, **quiet)

    adb("start-server")
    yield adb
    adb("kill-server")


@pytest.fixture
def new_phone(tmp_path):
    """Makes phones that no adb server knows yet."""
    made = []

    def make():
        folder = tmp_path / f"phone{len(made)}"
        folder.mkdir()
        made.append(AdbDaemon(folder))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def phone(new_phone, adb_server):
    """A phone that the private adb server is connected to."""
    daemon = new_phone()
    adb_server("connect", daemon.address)
    return daemon


@pytest.fixture
def benchmark_tool(tmp_path):
    """A benchmark_model whose figures and bytes are real: this Python's LiteRT (`benchmark_model_stand_in.py`)."""
    path = tmp_path / "tool" / "benchmark_model"
    path.parent.mkdir()
    script = Path(__file__).with_name("benchmark_model_stand_in.py")
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    return path
