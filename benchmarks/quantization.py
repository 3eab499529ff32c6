"""What int8 costs every bundled preset, by every way of quantizing it: TensorFlow's converter, each calibration method,
quantization-aware training, tensorflow-model-optimization's.

    python benchmarks/quantization.py [PRESET ...] [--only ptq|corrupted|qat] [--jobs 2] [--page]

Every file is what `tfeff export PRESET --int8 --target litert` makes with the options that its column names, compared
with its float twin on all 10,000 test images of Fashion-MNIST; intervals are paired. Calibration
images are the 512 bundled training images. `corrupted`: of the same images one is 20 times as strong after
preprocessing, as if its normalization had gone wrong, and of another a tenth of the pixels are white. It writes
docs/results/quantization.json as it goes and docs/quantization-table.md at the end; with PRESETs or --only what is
left out stays as it was. The column `tfmot` is what `benchmarks/tfmot.py` measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from msgspec import to_builtins
from paired import classes_of, paired_top1

from tfeff.presets import aliases, list_presets, load_preset

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "quantization.json"
TFMOT = DOCS / "results" / "tfmot.json"
# Columns; the words are those of `--calibration-method`, but for the first and the last two.
METHODS = ("converter", "minmax", "percentile", "image-percentile", "mse", "entropy", "default", "default, biases kept")
CORRUPTED = ("converter", "minmax", "default")
SCALED, SALTED = 100, 300  # numbers of the corrupted images
PARTS = ("ptq", "corrupted", "qat")


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


class Bench:
    """One preset, with what all its int8 files share: rewritten, converted and run in float once."""

    def __init__(self, name: str, folder: Path):
        from tfeff.calibration import from_arrays
        from tfeff.compare import Runner
        from tfeff.data import open_dataset
        from tfeff.export import classifier, quantize, steps
        from tfeff.export.quantize.graph import fake_quant_graph
        from tfeff.export.targets import get_target

        self.preset, self.folder = load_preset(name), folder
        pre, preset = self.preset.preprocessing, self.preset
        self.known = classifier(
            preset.build(), preset.name, preset.network, pre, preset.labels, preset=preset.name, dataset=preset.dataset
        )
        self.converter = quantize.Converter(folder)
        images = open_dataset("fashion_mnist_sample", "train")
        proof = {"image": np.stack([pre(images.image(number)) for number in range(steps.PROOF_SAMPLES)])}
        self.model = steps.rewrite(self.known, get_target("litert").rewrites, proof).callable
        twin = steps.rewrite(self.known, steps.TWIN_REWRITES, proof).callable
        ports = self.known.inputs, self.known.outputs
        self.graph = fake_quant_graph(self.model)
        quantize.write_saved_model(twin, folder / "twin", *ports)
        quantize.write_saved_model(self.model, folder / "rewritten", *ports)
        self.int8 = quantize.Int8File(self.model, self.graph, folder / "int8", *ports)
        float_file = folder / "twin.tflite"
        self.converter.convert(
            [quantize.Job(str(folder / "twin"), "float32", "float32", str(float_file)), self.int8.job(None)],
            from_arrays(proof, folder, "the first images").paths,
        )
        self.int8.take()
        self.biases = self.int8.biases()
        test = open_dataset("fashion_mnist", "test")
        self.inputs, self.labels = np.stack([pre(test.image(number)) for number in range(len(test))]), test.labels
        runner = Runner(float_file)
        self.floats = classes_of(runner, self.inputs)

    def rows(self, source: str, columns) -> tuple[dict, list]:
        """{column: its row} with these calibration images, and what the audit found."""
        from tfeff.calibration import Activations, Plan, audit, collect, observe, parse_method
        from tfeff.export.quantize.measuring import door_of
        from tfeff.export.quantize.trial import Trial

        folder = Path(tempfile.mkdtemp(dir=self.folder))
        calibration = collect(source, self.known.inputs, folder)
        network, doors = Activations(self.int8.path), {"image": door_of(self.preset.preprocessing)}
        seen = observe(network, calibration.feeds(), calibration.names, folder,
                       histograms=range(len(network.tensors)))  # fmt: skip
        default = parse_method("auto")
        calibration, seen = audit(calibration, network, seen, default, folder, tasks=self.known.tasks)
        found = {}
        for column in columns:
            self.int8.set_biases(self.biases)  # the column before has corrected them
            trial = Trial(self.int8, folder, self.converter, "kept" not in column)
            if column == "converter":
                found[column] = self._row(self._by_converter(calibration, folder), "minmax")
                continue
            # Of a preset the default is its own method.
            word = self.preset.calibration_method if column.startswith("default") else column
            method = parse_method(word or "auto").name
            ranges = Plan(network.tensors, parse_method(method), (), doors).ranges(seen)
            bounds = {each.tensor.index: (each.low, each.high) for each in ranges}
            made = trial.make(bounds, calibration)
            path = folder / "made.tflite"
            made.quantize(made.own_ranges(bounds, self.int8), {"int8": path}, self.converter)
            found[column] = self._row(path, method) | self._proof(made, path, calibration)
        return found, [to_builtins(each) for each in calibration.findings]

    def _by_converter(self, calibration, folder):
        from tfeff.export import quantize

        path = folder / "converter.tflite"
        self.converter.convert(
            [quantize.Job(str(self.folder / "rewritten"), "int8", "int8", str(path))], calibration.paths
        )
        return path

    def _row(self, path, method):
        from tfeff.artifact import check_tflite
        from tfeff.compare import Runner

        runner = Runner(path)
        classes = classes_of(runner, self.inputs)
        return {
            **paired_top1(self.floats == self.labels, classes == self.labels),
            "flips": 100 * int(np.sum(classes != self.floats)) / len(classes),
            "samples": len(classes),
            "method": method,
            "sha256": check_tflite(path),
        }

    def _proof(self, made, path, calibration):
        from tfeff.export.quantize.prove import prove_units

        proof = prove_units(self.graph, path.read_bytes(), *made.scales(path), calibration.batch(16)).record()
        return {key: getattr(proof, key) for key in ("units", "beyond", "max_lsb", "rescaled", "missing")}


def ptq(preset: str) -> dict:
    """{column: its row}, clean images."""
    from tfeff.export.quantize.convert import environment_versions

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(preset, Path(folder))
        rows, findings = bench.rows("fashion_mnist_sample", METHODS)
        bench.converter.close()
    return {**rows, "findings": findings, "versions": environment_versions()}


def corrupted(preset: str) -> dict:
    """{column: its row}, two images corrupted, with those that the audit named."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corrupted.npz"
        planted = corrupted_images(load_preset(preset), path)
        bench = Bench(preset, Path(folder))
        rows, findings = bench.rows(str(path), CORRUPTED)
        bench.converter.close()
    named = sorted({name for each in findings for name in each["images"]})
    return {**rows, "planted": planted, "named": named, "findings": findings}


