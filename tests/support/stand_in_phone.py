"""A phone without a phone: Debian's real arm64 `adbd` under QEMU's user-mode emulation, in namespaces of its own.

`python -m tfeff.bench.arm_root --include adbd` builds its root. All of it (the root's overlay, `binfmt_misc`, which
makes the kernel start ARM programs, the network in which adbd listens) lives in new user, mount, process and network
namespaces and is gone with them; the host sees one process and one port on its loopback, which is passed on to adbd.

It has Debian's shell and coreutils, the tools of Android that are written below, and under /opt the real ARM runtimes.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

PORT = 5555
# What `getprop NAME` answers.
PROPERTIES = {
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.cpu.abilist": "arm64-v8a",
    "ro.product.model": "Stand-in",
    "ro.product.manufacturer": "Debian",
    "ro.product.device": "standin",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "debian/standin/standin:14/emulated/1:userdebug/test-keys",
    "ro.hardware": "qemu",
    "ro.board.platform": "qemu",
    "ro.soc.model": "cortex-a76",
    "ro.serialno": "standin",
}
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  status: 2
  health: 2
  present: true
  level: 80
  scale: 100
  voltage: 4100
  temperature: 265
  technology: Li-ion
"""
THERMAL = """IsStatusOverride: false
ThermalEventListeners:
Thermal Status: 0
Cached temperatures:
	Temperature{mValue=31.5, mType=3, mName=skin, mStatus=0}
	Temperature{mValue=40.1, mType=0, mName=cpu0, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
	Temperature{mValue=31.5, mType=3, mName=skin, mStatus=0}
	Temperature{mValue=40.1, mType=0, mName=cpu0, mStatus=0}
"""
_GETPROP = "\n".join(f"  {name}) echo '{value}';;" for name, value in PROPERTIES.items())
TOOLS = {
    "getprop": f'case "$1" in\n  "") cat /default.prop;;\n{_GETPROP}\n  *) echo;;\nesac',
    "dumpsys": f"case \"$1\" in\n  battery) cat <<'E'\n{BATTERY}E\n;;\n  thermalservice) cat <<'E'\n{THERMAL}E\n;;\n"
    '  *) echo "Can\'t find service: $1"; exit 1;;\nesac',
    # Android's takes a mask in hexadecimal; the emulated cores are all alike, so it need only be one.
    "taskset": 'case "$1" in *[!0-9a-fA-F]*|"") echo "taskset: bad mask $1" >&2; exit 1;; esac; shift; exec "$@"',
    "logcat": "exit 0",
    "pm": "echo Success",
}
# magic and mask of an aarch64 ELF executable, as the kernel's documentation of binfmt_misc wants them
_MAGIC = b"\x7fELF\x02\x01\x01\x00" + bytes(8) + b"\x02\x00\xb7\x00"
_MASK = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"


def missing(folder):
    """Why this machine cannot run the phone; empty when it can."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "needs x86-64 Linux"
    if not shutil.which("adb") or not shutil.which("unshare"):
        return "needs adb and unshare (util-linux)"
    if not (folder / "root/usr/lib/android-sdk/platform-tools/adbd").exists():
        return "no arm64 adbd; build it once: python -m tfeff.bench.arm_root --include adbd"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True)
    return f"no namespaces for this user: {tried.stderr.strip()}" if tried.returncode else ""


_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child")


class Phone:
    """The running phone.

    Attributes:
        address: what `adb connect` takes.
    """

    def __init__(self, folder):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close
        self.top = tempfile.mkdtemp(prefix="phone-")  # stays empty: what is mounted on it is seen inside only
        command = [*_UNSHARE, sys.executable, __file__, str(folder), self.top, str(self.listener.fileno())]
        self.process = subprocess.Popen(
            command,
            pass_fds=[self.listener.fileno()],
            stdin=subprocess.PIPE,  # its end is the phone's
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        answer = self.process.stdout.readline()
        if answer != "ready\n":
            self.close()
            raise RuntimeError(f"the stand-in phone did not start: {answer}{self.said}")

    def shell(self, command):
        """What `adb shell` did: CompletedProcess."""
        return adb("-s", self.address, "shell", command)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.listener.close()
        os.rmdir(self.top)
        self.log.seek(0)
        self.said = self.log.read()
        self.log.close()


@pytest.fixture(scope="module")
def arm_phone(tmp_path_factory):
    """A running phone that a private adb server is connected to."""
    from tfeff.bench.arm_root import default_folder

    folder = default_folder()  # as it is before HOME is another
    reason = missing(folder)
    if reason:
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("TFEFF_AARCH64", str(folder))
        started = Phone(folder)
        try:
            said = subprocess.run(["adb", "connect", started.address], capture_output=True, text=True, timeout=60)
            assert said.stdout.startswith("connected to"), said
            deadline = time.monotonic() + 30
            while adb("get-state", "-s", started.address).stdout.strip() != "device":
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield started
        finally:
            subprocess.run(["adb", "kill-server"], capture_output=True, timeout=60)
            started.close()


def tool(folder, runtime, change=("", "")):
    """The benchmark program for one of the phone's runtimes; `change` is (text, other text) to replace in it."""
    path = folder / f"benchmark_model_{runtime}"
    text = Path(__file__).with_name("benchmark_model_stand_in.py").read_text()
    for old, new in (('RUNTIME = "litert"', f'RUNTIME = "{runtime}"'), change):
        assert old in text
        text = text.replace(old, new, 1) if old else text
    path.write_text(text)
    return path


