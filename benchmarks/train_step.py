"""Does GroupConv2D pay in training? A step of VarGNet v1 0.25 (G = 8, 32x32, batch 64) built with it, against one of
the same network with `keras.layers.Conv2D(groups=...)`, the same weights, interleaved in one process.

    python benchmarks/train_step.py [--rounds 20] [--json]

A step is `train_on_batch` with AdamW. Both take `jit_compile="auto"`, what a user of Keras gets (on a machine with
nothing but CPUs that is False: only the grouped convolutions themselves go through XLA). The rival also gets False and
True (the whole step through XLA), and is quoted by the fastest of the three.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time

import numpy as np

from tfeff.bench.intervals import median_interval, paired_ratio
from tfeff.bench.worker import cpu_model
from tfeff.cli.quiet import import_tensorflow

NETWORK, SIZE, BATCH, CLASSES = "vargnet_v1_025_g8", 32, 64, 10
OURS = "GroupConv2D"
RIVALS = {"auto": "Conv2D(groups), jit_compile='auto'", False: "Conv2D(groups), jit_compile=False",
          True: "Conv2D(groups), jit_compile=True"}  # fmt: skip


def rival_of(model):
    """The same network with Keras' own grouped convolution, and the same weights."""
    import keras

    from tfeff.layers import GroupConv2D

    def swap(layer):
        if not isinstance(layer, GroupConv2D):
            return type(layer).from_config(layer.get_config())
        config = layer.get_config()
        config["groups"] = layer.input.shape[-1] // config.pop("channels_per_group")
        return keras.layers.Conv2D.from_config(config)

    rival = keras.models.clone_model(model, clone_function=swap)
    rival.set_weights(model.get_weights())
    return rival


def contestants():
    """{label: compiled model}; all compute the same."""
    import keras

    from tfeff.networks import create

    keras.utils.set_random_seed(0)
    model = create(NETWORK, input_shape=(SIZE, SIZE, 3), classes=CLASSES, small_image=True)
    models = {OURS: (model, "auto")} | {label: (rival_of(model), jit) for jit, label in RIVALS.items()}
    for network, jit in models.values():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(keras.optimizers.AdamW(1e-3), loss, jit_compile=jit)
    return {label: network for label, (network, _) in models.items()}


def largest_difference(models, images):
    """Of the logits, relative to the largest one; an error when the networks are not the same."""
    logits = {label: np.asarray(model(images, training=False)) for label, model in models.items()}
    difference = max(np.abs(logits[OURS] - other).max() for other in logits.values()) / np.abs(logits[OURS]).max()
    if difference > 1e-4:
        sys.exit(f"the networks do not compute the same: {difference:.1e} of the largest logit apart")
    return float(difference)


def measure(models, images, labels, rounds, warm_up):
    """{label: seconds of a step in every round}; the order turns from round to round."""
    names, seconds = list(models), {label: [] for label in models}
    for number in range(-warm_up, rounds):
        for label in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            models[label].train_on_batch(images, labels)
            if number >= 0:
                seconds[label].append(time.perf_counter() - started)
        if sys.stderr.isatty():
            print(f"\r{'warm-up' if number < 0 else f'round {number + 1} of {rounds}'}   ", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="steps of each, after the warm-up")
    parser.add_argument("--warm-up", type=int, default=3, help="steps of each that are not counted; the first compiles")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.rounds < 3 or arguments.warm_up < 1:
        parser.error("--rounds must be at least 3, --warm-up at least 1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA has much to say
    import_tensorflow()
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, BATCH)
    models = contestants()
    taken = {label: model.jit_compile for label, model in models.items()}
    difference = largest_difference(models, images)
    seconds = measure(models, images, labels, arguments.rounds, arguments.warm_up)
    best = min(RIVALS.values(), key=lambda label: statistics.median(seconds[label]))
    ratio, low, high = paired_ratio(seconds[best], seconds[OURS])
    report = {
        "network": NETWORK, "input_size": SIZE, "batch": BATCH, "rounds": arguments.rounds,
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "os": platform.platform()},
        "versions": {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        "largest_difference": difference,
        "steps": [
            {"label": label, "jit_compile": taken[label], "median_ms": middle, "ci95_ms": [bottom, top]}
            for label in models
            for middle, bottom, top in [median_interval(1000 * np.array(seconds[label]))]
        ],
        "rival": best, "ratio": ratio, "ci95": [low, high],
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    machine, versions = report["machine"], report["versions"]
    print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f}, {machine['os']}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{NETWORK}, {SIZE}x{SIZE}, batch {BATCH}, {arguments.rounds} rounds; logits {difference:.0e} apart")
    for step in report["steps"]:
        bottom, top = step["ci95_ms"]
        xla = "whole step through XLA" if step["jit_compile"] else "step not through XLA"
        print(f"{step['label']:36s} {step['median_ms']:9.1f} ms [{bottom:.1f}, {top:.1f}]  {xla}")
    print(f"{best} takes {ratio:.2f} times as long [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
