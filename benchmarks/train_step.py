"""Does GroupConv2D pay in training? A step of VarGNet v1 0.25 (G = 8, 32x32, batch 64) built with it, against one of
the same network with `keras.layers.Conv2D(groups=...)` and the same weights.

    python benchmarks/train_step.py [--rounds 20] [--json]

A step is `train_on_batch` with AdamW. Every contestant runs in a process of its own, because TensorFlow's threads are
set once a process; the steps are interleaved, the order turns. Each network is tried with TensorFlow's default threads
and with those that `tfeff train` sets for small images, the rival with and without XLA for the whole step too, and the
best of each is quoted. "stock" is the rival with Keras' own BatchNormalization as well: what one would write without
tfeff.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time

import numpy as np

from tfeff.bench.intervals import median_interval, paired_ratio
from tfeff.bench.worker import cpu_model
from tfeff.cli.quiet import import_tensorflow
from tfeff.cli.train import SMALL_IMAGE_THREADS

NETWORK, SIZE, BATCH, CLASSES = "vargnet_v1_025_g8", 32, 64, 10
CONTESTANTS = [
    (layers, threads, jit)
    for layers, jits in (("GroupConv2D", ("auto",)), ("Conv2D(groups)", ("auto", True)), ("stock", ("auto",)))
    for jit in jits
    for threads in ("default", "small-image")
]


def build(layers):
    """The network with GroupConv2D, with Keras' grouped convolution, or of Keras' layers throughout; same weights."""
    import keras

    from tfeff.layers import BatchNorm, GroupConv2D
    from tfeff.networks import create

    keras.utils.set_random_seed(0)
    model = create(NETWORK, input_shape=(SIZE, SIZE, 3), classes=CLASSES, small_image=True)
    if layers == "GroupConv2D":
        return model

    def swap(layer):
        config = layer.get_config()
        if isinstance(layer, GroupConv2D):
            config["groups"] = layer.input.shape[-1] // config.pop("channels_per_group")
            return keras.layers.Conv2D.from_config(config)
        if isinstance(layer, BatchNorm) and layers == "stock":
            return keras.layers.BatchNormalization.from_config(config)
        return type(layer).from_config(config)

    rival = keras.models.clone_model(model, clone_function=swap)
    rival.set_weights(model.get_weights())
    return rival


def contestant(layers, jit):
    """A process that answers every number on stdin with the median seconds of so many steps in a row; its first answer
    is its logits. The first step of a block finds the caches full of another's data, as no step of a training does, and
    is left out."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_tensorflow()
    import keras

    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, BATCH)
    model = build(layers)
    print(json.dumps(np.asarray(model(images, training=False)).tolist()), file=answers, flush=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3), loss, jit_compile=jit)
    for count in map(int, sys.stdin):
        model.train_on_batch(images, labels)
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            model.train_on_batch(images, labels)
            seconds.append(time.perf_counter() - started)
        print(float(np.median(seconds)), file=answers, flush=True)


def start(layers, threads, jit):
    """Starts a contestant; returns the process and its logits."""
    environment = {**os.environ, **(SMALL_IMAGE_THREADS if threads == "small-image" else {})}
    command = [sys.executable, __file__, "--contestant", json.dumps([layers, jit])]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return process, np.array(json.loads(process.stdout.readline()))


def measure(processes, rounds, warm_up):
    """{contestant: median seconds of a step in every round}; a block of steps is about half a second."""
    seconds = {key: [] for key in processes}
    block = dict.fromkeys(processes, 1)
    keys = list(processes)
    for number in range(-warm_up, rounds):
        for key in keys[number % len(keys) :] + keys[: number % len(keys)]:
            processes[key].stdin.write(f"{block[key]}\n")
            processes[key].stdin.flush()
            took = float(processes[key].stdout.readline())
            block[key] = max(1, round(0.5 / took))
            if number >= 0:
                seconds[key].append(took)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="blocks of steps of each, after the warm-up")
    parser.add_argument(
        "--warm-up", type=int, default=3, help="blocks of each that are not counted; the first compiles"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        return contestant(*json.loads(arguments.contestant))
    if arguments.rounds < 3 or arguments.warm_up < 1:
        parser.error("--rounds must be at least 3, --warm-up at least 1")
    started = {key: start(*key) for key in CONTESTANTS}
    try:
        logits = {key: values for key, (_, values) in started.items()}
        first = logits[CONTESTANTS[0]]
        difference = max(float(np.abs(first - other).max() / np.abs(first).max()) for other in logits.values())
        if difference > 1e-4:
            sys.exit(f"the networks do not compute the same: {difference:.1e} of the largest logit apart")
        processes = {key: process for key, (process, _) in started.items()}
        seconds = measure(processes, arguments.rounds, arguments.warm_up)
    finally:
        for process, _ in started.values():
            process.kill()
            process.wait()

    def best(layers):
        return min((key for key in seconds if key[0] == layers), key=lambda key: np.median(seconds[key]))

    from importlib.metadata import version

    ours = best("GroupConv2D")
    report = {
        "network": NETWORK, "input_size": SIZE, "batch": BATCH, "rounds": arguments.rounds,
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "os": platform.platform()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("tensorflow", "keras")}},
        "largest_difference": difference,
        "steps": [
            {"layers": key[0], "threads": key[1], "jit_compile": key[2], "median_ms": middle, "ci95_ms": [low, high]}
            for key in CONTESTANTS
            for middle, low, high in [median_interval(1000 * np.array(seconds[key]))]
        ],
        "same_threads": {}, "ratios": {},
    }  # fmt: skip
    for threads in ("small-image", "default"):  # the rival's better setting of XLA, both with the same threads
        mine = ("GroupConv2D", threads, "auto")
        rivals = [key for key in seconds if key[:2] == ("Conv2D(groups)", threads)]
        its = min(rivals, key=lambda key: np.median(seconds[key]))
        ratio, low, high = paired_ratio(seconds[its], seconds[mine])
        report["same_threads"][threads] = {"jit_compile": its[2], "ratio": ratio, "ci95": [low, high]}
    for rival in ("Conv2D(groups)", "stock"):
        ratio, low, high = paired_ratio(seconds[best(rival)], seconds[ours])
        report["ratios"][rival] = {"best": best(rival)[1:], "ratio": ratio, "ci95": [low, high]}
    if arguments.json:
        return print(json.dumps(report, indent=1))
    machine, versions = report["machine"], report["versions"]
    print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f}, {machine['os']}")
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"{NETWORK}, {SIZE}x{SIZE}, batch {BATCH}, {arguments.rounds} rounds; logits {difference:.0e} apart")
    for step in report["steps"]:
        low, high = step["ci95_ms"]
        setting = f"{step['threads']} threads, jit_compile={step['jit_compile']!r}"
        print(f"{step['layers']:16s} {setting:40s} {step['median_ms']:8.1f} ms [{low:.1f}, {high:.1f}]")
    for threads, ratio in report["same_threads"].items():
        low, high = ratio["ci95"]
        print(f"{threads} threads: Conv2D(groups) takes {ratio['ratio']:.1f} times as long [{low:.1f}, {high:.1f}]")
    for rival, ratio in report["ratios"].items():
        low, high = ratio["ci95"]
        print(f"best {rival} takes {ratio['ratio']:.1f} times as long [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