def adb(*arguments, **options):
    """What adb did: CompletedProcess."""
    return subprocess.run(["adb", *arguments], capture_output=True, text=True, timeout=300, **options)


# ------------------------------------------------------------------- inside


def inside(folder, top, listener):
    """The phone itself: process 1 of its namespaces."""
    lower = folder / "root"
    mount("tmpfs", top, "tmpfs", 0, "mode=755")  # all that the phone writes
    root = top / "phone"
    for name in ("phone", "upper", "work"):
        (top / name).mkdir()
    mount("overlay", root, "overlay", 0, f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work")
    for name in ("proc", "sys", "dev", "tmp", "data/local/tmp", "system/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("data/local/tmp", "tmp"):
        (root / name).chmod(0o777)
    mount("proc", root / "proc", "proc", 0, "")
    for name in ("sys", "dev"):
        mount(f"/{name}", root / name, "", 4096 | 16384, "")  # MS_BIND | MS_REC
    for name, text in TOOLS.items():
        path = root / "usr/bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    (root / "default.prop").write_text("".join(f"[{name}]: [{value}]\n" for name, value in PROPERTIES.items()))
    for name in ("sh", *TOOLS):
        target = root / "system/bin" / name
        target.symlink_to(f"/bin/{name}" if name == "sh" else f"/usr/bin/{name}")
    register_emulator(folder / "qemu-aarch64", top / "binfmt")
    loopback_up()
    env = {"PATH": "/usr/bin:/bin:/system/bin", "HOME": "/", "ADBD_PORT": str(PORT), "QEMU_CPU": "cortex-a76"}
    env["TMPDIR"] = "/data/local/tmp"
    daemon = ["/usr/lib/android-sdk/platform-tools/adbd"]

    def enter():
        os.chroot(root)
        os.chdir("/")

    subprocess.Popen(daemon, env=env, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=enter)
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            break
        if time.monotonic() > deadline:
            sys.exit("adbd does not listen")
        time.sleep(0.05)
    threading.Thread(target=serve, args=(socket.socket(fileno=listener),), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()  # until the host closes it, or is gone
    os._exit(0)  # and with process 1 all others here


def mount(source, target, kind, flags, data):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(str(source).encode(), str(target).encode(), kind.encode(), flags, data.encode()):
        number = ctypes.get_errno()
        sys.exit(f"cannot mount {kind or source} on {target}: {os.strerror(number)}")


def register_emulator(qemu, at):
    """Lets the kernel start ARM programs in this namespace (Linux 6.7 and newer keep binfmt_misc apart by user)."""
    at.mkdir()
    mount("binfmt_misc", at, "binfmt_misc", 0, "")

    def escaped(data):
        return b"".join(b"\\x%02x" % byte for byte in data)

    # F: opened now, so that it is found inside a chroot; O, C: the program's own file and credentials
    line = b":tfeff:M::" + escaped(_MAGIC) + b":" + escaped(_MASK) + b":" + str(qemu).encode() + b":OCF"
    (at / "register").write_bytes(line)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh", b"lo", 1)  # IFF_UP
        fcntl.ioctl(probe, 0x8914, request + bytes(14))  # SIOCSIFFLAGS


def serve(listener):
    """Passes the host's connections on: the listening socket stays in the network that it was made in."""
    while True:
        near, _ = listener.accept()
        threading.Thread(target=relay, args=(near,), daemon=True).start()


def relay(near):
    with near, socket.create_connection(("127.0.0.1", PORT)) as far:
        other = {near: far, far: near}
        while True:
            for source in select.select([near, far], [], [])[0]:
                try:
                    data = source.recv(1 << 18)
                    if not data:
                        return
                    other[source].sendall(data)
                except OSError:
                    return


if __name__ == "__main__":
    inside(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
