"""Memory and time of calibration by the number of images: what 10,000 images take beyond 100.

    python benchmarks/calibration_memory.py [PRESET ...]

For each preset the float file is made once. Then a process of its own, without TensorFlow, whose memory would hide
ours, reads the training images of Fashion-MNIST (`fashion_mnist`), runs them with every method that needs histograms,
audits them, leaves out what is to be left out, and finds the ranges; its peak resident memory is the kernel's own
figure (`VmHWM`). Writes docs/results/calibration_memory.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "calibration_memory.json"
FEW, MANY = 100, 10_000
DEFAULT = ("vargnet_v1_025_g8.fashion_mnist", "pp_lcnet_025.fashion_mnist")


def child(file: Path, source: str, count: int, size: int) -> dict:
    """What one calibration took: peak resident KiB, seconds of CPU, and the sum of all ranges."""
    from tfeff.calibration import Activations, Plan, audit, collect, observe, parse_method
    from tfeff.data import Preprocessing, image_port

    ports, method = [image_port(Preprocessing(size=(size, size)))], parse_method("mse")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        calibration = collect(source, ports, folder, samples=count)
        network = Activations(file)
        plan = Plan(network.tensors, method, (), {"image": (-1.0, 1.0)})
        seen = observe(network, calibration.feeds(), calibration.names, folder, histograms=plan.histograms)
        calibration, seen = audit(calibration, network, seen, method, folder)
        total = sum(each.high - each.low for each in plan.ranges(seen))
    return {
        "images": calibration.used,
        "peak_kib": peak_kib(),
        "cpu_s": round(time.process_time(), 1),
        "sum_of_ranges": total,
    }


def peak_kib() -> int:
    """Peak resident memory of this process. Not `getrusage`: what that says is handed on by exec, so that a child of a
    process with TensorFlow in it begins with that one's peak."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise SystemExit("no VmHWM in /proc/self/status: this measurement needs Linux")


def run(file: Path, source: str, count: int, size: int, folder: Path | None = None) -> dict:
    """`child` in a process of its own, started in `folder`."""
    command = [sys.executable, Path(__file__).absolute(), "--child", file, source, count, size]
    ran = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
    return json.loads(ran.stdout)


def ranged_file(name: str, folder: Path) -> Path:
    """The float file of a preset, as an export measures it."""
    from tfeff import presets
    from tfeff.calibration import collect
    from tfeff.export import classifier
    from tfeff.export.quantize import measuring

    preset = presets.load_preset(name)
    known = classifier(preset.build(), preset.name, preset.network, preset.preprocessing, preset.labels)
    images = collect("fashion_mnist_sample", known.inputs, folder, samples=16)
    options = measuring.GraphOptions(try_out=False)
    measuring.ranged_graph(known, images, folder, measuring.Search(), options)
    return folder / "int8" / "ranged.tflite"


def main():
    if sys.argv[1:2] == ["--child"]:
        file, source, count, size = sys.argv[2:]
        print(json.dumps(child(Path(file), source, int(count), int(size))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", default=DEFAULT)
    rows = []
    for name in parser.parse_args().presets:
        with tempfile.TemporaryDirectory() as scratch:
            file = ranged_file(name, Path(scratch))
            few, many = (run(file, "fashion_mnist", count, 32) for count in (FEW, MANY))
        rows.append({"preset": name, "few": few, "many": many, "ratio": many["peak_kib"] / few["peak_kib"]})
        print(f"{name}: {rows[-1]['ratio']:.3f}", json.dumps(rows[-1]), file=sys.stderr)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
