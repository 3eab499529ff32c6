"""A network of two inputs, one of them whole numbers, and three outputs of different units: as files written by hand,
int8 and float, and once more in NumPy."""

import numpy as np
from debug_models import Grid
from small_files import Part, Step, Values, constant, write_file

ROWS, WIDTH, WORDS, CLASSES = 10, 4, 3, 3
LAYERS = ("vector", "table", "mean", "left", "right", "scores", "size")
GRIDS = {"vector": 0.02, "table": 0.012, "mean": 0.01, "left": 0.04, "right": 0.03, "scores": 0.05, "size": 3.0}
STEPS = {"table": 0.012, "shared": 0.012, "sizes": 1.3}


def weights():
    """Real constants: rows of a table, weights that two layers share, and those of `size`, which are large."""
    random = np.random.default_rng(3)
    shapes = {"table": (ROWS, WIDTH), "shared": (CLASSES, WIDTH), "sizes": (1, WIDTH)}
    return {name: random.uniform(-120, 120, shape) * STEPS[name] for name, shape in shapes.items()}


def inputs(count, seed=0):
    """{"vector": float32 (count, 4), "words": int32 (count, 3)}."""
    random = np.random.default_rng(seed)
    return {
        "vector": random.uniform(-2.5, 2.5, (count, WIDTH)).astype(np.float32),
        "words": random.integers(0, ROWS, (count, WORDS)).astype(np.int32),
    }


def write_pair(folder, **grids):
    """(int8, float) files; `grids` are scales in place of ours, by layer."""
    return tuple(
        _write(folder / f"two.{kind}.tflite", kind == "int8", {**GRIDS, **grids}) for kind in ("int8", "float")
    )


def _write(path, quantized, grids):
    def computed(name, *shape):
        return Values(shape, "int8", grids[name]) if quantized else Values(shape)

    tensors = {
        "vector": computed("vector", 1, WIDTH),
        "words": Values((1, WORDS), "int32"),
        "axis": constant([1], "int32"),
        "net/table/Gather": computed("table", 1, WORDS, WIDTH),
        "net/mean/Mean": computed("mean", 1, WIDTH),
        "net/left/MatMul": computed("left", 1, CLASSES),
        "net/right/MatMul": computed("right", 1, CLASSES),
        "net/scores/add": computed("scores", 1, CLASSES),
        "net/size/MatMul": computed("size", 1, 1),
        "net/best/ArgMax": Values((1,), "int64"),
    }
    for name, real in weights().items():
        stored = constant(np.round(real / STEPS[name]), "int8", STEPS[name])
        tensors[f"{name}/ReadVariable"] = stored if quantized else constant(real, "float32")
    dense, none = "FullyConnectedOptions", {}
    steps = [
        Step("GATHER", ["table/ReadVariable", "words"], ["net/table/Gather"], "GatherOptions"),
        Step("MEAN", ["net/table/Gather", "axis"], ["net/mean/Mean"], "ReducerOptions"),
        Step("FULLY_CONNECTED", ["vector", "shared/ReadVariable", None], ["net/left/MatMul"], dense, none),
        Step("FULLY_CONNECTED", ["net/mean/Mean", "shared/ReadVariable", None], ["net/right/MatMul"], dense),
        Step("ADD", ["net/left/MatMul", "net/right/MatMul"], ["net/scores/add"], "AddOptions"),
        Step("FULLY_CONNECTED", ["net/mean/Mean", "sizes/ReadVariable", None], ["net/size/MatMul"], dense),
        Step("ARG_MAX", ["net/scores/add", "axis"], ["net/best/ArgMax"], "ArgMaxOptions", {"outputType": 4}),
    ]
    outputs = {"scores": "net/scores/add", "size": "net/size/MatMul", "best": "net/best/ArgMax"}
    return write_file(path, Part(tensors, steps, {"vector": "vector", "words": "words"}, outputs))


def run_numpy(given, floats=(), rounded=True, grids=None):
    """Outputs by name, float64 (n, ...), of the network that rounds as the file does.

    Args:
        floats: layers left off their grids, with real weights; `rounded` is False for the network in float.
    """
    grids = {**GRIDS, **(grids or {})}

    def constant_of(name, reader):
        real = weights()[name]
        return np.round(real / STEPS[name]) * STEPS[name] if rounded and reader not in floats else real

    def on(name, values):
        return Grid(grids[name], 0)(values) if rounded and name not in floats else values

    vector = on("vector", np.float64(given["vector"]))
    table = on("table", constant_of("table", "table")[given["words"]])
    mean = on("mean", table.mean(axis=1))
    left = on("left", vector @ constant_of("shared", "left").T)
    right = on("right", mean @ constant_of("shared", "right").T)
    scores = on("scores", left + right)
    return {"scores": scores, "size": on("size", mean @ constant_of("sizes", "size").T), "best": scores.argmax(axis=1)}
