"""Builds what `--on emulated:aarch64` needs: `python -m tfeff.bench.arm_root`.

An ARM Linux of Debian packages with Python and NumPy, in it the real aarch64 wheels of LiteRT and tflite-runtime, and
QEMU's user-mode emulation, which runs single ARM programs on this machine. Nothing outside the folder is changed.

    root/                     Debian 12, arm64; the runtimes under /opt/litert and /opt/tflite-runtime
    qemu-aarch64              Debian 13's, statically linked: runs on any x86-64 Linux
    qemu-aarch64-counting     with --counting: built from Debian's source with plugins
    count_instructions.so     with --counting: `count_instructions.c`
    versions.json             what all that is; written last

Needs apt and mmdebstrap (Debian or Ubuntu with debian-archive-keyring), and for --counting a C compiler, ninja,
pkg-config and GLib's headers.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.files import home

SCHEMA_VERSION = 1
SUITE, QEMU_SUITE = "bookworm", "trixie"  # QEMU 7.2, bookworm's, crashes in LiteRT's kernels
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgcc-s1", "zlib1g", "libssl3", "libffi8",
    "libexpat1", "libbz2-1.0", "liblzma5", "libuuid1", "libc-bin", "dash", "coreutils", "grep", "sed",
)  # fmt: skip
NUMPY = "numpy==1.26.4"  # the newest that tflite-runtime takes is below 2
WHEELS = {
    "litert": (
        "ai-edge-litert==2.3.0", NUMPY, "flatbuffers==25.12.19", "ml_dtypes==0.5.3", "protobuf==6.33.1",
        "tqdm==4.67.1", "typing-extensions==4.15.0", "backports.strenum==1.2.8",
    ),
    "tflite-runtime": ("tflite-runtime==2.14.0", NUMPY),
}  # fmt: skip
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")
BUILD_TOOLS = ("meson==1.8.2", "pycotap==1.3.1")
COMMAND = "python -m tfeff.bench.arm_root"


def default_folder() -> Path:
    """Where it is built and looked for: TFEFF_AARCH64, else in the user's cache."""
    named = os.environ.get("TFEFF_AARCH64")
    cache = os.environ.get("XDG_CACHE_HOME") or home() / ".cache"
    return Path(named) if named else Path(cache) / "tfeff" / "aarch64"


def versions(folder: Path) -> dict[str, Any]:
    """What was built there.

    Raises:
        TfeffError: nothing was, or for another version of this file.
    """
    try:
        found = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise TfeffError(f"{folder}: no ARM root is there", f"build it once: `{COMMAND}`") from None
    if found.get("schema_version") != SCHEMA_VERSION:
        raise TfeffError(f"{folder}: was built by another version of tfeff", f"build it anew: `{COMMAND} --force`")
    return found


