"""A small classifier for the tests of `tfeff debug`: as a Keras model, as files, and once more in NumPy."""

from dataclasses import dataclass

import numpy as np
from checking_files import edit

from tfeff.debug.result import Agreement, Constants, DebugResult, LayerError

SHAPE, CLASSES = (12, 12, 3), 6
LAYERS = ("stem", "middle", "wide", "join", "pool", "logits")  # in the order in which they run


def images(count, seed):
    """float32 (count, 12, 12, 3): smooth blobs, within -1..1."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (count, *SHAPE))
    smooth = sum(np.roll(noise, shift, axis) for shift in (-1, 0, 1) for axis in (1, 2)) / 4
    return np.clip(smooth + rng.normal(0, 0.3, (count, 1, 1, 3)), -1, 1).astype(np.float32)


def weights():
    """Weights and biases by layer, as Keras holds them."""
    rng = np.random.default_rng(5)

    def draw(*shape, fan):
        return rng.normal(0, 1.4 / np.sqrt(fan), shape).astype(np.float32), rng.normal(0, 0.2, shape[-1])

    stem = draw(3, 3, 3, 8, fan=27)
    middle, bias = rng.normal(0, 0.4, (3, 3, 8, 1)).astype(np.float32), rng.normal(0, 0.2, 8)
    return {
        "stem": stem, "middle": (middle, bias), "wide": draw(1, 1, 8, 8, fan=8), "logits": draw(8, CLASSES, fan=8),
    }  # fmt: skip


def keras_network():
    """conv stem (ReLU) -> depthwise middle (ReLU) -> 1x1 conv wide, + stem -> join -> pool -> logits."""
    import keras

    kept = keras.layers
    image = keras.Input(SHAPE, batch_size=1, name="image")
    stem = kept.Conv2D(8, 3, padding="same", activation="relu", name="stem")(image)
    middle = kept.DepthwiseConv2D(3, padding="same", activation="relu", name="middle")(stem)
    wide = kept.Conv2D(8, 1, name="wide")(middle)
    pool = kept.GlobalAveragePooling2D(name="pool")(kept.Add(name="join")([stem, wide]))
    model = keras.Model(image, kept.Dense(CLASSES, name="logits")(pool), name="net")
    for name, values in weights().items():
        model.get_layer(name).set_weights(values)
    return model


@dataclass(frozen=True)
class Grid:
    """What a tensor of the file can hold, read by LiteRT."""

    scale: float
    zero_point: int

    def __call__(self, values):
        codes = np.clip(np.round(values / self.scale) + self.zero_point, -128, 127)
        return (codes - self.zero_point) * self.scale


def run_numpy(image, of, grids=None):
    """Values by layer in float64: `of` gives weights and bias by layer, `grids` the grids that values are put on."""
    grids = grids or {}

    def on_grid(name, values):
        return grids[name](values) if name in grids else values

    def padded(values):
        return np.lib.stride_tricks.sliding_window_view(np.pad(values, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))

    values = {"image": on_grid("image", np.float64(image))}
    stem = np.einsum("yxcij,ijco->yxo", padded(values["image"]), of["stem"][0]) + of["stem"][1]
    values["stem"] = on_grid("stem", np.maximum(stem, 0))
    middle = np.einsum("yxcij,ijco->yxc", padded(values["stem"]), of["middle"][0]) + of["middle"][1]
    values["middle"] = on_grid("middle", np.maximum(middle, 0))
    values["wide"] = on_grid("wide", values["middle"] @ of["wide"][0][0, 0] + of["wide"][1])
    values["join"] = on_grid("join", values["stem"] + values["wide"])
    values["pool"] = on_grid("pool", values["join"].mean(axis=(0, 1)))
    values["logits"] = on_grid("logits", values["pool"] @ of["logits"][0] + of["logits"][1])
    return values


def read_quantized(path):
    """Grids by layer and the rounded weights, in Keras' layouts, of the int8 file as LiteRT reads it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    grids, rounded = {}, {}
    for op in interpreter._get_ops_details():
        if op["op_name"] == "DELEGATE":
            continue
        details = {i: interpreter._get_tensor_details(int(i), 0) for i in (*op["inputs"], *op["outputs"]) if i >= 0}
        name = layer_of(op, details)
        out = details[op["outputs"][0]]["quantization_parameters"]
        grids[name] = Grid(float(out["scales"][0]), int(out["zero_points"][0]))
        if name in weights():
            rounded[name] = _keras_layout(name, [_real(interpreter, details[i]) for i in op["inputs"][1:]])
    door = interpreter.get_input_details()[0]["quantization_parameters"]
    grids["image"] = Grid(float(door["scales"][0]), int(door["zero_points"][0]))
    return grids, rounded


