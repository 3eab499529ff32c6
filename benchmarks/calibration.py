"""Which way of choosing int8 ranges is the default, and why: top-1 of every bundled preset by every method, with clean
calibration images and with 2 of 512 damaged.

    python benchmarks/calibration.py [PRESET ...]

The images are the 512 bundled training images of Fashion-MNIST. `scaled-and-salted`: number 100 is multiplied by 20
after it was preprocessed (as if its normalization had gone wrong), and of number 300 a seeded tenth of the pixels is
white. Of the other damages, which only `auto` is measured on: `unnormalized`, both images are pixel values; `noise`,
both are uniform noise; `shuffled`, both have their pixels in random order; `cards`, one is white and one is grey;
`striped`, both are a checkerboard of 2x2 black and white; `inverted`, both are their negatives.

Accuracy is that of all 10,000 test images in LiteRT; `delta` is against the float file, with a paired interval.
`converter` is TensorFlow's own calibration and quantizer on the same rewritten network. The methods by name see all
images, with nothing left out; `auto` is what `tfeff export --int8` does, the audit's left-out images included.

Writes docs/results/calibration.json and the tables of docs/calibration.md; with PRESETs only those are measured anew.
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
PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
BEGIN, END = "<!-- benchmarks/calibration.py -->\n", "<!-- end -->"
METHODS = ("minmax", "percentile:99.9", "image-percentile:95", "mse", "entropy")
SPOILT = 100, 300  # numbers of the damaged images
CLEAN, DAMAGED = "clean", "scaled-and-salted"
OTHERS = ("unnormalized", "noise", "shuffled", "cards", "striped", "inverted")


def damage(calibration, preprocessing, kind, path):
    """A copy of the calibration's file with two images spoilt."""
    inputs, rng = np.array(calibration.inputs()), np.random.default_rng(0)
    mean, std = np.float32(preprocessing.mean), np.float32(preprocessing.std)

    def flat(value):
        return preprocessing.normalize(np.full(preprocessing.shape, value, np.uint8))

    if kind == DAMAGED:
        inputs[SPOILT[0]] *= 20
        inputs[SPOILT[1]] = np.where(rng.random((*preprocessing.size, 1)) < 0.1, flat(255), inputs[SPOILT[1]])
    for number in SPOILT:
        if kind == "unnormalized":
            inputs[number] = inputs[number] * std + mean
        elif kind == "noise":
            inputs[number] = preprocessing.normalize(rng.integers(0, 256, preprocessing.shape, dtype=np.uint8))
        elif kind == "shuffled":
            inputs[number] = rng.permutation(inputs[number].reshape(-1, inputs.shape[-1])).reshape(inputs.shape[1:])
        elif kind == "cards":
            inputs[number] = flat(255 if number == SPOILT[0] else 128)
        elif kind == "striped":
            squares = np.indices(preprocessing.size).sum(0)[..., None] // 2 % 2
            inputs[number] = np.where(squares, flat(255), flat(0))
        elif kind == "inverted":
            inputs[number] = (255 - (inputs[number] * std + mean) - mean) / std
    np.save(path, inputs)
    digests = np.array(calibration.digests)
    digests[list(SPOILT)] ^= 1  # they are other images now
    # All are inputs here; that some were given as floats would be said of a user's own.
    return replace(calibration, path=path, digests=digests)


