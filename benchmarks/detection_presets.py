"""What int8 costs the bundled detectors, on all test scenes: as `tfeff export` makes it, as `tfeff qat` trains it, and
as TensorFlow's own converter does.

    python benchmarks/detection_presets.py [PRESET ...] [--only ptq|qat|stock] [--write]

`ptq` is `tfeff export PRESET --int8`, `qat` is `tfeff qat PRESET` with the words in `QAT`, `stock` what TensorFlow's
guide says to do with the same Keras network and as many scenes. Each file is compared with the float twin of `ptq` by
the same commands that users have; the interval of a difference is the paired bootstrap's. Without --write a line a file
is printed; with it they go into docs/results/detection_presets.json, beside what is there, and
docs/detection-presets.md is made of all.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfeff.presets import aliases, list_presets, load_preset

DOCS = Path(__file__).parents[1] / "docs"
RESULTS, PAGE = DOCS / "results" / "detection_presets.json", DOCS / "detection-presets.md"
PARTS = ("ptq", "qat", "stock")
QAT = ("--epochs", "1", "--steps", "150", "--batch-size", "16", "--calibration-method", "image-percentile:90")
CALIBRATION = 512  # scenes


def run(*words) -> dict:
    """What a command of tfeff says as JSON."""
    command = [sys.executable, "-m", "tfeff", *map(str, words), "--json", "--quiet"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if not ran.stdout or ran.returncode > 1:
        sys.exit(f"{' '.join(map(str, words))}: exit code {ran.returncode}\n{ran.stderr}")
    return json.loads(ran.stdout)


def make_stock(preset: str, folder: Path) -> None:
    """In a process of its own: `stock.tflite`, and the numbers by which its outputs become boxes."""
    from stock import stock_int8

    from tfeff.calibration import collect
    from tfeff.cli.model import build_model
    from tfeff.cli.source import Source
    from tfeff.export.quantize import write_saved_model

    model = build_model(Source(preset))
    write_saved_model(model.callable, folder / "saved", model.inputs, model.outputs)
    source, (port,) = load_preset(preset).dataset, model.inputs
    calibration = collect(source, model.inputs, folder, limit=CALIBRATION)
    stock_int8(folder / "saved", np.load(calibration.paths[port.name], mmap_mode="r"), "int8", folder / "stock.tflite")
    (task,) = model.tasks
    (folder / "heads.json").write_text(json.dumps({**task.decode, "labels": list(task.labels)}))


def part_of(preset: str, part: str, folder: Path) -> dict:
    """The row of a file."""
    if part == "stock":
        return _stock(preset, folder)
    words = ["export", preset, "--int8"] if part == "ptq" else ["qat", preset, *QAT]
    records = [*(folder / part).glob("*.int8.json")]
    made = json.loads(records[0].read_text()) if records else run(*words, "--no-bench", "--out", folder / part)
    row = _row(made["accuracy"][0], made["sha256"], made["size_bytes"]) | {
        "command": f"tfeff {' '.join(words)}", "operations": made["ops"],
        "float_bytes": made["float_twin"]["size_bytes"],
        "method": made["calibration"]["method"], "versions": made["versions"],
    }  # fmt: skip
    if training := made["quantization"].get("training"):
        row["training"] = {key: training[key] for key in ("steps", "batch_size", "best_epoch", "history")}
    return row


def _stock(preset, folder):
    file = folder / "stock.tflite"
    if not file.exists():
        subprocess.run([sys.executable, __file__, "--stock", preset, str(folder)], check=True)
    known, (twin,) = load_preset(preset), (folder / "ptq").glob("*.twin.tflite")
    mean, std = (",".join(map(str, numbers)) for numbers in (known.preprocessing.mean, known.preprocessing.std))
    made = run(
        "compare", file, "--against", twin, "--dataset", known.dataset, "--task", f"detection:{folder / 'heads.json'}",
        "--mean", mean, "--std", std, "--no-record",
    )  # fmt: skip
    (accuracy,) = made["accuracy"]
    return _row(accuracy, accuracy["quantized_sha256"], file.stat().st_size)


def _row(accuracy, sha256, size):
    keys = ("float", "quantized", "delta", "ci95", "samples", "runtime", "version", "details")
    return {key: accuracy[key] for key in keys} | {"sha256": sha256, "bytes": size}


def page(results: dict[str, dict]) -> str:
    """docs/detection-presets.md"""
    short = {name: alias for alias, name in aliases("detection").items()}
    first = next(iter(results.values()))["ptq"]
    lines = [
        "# The bundled detectors\n\n",
        f"Written by `benchmarks/detection_presets.py`, on {first['samples']:,} scenes of `fashion_scenes` that no ",
        "training saw, of items that it did not see either. Differences are int8 against the float twin, points of ",
        "mAP (COCO's, IoU 0.50 to 0.95) with the paired 95 % interval over images. ",
        f"{first['runtime']} {first['version']}, ",
        f"TensorFlow {first['versions']['tensorflow']}, Keras {first['versions']['keras']}, ",
        f"{first['versions']['system']}. `stock` is TensorFlow's own converter on the same Keras network.\n\n",
        "| preset | file | mAP | AP50 | AP75 | difference in mAP, 95 % | detections that changed | bytes | sha256 |\n",
        "|---|---|---|---|---|---|---|---|---|\n",
    ]
    for preset, parts in sorted(results.items()):
        first = parts["ptq"]
        details = first["details"]
        lines.append(
            f"| `{short.get(preset, preset)}` | float | {first['float']:.2f} % | {details['ap50']['float']:.2f} % | "
            f"{details['ap75']['float']:.2f} % | | | {first['float_bytes']:,} | |\n"
        )
        for part in PARTS:
            if row := parts.get(part):
                (low, high), (ap50, ap75) = row["ci95"], (row["details"][key]["quantized"] for key in ("ap50", "ap75"))
                lines.append(
                    f"| `{short.get(preset, preset)}` | {part} | {row['quantized']:.2f} % | {ap50:.2f} % | "
                    f"{ap75:.2f} % | {row['delta']:+.2f} [{low:+.2f}, {high:+.2f}] | {row['details']['changed']:.2f} % "
                    f"| {row['bytes']:,} | `{row['sha256'][:12]}` |\n"
                )
    commands = [f"`{each}`" for each in ("tfeff export PRESET --int8", f"tfeff qat PRESET {' '.join(QAT)}")]
    trained = any("qat" in parts for parts in results.values())
    lines.append(f"\nCommands: {', '.join(commands if trained else commands[:1])}. ")
    lines.append("" if all("qat" in parts for parts in results.values()) else "QAT is not measured on all of them yet.")
    lines.append("\n\n")
    lines.append("## How they were trained\n\n| preset | weights | float AP50 as bundled | command |\n")
    lines.append("|---|---|---|---|\n")
    for preset in sorted(results):
        known = load_preset(preset)
        size, told = known.weights.stat().st_size, known.training
        lines.append(
            f"| `{short.get(preset, preset)}` | {size:,} B | {told['float_ap50']:.2f} % on {told['samples']:,} | "
            f"`{told['command']}` |\n"
        )
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="detectors or their aliases; all without")
    parser.add_argument("--only", choices=PARTS, action="append", help="one file; repeat it (default: all)")
    parser.add_argument("--keep", type=Path, help="a folder for the files, where they are found again; else they go")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--stock", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stock:
        return make_stock(given.stock[0], Path(given.stock[1]))
    bundled = list_presets("detection")
    chosen = [aliases().get(name, name) for name in given.presets] or list(bundled)
    if unknown := set(chosen) - set(bundled):
        parser.error(f"no bundled detector: {', '.join(sorted(unknown))}")
    for preset in chosen:
        rows = {}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) if given.keep is None else given.keep / preset
            folder.mkdir(parents=True, exist_ok=True)
            for part in given.only or PARTS:
                row = rows[part] = part_of(preset, part, folder)
                low, high = row["ci95"]
                print(f"{preset} {part}: float {row['float']:.2f}, {row['quantized']:.2f} {row['delta']:+.2f} "
                      f"[{low:+.2f}, {high:+.2f}], {row['bytes']:,} bytes", flush=True)  # fmt: skip
        if given.write:
            results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
            results.setdefault(preset, {}).update(rows)
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            PAGE.write_text(page(results), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
