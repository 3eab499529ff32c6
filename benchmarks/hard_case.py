"""Unbalanced channels: what int8 loses by them, and what equalization gives back.

    python benchmarks/hard_case.py [PRESET ...] [--bits 6] [--table]

From a bundled preset, `tests/support/hard_case.py` makes a network with the same float outputs in which a tenth of the
channels is up to 2^bits times as large as it was. It and the preset's own network are quantized with per-channel and
with per-tensor weights: by TensorFlow's converter (its ranges are min-max), and by our own quantizer with two
calibration methods; as they are, equalized, and equalized with the biases corrected. All from the 512 bundled training
images of Fashion-MNIST. Accuracy is that of all 10,000 test images in LiteRT; `delta` is against the preset's own float
file, with a paired interval.

Writes docs/results/hard_case.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from paired import classes_of, paired_top1

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))  # for hard_case, which the tests use too
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "hard_case.json"
PRESETS = ("mobilenet_v2", "shufflenet_v2", "vargnet")
METHODS = ("minmax", "image-percentile")
WEIGHTS = {"per-channel": False, "per-tensor": True}
STEPS = ("as it is", "equalized", "equalized, biases corrected")
CONVERTER = "converter"


def one(name: str, bits: int) -> dict:
    """What a preset's files reach."""
    from hard_case import unbalanced

    from tfeff import presets
    from tfeff.artifact import check_tflite
    from tfeff.calibration import collect
    from tfeff.data import open_dataset
    from tfeff.export import classifier, quantize, steps
    from tfeff.export.quantize.convert import environment_versions
    from tfeff.export.targets import get_target

    preset = presets.load_preset(name)
    preprocessing = preset.preprocessing
    known = classifier(preset.build(), preset.name, preset.network, preprocessing, preset.labels, preset=preset.name)
    with tempfile.TemporaryDirectory() as scratch, quantize.Converter(folder := Path(scratch)) as converter:
        calibration = collect("fashion_mnist_sample", known.inputs, folder)
        proof, test = calibration.batch(steps.PROOF_SAMPLES), open_dataset("fashion_mnist", "test")
        inputs = np.stack([preprocessing(test.image(number)) for number in range(len(test))])
        own = steps.rewrite(known, get_target("litert").rewrites, proof).callable
        hard, channels = unbalanced(own, proof["image"], bits)
        expected, got = (model.predict(inputs, batch_size=64, verbose=0) for model in (own, hard))
        models = {"preset": own, "hard case": hard}
        files, reports = {}, {}
        for word, model in models.items():
            (folder / word).mkdir()
            for weights, per_tensor in WEIGHTS.items():
                done, reports[f"{word}, {weights}"] = quantized(
                    model, per_tensor, calibration, converter, folder / word / weights
                )
                files |= {(word, weights, *key): path for key, path in done.items()}
        quantize.write_saved_model(own, folder / "own", known.inputs, known.outputs)
        converter.convert([quantize.Job(str(folder / "own"), "float32", "float32", str(folder / "float.tflite"))])
        truth = right(folder / "float.tflite", inputs, test.labels)
        rows = []
        for (word, weights, step, method), path in files.items():
            figures = paired_top1(truth, right(path, inputs, test.labels))
            rows.append({
                "network": word, "weights": weights, "step": step, "method": method,
                "delta": figures["delta"], "ci95": figures["ci95"], "sha256": check_tflite(path),
            })  # fmt: skip
            words = f"{name:20s} {word:10s} {weights:12s} {method:17s} {step:28s}"
            print(f"{words} {figures['delta']:+.2f}", file=sys.stderr)
    return {
        "preset": preset.name,
        "bits": bits,
        "channels": channels,
        "float_error": float(np.abs(got - expected).max() / np.abs(expected).max()),
        "float_top1": 100 * float(truth.mean()),
        "images": len(inputs),
        "rows": rows,
        "equalization": reports,
        "versions": environment_versions(),
    }


