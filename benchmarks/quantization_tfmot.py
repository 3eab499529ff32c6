"""tfmot's quantization-aware training of the bundled presets: what their int8 files reach by it.

    python benchmarks/quantization_tfmot.py [PRESET ...] [--steps 300] [--learning-rate 5e-5]

Each preset is trained on Fashion-MNIST's 60,000 training images by `tfeff.compress.tfmot.tfmot_qat`. Accuracy is that
of all 10,000 test images in LiteRT; `delta` is int8 against float, points, paired. `tfmot_row` is one preset, for
`benchmarks/quantization.py` and `benchmarks/tfmot.py`. Prints a line a preset.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from paired import classes_of, paired_top1

STEPS, BATCH, LEARNING_RATE = 300, 64, 5e-5


def tfmot_row(
    preset: str, *, steps: int = STEPS, learning_rate: float = LEARNING_RATE, target: str = "litert", seed: int = 0
) -> dict:
    """Trains a preset by tfmot and compares its int8 file with its float network.

    Args:
        preset: name or alias.
        steps: of 64 images.
        learning_rate: Adam's, at the start.
        target: whose rewrites it gets.
        seed: order of the images.

    Returns:
        {preset, method, float_top1, top1, delta, ci95, mcnemar_p, flips, samples, training (what `tfmot_qat` found),
        seconds_training, seconds, sha256}; of a network that it does not take {preset, method, refused}, a line.
    """
    from tfeff.artifact import check_tflite
    from tfeff.compare import Runner
    from tfeff.compress.tfmot import Training, read_samples, refusals, tfmot_qat
    from tfeff.data import open_dataset
    from tfeff.export import classifier
    from tfeff.presets import load_preset

    started = time.monotonic()
    known = load_preset(preset)
    model = classifier(known.build(), known.name, known.network, known.preprocessing, known.labels)
    train, test = (open_dataset("fashion_mnist", split) for split in ("train", "test"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        images, labels = read_samples(train, model.inputs, folder / "train.npy")
        before = time.monotonic()
        if refused := refusals(model, np.asarray(images[:16]), target):
            return {"preset": known.name, "method": "tfmot", "refused": "; ".join(map(str, refused))}
        training = Training(images, labels, steps=steps, batch_size=BATCH, learning_rate=learning_rate, seed=seed)
        made = tfmot_qat(model, training, folder=folder, target=target)
        trained = time.monotonic() - before
        inputs, truth = read_samples(test, model.inputs, folder / "test.npy")
        runner = Runner(made.path)
        classes = classes_of(runner, inputs)
        batches = (inputs[i : i + 500] for i in range(0, len(inputs), 500))
        floats = np.concatenate([np.asarray(model.callable(batch)).argmax(1) for batch in batches])
        sha256 = check_tflite(made.path)
    return {
        "preset": known.name,
        "method": "tfmot",
        "top1": 100 * int(np.sum(classes == truth)) / len(truth),
        **paired_top1(floats == truth, classes == truth),
        "flips": 100 * int(np.sum(classes != floats)) / len(truth),
        "samples": len(truth),
        "training": {key: value for key, value in made.as_dict().items() if key not in ("path", "rewrites")},
        "seconds_training": round(trained, 1),
        "seconds": round(time.monotonic() - started, 1),
        "sha256": sha256,
    }


def main():
    from tfeff.presets import aliases

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    given = vars(parser.parse_args())
    for name in given.pop("presets") or sorted(aliases("classification")):
        row = tfmot_row(name, **given)
        if "refused" in row:
            print(f"{name:14s} {row['refused']}", flush=True)
            continue
        (low, high), losses = row["ci95"], row["training"]["losses"]
        print(
            f"{name:14s} float {row['float_top1']:.2f} int8 {row['top1']:.2f}  {row['delta']:+.2f} [{low:+.2f}, "
            f"{high:+.2f}]  loss {losses[0]:.3f} -> {losses[-1]:.3f}  {row['seconds']:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
