"""Networks of keras.applications at their own size in int8, against what TensorFlow's own converter makes of them.

    python benchmarks/keras_applications.py PHOTOGRAPHS [--only NAME ...] [--write]

PHOTOGRAPHS is a folder of images; crops of them are what is calibrated on, and others what is compared on. Weights are
random, for there is no network here to fetch trained ones from: batch normalization gets the statistics of the crops,
so that every layer gives values of a sane size, and the last layer is scaled until its logits differ by a few units
from image to image. Each network is exported by `tfeff export --int8` in a process of its own, whose peak memory is
that of its largest process. Without --write the rows are printed; with it they go into
docs/results/keras_applications.json, beside those that are there, and docs/keras-applications.md is made of all.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"
RESULTS, PAGE = DOCS / "results" / "keras_applications.json", DOCS / "keras-applications.md"
SCALED, RAW = ("127.5", "127.5"), ("0", "1")
# Smallest first: what `preprocess_input` does, as mean and deviation (ResNet and DenseNet take other colours' means, to
# which weights that are random are equal).
NETWORKS = {
    "MobileNetV2": SCALED, "MobileNetV3Large": RAW, "NASNetMobile": SCALED, "EfficientNetB0": RAW,
    "EfficientNetV2B0": RAW, "DenseNet121": SCALED, "ResNet50": SCALED, "Xception": SCALED, "ConvNeXtTiny": RAW,
}  # fmt: skip
SIZE, CALIBRATION, HELD, SETTLED = 224, 64, 32, 16


def crops(folder: Path, count: int, seed: int) -> np.ndarray:
    """(count, 224, 224, 3) uint8: crops of the folder's images, of a random place, size and side."""
    from PIL import Image

    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    random, made = np.random.default_rng(seed), []
    for number in range(count):
        image = Image.open(paths[number % len(paths)]).convert("RGB")
        side = int(min(image.size) * random.uniform(0.3, 1))
        left, top = (int(random.integers(0, length - side + 1)) for length in image.size)
        crop = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        made.append(np.asarray(crop)[:, :: random.choice([-1, 1])])
    return np.stack(made)


def build(name: str, images: np.ndarray):
    """The network with weights as described above.

    Args:
        images: float, as it takes them.
    """
    import keras

    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIZE, SIZE, 3), classifier_activation=None)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    random = np.random.default_rng(2)
    for layer in model._flatten_layers():
        for weight in layer.weights:
            if weight.name == "gamma":  # of ConvNeXt's layer scale too, which begins at 1e-6
                weight.assign(random.uniform(0.7, 1.3, weight.shape))
    kept = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(images, training=True)
    for layer, momentum in zip(norms, kept, strict=True):
        layer.momentum = momentum
    last = next(
        layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)
    )
    spread = model.predict(images, verbose=0, batch_size=8).std(0).mean()
    last.set_weights([last.kernel.numpy() * 2 / max(spread, 1e-6), last.bias.numpy()])
    return model


def stock(model, images: np.ndarray, path: Path) -> None:
    """What TensorFlow's guide says to do."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())


def prepare(name: str, photographs: Path, folder: Path) -> None:
    """Everything that needs Keras, in a process of its own: the model, its samples, what it gives for others, and the
    stock converter's file."""
    mean, std = (float(number) for number in NETWORKS[name])
    calibration, held = crops(photographs, CALIBRATION, 0), crops(photographs, HELD, 1)
    given = [(images.astype(np.float32) - mean) / std for images in (calibration, held)]
    model = build(name, given[0][:SETTLED])
    model.save(folder / "model.keras")
    np.savez(folder / "calibration.npz", images=calibration)
    np.savez(folder / "held.npz", given=given[1], wanted=model.predict(given[1], verbose=0, batch_size=8))
    try:
        stock(model, given[0], folder / "stock.tflite")
    except Exception as error:  # the converter raises whatever it likes
        (folder / "stock.txt").write_text(str(error).splitlines()[0][:200])


def distance(path: Path, held) -> dict:
    """SQNR of a file in dB, and how many percent of the images it gives the same class."""
    from tfeff.compare import Runner

    runner = Runner(path)
    (name,) = (port.name for port in runner.inputs)
    given = np.stack([next(iter(runner({name: image}).values())) for image in held["given"]])
    wanted = held["wanted"]
    error = np.sum(np.square(given - wanted, dtype=float))
    return {
        "sqnr_db": round(10 * float(np.log10(np.sum(np.square(wanted, dtype=float)) / error)), 2),
        "agreement": round(100 * float(np.mean(given.argmax(1) == wanted.argmax(1))), 1),
    }


