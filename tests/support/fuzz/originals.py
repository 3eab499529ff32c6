"""The whole files that are mutated: a small int8 network with its float twin and records, and others of odd forms."""

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
from full_record import SHA256, full_record
from part_files import custom, open_sized, several
from small_files import Part, Step, Values, constant, write_file

from tfeff.demo.key import open_key
from tfeff.record import encode

SHAPE = (8, 8, 3)
_SIZE = {"height": 8, "width": 8}
_PREPROCESSING = {"resize": {"mode": "cover", **_SIZE}, "crop": _SIZE, "colour": "rgb", "mean": [128.0] * 3,
                  "std": [128.0] * 3}  # fmt: skip
_LABELS = ["a", "b", "c", "d"]


def _network(int8, float_doors=False):
    """A network of what networks are made of: (1, 8, 8, 3) -> 4 probabilities; the same weights in float and int8."""
    random = np.random.default_rng(5)
    tensors, steps = {}, []

    def value(name, shape, scale=0.05, zero_point=0):
        tensors[name] = Values(shape, "int8", scale, zero_point) if int8 else Values(shape)
        return name

    def weights(name, shape, axis, scale=0.05):
        """A layer's weights and its bias, whose scale is that of its input, `scale`, times the weights'."""
        codes, scales = random.integers(-127, 128, shape, np.int8), random.uniform(0.002, 0.01, shape[axis])
        bias = random.integers(-200, 200, shape[axis], np.int32)
        if int8:
            tensors[name] = constant(codes, scale=list(scales), axis=axis)
            tensors[f"{name}_b"] = constant(bias, scale=list(scales * scale))
        else:
            along = scales.reshape([-1 if n == axis else 1 for n in range(len(shape))])
            tensors[name] = constant(np.float32(codes * along))
            tensors[f"{name}_b"] = constant(np.float32(bias * scales * scale))
        return [name, f"{name}_b"]

    def step(op, inputs, output, options="", **fields):
        steps.append(Step(op, inputs, [output], options, fields))
        return output

    conv = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "fusedActivationFunction": 1}
    if float_doors:
        tensors["image"] = Values((1, *SHAPE))
        x = step("QUANTIZE", ["image"], value("x", (1, *SHAPE), 1 / 127))
    else:
        x = value("image", (1, *SHAPE), 1 / 127)
    x = step(
        "CONV_2D", [x, *weights("w1", (4, 3, 3, 3), 0, 1 / 127)], value("conv", (1, 8, 8, 4)), "Conv2DOptions", **conv
    )
    y = step("DEPTHWISE_CONV_2D", [x, *weights("w2", (1, 3, 3, 4), 3)], value("depth", (1, 8, 8, 4)),
             "DepthwiseConv2DOptions", depthMultiplier=1, **conv)  # fmt: skip
    z = step("ADD", [x, y], value("sum", (1, 8, 8, 4), 0.1), "AddOptions")
    z = step("CONCATENATION", [z, z], value("both", (1, 8, 8, 8), 0.1), "ConcatenationOptions", axis=3)
    pool = {"filterWidth": 2, "filterHeight": 2, "strideW": 2, "strideH": 2, "padding": 1}
    z = step("AVERAGE_POOL_2D", [z], value("pool", (1, 4, 4, 8), 0.1), "Pool2DOptions", **pool)
    tensors["axes"] = constant(np.int32([1, 2]))
    z = step("MEAN", [z, "axes"], value("mean", (1, 8), 0.1), "ReducerOptions", keepDims=False)
    z = step("FULLY_CONNECTED", [z, *weights("w3", (4, 8), 0, 0.1)], value("dense", (1, 4)), "FullyConnectedOptions")
    z = step("SOFTMAX", [z], value("logits", (1, 4), 1 / 256, -128), "SoftmaxOptions", beta=1.0)
    if float_doors:
        tensors["out"] = Values((1, 4))
        z = step("DEQUANTIZE", [z], "out")
    return Part(tensors, steps, {"image": "image"}, {"logits": z})


def record(path: Path, twin: Path, dtype: str, **more) -> dict:
    """What `tfeff export` would say of such a file, with a part of each kind that commands read."""
    scales = {"int8": ((1 / 127, 0), (1 / 256, -128))}.get(dtype, ((0.0, 0), (0.0, 0)))
    ports = [
        {"name": name, "shape": shape, "dtype": dtype, "scale": float(np.float32(scale)), "zero_point": zero}
        for (name, shape), (scale, zero) in zip((("image", [1, *SHAPE]), ("logits", [1, 4])), scales, strict=True)
    ]
    full = json.loads(encode(full_record()).decode().replace(SHA256, named(path)["sha256"]))
    return full | {
        "schema_version": 2, **named(path), "network": "vargnet_v1_025_g8", "target": "litert", "preset": None,
        "float_twin": named(twin), "outputs": ports[1:],
        "inputs": [{**ports[0], "preprocessing": copy.deepcopy(_PREPROCESSING)}],
        "tasks": [{"name": "classification", "outputs": ["logits"], "labels": [*_LABELS],
                   "decode": {"kind": "classes", "scores": "probabilities"}}],
        "precision": "int8", "dataset": "fashion_mnist_sample", "accuracy": [], "latency": [],
        **more,
    }  # fmt: skip


def old_record(new: dict) -> dict:
    """The same file's record as it was before schema 2."""
    (image,), (scores,) = new["inputs"], new["outputs"]
    image, row = dict(image), {"label": "a", "float_top1": 50.0, "quantized_top1": 50.0, "samples": 2}
    return {
        **{key: new[key] for key in ("file", "sha256", "network", "target", "float_twin", "dataset", "versions")},
        "schema_version": 1, "preprocessing": image.pop("preprocessing"), "input": image, "output": scores,
        "labels": new["tasks"][0]["labels"],
        "accuracy": {"float_top1": 50.0, "quantized_top1": 50.0, "delta": 0.0, "ci95": [0.0, 0.0], "samples": 2,
                     "dataset": "images.npz", "mcnemar_p": 1.0, "flips": {"lost": 0, "won": 0}, "output_snr_db": 30.0,
                     "by_class": [row], "quantized_sha256": new["sha256"], "float_sha256": new["float_twin"]["sha256"]},
        "calibration": {"source": "images.npz", "findings": ["a"], "tried": [{"method": "mse", "divergence": 0.1}]},
    }  # fmt: skip


def named(path: Path) -> dict:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def write_originals(folder: Path) -> None:
    """`int8` and `web` (float at its doors), each with its record, `float`, `images.npz`, and a few of other forms."""
    float32 = write_file(folder / "float.tflite", _network(False))
    for name, part, dtype in (("int8", _network(True), "int8"), ("web", _network(True, True), "float32")):
        path = write_file(folder / f"{name}.tflite", part)
        path.with_suffix(".json").write_text(json.dumps(record(path, float32, dtype)))
    images = np.random.default_rng(6).integers(0, 256, (6, *SHAPE), np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.int64([0, 1, 2, 3, 0, 1]), classes=np.array(_LABELS))
    open_key(folder / "key.pem")
    several(folder / "several.tflite")
    open_sized(folder / "open.tflite")
    custom(folder / "custom.tflite", "Mine", quantized=True)