def one(name: str, kinds) -> dict:
    """What a preset's files reach."""
    from tfeff.calibration import Activations, Plan, audit, choose, collect, observe, parse_method
    from tfeff.export import Subject, measuring, quantize, steps
    from tfeff.export.quantize.convert import environment_versions
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.targets import get_target

    from tfeff import presets
    from tfeff.compare import statistics
    from tfeff.data import open_dataset

    preset = presets.load_preset(name)
    preprocessing = preset.preprocessing
    subject = Subject(preset.build(), preset.name, preset.network, preprocessing, preset.labels, preset.name)
    test = open_dataset("fashion_mnist", "test")
    inputs = np.stack([preprocessing(test.image(number)) for number in range(len(test))])
    row = {"preset": name, "images": len(inputs), "versions": environment_versions()}
    with tempfile.TemporaryDirectory() as scratch, quantize.Converter(Path(scratch)) as converter:
        folder = Path(scratch)
        clean = collect("fashion_mnist_sample", preprocessing, folder / "clean.npy")
        row["planted"] = [clean.names[number] for number in SPOILT]
        model, _, _ = steps.rewrite(subject, get_target("litert").rewrites, clean.inputs(steps.PROOF_IMAGES))
        int8 = quantize.Int8File(model, fake_quant_graph(model), folder / "int8", preprocessing.shape)
        quantize.write_saved_model(model, folder / "network", preprocessing.shape)
        saved, path = str(folder / "network"), folder / "int8.tflite"
        converter.convert(
            [int8.job(clean.path), quantize.Job(saved, "float32", "float32", str(folder / "float.tflite"))]
        )
        int8.take()
        network = Activations(int8.path)
        ends = [preprocessing.normalize(np.full(preprocessing.shape, v, np.uint8)) for v in (0, 255)]
        door = float(ends[0].min()), float(ends[1].max())
        truth = right(folder / "float.tflite", inputs, test.labels)
        row["float_top1"] = 100 * float(truth.mean())
        auto = parse_method("auto")

        def figures():
            got = right(path, inputs, test.labels)
            found = statistics.paired_difference(truth, got, 0)
            return {"top1": 100 * float(got.mean()), "delta": found["delta"], "ci95": found["ci95"]}

        for kind in kinds:
            images = clean if kind == CLEAN else damage(clean, preprocessing, kind, folder / "damaged.npy")
            whole = kind in (CLEAN, DAMAGED)
            histograms = range(len(network.tensors)) if whole else ()
            seen = observe(network, images.images(), images.names, folder, histograms=histograms)
            made = row[kind] = {}
            if whole:
                converter.convert([quantize.Job(saved, "int8", "int8", str(path), str(images.path))])
                made["converter"] = figures()
                for method in METHODS:
                    found = Plan(network.tensors, parse_method(method), (), door).ranges(seen)
                    int8.quantize({r.tensor.index: (r.low, r.high) for r in found}, {"int8": path}, converter)
                    made[method] = figures()
            audited, kept = audit(images, preprocessing, network, seen, auto, folder, labels=subject.labels)
            trial = measuring.trial_file(int8, folder, converter)
            trials = choose(auto, (), door, network, kept, audited, trial)
            int8.quantize({r.tensor.index: (r.low, r.high) for r in trials[0].ranges}, {"int8": path}, converter)
            made["auto"] = {
                **figures(),
                "chosen": trials[0].method,
                "tried": {trial.method: trial.divergence for trial in trials},
                "left_out": list(audited.left_out.values()),
                "findings": [each.as_dict() for each in audited.findings],
            }
            for method in made:
                print(f"{name:40s} {kind:18s} {method:20s} {made[method]['delta']:+.2f}", file=sys.stderr, flush=True)
    return row


def named(row, kind):
    """Which of the planted images some finding names."""
    found = {name for each in row[kind]["auto"]["findings"] for name in each["images"]}
    return [name for name in row["planted"] if name in found]


def right(path, inputs, labels):
    """Which images a file classifies rightly."""
    from tfeff.compare import Runner

    runner = Runner(path)
    return np.array([runner(image).argmax() for image in inputs]) == labels


def table(rows):
    """Lines of markdown: clean and damaged, points against the float file; then the default on all damages."""
    methods = ("converter", *METHODS, "auto")
    for kind in (CLEAN, DAMAGED):
        some = [row for row in rows if kind in row]
        yield "\nTwo of 512 images damaged\n\n" if kind == DAMAGED else "\nClean images\n\n"
        yield f"| preset | float | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}\n"
        for row in some:
            cells = (f"{row[kind][method]['delta']:+.2f}" for method in methods)
            yield f"| {row['preset'].partition('.')[0]} | {row['float_top1']:.2f} | {' | '.join(cells)} |\n"
        worst = (f"{min(row[kind][method]['delta'] for row in some):+.2f}" for method in methods)
        mean = (f"{np.mean([row[kind][method]['delta'] for row in some]):+.2f}" for method in methods)
        yield f"| mean | | {' | '.join(mean)} |\n| worst | | {' | '.join(worst)} |\n"
    kinds = (CLEAN, DAMAGED, *OTHERS)
    yield f"\n`auto` on all damages (images named, left out)\n\n| preset | {' | '.join(kinds)} |\n"
    yield f"|---|{'---|' * len(kinds)}\n"
    for row in rows:
        yield f"| {row['preset'].partition('.')[0]} | {' | '.join(_cell(row, kind) for kind in kinds)} |\n"


def _cell(row, kind):
    if kind not in row:
        return ""
    found = row[kind]["auto"]
    cell = f"{found['delta']:+.2f}"
    return cell if kind == CLEAN else f"{cell} ({len(named(row, kind))}, {len(found['left_out'])})"


def write_page(rows):
    """Puts the tables where the page has its marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    tables = "".join(table([rows[name] for name in sorted(rows)]))
    PAGE.write_text(f"{before}{BEGIN}{tables}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main():
    from tfeff import presets

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--kinds", nargs="+", choices=(CLEAN, DAMAGED, *OTHERS), default=(CLEAN, DAMAGED, *OTHERS))
    parser.add_argument("--json", action="store_true", help="one preset only: its row on stdout")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page's tables only")
    arguments = parser.parse_args()
    names = [presets.load_preset(name).name for name in arguments.presets or presets.list_presets()]
    rows = {row["preset"]: row for row in json.loads(RESULTS.read_text(encoding="utf-8"))} if RESULTS.exists() else {}
    if arguments.page:
        write_page(rows)
        return
    if arguments.json:
        print(json.dumps(one(names[0], arguments.kinds)))
        return
    for name in names:  # each in a process of its own, for the converter leaks memory
        command = [sys.executable, __file__, name, "--json", "--kinds", *arguments.kinds]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows[name] = rows.get(name, {}) | json.loads(ran.stdout.splitlines()[-1])
        RESULTS.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n", encoding="utf-8")
        write_page(rows)


if __name__ == "__main__":
    main()