def quantized(model, per_tensor, calibration, converter, folder):
    """Int8 files by (step, method), and what equalization reported."""
    from tfeff.export import quantize
    from tfeff.export.quantize.equalize import equalize

    folder.mkdir()
    equal, report = equalize(model, calibration.batch(), per_tensor=per_tensor)
    files = {}
    for step, network in zip(STEPS, (model, equal), strict=False):  # the third step is ours alone
        saved, path = folder / step, folder / f"{step}.converter.tflite"
        quantize.write_saved_model(network, saved, calibration.ports, ["logits"])
        files[step, CONVERTER] = path
        job = quantize.Job(str(saved), "int8", "int8", str(path), per_channel=not per_tensor)
        converter.convert([job], calibration.paths)
        for method in METHODS:
            for corrected in (False, True) if network is equal else (False,):
                key = (STEPS[2] if corrected else step, method)
                files[key] = folder / f"{'.'.join(key)}.tflite"
                ours(network, per_tensor, method, corrected, calibration, converter, files[key])
    return files, report


def ours(model, per_tensor, method, corrected, calibration, converter, path):
    """Writes the int8 file that our quantizer makes, by one calibration method."""
    from tfeff.calibration import Activations, Plan, observe, parse_method
    from tfeff.export import quantize
    from tfeff.export.quantize.bias_correction import correct_biases
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.quantize.measuring import door_of

    own = path.with_suffix("")
    own.mkdir()
    graph = fake_quant_graph(model, per_tensor=per_tensor)
    int8 = quantize.Int8File(model, graph, own / "file", calibration.ports, ["logits"], per_tensor=per_tensor)
    converter.convert([int8.job(calibration.paths)])
    int8.take()
    network = Activations(int8.path)
    seen = observe(network, calibration.feeds(), calibration.names, own)
    doors = {port.name: door_of(port.preprocessing) for port in calibration.ports}
    found = Plan(network.tensors, parse_method(method), (), doors).ranges(seen)
    ranges = {each.tensor.index: (each.low, each.high) for each in found}
    if corrected:
        int8.set_ranges(ranges)
        correct_biases(graph, calibration.batch())
        first, int8 = int8, int8.again(own / "corrected")
        converter.convert([int8.job(calibration.paths)])
        int8.take()
        ranges = int8.own_ranges(ranges, first)
    int8.quantize(ranges, {"int8": path}, converter)


def right(path, inputs, labels):
    """Which images a file classifies rightly."""
    from tfeff.compare import Runner

    runner = Runner(path)
    return classes_of(runner, inputs) == labels


def table(results):
    """Lines of markdown: points against the float file."""
    for result in results:
        yield f"\n{result['preset']}: float {result['float_top1']:.2f} %; {result['channels']} channels up to "
        yield f"2^{result['bits']} larger, float outputs differ by {result['float_error']:.0e} of their range\n\n"
        yield f"| network | weights | method | {' | '.join(STEPS)} |\n|---|---|---|{'---|' * len(STEPS)}\n"
        cells: dict = {}
        for row in result["rows"]:
            key = row["network"], row["weights"], row["method"]
            cells.setdefault(key, {})[row["step"]] = f"{row['delta']:+.2f}"
        for key, values in cells.items():
            yield f"| {' | '.join(key)} | {' | '.join(values.get(step, '') for step in STEPS)} |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"default {' '.join(PRESETS)}")
    parser.add_argument("--bits", type=int, default=6, help="factors go up to 2^BITS (default 6)")
    parser.add_argument(
        "--method", action="append", help=f"calibration method; repeat it (default {', '.join(METHODS)})"
    )
    parser.add_argument("--json", action="store_true", help="one preset only: its row on stdout, nothing is written")
    parser.add_argument("--table", action="store_true", help="print what the results file holds as markdown")
    arguments = parser.parse_args()
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    if arguments.table:
        print("".join(table(known)))
        return
    names = arguments.presets or list(PRESETS)
    if arguments.json:
        print(json.dumps(one(names[0], arguments.bits)))
        return
    rows = {row["preset"]: row for row in known}
    for name in names:  # each in a process of its own, for the converter leaks memory
        command = [sys.executable, __file__, name, "--json", "--bits", str(arguments.bits)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row = json.loads(ran.stdout.splitlines()[-1])
        rows[row["preset"]] = row
        RESULTS.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