def qat(preset: str) -> dict:
    """The row of quantization-aware training, ours."""
    from quantization_qat import qat_row

    return qat_row(preset)


def measure(preset: str, part: str) -> tuple[str, str, dict]:
    """One part of one preset, in a process of its own."""
    command = [sys.executable, __file__, preset, "--only", part, "--row"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{preset}, {part}: exit code {ran.returncode}\n{ran.stderr[-3000:]}")
    found = json.loads(ran.stdout.splitlines()[-1])
    columns = {"ptq": METHODS, "corrupted": CORRUPTED}.get(part)
    for column, figures in [(each, found[each]) for each in columns] if columns else [(part, found)]:
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
    versions = next(iter(results.values()))["ptq"]["versions"]
    yield "# What int8 costs, by every way of quantizing\n\n"
    yield "Written by `benchmarks/quantization.py`: top-1 of the int8 file against its float twin, points with the "
    yield "paired 95 % interval, "
    yield f"on {first['samples']:,} test images of Fashion-MNIST, target `litert`. Calibration: "
    yield "512 bundled images. "
    yield f"TensorFlow {versions['tensorflow']}, Keras {versions['keras']}, ai-edge-litert "
    yield f"{versions['ai-edge-litert']}, {versions['system']}. The files' sha256 stand in "
    yield "`docs/results/quantization.json`.\n\n"
    if missing := sorted(alias for alias, name in aliases("classification").items() if name not in results):
        yield f"Not measured yet: {', '.join(missing)}.\n\n"
    columns = [*METHODS, "qat", "tfmot"]
    yield f"| preset | float top-1 | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}\n"
    names = {name: alias for alias, name in aliases("classification").items()}
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
    yield "\nAll but `converter`, `qat` and `tfmot` have their biases corrected, `biases kept` excepted. "
    yield "`default` is the preset's own method ([calibration.md](calibration.md)). Trained were 300 steps: "
    yield "`qat` of 128 images, taught by "
    yield "the float twin ([qat.md](qat.md)); `tfmot` of 64, by the labels "
    yield "([tfmot.md](tfmot.md)).\n\n"
    rates = {names.get(name, name): parts["qat"]["training"]["learning_rate"] for name, parts in results.items()
             if parts.get("qat")}  # fmt: skip
    usual = max(set(rates.values()), key=list(rates.values()).count)
    for name, rate in sorted(rates.items()):
        if rate != usual:
            yield f"`{name}` was trained at a learning rate of {rate:g}, before the default became {usual:g}.\n\n"
    grave = [name for name, parts in results.items() if any(f["severity"] == "grave" for f in parts["ptq"]["findings"])]
    yield f"The audit of these images has a grave finding on {len(grave)} of {len(results)} presets"
    yield f": {', '.join(sorted(grave))}.\n\n" if grave else ".\n\n"
    yield "## Two of 512 images corrupted\n\n"
    yield f"| preset | {' | '.join(CORRUPTED)} | default against its own clean run | audit names both |\n"
    yield f"|---|{'---|' * len(CORRUPTED)}---|---|\n"
    for preset, parts in sorted(results.items()):
        if rows := parts.get("corrupted"):
            cells = " | ".join(cell(rows[column]) for column in CORRUPTED)
            change = rows["default"]["delta"] - parts["ptq"]["default"]["delta"]
            both = "yes" if set(rows["planted"]) <= set(rows["named"]) else "no"
            yield f"| `{names.get(preset, preset)}` | {cells} | {change:+.2f} | {both} |\n"
    yield "\n## File against simulation\n\nEvery unit of the default's file, given the file's own int8 values, in "
    yield "LiteRT with XNNPACK against the fake-quant graph, on 16 images.\n\n| preset | units | largest difference, "
    yield "steps of int8 | units beyond 1 |\n|---|---|---|---|\n"
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
    bundled = list_presets("classification")
    chosen = [aliases().get(name, name) for name in arguments.presets] or list(bundled)
    if unknown := set(chosen) - set(bundled):
        parser.error(f"not bundled: {', '.join(sorted(unknown))}")
    parts = arguments.only or list(PARTS)
    if arguments.row:
        print(json.dumps(globals()[parts[0]](chosen[0])))
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    failed = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        work = [] if arguments.page else [pool.submit(measure, preset, part) for part in parts for preset in chosen]
        for future in as_completed(work):
            try:
                preset, part, found = future.result()
            except RuntimeError as error:
                print(error, file=sys.stderr, flush=True)
                failed.append(str(error).partition("\n")[0])
                continue
            results.setdefault(preset, {})[part] = found
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    tfmot = json.loads(TFMOT.read_text(encoding="utf-8"))["networks"]
    shown = {preset: {**parts, "tfmot": tfmot.get(preset)} for preset, parts in results.items() if "ptq" in parts}
    (DOCS / "quantization-table.md").write_text("".join(page(shown)), encoding="utf-8")
    sys.exit("; ".join(failed) or 0)


if __name__ == "__main__":
    main()
