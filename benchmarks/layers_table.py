"""docs/layers.md: what becomes of every Keras layer class and activation in an int8 file.

python benchmarks/layers_table.py [--only NAME ...] [--write docs/layers.md]

Each is exported alone, from 64 samples, by the Python API; the cases are those of tests/export/rewrites.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export import Request, export_model
from tfeff.export.model import Model
from tfeff.export.quantize.graph import _FIRST
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import inlined
from tfeff.record.schema import TaskSpec

TESTS = Path(__file__).parents[1] / "tests" / "export" / "rewrites"
SAMPLES = 64
SHAPE = (8, 8, 4)
HEAD = """# What becomes of each Keras layer in int8

Every layer class of `keras.layers` and every function of `keras.activations`, exported alone with `--int8`; made by
`python benchmarks/layers_table.py --write docs/layers.md`. "int8": no operation of the file is in float. "SQNR": of the
int8 file against Keras, on samples that it was not calibrated with. A rewrite that is named had a part in it. Refused
ones say why; what only has no int8 kernel (`SIN`) goes on with `--allow-float SIN`, see
[quantization.md](quantization.md).
"""


def layer_cases():
    """{name: (function from inputs to output, [shape], type)}; and {name: why there is none}."""
    sys.path.insert(0, str(TESTS))
    import test_every_layer as known

    found = {}
    for name in sorted(set(known.CASES | known.SEVERAL) & set(known.classes())):
        options, shapes, *dtype = {**known.CASES, **known.SEVERAL}[name]
        make = options if callable(options) else lambda name=name, options=options: getattr(layers, name)(**options)
        several = name in known.SEVERAL
        shapes = shapes if isinstance(shapes, list) else [shapes]
        found[name] = make, shapes, (dtype or ["float32"])[0], several
    return found, {name: why for name, why in known.NOT_IN_A_GRAPH.items() if name in known.classes()}


def activation_cases():
    """{name: as above} of every function of `keras.activations`."""
    names = [name for name, value in vars(keras.activations).items() if callable(value) and name[0] != "_"]
    names = [name for name in names if name not in ("get", "serialize", "deserialize")]
    made = {name: lambda name=name: layers.Activation(name) for name in sorted(names)}
    made["threshold"] = lambda: lambda x: keras.activations.threshold(x, 0.3, 0.1)  # takes its numbers only so
    return {name: (make, [SHAPE], "float32", False) for name, make in made.items()}


def settle(model, seed=5):
    """Weights that no initializer gives."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "scale", "moving_variance"):
            variable.assign(random.uniform(0.6, 1.4, variable.shape))
        elif kind in ("beta", "bias", "moving_mean") and len(variable.shape) == 1:
            variable.assign(random.normal(0, 0.2, variable.shape))


def batch(ports, seed):
    random = np.random.default_rng(seed)
    return {
        port.name: random.normal(size=(SAMPLES, *port.shape)).astype(np.float32)
        if port.dtype.startswith("float") else random.integers(0, 5, (SAMPLES, *port.shape)).astype(port.dtype)
        for port in ports
    }  # fmt: skip


def outcome(case):
    """(what becomes of it, SQNR, by which rewrites)"""
    make, shapes, dtype, several = case
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    inputs = [keras.Input(shape, dtype=dtype, name=f"given{n}") for n, shape in enumerate(shapes)]
    try:
        made = make()(*inputs) if several else make()(inputs[0] if len(inputs) == 1 else inputs)
        outputs = keras.tree.flatten(made)
        model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name="net")
    except Exception as error:
        return f"no such model: {first_line(error)}", "", ""
    try:
        if len(inlined(model).operations) == len(inputs):
            return "left out: does nothing outside training", "", ""
    except TfeffError as error:
        return f"refused: {first_line(error.what)}", "", ""
    settle(model)
    ports = tuple(InputPort(f"given{n}", tuple(shape), dtype) for n, shape in enumerate(shapes))
    names = tuple(f"out{n}" for n in range(len(outputs)))
    described = Model(model, "net", "mine", ports, names, (TaskSpec(name="tensors", outputs=list(names)),))
    request = Request(devices=(), method="minmax", correct_bias=False, allow_audit=True)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "samples.npz", **batch(ports, 0))
        try:
            made = export_model(described, Path(folder) / "net.int8.tflite",
                                replaced(request, calibration=str(Path(folder) / "samples.npz")))  # fmt: skip
        except TfeffError as error:
            return f"refused: {first_line(error.what)}", "", rewrites_of(model)
        said = "int8" if made.record.quantization.simulation is not None else "int8, not simulated"
        return said, ratio(model, made, names, ports), rewrites_of(model)


def replaced(request, **changes):
    from dataclasses import replace

    return replace(request, **changes)


def ratio(model, made, names, ports):
    """SQNR of the file against `predict` on other samples, dB, of the worst output."""
    from tfeff.compare import Runner

    held = batch(ports, 1)
    arrays = list(held.values())
    wanted = keras.tree.flatten(model.predict(arrays if len(arrays) > 1 else arrays[0], verbose=0, batch_size=1))
    run = Runner(made.path)
    rows = [run({name: values[n] for name, values in held.items()}) for n in range(SAMPLES)]
    found = []
    for name, want in zip(names, wanted, strict=True):
        got = np.stack([row[name] for row in rows]).reshape(np.shape(want)).astype(float)
        error = np.sum((got - want.astype(float)) ** 2)
        found.append(10 * np.log10(np.sum(want.astype(float) ** 2) / error) if error else np.inf)
    return "exact" if min(found) == np.inf else f"{min(found):.1f}"


def rewrites_of(model):
    """What of the rewrites for int8 finds a place in it."""
    try:
        network, found = inlined(model), []
        for spec in ("normalization", *_FIRST):
            network, places = load_rewrite(spec).apply(network)
            found += [spec.partition(":")[0]] * bool(places)
        return ", ".join(found)
    except TfeffError:
        return ""


def first_line(error):
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text[:160].replace("|", "/")


def table(cases, kind, rows=None):
    lines = [f"| {kind} | in the file | SQNR, dB | rewrites |", "|---|---|---:|---|"]
    for name, case in cases.items():
        try:
            said, figure, by = outcome(case)
        except Exception as error:  # a traceback is a bug of ours, and is to stand in the table
            said, figure, by = f"BUG {type(error).__name__}: {first_line(error)}", "", ""
        lines.append(f"| `{name}` | {said} | {figure} | {by} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def replace_rows(path, lines):
    """Puts the rows of `--only` in the place of those that are in the file."""
    fresh = {line.split("|")[1]: line for line in lines if line.count("|") == 5 and "`" in line}
    held = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(fresh.get(each.split("|")[1], each) if each.count("|") == 5 else each
                              for each in held) + "\n", encoding="utf-8")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    classes, without = layer_cases()
    activations = activation_cases()
    if options.only:
        classes = {name: case for name, case in classes.items() if name in options.only}
        activations = {name: case for name, case in activations.items() if name in options.only}
    text = [HEAD, "## Activations", "", *table(activations, "function"), "", "## Layers", ""]
    text += table(classes, "class")
    text += ["", "Those that no graph of numbers holds:", "", "| class | why |", "|---|---|"]
    text += [f"| `{name}` | {why} |" for name, why in sorted(without.items())]
    made = "\n".join(text) + "\n"
    if options.write and options.only:
        replace_rows(options.write, text)
    elif options.write:
        options.write.write_text(made, encoding="utf-8")
    else:
        print(made)


if __name__ == "__main__":
    main()
