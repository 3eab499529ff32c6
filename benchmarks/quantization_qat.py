"""Quantization-aware training of the bundled presets: what their int8 files reach by it.

    python benchmarks/quantization_qat.py [PRESET ...] [--epochs 1] [--steps 300] [--learning-rate 1e-4] [--per-tensor]
    python benchmarks/quantization_qat.py [PRESET ...] --gradients

Each preset is trained on Fashion-MNIST's 60,000 training images by `tfeff.training.qat`, taught by its float twin. The
ranges begin with what the default method finds in 512 of them, and are trained too. Accuracy is that of all 10,000 test
images in LiteRT; `delta` is int8 against float, points, paired. `qat_row` is one preset; `benchmarks/quantization.py`
puts it into its table.

Prints a line a preset, and writes docs/results/quantization_qat.json with --write. With --gradients nothing is trained:
it says, for each preset and target, how many weights are trained and which of them no gradient reaches.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "quantization_qat.json"
EPOCHS, STEPS = 1, 300
METHOD = None  # the default, as of `tfeff qat`


def qat_row(preset: str, *, epochs: int = EPOCHS, steps: int | None = STEPS, target: str = "litert",
            method: str | None = METHOD, per_tensor: bool = False, **recipe) -> dict:  # fmt: skip
    """Trains a preset and compares its int8 file with its float file.

    Args:
        preset: name or alias.
        epochs, steps, recipe: see `tfeff.training.qat.Recipe`.
        target, method, per_tensor: as of `tfeff qat`.

    Returns:
        {preset, method, float_top1, top1, delta, ci95, mcnemar_p, flips, samples, beyond (units of the file that are
        not what was simulated), training (the record's entry), seconds_training, seconds, sha256}.
    """
    from tfeff import presets
    from tfeff.data import open_dataset
    from tfeff.export import Request, TrainedGraph, classifier, export_model
    from tfeff.export.quantize.aware import aware_graph
    from tfeff.export.quantize.measuring import train_ranges_by
    from tfeff.training.qat import Recipe, Teacher, train_quantized

    started = time.monotonic()
    known = presets.load_preset(preset)
    model = classifier(
        known.build(), known.name, known.network, known.preprocessing, known.labels, preset=known.name,
        dataset=known.dataset,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        graph, measured = aware_graph(
            model, "fashion_mnist", folder, target=target, method=method, per_tensor=per_tensor,
            train_ranges=train_ranges_by(method, None),
        )  # fmt: skip
        told = Recipe(epochs, steps=steps, **recipe)
        before = time.monotonic()
        teacher = Teacher(model.callable, model.inputs, model.outputs, model.tasks)
        training = train_quantized(graph, teacher, open_dataset("fashion_mnist", "train"), told)
        trained = time.monotonic() - before
        request = Request(target=target, per_tensor=per_tensor, dataset="fashion_mnist", devices=())
        brought = TrainedGraph(graph, training=training, calibration=measured.calibration.record())
        made = export_model(model, folder / "qat.tflite", request, trained=brought)
    record, (accuracy,) = made.record, made.record.accuracy
    return {
        "preset": known.name,
        "method": "qat",
        "float_top1": accuracy.float_value,
        "top1": accuracy.quantized,
        "delta": accuracy.delta,
        "ci95": list(accuracy.ci95),
        "mcnemar_p": accuracy.p,
        "flips": accuracy.details["flips"],
        "samples": accuracy.samples,
        "beyond": record.quantization.simulation.beyond,
        "training": record.quantization.training,
        "seconds_training": round(trained, 1),
        "seconds": round(time.monotonic() - started, 1),
        "sha256": record.sha256,
    }


def gradients(preset: str) -> None:
    """Prints, for each target, how many weights of a preset are trained and which no gradient reaches."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tfeff import presets
    from tfeff.data import open_dataset
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.quantize.simulation import float_network, set_ranges
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import apply_rewrites
    from tfeff.export.targets import list_targets

    known, sample = presets.load_preset(preset), open_dataset("fashion_mnist_sample", "test")
    images, done = np.stack([known.preprocessing(sample.image(n)) for n in range(16)]), set()
    for target in list_targets().values():
        if target.rewrites in done:
            continue
        done.add(target.rewrites)
        model, _ = apply_rewrites(known.build(), [load_rewrite(spec) for spec in target.rewrites], {"image": images})
        graph = fake_quant_graph(model)
        _, seen = float_network(graph, rounded_weights=False)(images)
        seen = {point: np.asarray(values) for point, values in seen.items()}
        set_ranges(graph, {point: (min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for point, v in seen.items()})
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(graph(images)))
        found = zip(graph.trainable_variables, tape.gradient(loss, graph.trainable_variables), strict=True)
        lost = [variable.path for variable, gradient in found if gradient is None or not np.any(np.asarray(gradient))]
        print(f"{preset:14s} {target.name:15s} {len(graph.trainable_variables)} weights, lost: {lost}", flush=True)
        keras.backend.clear_session()


def main():
    from tfeff.presets import aliases

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--label-weight", type=float)
    parser.add_argument("--method", default=METHOD)
    parser.add_argument("--per-tensor", action="store_true")
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = vars(parser.parse_args())
    names, write = given.pop("presets") or sorted(aliases("classification")), given.pop("write")
    if given.pop("gradients"):
        for name in names:
            gradients(name)
        return
    rows = []
    for name in names:
        row = qat_row(name, **{key: value for key, value in given.items() if value is not None})
        first, *_, last = row["training"]["history"]
        low, high = row["ci95"]
        print(
            f"{name:14s} float {row['float_top1']:.2f} int8 {row['top1']:.2f}  {row['delta']:+.2f} [{low:+.2f}, "
            f"{high:+.2f}]  held-out loss {first['held_out_loss']:.5f} -> {last['held_out_loss']:.5f}, top-1 "
            f"{first['held_out']['top-1']:.2f} -> {last['held_out']['top-1']:.2f} "
            f"(float {row['training']['held_out_float']['top-1']:.2f}), best epoch {row['training']['best_epoch']}, "
            f"{row['training']['learning_rate']:g}  {row['seconds_training']:.0f} of {row['seconds']:.0f} s",
            flush=True,
        )
        rows.append(row)
    if write:
        RESULTS.write_text(json.dumps({"schema_version": 1, "rows": rows}, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {RESULTS}", file=sys.stderr)


if __name__ == "__main__":
    main()
