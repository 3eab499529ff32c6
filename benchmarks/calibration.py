"""Which way of choosing int8 ranges is the default, and why: top-1 of every bundled preset by every method, with clean
calibration images and with 2 of 512 corrupted.

    python benchmarks/calibration.py [PRESET ...]

The images are the 512 bundled training images of Fashion-MNIST. Corrupted: number 100 is multiplied by 20 after it was
preprocessed (as if its normalization had gone wrong), and of number 300 a seeded tenth of the pixels is white (salt
noise). Accuracy is that of all 10,000 test images in LiteRT; `delta` is against the float file, with a paired interval.
`converter` is TensorFlow's own calibration on the same rewritten network. The input's range, which our methods take
from the preprocessing, is measured by the converter. The audit's findings for both sets stand beside them.

Writes docs/results/calibration.json; with PRESETs only those are measured anew.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "calibration.json"
METHODS = (
    "minmax",
    "percentile:99.9",
    "percentile:99.99",
    "image-percentile:99",
    "image-percentile:95",
    "mse",
    "entropy",
)
SCALED, SALTED = 100, 300  # numbers of the corrupted images


def corrupt(calibration, preprocessing, path):
    """A copy of the calibration's file with the two images spoilt."""
    inputs = np.array(calibration.inputs())
    inputs[SCALED] *= 20
    white = preprocessing.normalize(np.full(preprocessing.shape, 255, np.uint8))
    salt = np.random.default_rng(0).random((*preprocessing.size, 1)) < 0.1
    inputs[SALTED] = np.where(salt, white, inputs[SALTED])
    np.save(path, inputs)
    return replace(calibration, path=path)


def one(name: str) -> dict:
    """What a preset's files reach."""
    from tfeff.calibration import Activations, Plan, audit, collect, observe, parse_method
    from tfeff.export import Subject, measuring, quantize, steps
    from tfeff.export.quantize.convert import environment_versions
    from tfeff.export.targets import get_target

    from tfeff import presets
    from tfeff.compare import statistics
    from tfeff.data import open_dataset

    preset = presets.load_preset(name)
    preprocessing = preset.preprocessing
    subject = Subject(preset.build(), preset.name, preset.network, preprocessing, preset.labels, preset.name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clean = collect("fashion_mnist_sample", preprocessing, folder / "clean.npy")
        sets = {"clean": clean, "corrupted": corrupt(clean, preprocessing, folder / "corrupted.npy")}
        model, _, _ = steps.rewrite(subject, get_target("litert").rewrites, clean.inputs(steps.PROOF_IMAGES))
        quantize.write_saved_model(model, folder / "network", preprocessing.shape)
        saved, calibrated = str(folder / "network"), folder / "calibrated.tflite"
        quantize.convert(
            [
                quantize.Job(saved, "int8", "int8", str(calibrated), step="calibrate"),
                quantize.Job(saved, "float32", "float32", str(folder / "float.tflite")),
                *(quantize.Job(saved, "int8", "int8", str(folder / f"converter.{word}.tflite"), str(images.path))
                  for word, images in sets.items()),
            ],
            clean.path,
            folder,
        )  # fmt: skip
        network = Activations(calibrated)
        ends = [preprocessing.normalize(np.full(preprocessing.shape, v, np.uint8)) for v in (0, 255)]
        door = float(ends[0].min()), float(ends[1].max())
        jobs, audits = [], {}
        for word, images in sets.items():
            seen = observe(network, images.images(), images.names, folder, histograms=range(len(network.tensors)))
            default = parse_method("image-percentile")
            audited = audit(images, preprocessing, network, seen, default, folder, labels=subject.labels)
            audits[word] = [each.as_dict() for each in audited.findings]
            for method in METHODS:
                ranges = Plan(network.tensors, parse_method(method), (), door).ranges(seen)
                path = folder / f"{method}.{word}.measured.tflite"
                measuring.write_measured(calibrated, ranges, path)
                jobs.append(
                    quantize.Job(str(path), "int8", "int8", str(folder / f"{method}.{word}.tflite"), step="quantize")
                )
        quantize.convert(jobs, None, folder)
        test = open_dataset("fashion_mnist", "test")
        inputs = np.stack([preprocessing(test.image(number)) for number in range(len(test))])
        truth = right(folder / "float.tflite", inputs, test.labels)
        row = {"preset": name, "float_top1": 100 * float(truth.mean()), "images": len(inputs), "audit": audits}
        row["versions"] = environment_versions()
        for word in sets:
            row[word] = {}
            for method in ("converter", *METHODS):
                got = right(folder / f"{method}.{word}.tflite", inputs, test.labels)
                figures = statistics.paired_difference(truth, got, 0)
                row[word][method] = {
                    "top1": 100 * float(got.mean()),
                    "delta": figures["delta"],
                    "ci95": figures["ci95"],
                }
                print(f"{name:40s} {word:10s} {method:20s} {figures['delta']:+.2f}", file=sys.stderr)
    row["named"] = sorted({name for each in row["audit"]["corrupted"] for name in each["images"]})
    row["planted"] = [clean.names[SCALED], clean.names[SALTED]]
    return row


def right(path, inputs, labels):
    """Which images a file classifies rightly."""
    from tfeff.compare import Runner

    runner = Runner(path)
    return np.array([runner(image).argmax() for image in inputs]) == labels


def table(rows):
    """Lines of markdown: the two sets side by side, points against the float file."""
    methods = ("converter", *METHODS)
    for word in ("clean", "corrupted"):
        yield f"\n{word}\n\n| preset | float | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}\n"
        for row in rows:
            cells = (f"{row[word][method]['delta']:+.2f}" for method in methods)
            yield f"| {row['preset'].partition('.')[0]} | {row['float_top1']:.2f} | {' | '.join(cells)} |\n"
        worst = (f"{min(row[word][method]['delta'] for row in rows):+.2f}" for method in methods)
        mean = (f"{np.mean([row[word][method]['delta'] for row in rows]):+.2f}" for method in methods)
        yield f"| mean | | {' | '.join(mean)} |\n| worst | | {' | '.join(worst)} |\n"


def main():
    from tfeff import presets

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--json", action="store_true", help="one preset only: its row on stdout")
    parser.add_argument("--table", action="store_true", help="print what the results file holds as markdown")
    arguments = parser.parse_args()
    names = [presets.load_preset(name).name for name in arguments.presets or presets.list_presets()]
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    if arguments.table:
        print("".join(table(known)))
        return
    if arguments.json:
        print(json.dumps(one(names[0])))
        return
    rows = {row["preset"]: row for row in known}
    for name in names:  # each in a process of its own, for the converter leaks memory
        ran = subprocess.run([sys.executable, __file__, name, "--json"], stdout=subprocess.PIPE, text=True, check=True)
        rows[name] = json.loads(ran.stdout.splitlines()[-1])
        RESULTS.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
