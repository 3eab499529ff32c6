"""Every bundled preset exported to every target, and each file against the plain one: docs/targets.md.

    python benchmarks/targets_table.py [PRESET ...] [--target TARGET ...]

Each cell is `tfeff export PRESET --int8 --target TARGET --no-bench` as a user would type it, compared on all test
images of Fashion-MNIST. The plain file of a preset is the stock converter's (`stock.py`), calibrated on the same
images. Both are run on all test images; agreement is judged on 2,000 of them, drawn with seed 0 before anything was
measured. The float forms of the two, Keras graphs before and after the target's rewrites, are run on the same 2,000.

Writes docs/results/targets.json and docs/targets.md (with PRESETs or --target only those are measured anew). Exit code
1, with every line that was missed, when one was.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from paired import classes_of
from targets_page import page

from tfeff.presets import aliases, list_presets, load_preset

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "targets.json"
IMAGES, SEED = 2_000, 0  # on which agreement is judged
MIN_AGREEMENT = 98.5  # percent of those images, int8 of rewritten against int8 of plain
MAX_DIFFERENCE = 0.3  # points of top-1, either way
CALIBRATION = "fashion_mnist_sample"  # what `tfeff export` takes for these presets
# What the table needs of a record; the rest stands in the record that everybody's own export writes.
_KEPT = ("preset", "network", "target", "sha256", "size_bytes", "ops", "rewrites", "min_runtime_version", "accuracy",
         "ports", "check", "compiled", "notes", "versions")  # fmt: skip
_KEPT_OF_COMPILED = ("compiler", "version", "accelerator", "system_config", "memory_mode", "cpu_operators",
                     "npu_operators", "on_cpu", "sha256", "estimated_by", "estimates", "subgraphs")  # fmt: skip


def measure(preset: str, targets: list[str]) -> list[dict]:
    """The rows of a preset, one a target; one that could not be exported has an `error` and little else."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        exported = [_export(preset, target, folder / target) for target in targets]
        # In a process of its own, for the converter leaks memory.
        subprocess.run([sys.executable, __file__, preset, "--plain", scratch, *_each("--target", targets)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        truth, plain = _labels(), _classes(folder / "plain.tflite", preset)
        floats = np.load(folder / "floats.npz")
        rows = []
        for target, row in zip(targets, exported, strict=True):
            row["plain"] = {"sha256": _sha256(folder / "plain.tflite"), "top1": _percent(plain == truth)}
            if target in floats:
                row["float_agreement"] = _percent(floats[target] == floats["plain"])
            if (path := row.pop("path")) is not None:
                ours, drawn = _classes(Path(path), preset), _drawn()
                row["plain"] |= {
                    "agrees_with_float": _percent(plain[drawn] == floats["plain"]),
                    "agreement": _percent(ours[drawn] == plain[drawn]),
                    "difference": _percent(ours[drawn] == truth[drawn]) - _percent(plain[drawn] == truth[drawn]),
                    "agreement_all": _percent(ours == plain),
                    "difference_all": _percent(ours == truth) - _percent(plain == truth),
                }
            rows.append(row)
    return rows


def missed(row: dict, litert: dict | None) -> list[str]:
    """What a row should have held and did not, one line each; `litert` is the same preset's row for that target."""
    if row.get("error"):
        return [row["error"]]
    lines = []
    if left := row["ops"]["float"]:
        lines.append(f"{len(left)} operations in float")
    if litert and not litert.get("error"):
        difference = row["accuracy"][0]["quantized"] - litert["accuracy"][0]["quantized"]
        if abs(difference) > MAX_DIFFERENCE + 1e-9:
            lines.append(f"top-1 differs from the litert file's by {difference:+.2f} points")
    plain, check = row["plain"], row["check"]
    if plain["agreement"] < MIN_AGREEMENT:
        itself = plain.get("agrees_with_float")
        lines.append(
            f"agrees with the plain int8 file on {plain['agreement']:.2f} % (on all images "
            f"{plain['agreement_all']:.2f} %){f'; plain with float on {itself:.2f} %' if itself else ''}"
        )
    if abs(plain["difference"]) > MAX_DIFFERENCE + 1e-9:
        lines.append(f"top-1 differs from the plain int8 file's by {plain['difference']:+.2f} points (on all images "
                     f"{plain['difference_all']:+.2f})")  # fmt: skip
    if row.get("float_agreement", 0) < 100:
        lines.append(f"the float forms agree on {row.get('float_agreement', 0):.2f} %")
    if not check["ok"]:
        lines.append(
            f"{check['mapped']} of {check['total']} operations mapped ({check['basis']}): {check['first_break']}"
        )
    if row["compiled"] and row["compiled"].get("cpu_operators"):
        left = "; ".join(f"{op['op']}: {op['reason']}" for op in row["compiled"]["on_cpu"][:3])
        lines.append(f"{row['compiled']['cpu_operators']} operators on the CPU ({left})")
    return lines


def make_plain(preset: str, targets: list[str], folder: Path) -> None:
    """Leaves `plain.tflite` and `floats.npz` in a folder: the classes that Keras gives the drawn images, `plain` and,
    by target, with its rewrites."""
    from stock import FROZEN, stock_int8

    from tfeff.calibration import collect
    from tfeff.data import image_port, open_dataset
    from tfeff.errors import TfeffError
    from tfeff.export import quantize
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import apply_rewrites
    from tfeff.export.steps import PROOF_SAMPLES
    from tfeff.export.targets import get_target

    loaded = load_preset(preset)
    model, preprocessing = loaded.build(), loaded.preprocessing
    calibration = collect(CALIBRATION, [image_port(preprocessing)], folder)
    proof = calibration.batch(PROOF_SAMPLES)
    plain, _ = apply_rewrites(model, [load_rewrite(spec) for spec in FROZEN], proof)
    quantize.write_saved_model(plain, folder / "plain", calibration.ports, ["logits"])
    stock_int8(folder / "plain", np.load(calibration.paths["image"], mmap_mode="r"), "int8", folder / "plain.tflite")

    test = open_dataset("fashion_mnist", "test")
    images = np.stack([preprocessing(test.image(int(n))) for n in _drawn()])
    floats, known = {"plain": _keras_classes(model, images)}, {}
    for target in targets:
        specs = get_target(target).rewrites
        if specs not in known:
            try:
                rewritten, _ = apply_rewrites(model, [load_rewrite(spec) for spec in specs], proof)
            except TfeffError:  # the export has failed with the same words
                continue
            known[specs] = _keras_classes(rewritten, images)
        floats[target] = known[specs]
    np.savez(folder / "floats.npz", **floats)


def _export(preset, target, folder):
    command = [sys.executable, "-m", "tfeff", "export", preset, "--int8", "--target", target, "--no-bench", "--json"]
    ran = subprocess.run([*command, "--out", str(folder)], capture_output=True, text=True)
    if not ran.stdout:  # a missed gate leaves file and record all the same, an error nothing
        return {"preset": preset, "target": target, "path": None, "error": ran.stderr.strip().splitlines()[-1]}
    record = json.loads(ran.stdout)
    if (compared := record["accuracy"][0]["samples"]) != len(_labels()):
        sys.exit(f"{preset}: compared on {compared} images; docs/data.md says how to get them all")
    row = {key: record[key] for key in _KEPT} | {"path": record["path"], "machine": _machine()}
    if row["compiled"]:
        told = {**row["compiled"]["details"], **row["compiled"]}
        row["compiled"] = {key: told[key] for key in _KEPT_OF_COMPILED if key in told}
    return row


def _classes(path, preset):
    """The class that a file gives each test image."""
    from tfeff.compare import Runner
    from tfeff.data import open_dataset

    runner, preprocessing, test = Runner(path), load_preset(preset).preprocessing, open_dataset("fashion_mnist", "test")
    return classes_of(runner, (preprocessing(test.image(n)) for n in range(len(test))))


def _keras_classes(model, images):
    batches = [np.asarray(model(images[i : i + 100], training=False)) for i in range(0, len(images), 100)]
    return np.concatenate(batches).reshape(len(images), -1).argmax(axis=1)


def _labels():
    from tfeff.data import open_dataset

    return np.asarray(open_dataset("fashion_mnist", "test").labels)


def _drawn():
    return np.sort(np.random.default_rng(SEED).choice(len(_labels()), IMAGES, replace=False))


def _machine():
    from tfeff.bench.devices import find_device

    with find_device("local").start() as handle:
        return {"cpu": handle.environment["cpu"], "cores": os.cpu_count()}


def _sha256(path):
    from tfeff.artifact import check_tflite

    return check_tflite(path)


def _percent(right):
    return 100 * float(np.mean(right))


def _each(option, values):
    return [word for value in values for word in (option, value)]


def _write(rows):
    from tfeff.export.targets import list_targets

    order = list(list_targets())
    ordered = [rows[key] for key in sorted(rows, key=lambda key: (key[0], order.index(key[1])))]
    for row in ordered:
        row["missed"] = missed(row, rows.get((row["preset"], "litert")))
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    (DOCS / "targets.md").write_text("".join(page(ordered)), encoding="utf-8")
    return [f"{row['preset']} for {row['target']}: {line}" for row in ordered for line in row["missed"]]


def main():
    from tfeff.export.targets import list_targets

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="presets or their aliases; all without")
    parser.add_argument("--target", action="append", choices=list(list_targets()), help="repeat it; all without")
    parser.add_argument("--plain", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)  # how this calls itself
    parser.add_argument("--page", action="store_true", help="measure nothing, write docs/targets.md and judge anew")
    arguments = parser.parse_args()
    bundled = list_presets("classification")
    chosen = [aliases().get(name, name) for name in arguments.presets] or list(bundled)
    if unknown := set(chosen) - set(bundled):
        parser.error(f"not bundled: {', '.join(sorted(unknown))}")
    targets = arguments.target or list(list_targets())
    if arguments.plain:
        make_plain(chosen[0], targets, arguments.plain)
        return
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    rows = {(row["preset"], row["target"]): row for row in known}
    lines = []
    for preset in [] if arguments.page else chosen:
        rows.update({(row["preset"], row["target"]): row for row in measure(preset, targets)})
        lines = _write(rows)
        for target in targets:
            row = rows[preset, target]
            print(f"{preset} {target}: {'; '.join(row['missed']) or 'all met'}", file=sys.stderr, flush=True)
    if arguments.page:
        lines = _write(rows)
    missing = [f"{preset} for {target}: not measured" for preset in bundled for target in list_targets()
               if (preset, target) not in rows]  # fmt: skip
    sys.exit("\n".join(lines + missing) or 0)


if __name__ == "__main__":
    main()
