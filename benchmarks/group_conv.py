"""Does the split rewrite pay in tflite-runtime? VarGNet v1 1.0 (G = 8), int8, 224x224: `--target tflite-runtime`
against the stock conversion of the same network, in one interleaved run, and their outputs on real images compared.

    python benchmarks/group_conv.py --on python:.venv-tflite/bin/python [--images 100] [--json]

The weights are random (nobody publishes trained ones): time does not depend on them, the outputs are compared bit by
bit.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from tfeff.bench import Settings, bench
from tfeff.bench.devices import find_device
from tfeff.cli import main as tfeff
from tfeff.data import Preprocessing, open_dataset

NETWORK = "vargnet_v1_100_g8"


def export(target: str, folder: Path) -> Path:
    """The int8 file of the network for a target; the same seed gives the same weights."""
    path = folder / f"{target}.tflite"
    try:
        tfeff(["export", NETWORK, "--int8", "--random-weights", "--target", target, "--samples", "128", "--no-bench",
               "--out", str(path), "--quiet"])  # fmt: skip
    except SystemExit as end:
        if end.code:
            raise
    return path


def difference(device: str, stock: Path, split: Path, count: int) -> dict:
    """The outputs of both files in that runtime on `count` real images, in steps of the output's own scale."""
    images, preprocessing = open_dataset("fashion_mnist_sample", "test"), Preprocessing(size=(224, 224))
    largest, unequal, values = 0, 0, 0
    with find_device(device).start() as a, find_device(device).start() as b:
        inputs = [handle.load(path).inputs[0].name for handle, path in ((a, stock), (b, split))]
        for number in range(count):
            # mean = std = 128 makes the input's scale 1/128 and its zero point 0: the int8 input is pixel - 128.
            pixels = preprocessing.pixels(images.image(number)).astype(np.int16) - 128
            values = pixels.astype(np.int8)[None]
            (one,), (other,) = (
                handle.outputs({name: values}).values() for handle, name in ((a, inputs[0]), (b, inputs[1]))
            )
            steps = np.abs(one.astype(int) - other.astype(int))
            largest, unequal, values = (
                max(largest, int(steps.max())),
                unequal + int((steps > 0).sum()),
                values + steps.size,
            )
    return {"images": count, "max_lsb": largest, "share_unequal": unequal / values}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", default="python:.venv-tflite/bin/python", help="a device with tflite-runtime 2.14")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock, split = export("litert", folder), export("tflite-runtime", folder)
        timing = bench([stock, split], [arguments.on], Settings(max_seconds=arguments.seconds)).as_dict()
        outputs = difference(arguments.on, stock, split, arguments.images)
    results, (ratio,) = timing["results"], timing["ratios"]
    for result, label in zip(results, ("stock", "--target tflite-runtime"), strict=True):
        result["file"] = label
    speedup = [1 / ratio["ratio"], 1 / ratio["ci95"][1], 1 / ratio["ci95"][0]]
    if arguments.json:
        report = {"network": NETWORK, "speedup": speedup[0], "ci95": speedup[1:], "outputs": outputs}
        keys = ("file", "sha256", "runtime", "version", "threads", "median_ms", "ci95_ms", "rounds")
        report["results"] = [{key: result[key] for key in keys} for result in results]
        report["machine"] = {key: results[0]["environment"][key] for key in ("cpu", "cores", "machine", "os")}
        print(json.dumps(report, indent=1))
        return
    for result in results:
        low, high = result["ci95_ms"]
        print(f"{result['file']:25s} {result['median_ms']:8.2f} ms [{low:.2f}, {high:.2f}]  "
              f"sha256 {result['sha256'][:12]}  {result['runtime']} {result['version']}, {result['threads']} thread, "
              f"{result['environment']['cpu']}")  # fmt: skip
    print(f"speed-up {speedup[0]:.2f} [{speedup[1]:.2f}, {speedup[2]:.2f}]")
    print(f"outputs on {outputs['images']} images: at most {outputs['max_lsb']} LSB apart, "
          f"{100 * outputs['share_unequal']:.1f} % of the values differ")  # fmt: skip


if __name__ == "__main__":
    main()
