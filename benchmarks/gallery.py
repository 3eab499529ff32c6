"""The gallery: every bundled preset exported for `litert` and `tflite-runtime`, as one report.

    python benchmarks/gallery.py [PRESET ...] [--target TARGET ...] [--on DEVICE ...] [--anew] [--docs FOLDER]

Runs `tfeff export PRESET --int8 --target T` and `tfeff debug FILE --record` for each, in `runs/gallery/`, and writes
docs/gallery.html and docs/gallery.md with `tfeff report --verify`. What an earlier run finished is kept, so it can be
stopped at any time and started again; --anew measures again. Exit code 1 when an export fails; the report then tells
of the others.
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from tfeff.artifact import open_artifact, record_path, verify_twin
from tfeff.errors import TfeffError
from tfeff.presets import aliases, list_presets

ROOT = Path(__file__).resolve().parents[1]
WORK = Path("runs") / "gallery"  # below ROOT, where the commands run: records hold no path of this machine
TARGETS = ("litert", "tflite-runtime")
TFLITE_RUNTIME = Path(".venv-tflite") / "bin" / "python"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="presets or their aliases; all without")
    parser.add_argument("--target", action="append", help="repeat it (default: litert and tflite-runtime)")
    parser.add_argument("--on", action="append", help="a device; repeat it (default: local, and .venv-tflite's Python)")
    parser.add_argument("--anew", action="store_true", help="measure again what is there")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the report goes (default: docs)")
    arguments = parser.parse_args()
    bundled = list_presets("classification")
    chosen = [aliases().get(name, name) for name in arguments.presets] or list(bundled)
    if unknown := set(chosen) - set(bundled):
        parser.error(f"not bundled: {', '.join(sorted(unknown))}")
    devices = arguments.on or ["local", *([f"python:{TFLITE_RUNTIME}"] if (ROOT / TFLITE_RUNTIME).exists() else [])]
    (ROOT / WORK).mkdir(parents=True, exist_ok=True)
    failed = []
    for preset in chosen:
        for target in arguments.target or TARGETS:
            record = WORK / record_path(Path(file_name(preset, target)))
            steps = ["export", "debug"] if arguments.anew else missing(ROOT / record, devices)
            if not steps:
                print(f"{preset} for {target}: there", file=sys.stderr)
                continue
            start = time.monotonic()
            try:
                make(steps, preset, target, record.with_suffix(".tflite"), devices)
                print(f"{preset} for {target}: {time.monotonic() - start:.0f} s", file=sys.stderr)
            except subprocess.CalledProcessError as error:
                failed.append(f"{preset} for {target}")
                print(f"{failed[-1]}: exit code {error.returncode}\n{error.stderr}", file=sys.stderr)
    write_report(arguments.docs.resolve(), devices)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def file_name(preset: str, target: str) -> str:
    """What `tfeff export` calls the int8 file of a preset."""
    return f"{preset}.int8{'' if target == 'litert' else '.' + target}.tflite"


def missing(record: Path, devices: list[str]) -> list[str]:
    """What is still to be done for an artifact: "export", which compares and times it as well, and "debug"."""
    try:
        artifact = open_artifact(record)
        verify_twin(artifact)
    except TfeffError:
        return ["export", "debug"]
    found = artifact.record
    exported = found is not None and found.accuracy and len(found.latency) >= len(devices)
    return ["export", "debug"] if not exported else [] if found.debug else ["debug"]


def make(steps: list[str], preset: str, target: str, file: Path, devices: list[str]) -> None:
    """Exports a preset and measures its layers; raises CalledProcessError when a command fails."""
    on = [word for device in devices for word in ("--on", device)]
    if "export" in steps:
        run("export", preset, "--int8", "--target", target, "--out", str(WORK), "--force", "--quiet", *on)
    run("debug", str(file), "--record", "--quiet")


def write_report(folder: Path, devices: list[str]) -> None:
    """docs/gallery.html and docs/gallery.md, of all that is finished."""
    records = [path for path in sorted((ROOT / WORK).glob("*.json")) if not missing(path, devices)]
    if not records:
        sys.exit("gallery: nothing is finished")
    paths = [str(path.relative_to(ROOT)) for path in records]
    for name in ("gallery.html", "gallery.md"):
        words = ["--verify", "--force", "--quiet", "--title", "Gallery: every bundled preset in int8"]
        run("report", *paths, "--out", str(folder / name), *words)
    print(f"{folder / 'gallery.html'}: {len(records)} artifacts", file=sys.stderr)


def run(*words: str) -> None:
    """Runs a command of ours; told to stop, it lets the command tidy up first."""
    command = [sys.executable, "-m", "tfeff", *words]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            _, said = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    main()
