"""`tfeff doctor`: what a bug report needs, in a second: nothing is imported that takes longer to import."""

import os
import platform
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from tfeff.cli.output import Output, output_options

# Programs that commands look for: the variable that names another one, what needs it, and where it comes from.
_TOOLS = {
    "adb": ("ADB", "phones (--on adb)", "apt-get install adb"),
    "ssh": ("", "boards (--on ssh:HOST)", "apt-get install openssh-client"),
    "edgetpu_compiler": ("EDGETPU_COMPILER", "--target edgetpu, compiled", "docs/targets.md"),
    "vela": ("VELA", "--target ethos-u, compiled", "pip install 'tfeff[ethos-u]'"),
    "ffmpeg": ("", "calibration on videos", "apt-get install ffmpeg"),
    "qemu-aarch64": ("", "--on emulated", "apt-get install qemu-user"),
    "chromium": ("", "--on browser", "apt-get install chromium"),
}
# By name: other programs keep tokens in variables that begin alike (Terraform's TF_TOKEN_...).
_VARIABLES = re.compile(
    r"TF_(ENABLE_ONEDNN_OPTS|NUM_(INTRA|INTER)OP_THREADS|USE_LEGACY_KERAS|CPP_MIN_LOG_LEVEL|XLA_FLAGS|DETERMINISTIC_OPS)"
    r"|TFEFF_(CACHE|DATA)|KERAS_(BACKEND|HOME)|XLA_FLAGS|OMP_NUM_THREADS|CUDA_VISIBLE_DEVICES|XDG_CACHE_HOME"
    r"|ANDROID_(HOME|SDK_ROOT|ADB_SERVER_PORT)|ADB|VELA|EDGETPU_COMPILER|PYTHONPATH|PYTHONSAFEPATH|LANG|LC_ALL"
)


@click.command("doctor")
@output_options
def command(out: Output) -> None:
    """Versions, runtimes, devices and optional tools of this machine, and what is missing, to be put into a bug report.

    Exit code 2 where something that every command needs is missing or of a version that tfeff is not made for. Values
    of environment variables and paths are shown as they are: look it through before you send it.
    """
    packages = _packages()
    faults = [f"{one['name']} {one['fault']}" for one in packages if one["fault"] and not one["extra"]]
    facts: dict[str, dict[str, Any]] = {
        "machine": _machine(),
        "environment": _environment(),
        "tools": _tools(),
        "devices": _devices(),
        "data": _data(),
    }
    out.facts("Machine", [*facts["machine"].items(), *facts["environment"].items()])
    rows = [[p["name"], p["version"] or "-", p["wanted"], p["extra"], p["fault"]] for p in packages]
    out.table("Packages", ["name", "installed", "wanted", "for", ""], rows, words=("installed", "wanted", "for", ""))
    rows = [[name, each["path"] or "-", each["for"], each["mend"]] for name, each in facts["tools"].items()]
    out.table("Optional programs", ["name", "found", "for", "missing: how to get it"], rows,
              words=("found", "for", "missing: how to get it"))  # fmt: skip
    out.facts("Devices and data", [*facts["devices"].items(), *facts["data"].items()])
    out.say("; ".join(faults) if faults else "nothing that every command needs is missing")
    out.json({"schema_version": 1, "packages": packages, **facts, "missing": faults})
    if faults:
        from tfeff.errors import TfeffError

        raise TfeffError(f"doctor: {'; '.join(faults)}", "install tfeff anew, into an environment of its own")


def _machine() -> dict[str, str]:
    """What runs here, and on what."""
    from tfeff import __version__

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "tfeff": f"{__version__} in {Path(__file__).parents[1]}",
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": platform.platform(),
        "processor": f"{_processor()}, {platform.machine()}, {processors} to be used",
        "memory": _memory(),
        "free on disk": f"{shutil.disk_usage('.').free / 1e9:.1f} GB here",
    }


def _processor() -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory() -> str:
    found = dict(re.findall(r"(MemTotal|MemAvailable):\s+(\d+) kB", _text("/proc/meminfo")))
    if len(found) < 2:
        return "unknown"
    return f"{int(found['MemAvailable']) / 1e6:.1f} of {int(found['MemTotal']) / 1e6:.1f} GB free"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _environment() -> dict[str, str]:
    """What changes how TensorFlow, Keras and tfeff work."""
    return {name: value for name, value in sorted(os.environ.items()) if _VARIABLES.fullmatch(name)}


def _packages() -> list[dict[str, Any]]:
    """What tfeff requires, by its own metadata: all that it needs, then what its extras need."""
    from packaging.requirements import Requirement  # Keras needs it too

    found: dict[str, dict[str, Any]] = {}
    for line in metadata.requires("tfeff") or ():
        wanted = Requirement(line)
        extra = (re.findall(r'extra == [\'"]([\w-]+)', line) or [""])[0]
        if extra in ("test", "dev") or (wanted.marker and not wanted.marker.evaluate({"extra": extra})):
            continue
        version, fault = _version(wanted.name), "is not installed"
        if version is not None:
            fits = wanted.specifier.contains(version, prereleases=True)
            fault = "" if fits else f"{version} is installed, {wanted.specifier} is wanted"
        found.setdefault(wanted.name, {"name": wanted.name, "version": version, "wanted": str(wanted.specifier),
                                       "extra": extra, "fault": fault})  # fmt: skip
    return list(found.values())


def _tools() -> dict[str, dict[str, str]]:
    """Programs, by name: where each was found, or how to get it."""
    found = {}
    for name, (variable, use, mend) in _TOOLS.items():
        beside = shutil.which(name, path=str(Path(sys.executable).parent))
        path = shutil.which(os.environ.get(variable) or name) or beside or ""
        found[name] = {"path": path, "for": use, "mend": "" if path else mend}
    return found


def _devices() -> dict[str, str]:
    """Where files can be timed: this machine, and phones where adb's server runs already; none is started."""
    runtime = _version("ai-edge-litert")
    found = {"local": f"ai-edge-litert {runtime}" if runtime else "no runtime"}
    try:
        found["phones"] = ", ".join(_phones()) or "none ready"
    except OSError:
        found["phones"] = "not looked for: adb's server does not run (`adb devices` starts it)"
    return found


def _phones() -> list[str]:
    """Asks adb's server; see `client.Phone` for its environment variable."""
    import socket

    port = int(os.environ.get("ANDROID_ADB_SERVER_PORT") or 5037)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as server:
        server.sendall(b"000chost:devices")
        with server.makefile("rb") as answer:
            if answer.read(4) != b"OKAY":
                return []
            length = answer.read(4)
            return answer.read(int(length, 16)).decode(errors="replace").replace("\t", " ").split("\n")[:-1]


def _data() -> dict[str, str]:
    from tfeff.data.fashion_mnist import find_fashion_mnist

    place = find_fashion_mnist()
    return {"fashion_mnist": str(place) if place else "the bundled sample only (docs/data.md)"}


def _version(name: str) -> str | None:
    """Of an installed package; None where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
