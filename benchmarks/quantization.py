"""What int8 costs every bundled preset, by every way of quantizing it: TensorFlow's converter, each calibration method,
quantization-aware training, tensorflow-model-optimization's.

    python benchmarks/quantization.py [PRESET ...] [--only ptq|corrupted|qat|tfmot] [--jobs 2] [--page]

Every row is an export as a user has it (`tfeff export PRESET --int8 --target litert` with the options that its column
names), compared with its float twin on all 10,000 test images of Fashion-MNIST; intervals are paired. Calibration
images are the 512 bundled training images. `corrupted`: of the same images one is 20 times as strong after
preprocessing, as if its normalization had gone wrong, and of another a tenth of the pixels are white. It writes
docs/results/quantization.json as it goes and docs/quantization-table.md at the end; with PRESETs or --only what is
left out stays as it was.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tfeff.presets import aliases, list_presets, load_preset

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "quantization.json"
CONVERTER = ("--quantizer", "converter")
# column -> what is added to the command
METHODS = {
    "converter": CONVERTER,
    "minmax": ("--calibration-method", "minmax"),
    "percentile": ("--calibration-method", "percentile"),
    "image-percentile": ("--calibration-method", "image-percentile"),
    "mse": ("--calibration-method", "mse"),
    "entropy": ("--calibration-method", "entropy"),
    "default": (),
    "default, biases kept": ("--no-correct-bias",),
}
CORRUPTED = {"converter": CONVERTER, "minmax": METHODS["minmax"], "default": ()}
SCALED, SALTED = 100, 300  # numbers of the corrupted images
PARTS = ("ptq", "corrupted", "qat", "tfmot")
_KEPT = ("float_top1", "quantized_top1", "delta", "ci95", "mcnemar_p", "flips", "samples")


def corrupted_images(preset, path: Path) -> list[str]:
    """Writes the calibration images with two spoilt ones as an `.npz` of network inputs; returns the two's names."""
    from tfeff.data import open_dataset

    preprocessing, images = preset.preprocessing, open_dataset("fashion_mnist_sample", "train")
    inputs = np.stack([preprocessing(images.image(number)) for number in range(512)])
    inputs[SCALED] *= 20
    white = preprocessing.normalize(np.full(preprocessing.shape, 255, np.uint8))
    salt = np.random.default_rng(0).random((*preprocessing.size, 1)) < 0.1
    inputs[SALTED] = np.where(salt, white, inputs[SALTED])
    np.savez(path, images=inputs, labels=images.labels[:512])
    names = open_dataset(str(path), "train", labelled=False).names
    return [names[SCALED], names[SALTED]]


def export(preset: str, options) -> dict:
    """The record of one export."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tfeff", "export", preset, "--int8", "--no-bench", "--json", "--out", folder]
        ran = subprocess.run([*command, "--dataset", "fashion_mnist", *options], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{preset} {' '.join(options)}: exit code {ran.returncode}\n{ran.stderr}")
    return json.loads(ran.stdout)


def row(record: dict) -> dict:
    """What the table needs of a record."""
    quantization = record["quantization"] or {}
    proof = quantization.get("simulation") or {}
    return {
        **{key: record["accuracy"][key] for key in _KEPT},
        "method": record["calibration"]["method"],
        "sha256": record["sha256"],
        "units": proof.get("units"),
        "beyond": proof.get("beyond"),
        "max_lsb": proof.get("max_lsb"),
        "versions": record["versions"],
    }


def ptq(preset: str) -> dict:
    """{column: its row}, clean images."""
    return {column: row(export(preset, options)) for column, options in METHODS.items()}


def corrupted(preset: str) -> dict:
    """{column: its row}, two images corrupted, with those that the audit named."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corrupted.npz"
        planted = corrupted_images(load_preset(preset), path)
        rows = {}
        for column, options in CORRUPTED.items():
            record = export(preset, ["--calibration", str(path), "--allow-audit", *options])
            findings = record["calibration"]["findings"]
            named = sorted({name for each in findings if isinstance(each, dict) for name in each.get("images", ())})
            rows[column] = {**row(record), "planted": planted, "named": named, "findings": findings}
    return rows


def qat(preset: str) -> dict:
    """The row of quantization-aware training, ours."""
    from quantization_qat import qat_row

    return qat_row(preset)


def tfmot(preset: str) -> dict:
    """The row of tensorflow-model-optimization's, or why it does not take the network."""
    from quantization_tfmot import tfmot_row

    return tfmot_row(preset)