def measure(name: str, photographs: Path, folder: Path) -> dict:
    """The row of a network."""
    subprocess.run([sys.executable, __file__, str(photographs), "--prepare", name, str(folder)], check=True)
    mean, std = NETWORKS[name]
    start = time.perf_counter()
    # Features of random networks lie far apart now and then, which the audit takes for damaged images: --allow-audit.
    command = ["export", str(folder / "model.keras"), "--int8", "--no-bench", "--json", "--quiet", "--allow-audit",
               "--calibration", str(folder / "calibration.npz"), "--mean", mean, "--std", std,
               "--out", str(folder / "out")]  # fmt: skip
    code, peak, given, errors = run_measured([sys.executable, "-m", "tfeff", *command], folder)
    row = {"network": name, "seconds": round(time.perf_counter() - start), "peak_mib": peak, "code": code}
    if code:
        return row | {"error": " ".join(errors.split())[-300:]}
    record, held = json.loads(given), np.load(folder / "held.npz")
    file = next((folder / "out").glob("*.int8.tflite"))
    simulation = record["quantization"].get("simulation") or {}
    row |= {
        "ours": distance(file, held) | {"sha256": record["sha256"]},
        "units": simulation.get("units"), "beyond": simulation.get("beyond"), "method": record["calibration"]["method"],
        "float_ops": len(record["ops"]["float"]),
    }  # fmt: skip
    if not (folder / "stock.tflite").is_file():
        return row | {"stock_error": (folder / "stock.txt").read_text()}
    row["stock"] = distance(folder / "stock.tflite", held)
    timed = subprocess.run(
        [sys.executable, "-m", "tfeff", "bench", str(folder / "stock.tflite"), str(file), "--json", "--quiet"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(timed.stdout)
    row["stock_ms"], row["ours_ms"] = (result["median_ms"] for result in found["results"])
    row["ratio"], row["ratio_ci95"] = found["ratios"][0]["ratio"], found["ratios"][0]["ci95"]
    return row


def run_measured(command: list[str], folder: Path) -> tuple[int, int, str, str]:
    """Exit code, MiB of the largest process, output and errors of a command.

    The memory is that of this command and its own children (`wait4`), not of others that ran before it.
    """
    with open(folder / "output", "w+") as output, open(folder / "errors", "w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        output.seek(0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024, output.read(), errors.read()


def page(rows: list[dict]) -> str:
    """docs/keras-applications.md"""
    lines = [
        "# Networks of keras.applications in int8\n\n",
        "`benchmarks/keras_applications.py`: random weights, batch normalization with the statistics of photographs, ",
        f"{SIZE}x{SIZE} pixels, calibrated on {CALIBRATION} crops, compared with Keras on {HELD} others. *Stock* is ",
        "TensorFlow's own converter on the same crops; time is stock over ours in one interleaved run. The share of ",
        "equal classes says little of random weights, whose classes lie close together. Peak memory is that of the ",
        "largest process of the export.\n\n",
        "| network | SQNR dB, stock | same class %, stock | ms, stock, ratio | units beyond | peak MiB | seconds ",
        "| sha256 |\n",
        "|---|---|---|---|---|---|---|---|\n",
    ]
    for row in rows:
        if "error" in row:
            lines.append(
                f"| {row['network']} | refused: {row['error']} | | | | {row['peak_mib']:,} | {row['seconds']} | |\n"
            )
            continue
        ours, rival = row["ours"], row.get("stock", {})
        times = f"{row['ours_ms']:.2f}, {row['stock_ms']:.2f}, {1 / row['ratio']:.2f}" if "ratio" in row else ""
        name = f"{row['network']} ({row['note']})" if "note" in row else row["network"]
        peak = f"{row['peak_mib']:,}" if row["peak_mib"] else "not measured"
        lines.append(
            f"| {name} | {ours['sqnr_db']}, {rival.get('sqnr_db', 'none')} | {ours['agreement']}, "
            f"{rival.get('agreement', 'none')} | {times} | {len(row['beyond'] or [])} of {row['units']} | "
            f"{peak} | {row['seconds']} | `{ours['sha256'][:12]}` |\n"
        )
    return "".join([*lines, f"\n{rows[0]['versions']}.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        return prepare(given.prepare[0], given.photographs, Path(given.prepare[1]))
    known = {row["network"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.is_file() else {}
    versions = ", ".join(f"{name} {version(name)}" for name in ("tfeff", "tensorflow", "keras", "ai-edge-litert"))
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(name, given.photographs, Path(folder)) | {"versions": f"{versions}, {platform.machine()}"}
        print(json.dumps(row), flush=True)
        known[name] = row
        if given.write:
            rows = [known[each] for each in NETWORKS if each in known]
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            PAGE.write_text(page(rows), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
