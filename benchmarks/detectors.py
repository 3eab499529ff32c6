"""Detectors in int8 at 320x320: as `tfeff export` makes them, and as TensorFlow's own converter does.

    python benchmarks/detectors.py [--only NETWORK ...] [--tflite-runtime PYTHON] [--seconds 20] [--write]

Weights are random, for there is no network here to fetch trained ones from; batch normalization gets the statistics of
the images, so that every layer gives values of a sane size. Images are fashion_scenes at 320x320. Each network is
exported for LiteRT, for tflite-runtime (where --tflite-runtime names a Python that has it) and for Ethos-U, and
converted by the stock converter from the same Keras network and the same images. Both files are timed in one
interleaved run on each runtime; of Ethos-U Vela's estimate of cycles counts. With --write the rows go into
docs/results/detectors.json, and docs/detectors.md is made of all.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"
RESULTS, PAGE = DOCS / "results" / "detectors.json", DOCS / "detectors.md"
NETWORKS = ("pico_det_esnet_s", "ssdlite_mobilenet_v3_large")
SIZE, CALIBRATION = 320, 4
MEAN, STD = "128", "64"
TARGETS = ("litert", "tflite-runtime", "ethos-u")


def scenes(count: int, split: str) -> np.ndarray:
    """uint8 (count, 320, 320, 3)"""
    from PIL import Image

    from tfeff.data import open_dataset

    dataset = open_dataset("fashion_scenes_sample", split)
    images = (Image.fromarray(dataset.image(number)) for number in range(count))
    return np.stack([np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for image in images])


def settle(model, images: np.ndarray) -> None:
    """Gives every BN the statistics of the images, and scales and shifts of a half: with those that it begins with,
    values fade away, or rounding is magnified a thousandfold."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
        for values in (layer.gamma, layer.beta):
            values.assign(np.full(values.shape, 0.5, np.float32))
    model(images, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def prepare(name: str, folder: Path) -> None:
    """Everything that needs Keras, in a process of its own: the network, its images, and the stock converter's file."""
    import keras
    import tensorflow as tf

    from tfeff import create
    from tfeff.networks.detection import spec_of

    keras.utils.set_random_seed(1)
    images = scenes(CALIBRATION, "train")
    given = (images.astype(np.float32) - float(MEAN)) / float(STD)
    model = create(name, input_shape=(SIZE, SIZE, 3))
    settle(model, given)
    model.save(folder / f"{name}.keras")
    (folder / "heads.json").write_text(json.dumps(spec_of(name, model).as_dict()))
    np.savez(folder / "calibration.npz", images=images)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in given)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / "stock.tflite").write_bytes(converter.convert())


