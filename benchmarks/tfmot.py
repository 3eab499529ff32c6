"""What tensorflow-model-optimization takes: layer by layer, and preset by preset. Writes docs/tfmot.md's tables.

    python benchmarks/tfmot.py [PRESET ...] [--steps N] [--only layers|networks|compressed] [--page]

Layers: a small network around each, through tfmot's quantization-aware training as it comes and with our configs; a
file is taken whole when it has no float operation. Networks: every preset by `quantization_tfmot.tfmot_row`. Pruning
and clustering: `tfeff prune` and `tfeff cluster` as a user types them, one epoch.

Writes docs/results/tfmot.json as it goes (with PRESETs or --only the rest stays as it was), and with that the tables
between the marks in docs/tfmot.md; --page measures nothing.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import numpy as np
from keras import layers, ops
from quantization_tfmot import STEPS, tfmot_row

from tfeff.compress.tfmot import Training, process, qat
from tfeff.compress.tfmot.drawing import draw
from tfeff.errors import TfeffError
from tfeff.export import classifier
from tfeff.export.quantize.convert import environment_versions
from tfeff.layers import ChannelShuffle, GroupConv2D, StridedDilatedDepthwiseConv2D
from tfeff.presets import aliases, load_preset
from tfeff.tflite.graph import read_graph

DOCS = Path(__file__).parents[1] / "docs"
RESULTS, PAGE = DOCS / "results" / "tfmot.json", DOCS / "tfmot.md"
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
    "ReLU up to 2": lambda x: layers.ReLU(2.0)(x),
    "maximum with a number": lambda x: ops.maximum(x, -0.2),
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
    "concatenation": lambda x: layers.Concatenate()([x, layers.ReLU()(layers.Conv2D(8, 1)(x))]),
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
                probed = classifier(model, "probe", name, _AnyInput())
                tasks[name, "ours"] = qat.prepare(
                    probed, Training(images, labels, steps=2, batch_size=32), folder=folder
                )
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


def tables(results):
    """{mark: lines of its table}, of what was measured."""
    yield (
        "layers",
        [
            "| layer | tfmot as it comes | with our configs |\n|---|---|---|",
            *(f"| {row['layer']} | {_word(row['as_it_comes'])} | {_word(row['ours'])} |" for row in results["layers"]),
        ],
    )
    rows = [
        "| preset | bridge error | float top-1 | int8 top-1 | difference | QUANTIZE between |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in sorted(results.get("networks", {}).items()):
        if "refused" in row:
            rows.append(f"| `{name}` | refused: {row['refused']} | | | | |")
            continue
        low, high = row["ci95"]
        error, between = row["training"]["bridge_error"], row["training"]["quantize_operations"]
        rows.append(
            f"| `{name}` | {error:.1e} | {row['float_top1']:.2f} | {row['top1']:.2f} | {row['delta']:+.2f} "
            f"[{low:+.2f}, {high:+.2f}] | {between} |"
        )
    yield "networks", rows
    rows = ["| preset | | in the int8 weights | size, bytes | deflated before | after | int8 top-1 before | after |\n"
            "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, row in sorted(results.get("compressed", {}).items()):
        for key in ("pruning", "clustering"):
            entry = row[key]
            told = entry["in_file"]
            what = f"{100 * told['sparsity']:.2f} % zeros" if key == "pruning" else (
                f"at most {told['most_values_of_a_channel']} values in a channel")  # fmt: skip
            packed, top1 = entry["deflated_bytes"], entry["accuracy"]
            change = 100 * (packed["after"] / packed["before"] - 1)
            rows.append(f"| `{name}` | {key} | {what} | {entry['size_bytes']['after']:,} | {packed['before']:,} | "
                        f"{packed['after']:,} ({change:+.0f} %) | {top1['before']['int8']:.2f} | "
                        f"{top1['after']['int8']:.2f} |")  # fmt: skip
    yield "compressed", rows


def _word(found):
    if found["taken"]:
        between = found["quantize_between"]
        return "int8" + (f", {between} QUANTIZE between" if between else "")
    if left := [name for name in found.get("float_operations", []) if name not in ("QUANTIZE", "DEQUANTIZE")]:
        return f"float: {', '.join(dict.fromkeys(left))}"
    return "not taken"


def write_page(results):
    """Puts the tables between their marks in the page."""
    text = PAGE.read_text(encoding="utf-8")
    for mark, lines in tables(results):
        begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    PAGE.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", choices=("layers", "networks", "compressed"))
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    parts = [] if given.page else [given.only] if given.only else ["layers", "networks", "compressed"]
    if parts:
        results |= {"schema_version": 1, "versions": {**environment_versions(), **qat.tfmot_versions()}}
    if "layers" in parts:
        results["layers"] = layer_rows()
        _write(results)
    for part, measure, presets in (
        ("networks", lambda preset: tfmot_row(preset, steps=given.steps), sorted(aliases("classification"))),
        ("compressed", compressed, COMPRESSED),
    ):
        for preset in (given.presets or presets) if part in parts else ():
            row = measure(preset)
            print(json.dumps(row), file=sys.stderr, flush=True)
            results.setdefault(part, {})[row["preset"]] = row
            _write(results)
    write_page(results)


def _write(results):
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