def layer_of(op, details):
    """The layer of an operation, by what it does: `stem` is the only 3x3 convolution and so on."""
    if op["op_name"] == "CONV_2D":
        return "stem" if details[op["inputs"][1]]["shape"][1] == 3 else "wide"
    return {"DEPTHWISE_CONV_2D": "middle", "ADD": "join", "MEAN": "pool", "FULLY_CONNECTED": "logits"}[op["op_name"]]


def _real(interpreter, details):
    found = details["quantization_parameters"]
    shape = [1] * len(details["shape"])
    if len(found["scales"]) > 1:
        shape[found["quantized_dimension"]] = -1
    return interpreter.get_tensor(details["index"]).astype(np.float64) * np.float64(found["scales"]).reshape(shape)


def _keras_layout(name, values):
    weight, bias = values
    if name == "logits":
        return weight.T, bias
    return weight.transpose((1, 2, 3, 0)), bias  # depthwise: (1, h, w, c) -> (h, w, c, 1), else (o, h, w, i) too


def ruin(path, tensor_words, factor):
    """Writes a copy whose one computed tensor, the one with these words in its name, has a scale `factor` as large.

    What reads it must have no bias: that would be in the old scale.
    """

    def change(model):
        (graph,) = model.subgraphs
        computed = {int(i) for op in graph.operators for i in op.outputs}
        (tensor,) = [i for i in computed if all(word in graph.tensors[i].name.decode() for word in tensor_words)]
        quantization = graph.tensors[tensor].quantization
        quantization.scale = np.float32(quantization.scale * factor)

    ruined = path.with_name(f"ruined_{factor:g}_{path.name}")
    ruined.write_bytes(edit(path.read_bytes(), change))
    return ruined


def layer_error(**figures):
    """A layer with figures of our own."""
    name = figures.get("layer", "conv")
    plain = {
        "position": 0, "layer": name, "names": [name], "op": "CONV_2D", "operations": [0], "tensor": name,
        "tensors": [name], "scale": 0.5, "zero_point": 0, "range": (-64.0, 63.5), "seen": (-1.0, 1.0), "sqnr_db": 30.0,
        "local_sqnr_db": 40.0, "range_use": 0.5, "clipped_share": 0.0, "error_share": 0.1, "error_share_se": 0.01,
        "reference": "simulation",
    }  # fmt: skip
    return LayerError(**{**plain, **figures})


def debug_result(layers, **figures):
    """What `debug` gives, with figures of our own; the layers of largest error come first, as there."""
    agreement = Agreement(
        agrees=True, same_answers=None, sqnr_db=None, mean_lsb=None, max_lsb=None, mse=None, float_sqnr_db=None
    )
    plain = {
        "file": "net.tflite", "sha256": "0" * 64, "float_file": None, "float_sha256": None, "reference": "simulation",
        "images": "photos", "samples": 3, "output": None, "output_sqnr_db": None, "output_mse": None, "ports": [],
        "simulation": agreement, "weights": Constants(1, 0), "notes": [], "runtime": "litert", "version": "0",
    }  # fmt: skip
    return DebugResult(layers=sorted(layers, key=lambda row: -row.error_share), **{**plain, **figures})