def run(*words) -> dict:
    """What a command of tfeff says as JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "tfeff", *map(str, words), "--json", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit code {ran.returncode}\n{ran.stderr}")
    return json.loads(ran.stdout)


def measure(name: str, folder: Path, python: str | None, seconds: float) -> dict:
    """The row of a network."""
    subprocess.run([sys.executable, __file__, "--prepare", name, str(folder)], check=True)
    files = {"stock": folder / "stock.tflite"}
    records = {}
    for target in TARGETS:
        out = folder / f"{target}.tflite"
        records[target] = run(
            "export", folder / f"{name}.keras", "--int8", "--target", target, "--out", out, "--no-bench",
            "--task", f"detection:{folder / 'heads.json'}", "--calibration", folder / "calibration.npz",
            "--mean", MEAN, "--std", STD, "--calibration-method", "minmax", "--no-correct-bias", "--allow-audit",
        )  # fmt: skip
        files[target] = out
    row = {"network": name, "files": {}, "times": []}
    for key, path in files.items():
        row["files"][key] = {
            "sha256": sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size,
        }  # fmt: skip
    devices = {"litert": "local"} | ({"tflite-runtime": f"python:{python}"} if python else {})
    for target, device in devices.items():
        found = run("bench", files["stock"], files[target], "--on", device, "--max-seconds", seconds, "--no-record")
        stock, ours = found["results"]
        row["times"].append({
            "target": target, "runtime": ours["runtime"], "version": ours["version"], "cpu": ours["environment"]["cpu"],
            "threads": ours["threads"], "stock_ms": stock["median_ms"], "ours_ms": ours["median_ms"],
            "ratio": found["ratios"][0]["ratio"], "ci95": found["ratios"][0]["ci95"],
        })  # fmt: skip
    vela = folder / "vela"
    vela.mkdir()
    row["cycles"] = {
        "stock": vela_cycles(files["stock"], vela), "ours": records["ethos-u"]["compiled"]["estimates"]["cycles"],
        "compiler": records["ethos-u"]["compiled"]["compiler"], "version": records["ethos-u"]["compiled"]["version"],
        "accelerator": records["ethos-u"]["compiled"]["accelerator"],
    }  # fmt: skip
    return row


def vela_cycles(path: Path, folder: Path) -> int | None:
    """What Vela estimates for a file; None where it leaves operations to the CPU, for which it has no estimate."""
    from tfeff.export.targets.ethos_u import compiler as vela

    made = vela.compile(path, folder, vela.DEFAULT_ACCELERATOR).as_dict()
    return made["estimates"]["cycles"]


def page(rows: list[dict]) -> str:
    """docs/detectors.md"""
    first = rows[0]["times"][0]
    lines = [
        "# Detectors in int8: times\n\n",
        f"`benchmarks/detectors.py`: {SIZE}x{SIZE}, random weights with the statistics of images, min-max ranges of ",
        f"{CALIBRATION} images. *Stock* is TensorFlow's own converter on the same Keras network and images. Times are ",
        "medians of one interleaved run, stock over ours is paired by round, with its 95 % interval; above 1 ours is ",
        f"faster. {first['cpu']}, {rows[0]['cores']} cores, {first['threads']} thread, other work beside it. Random ",
        "weights say nothing of accuracy.\n\n",
        "In LiteRT the difference is HARD_SWISH, of which XNNPACK has no int8 kernel: `hard_swish:add_mul` makes ADD",
        " and MUL. tflite-runtime and Ethos-U take it as it is, so their files do much the same as stock.\n\n",
        "| network | target | runtime | stock | ours | stock / ours | sha256, stock and ours |\n",
        "|---|---|---|---|---|---|---|\n",
    ]
    for row in rows:
        stock = row["files"]["stock"]
        for time in row["times"]:
            ours = row["files"][time["target"]]
            low, high = time["ci95"]
            lines.append(
                f"| `{row['network']}` | {time['target']} | {time['runtime']} {time['version']} | "
                f"{time['stock_ms']:.2f} ms | {time['ours_ms']:.2f} ms | **{1 / time['ratio']:.2f}** [{1 / high:.2f}, "
                f"{1 / low:.2f}] | `{stock['sha256'][:12]}` `{ours['sha256'][:12]}` |\n"
            )
        cycles, ours = row["cycles"], row["files"]["ethos-u"]
        lines.append(
            f"| `{row['network']}` | ethos-u | {cycles['compiler']} {cycles['version']}, {cycles['accelerator']}, its "
            f"estimate | {cycles['stock']:,} cycles | {cycles['ours']:,} cycles | "
            f"**{cycles['stock'] / cycles['ours']:.2f}** | `{stock['sha256'][:12]}` `{ours['sha256'][:12]}` |\n"
        )
    return "".join([*lines, f"\n{rows[0]['versions']}.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--tflite-runtime", metavar="PYTHON")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--keep", type=Path, help="A folder for the files; without it they go.")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        return prepare(given.prepare[0], Path(given.prepare[1]))
    known = {row["network"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.is_file() else {}
    versions = ", ".join(f"{name} {version(name)}" for name in ("tfeff", "tensorflow", "keras", "ai-edge-litert"))
    for name in given.only:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) if given.keep is None else given.keep / name
            folder.mkdir(parents=True, exist_ok=True)
            row = measure(name, folder, given.tflite_runtime, given.seconds)
        row |= {"versions": f"{versions}, {platform.machine()}", "cores": os.cpu_count()}
        print(json.dumps(row), flush=True)
        known[name] = row
        if given.write:
            rows = [known[each] for each in NETWORKS if each in known]
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            PAGE.write_text(page(rows), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
