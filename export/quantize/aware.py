"""Quantization-aware training in the user's own `fit`: the network as int8 will compute it, ready to be trained.

`tfeff.quantize_aware` is `quantize_aware`; `tfeff qat` does the same and trains too (`tfeff.training.qat`).
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration import collect
from tfeff.data import Preprocessing
from tfeff.errors import TfeffError
from tfeff.export.model import Model
from tfeff.export.quantize import graph as _registers  # noqa: F401  its layers, so that Keras can load saved graphs
from tfeff.export.quantize import measuring
from tfeff.export.targets import get_target

SAMPLES = 512


def quantize_aware(
    model,
    calibration: str | np.ndarray,
    *,
    preprocessing: Preprocessing | None = None,
    target: str = "litert",
    method: str | None = None,
    samples: int = SAMPLES,
    per_tensor: bool = False,
    train_ranges: bool | None = None,
    allow_audit: bool = False,
    seed: int = 0,
):
    """Makes the fake-quant graph of a network: it computes what the network's int8 file will, and can be trained.

    It has the target's rewrites, batch normalization folded into the weights, and the ranges of the calibration images.
    Compile and fit it as any Keras model, save it as `.keras`, and `tfeff export FILE.keras --int8` makes its file.

    Args:
        model: a functional Keras 3 model with one image input; it stays as it is, weights are copied.
        calibration: representative images: an array (n, h, w, c) of inputs as the network takes them, floating point;
            or a source as `tfeff export --calibration` takes it, which needs `preprocessing`.
        preprocessing: how an image becomes the input. It gives the input's range; without it, that of the array does.
        target: what the file must run on.
        method: how ranges come from the images (`calibration.methods`); None is the default.
        samples: how many of the images are used, at most.
        per_tensor: one scale for all of a layer's weights, for hardware that has none by channel.
        train_ranges: whether the ranges are trained with the weights. None: unless the method is `minmax`.
        allow_audit: whether grave findings about the images are let pass; without `preprocessing` there are none.
        seed: chooses among more images than are used.

    Returns:
        A functional `keras.Model` of the same input and output, not compiled. Its layers and its ranges keep the names
        of the network's layers.

    Raises:
        TfeffError: a model without a graph, images that do not fit it, or words that mean nothing.
        GateFailed: the audit found the images unfit.
    """
    target = get_target(target).name
    trained = measuring.train_ranges_by(method, train_ranges)
    shape = _input_shape(model)
    if preprocessing is None:
        known, preprocessing = False, _preprocessing_of(calibration, shape)
    else:
        known = True
    subject = Model(model, getattr(model, "name", "network"), getattr(model, "name", "network"), preprocessing)
    with tempfile.TemporaryDirectory(prefix="tfeff-aware-") as scratch:
        graph, measured = aware_graph(
            subject, calibration, Path(scratch), target=target, method=method, limit=samples, per_tensor=per_tensor,
            train_ranges=trained, seed=seed,
        )  # fmt: skip
    if known:
        measuring.gate_audit(measured.calibration, allow_audit)
    return graph


def aware_graph(
    subject: Model,
    source: str | np.ndarray,
    folder: Path,
    *,
    target: str = "litert",
    method: str | None = None,
    rules: tuple[str, ...] = (),
    samples: int | None = None,
    limit: int = SAMPLES,
    per_tensor: bool = False,
    train_ranges: bool = False,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> tuple[Any, measuring.Measured]:
    """The fake-quant graph with ranges, and what the calibration images said; its audit is not acted on.

    Args:
        source: as `quantize_aware` takes it.
        folder: a scratch folder.
        samples: how many images are wanted, fewer is an error; None takes up to `limit`.
        rules: `LAYER=METHOD` or `LAYER=LOW:HIGH`.

    Raises:
        TfeffError: bad input, or a network without a graph.
    """
    measuring.parse_choice(method, rules)
    spec = source if isinstance(source, str) else _written(source, folder)
    calibration = collect(
        spec, subject.preprocessing, folder / "calibration.npy", samples=samples, limit=limit, seed=seed,
        progress=lambda done, total: progress("reading", done, total),
    )  # fmt: skip
    if spec is not source:
        calibration = replace(calibration, source="an array")
    return measuring.ranged_graph(
        subject, calibration, folder, target=target, method=method, rules=rules, per_tensor=per_tensor,
        train_ranges=train_ranges, required=True, seed=seed, progress=progress,
    )  # fmt: skip


def _input_shape(model):
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise TfeffError(
            f"{getattr(model, 'name', model)}: quantization takes a functional model with one image input (n, h, w, c)",
            "build it as keras.Model(inputs, outputs)",
        )
    return tuple(inputs[0].shape[1:])


def _preprocessing_of(images, shape):
    """One that gives the inputs the range that these images have."""
    if isinstance(images, str):
        raise TfeffError(
            f"calibration {images}: how its images become inputs is not known",
            "give preprocessing=tfeff.data.Preprocessing(...), or an array of inputs",
        )
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise TfeffError(
            f"calibration: an array of {images.dtype}, and how pixels become inputs is not known",
            "give inputs as the network takes them, floating point, or preprocessing=",
        )
    if images.ndim != 4 or not len(images) or not _fits(images.shape[1:], shape):
        raise TfeffError(f"calibration: an array of shape {images.shape}, the network takes (n, *{shape})")
    if images.shape[3] not in (1, 3):
        raise TfeffError(f"calibration: images of {images.shape[3]} channels", "give images of 1 or 3")
    low, high = min(float(images.min()), 0.0), max(float(images.max()), 0.0)
    if not np.isfinite([low, high]).all() or low == high:
        raise TfeffError(
            f"calibration: values from {low} to {high}", "give an array without NaN, infinity or nothing but 0"
        )
    channels, std = images.shape[3], 255 / (high - low)
    return Preprocessing(
        size=images.shape[1:3], colour="gray" if channels == 1 else "rgb", mean=(-low * std,) * channels,
        std=(std,) * channels,
    )  # fmt: skip


def _fits(given, taken):
    return len(given) == len(taken) and all(want in (None, have) for have, want in zip(given, taken, strict=True))


def _written(images, folder):
    """An array as a source that is read like any other."""
    images = np.asarray(images)
    if images.ndim not in (3, 4) or not len(images):
        raise TfeffError(f"calibration: an array of shape {images.shape}", "give images, (n, h, w, c)")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise TfeffError(f"calibration: an array of {images.dtype}", "give uint8 images, or inputs in floating point")
    path = folder / "array.npz"
    np.savez(path, images=images)
    return str(path)
