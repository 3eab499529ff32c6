"""What tensorflow-model-optimization takes: layer by layer, and preset by preset. docs/tfmot.md shows the tables.

    python benchmarks/tfmot.py [PRESET ...] [--steps N] [--no-layers] [--no-compress]

Layers: a small network around each, through tfmot's quantization-aware training as it comes and with our configs; a
file is taken whole when it has no float operation. Presets: bridged and proven, trained for N steps of 64 images of
Fashion-MNIST's training set, compared on all test images. Pruning and clustering: `tfeff prune` and `tfeff cluster` as
a user types them, one epoch.

Writes docs/results/tfmot.json (with PRESETs only those are measured anew). `quantization_aware` is the row of one
preset for other tables.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import numpy as np
from keras import layers, ops
from tfeff.export import Subject
from tfeff.export.flatbuffer import read_graph
from tfeff.export.tfmot import process, qat, refusals, tfmot_qat
from tfeff.export.tfmot.plan import draw
from tfeff.export.tfmot.samples import read_samples

from tfeff.compare import Runner
from tfeff.data import open_dataset
from tfeff.errors import TfeffError
from tfeff.layers import ChannelShuffle, GroupConv2D, StridedDilatedDepthwiseConv2D
from tfeff.presets import aliases, load_preset

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "tfmot.json"
STEPS, BATCH, LEARNING_RATE = 300, 64, 5e-5
COMPRESSED = ("mobilenet_v1", "vargnet", "shufflenet_v2")
SHAPE = (12, 12, 8)


def _halves(x):
    a, b = ops.split(x, 2, axis=-1)
    return layers.Concatenate()([layers.Conv2D(4, 1)(a), b])


def _gated(x):
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Multiply()([x, layers.Activation("hard_sigmoid")(layers.Conv2D(8, 1)(gate))])


PROBES = {
    "group convolution": lambda x: GroupConv2D(8, 3, 4, padding="same")(x),
    "depthwise convolution": lambda x: layers.DepthwiseConv2D(3, padding="same")(x),
    "depthwise, stride and dilation": lambda x: StridedDilatedDepthwiseConv2D(3, 2, 2)(x),
    "transposed convolution": lambda x: layers.Conv2DTranspose(8, 2, strides=2)(x),
    "ReLU": lambda x: layers.ReLU()(x),
    "ReLU6": lambda x: layers.ReLU(6.0)(x),
    "leaky ReLU": lambda x: layers.LeakyReLU(0.1)(x),
    "PReLU": lambda x: layers.PReLU(keras.initializers.Constant(0.25), shared_axes=[1, 2])(x),
    "hard-swish": lambda x: layers.Activation("hard_silu")(x),
    "hard-sigmoid": lambda x: layers.Activation("hard_sigmoid")(x),
    "SiLU": lambda x: layers.Activation("silu")(x),
    "sigmoid": lambda x: layers.Activation("sigmoid")(x),
    "tanh": lambda x: layers.Activation("tanh")(x),
    "GELU": lambda x: layers.Activation("gelu")(x),
    "ELU": lambda x: layers.Activation("elu")(x),
    "softmax": lambda x: layers.Softmax()(x),
    "add": lambda x: layers.Add()([x, layers.Conv2D(8, 1)(x)]),
    "multiply": lambda x: layers.Multiply()([x, layers.Conv2D(8, 1)(x)]),
    "maximum": lambda x: layers.Maximum()([x, layers.Conv2D(8, 1)(x)]),
    "squeeze and excitation": _gated,
    "concatenation": lambda x: layers.Concatenate()([x, 3 * layers.Conv2D(8, 1)(x)]),
    "slice": lambda x: x[..., 2:6],
    "slice with a stride": lambda x: x[:, ::2, ::2],
    "split": _halves,
    "channel shuffle": lambda x: ChannelShuffle(2)(x),
    "x + 3": lambda x: x + 3.0,
    "x * vector": lambda x: x * np.linspace(0.5, 2, 8, dtype=np.float32),
    "Rescaling": lambda x: layers.Rescaling(0.5, 0.1)(x),
    "max pooling": lambda x: layers.MaxPooling2D(2)(x),
    "average pooling": lambda x: layers.AveragePooling2D(2)(x),
    "average pooling, padded": lambda x: layers.AveragePooling2D(3, 1, padding="same")(x),
    "global pooling": lambda x: layers.GlobalAveragePooling2D(keepdims=True)(x),
    "zero padding": lambda x: layers.ZeroPadding2D(1)(x),
    "cropping": lambda x: layers.Cropping2D(1)(x),
    "nearest resize": lambda x: layers.UpSampling2D(2)(x),
    "bilinear resize": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
    "batch norm behind a convolution": lambda x: layers.BatchNormalization()(layers.Conv2D(8, 3)(x)),
    "batch norm behind a ReLU": lambda x: layers.BatchNormalization()(layers.ReLU()(x)),
}


def layer_rows() -> list[dict]:
    """One row a layer: what tfmot makes of it as it comes, and with our configs."""
    images = np.random.default_rng(0).standard_normal((64, *SHAPE)).astype(np.float32)
    labels = np.arange(64) % 10
    rows = {name: {"layer": name} for name in PROBES}
    tasks = {}
    with TemporaryDirectory() as scratch:
        for number, (name, probe) in enumerate(PROBES.items()):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            model = _around(probe)
            plan = draw(model)
            tasks[name, "as_it_comes"] = process.Task("stock", plan, model, images[:8], {"path": folder / "x.tflite"})
            try:
                subject = Subject(model, "probe", name, _AnyInput())
                tasks[name, "ours"] = qat.prepare(subject, images, labels, folder=folder, steps=2, batch_size=32)
            except TfeffError as error:
                rows[name]["ours"] = {"taken": False, "why": str(error).splitlines()[0]}
        answers = process.run_all(list(tasks.values()), Path(scratch), keep_going=True)
        for ((name, which), task), answer in zip(tasks.items(), answers, strict=True):
            why = answer.get("error") or answer.get("refused")
            rows[name][which] = {"taken": False, "why": why} if why else _file_facts(task.request["path"])
    for row in rows.values():
        print(row, file=sys.stderr)
    return list(rows.values())


def _around(probe):
    """(12, 12, 8) -> a convolution, what is probed, a convolution, 10 logits."""
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", name="first")(image)
    x = layers.Conv2D(8, 1, name="last")(probe(x))
    model = keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="probe")
    for variable in model.variables:
        if variable.path.endswith("moving_mean"):
            variable.assign(0.1 * np.random.default_rng(1).standard_normal(variable.shape))
    return model


class _AnyInput:
    """The preprocessing of a network whose input is a feature map: what is asked of it here."""

    shape = SHAPE

    def normalize(self, pixels):
        return (np.asarray(pixels, np.float32) - 128) / 32


def _file_facts(path):
    graph = read_graph(path)
    left = graph.float_operations()
    door = {t.index for t in (*graph.inputs, *graph.outputs)}
    between = [op for op in graph.operations if op.name == "QUANTIZE"
               and not door & {t.index for t in (*op.inputs, *op.outputs)}]  # fmt: skip
    return {"taken": not left, "float_operations": [op.name for op in left], "quantize_between": len(between)}


def quantization_aware(preset: str, *, steps: int = STEPS, images: int | None = None, seed: int = 0) -> dict:
    """tfmot's QAT on a bundled preset, on Fashion-MNIST: a row for a table.

    Args:
        preset: name or alias.
        steps: of 64 images.
        images: how many training images at most; None is all.
        seed: of their order.

    Returns:
        `refused` (a list of lines), or `float_top1`, `top1` on all test images, `predictions` (n,) of the file, and
        what `tfmot_qat` found.
    """
    loaded = load_preset(preset)
    model = loaded.build()
    subject = Subject(model, loaded.name, loaded.network, loaded.preprocessing, loaded.labels, loaded.name)
    test = open_dataset("fashion_mnist", "test")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train, labels = read_samples(
            open_dataset("fashion_mnist", "train"), loaded.preprocessing, folder / "train.npy", limit=images, seed=seed
        )
        if refused := refusals(subject, np.asarray(train[:16])):
            return {"preset": loaded.name, "refused": [str(each) for each in refused]}
        made = tfmot_qat(subject, train, labels, folder=folder, steps=steps, batch_size=BATCH,
                         learning_rate=LEARNING_RATE, seed=seed)  # fmt: skip
        inputs, _ = read_samples(test, loaded.preprocessing, folder / "test.npy")
        runner = Runner(made.path)
        found = np.array([int(runner(image).argmax()) for image in inputs])
        floats = np.concatenate([np.asarray(model(inputs[i : i + 500])).argmax(1) for i in range(0, len(inputs), 500)])
        size = made.path.stat().st_size
    return {
        "preset": loaded.name,
        "refused": [],
        "float_top1": _percent(floats == test.labels),
        "top1": _percent(found == test.labels),
        "samples": len(found),
        "size_bytes": size,
        **{key: value for key, value in made.as_dict().items() if key not in ("path", "rewrites")},
        "predictions": found.tolist(),
    }


def compressed(preset: str) -> dict:
    """`tfeff prune` and `tfeff cluster` on a preset: what their records say."""
    row = {"preset": load_preset(preset).name}
    for key, words in (("pruning", ["prune", preset, "--sparsity", "0.5"]),
                       ("clustering", ["cluster", preset, "--clusters", "16"])):  # fmt: skip
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tfeff", *words, "--dataset", "fashion_mnist", "--epochs", "1",
                       "--no-bench", "--out", folder, "--json", "--quiet"]  # fmt: skip
            ran = subprocess.run(command, stdout=subprocess.PIPE, check=False)
            entry = json.loads(ran.stdout)[key]
        row[key] = {name: value for name, value in entry.items() if name != "by_layer"} | {"exit": ran.returncode}
    return row


def _percent(hits):
    return round(100 * float(np.mean(hits)), 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=None)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--no-layers", action="store_true")
    parser.add_argument("--no-networks", action="store_true")
    parser.add_argument("--no-compress", action="store_true")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    results["versions"] = qat.tfmot_versions()
    if not arguments.no_layers:
        results["layers"] = layer_rows()
        _write(results)
    for preset in [] if arguments.no_networks else arguments.presets or sorted(aliases()):
        row = quantization_aware(preset, steps=arguments.steps)
        row.pop("predictions", None)
        print(row, file=sys.stderr)
        results.setdefault("networks", {})[row["preset"]] = row
        _write(results)
    for preset in [] if arguments.no_compress else arguments.presets or COMPRESSED:
        row = compressed(preset)
        print(row, file=sys.stderr)
        results.setdefault("compressed", {})[row["preset"]] = row
        _write(results)


def _write(results):
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
