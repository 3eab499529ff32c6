"""Instructions that an ARM core executes for an int8 VarGNet, by form of its group convolutions, runtime and core.

    python -m tfeff.bench.arm_root --counting
    python benchmarks/emulated_instructions.py

*native* keeps a group convolution as one operation (`--target litert`), *split* makes it one convolution a group
(`--target tflite-runtime`). Both files have the same random weights (instructions do not depend on them) and the same
calibration images. Each row is counted in two processes started one after the other; the largest deviation of all
counts from their median is the row's repeatability.

Writes docs/results/emulated_instructions.json and, between its marks, the table of the page that has them.
"""

import argparse
import json
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "emulated_instructions.json"
PAGES = ("on-device.md", "on-device-boards.md")  # the first that has the marks
MARKS = ("<!-- instructions: written by benchmarks/emulated_instructions.py -->", "<!-- end of instructions -->")
NETWORK, SIZES = "vargnet_v1_025_g8", (32, 224)
FORMS = {"native": "litert", "split": "tflite-runtime"}  # form -> target
DEVICES = ("emulated:aarch64:tflite-runtime", "emulated:aarch64:litert:cortex-a53", "emulated:aarch64:litert")
CALIBRATION, PROCESSES, RUNS = 8, 2, 3


def make(size: int, folder: Path) -> dict[str, Path]:
    """The int8 files, by form."""
    import keras
    import numpy as np

    import tfeff
    from tfeff.data import InputPort
    from tfeff.export import quantize
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import apply_rewrites
    from tfeff.export.targets import get_target

    keras.utils.set_random_seed(1)
    network = tfeff.create(NETWORK, input_shape=(size, size, 3), small_image=size < 64)
    images = np.random.default_rng(0).standard_normal((CALIBRATION, size, size, 3)).astype(np.float32)
    np.save(folder / "calibration.npy", images)
    jobs, ports = [], [InputPort("image", (size, size, 3))]
    for form, target in FORMS.items():
        made, _ = apply_rewrites(network, map(load_rewrite, get_target(target).rewrites), {"image": images[:2]})
        quantize.write_saved_model(made, folder / form, ports, ["logits"])
        jobs.append(quantize.Job(str(folder / form), "int8", "int8", str(folder / f"{form}.tflite")))
    quantize.convert(jobs, {"image": folder / "calibration.npy"}, folder)
    return {form: folder / f"{form}.tflite" for form in FORMS}


def count(path: Path, spec: str) -> dict:
    """A row: instructions of an inference, and how far counts are apart."""
    import numpy as np

    from tfeff.bench.devices import find_device

    counts = []
    for _ in range(PROCESSES):
        with find_device(spec).start() as handle:
            loaded = handle.load(path)
            counts += handle.count(RUNS + 1)[1:]
            environment = handle.environment
    middle = float(np.median(counts))
    return {
        "runtime": environment["runtime"],
        "version": environment["version"],
        "cpu": environment["cpu"],
        "kernels": loaded.kernels.xnnpack,
        "sha256": sha256(path.read_bytes()).hexdigest(),
        "instructions": round(middle),
        "counts": counts,
        "deviation": max(abs(one - middle) for one in counts) / middle,
    }


def table(report: dict) -> str:
    lines = [
        f"int8 {report['network']}, random weights, one thread, instructions of one inference in millions, not "
        "milliseconds:\n",
        "| input | runtime | core | native | split | native / split |",
        "|---|---|---|---|---|---|",
    ]
    rows = report["rows"]
    for key in dict.fromkeys((row["size"], row["device"]) for row in rows):
        native, split = (next(r for r in rows if (r["size"], r["device"], r["form"]) == (*key, form)) for form in FORMS)
        kernels = "XNNPACK" if native["kernels"] == "all" else "built-in kernels"
        core = native["cpu"].split(",")[0]
        lines.append(
            f"| {key[0]}x{key[0]} | {native['runtime']} {native['version']}, {kernels} | {core} | "
            f"{native['instructions'] / 1e6:.2f} | {split['instructions'] / 1e6:.2f} | "
            f"{native['instructions'] / split['instructions']:.2f} |"
        )
    worst = max(row["deviation"] for row in rows)
    cpu = rows[0]["cpu"].split(", ", 1)[1]
    lines.append(
        f"\n{cpu[0].upper() + cpu[1:]}. Counts of {PROCESSES} processes with {RUNS} inferences each are at most "
        f"{100 * worst:.4f} % from their median. sha256 of the files: "
        + ", ".join(
            f"{size}x{size} {form} {next(r['sha256'] for r in rows if (r['size'], r['form']) == (size, form))[:12]}"
            for size in sorted({row["size"] for row in rows})
            for form in FORMS
        )
        + "."
    )
    return "\n".join(lines)


def write_page(text: str) -> None:
    for name in PAGES:
        page = DOCS / name
        if page.exists() and MARKS[0] in (old := page.read_text(encoding="utf-8")):
            before, _, rest = old.partition(MARKS[0])
            page.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}", encoding="utf-8")
            return
    sys.exit(f"none of {', '.join(PAGES)} holds {MARKS[0]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, choices=SIZES, action="append", help="only these inputs are counted anew")
    wanted = parser.parse_args().size or SIZES
    old = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    rows = {size: [row for row in old if row["size"] == size] for size in SIZES}
    for size in wanted:
        rows[size] = []
        with tempfile.TemporaryDirectory() as folder:
            for form, path in make(size, Path(folder)).items():
                for spec in DEVICES:
                    row = {"size": size, "form": form, "device": spec, **count(path, spec)}
                    rows[size].append(row)
                    print(f"{size:4d} {form:7s} {spec:36s} {row['instructions']:14,d}", file=sys.stderr, flush=True)
        report = {"network": NETWORK, "rows": [row for size in SIZES for row in rows[size]]}
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        write_page(table(report))


if __name__ == "__main__":
    main()