def measure(preset: str, part: str) -> tuple[str, str, dict]:
    """One part of one preset, in a process of its own."""
    command = [sys.executable, __file__, preset, "--only", part, "--row"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{preset}, {part}: exit code {ran.returncode}\n{ran.stderr[-3000:]}")
    found = json.loads(ran.stdout.splitlines()[-1])
    rows = found.items() if part in ("ptq", "corrupted") else [(part, found)]
    for column, figures in rows:
        said = f"{figures['delta']:+.2f}" if "delta" in figures else figures.get("refused", "?")
        print(f"{preset:34s} {part:9s} {column:22s} {said}", file=sys.stderr, flush=True)
    return preset, part, found


def cell(figures: dict | None) -> str:
    """The difference with its interval."""
    if not figures:
        return ""
    if "delta" not in figures:
        return "not taken"
    low, high = figures["ci95"]
    return f"{figures['delta']:+.2f} [{low:+.2f}, {high:+.2f}]"


def page(results: dict):
    """docs/quantization-table.md, line by line."""
    first = next(iter(results.values()))["ptq"]["default"]
    versions = first["versions"]
    yield "# What int8 costs, by every way of quantizing\n\n"
    yield "Written by `benchmarks/quantization.py`: top-1 of the int8 file against its float twin, points with the "
    yield f"paired 95 % interval, on {first['samples']:,} test images of Fashion-MNIST, target `litert`. Calibration: "
    yield "512 bundled images. "
    yield f"TensorFlow {versions['tensorflow']}, Keras {versions['keras']}, ai-edge-litert "
    yield f"{versions['ai-edge-litert']}, {versions['system']}. The files' sha256 stand in "
    yield "`docs/results/quantization.json`.\n\n"
    columns = [*METHODS, "qat", "tfmot"]
    yield f"| preset | float top-1 | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}\n"
    names = {name: alias for alias, name in aliases().items()}
    for preset, parts in sorted(results.items()):
        figures = {**parts.get("ptq", {}), "qat": parts.get("qat"), "tfmot": parts.get("tfmot")}
        cells = " | ".join(cell(figures.get(column)) for column in columns)
        yield f"| `{names.get(preset, preset)}` | {parts['ptq']['default']['float_top1']:.2f} | {cells} |\n"
    for word, choose in (("mean", np.mean), ("worst", np.min)):
        found = [
            [p["ptq"][c]["delta"] if c in METHODS else p[c]["delta"] for p in results.values()
             if c in METHODS or "delta" in (p.get(c) or {})]
            for c in columns
        ]  # fmt: skip
        yield f"| {word} | | {' | '.join(f'{choose(each):+.2f}' if each else '' for each in found)} |\n"
    yield "\nAll but `converter`, `qat` and `tfmot` have their biases corrected, `biases kept` excepted. What `default` "
    yield "tries: [calibration.md](calibration.md).\n\n## Two of 512 images corrupted\n\n"
    yield f"| preset | {' | '.join(CORRUPTED)} | default against its own clean run | audit names both |\n"
    yield f"|---|{'---|' * len(CORRUPTED)}---|---|\n"
    for preset, parts in sorted(results.items()):
        if rows := parts.get("corrupted"):
            cells = " | ".join(cell(rows[column]) for column in CORRUPTED)
            change = rows["default"]["delta"] - parts["ptq"]["default"]["delta"]
            both = "yes" if set(rows["default"]["planted"]) <= set(rows["default"]["named"]) else "no"
            yield f"| `{names.get(preset, preset)}` | {cells} | {change:+.2f} | {both} |\n"
    yield "\n## File against simulation\n\nEvery unit of the default's file, given the file's own int8 values, in LiteRT "
    yield "with XNNPACK against the fake-quant graph, on 16 images.\n\n| preset | units | largest difference, steps of "
    yield "int8 | units beyond 1 |\n|---|---|---|---|\n"
    for preset, parts in sorted(results.items()):
        figures = parts["ptq"]["default"]
        beyond = len(figures["beyond"])
        yield f"| `{names.get(preset, preset)}` | {figures['units']} | {figures['max_lsb']} | {beyond} |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="presets or their aliases; all without")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; repeat it (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="presets side by side (default 2)")
    parser.add_argument("--page", action="store_true", help="write the page from what was measured before")
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    chosen = [aliases().get(name, name) for name in arguments.presets] or list(list_presets())
    if unknown := set(chosen) - set(list_presets()):
        parser.error(f"not bundled: {', '.join(sorted(unknown))}")
    parts = arguments.only or list(PARTS)
    if arguments.row:
        print(json.dumps(globals()[parts[0]](chosen[0])))
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        work = [] if arguments.page else [pool.submit(measure, preset, part) for part in parts for preset in chosen]
        for future in work:
            preset, part, found = future.result()
            results.setdefault(preset, {})[part] = found
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (DOCS / "quantization-table.md").write_text("".join(page(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