def build(
    folder: Path,
    *,
    counting: bool = False,
    include: tuple[str, ...] = (),
    mirror: str = "",
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Builds all of it beside `folder`, then puts it there in one step, in the place of what was there.

    Args:
        counting: also builds the QEMU that counts instructions (some minutes).
        include: further Debian packages for the root.
        mirror: address of a Debian mirror; the one that this system's apt uses where that is Debian.
        say: is told each step.

    Returns:
        What is in its versions.json.

    Raises:
        TfeffError: a tool is missing or failed; nothing is left behind.
    """
    _need("apt-get", "mmdebstrap", *(("cc", "ninja", "pkg-config") if counting else ()))
    if counting:
        _run(["pkg-config", "--exists", "glib-2.0"], "GLib's headers are missing", "apt-get install libglib2.0-dev")
    if not KEYRING.exists():
        raise TfeffError(f"{KEYRING} is missing", "apt-get install debian-archive-keyring")
    mirror = mirror or _mirror()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=folder.name + ".", dir=folder.parent) as name_of_scratch:
        scratch = Path(name_of_scratch)
        new = scratch / "new"
        new.mkdir()
        say("ARM root from Debian packages")
        _root(new / "root", mirror, include)
        for name, wheels in WHEELS.items():
            say(f"wheels of {name}")
            _wheels(new / "root" / "opt" / name, wheels)
        say("QEMU")
        apt = _Apt(scratch / "apt", mirror)
        found: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "debian": SUITE,
            "include": sorted(include),
            "wheels": WHEELS,
            "qemu": apt.qemu(new / "qemu-aarch64"),
            "counting": None,
        }
        if counting and _reused(folder, new, found["qemu"]):
            found["counting"] = found["qemu"]
        elif counting:
            say("QEMU that counts instructions, from its source: some minutes")
            found["counting"] = _counting(apt, scratch, new)
        say("first start of the runtimes")
        for name in WHEELS:
            _first_start(new, name)
        (new / "versions.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        _replace(folder, new, scratch / "old")
    return found


def _replace(folder: Path, new: Path, old: Path) -> None:
    if folder.exists():
        folder.rename(old)
    new.rename(folder)


COUNTING = ("qemu-aarch64-counting", "count_instructions.so")


def _reused(folder: Path, new: Path, version: str) -> bool:
    """Copies the QEMU that counts out of an earlier build, if it is of this version and of this plugin."""
    try:
        same = versions(folder).get("counting") == version
        source = Path(__file__).with_name("count_instructions.c").stat().st_mtime
        if not same or (folder / COUNTING[1]).stat().st_mtime < source:
            return False
        for name in COUNTING:
            shutil.copy2(folder / name, new / name)
    except (TfeffError, OSError):
        return False
    return True


def _root(root: Path, mirror: str, include: tuple[str, ...]) -> None:
    # Backports first: some packages that one may include are only there, with newer libraries than the suite's own.
    preferred = [f'--aptopt=Apt::Default-Release "{SUITE}-backports"'] if include else []
    lines = [f"deb [signed-by={KEYRING}] {mirror} {one} main" for one in (SUITE, f"{SUITE}-backports")]
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64", *preferred]
    command += [f"--include={','.join((*PACKAGES, *include))}", SUITE, str(root)]
    _run([*command, *(lines if include else lines[:1])], "the ARM root could not be made of Debian's packages",
         "see what mmdebstrap says; is the mirror right (--mirror), and does it have these packages?")  # fmt: skip


def _wheels(target: Path, wheels: tuple[str, ...]) -> None:
    platforms = [f"--platform={name}_aarch64" for name in PLATFORMS]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--only-binary=:all:", "--python-version=311", "--implementation=cp", *platforms]
    _run([*command, f"--target={target}", *wheels], "the ARM wheels could not be fetched",
         "see what pip says; is a package index within reach?")  # fmt: skip


def _first_start(new: Path, runtime: str) -> None:
    """Imports a runtime under emulation: it must work, and Python keeps what it compiled, which takes seconds there."""
    root, module = new / "root", {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}[runtime]
    env = {"PATH": os.environ.get("PATH", ""), "PYTHONHOME": f"{root}/usr", "PYTHONPATH": f"{root}/opt/{runtime}"}
    command = [f"{new}/qemu-aarch64", "-L", str(root), f"{root}/usr/bin/python3.11"]
    command += ["-c", f"import {module}.interpreter, json, numpy, base64, platform"]
    _run(command, f"{runtime} does not start under emulation", "build it anew with --force", env=env)


class _Apt:
    """An apt of our own beside the system's, which reads another suite and installs nothing."""

    def __init__(self, folder: Path, mirror: str):
        for name in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        self.folder, self.config = folder, folder / "apt.conf"
        line = f"[signed-by={KEYRING}] {mirror} {QEMU_SUITE} main"
        (folder / "etc/apt/sources.list").write_text(f"deb {line}\ndeb-src {line}\n")
        self.config.write_text(
            f'Dir "{folder}";\nDir::State::status "{folder}/status";\nDir::Etc::sourceparts "none";\n'
            f'APT::Architecture "amd64";\nAPT::Architectures "amd64";\nAPT::Sandbox::User "";\n'
        )
        self.run("apt-get", "-qq", "update")

    def run(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        mend = "see what apt says; is the mirror right (--mirror)?"
        return _run([tool, "-c", str(self.config), *arguments], "QEMU could not be fetched from Debian", mend, cwd)

    def qemu(self, path: Path) -> str:
        """Puts Debian's statically linked qemu-aarch64 at `path`; its version."""
        self.run("apt-get", "-qq", "download", "qemu-user", cwd=self.folder)
        (package,) = self.folder.glob("qemu-user_*.deb")
        with tempfile.TemporaryDirectory(dir=self.folder) as unpacked:
            _run(["dpkg-deb", "-x", str(package), unpacked], "QEMU's package cannot be unpacked", "")
            shutil.move(Path(unpacked) / "usr/bin/qemu-aarch64", path)
        return qemu_version(path)


def _counting(apt: _Apt, scratch: Path, new: Path) -> str:
    """Builds the QEMU with plugins and our plugin; its version."""
    apt.run("apt-get", "-qq", "source", "--download-only", "qemu", cwd=scratch)
    (source,) = scratch.glob("qemu_*.orig.tar.xz")
    tree, tools = scratch / "source", scratch / "tools"
    failed, mend = "QEMU could not be built", "see what it says above; bytes can be compared without --counting"
    tree.mkdir()
    _run(["tar", "xf", str(source), "-C", str(tree), "--strip-components=1"], failed, mend)
    _run([sys.executable, "-m", "venv", str(tools)], failed, mend)
    python = tools / "bin" / "python"
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *BUILD_TOOLS], failed, mend)
    work = tree / "build"
    work.mkdir()
    options = ["--target-list=aarch64-linux-user", "--without-default-features", "--enable-plugins"]
    options += ["--disable-install-blobs", "--disable-system", "--disable-tools", f"--python={python}"]
    env = {**os.environ, "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    _run(["../configure", *options], failed, mend, work, env)
    _run(["ninja", "qemu-aarch64"], failed, mend, work, env)
    binary = new / COUNTING[0]
    _run(["strip", "-o", str(binary), str(work / "qemu-aarch64")], failed, mend)
    flags = _run(["pkg-config", "--cflags", "glib-2.0"], failed, mend).split()
    plugin, ours = new / COUNTING[1], Path(__file__).with_name("count_instructions.c")
    command = ["cc", "-O2", "-shared", "-fPIC", f"-I{tree / 'include' / 'qemu'}", *flags, str(ours), "-o", str(plugin)]
    _run(command, "the plugin that counts could not be built", mend)
    return qemu_version(binary)


def qemu_version(path: Path) -> str:
    """The version that a QEMU says it has, such as "10.0.13"."""
    said = _run([str(path), "--version"], f"{path} cannot be run", "it is for x86-64 Linux")
    found = re.search(r"version (\S+)", said)
    if found is None:
        raise TfeffError(f"{path}: does not tell its version ({said.strip()[:80]!r})", "is it a QEMU?")
    return found[1]


def _mirror() -> str:
    said = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(SITE)"], "apt cannot be asked", "")
    addresses = [line.split()[1] for line in said.splitlines() if line.startswith("Debian ") and "security" not in line]
    if not addresses:
        raise TfeffError(
            "this system's apt has no Debian mirror", "run `apt-get update` once, or name one with --mirror"
        )
    return addresses[0]


def _need(*tools: str) -> None:
    packages = {"cc": "gcc", "ninja": "ninja-build", "apt-get": "apt"}
    missing = [packages.get(tool, tool) for tool in tools if not shutil.which(tool)]
    if missing:
        raise TfeffError(f"{', '.join(missing)}: not installed", f"apt-get install {' '.join(missing)}")


def _run(command: list[str], what: str, mend: str, cwd: Path | None = None, env: dict | None = None) -> str:
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, errors="replace")
    if ran.returncode:
        lines = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
        last = f" ({lines[-1][:300]})" if lines else ""
        raise TfeffError(f"{what}: {command[0]} ended with exit code {ran.returncode}{last}", mend)
    return ran.stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder (default: TFEFF_AARCH64, else in the user's cache)")
    parser.add_argument("--counting", action="store_true", help="also build the QEMU that counts instructions")
    parser.add_argument("--include", action="append", default=[], metavar="PACKAGE", help="further Debian package")
    parser.add_argument("--mirror", default="", help="address of a Debian mirror (default: the system's own)")
    parser.add_argument("--force", action="store_true", help="build it anew where it is there")
    options = parser.parse_args(arguments)
    folder, include = (options.out or default_folder()).absolute(), tuple(options.include)
    try:
        try:
            found = versions(folder)
            if (
                set(include) <= set(found["include"])
                and (found["counting"] or not options.counting)
                and not options.force
            ):
                print(f"{folder}: is there already", file=sys.stderr)
                return 0
        except TfeffError:
            if folder.exists() and any(folder.iterdir()) and not options.force:
                raise TfeffError(f"{folder}: holds something else", "name another folder, or say --force") from None
        say = lambda step: print(f"{step} ...", file=sys.stderr, flush=True)  # noqa: E731
        build(folder, counting=options.counting, include=include, mirror=options.mirror, say=say)
    except TfeffError as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{folder}: built", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
