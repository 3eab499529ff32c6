"""Quantization-aware training in the user's own `fit`: the network as int8 will compute it, ready to be trained.

`tfeff.quantize_aware` is `quantize_aware`; `tfeff qat` does the same and trains too (`tfeff.training.qat`).
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration import collect
from tfeff.data import InputPort, Preprocessing
from tfeff.errors import TfeffError
from tfeff.export.model import Model
from tfeff.export.quantize import graph as _registers  # noqa: F401  its layers, so that Keras can load saved graphs
from tfeff.export.quantize import measuring
from tfeff.export.quantize.measuring import GraphOptions, Search
from tfeff.export.targets import get_target
from tfeff.tasks import recognise

SAMPLES = 512

Arrays = np.ndarray | Mapping[str, np.ndarray]


def quantize_aware(
    model: Any,
    calibration: str | Arrays,
    *,
    preprocessing: Preprocessing | None = None,
    target: str = "litert",
    method: str | None = None,
    samples: int = SAMPLES,
    per_tensor: bool = False,
    train_ranges: bool | None = None,
    allow_audit: bool = False,
    seed: int = 0,
) -> Any:
    """Makes the fake-quant graph of a network: it computes what the network's int8 file will, and can be trained.

    It has the target's rewrites, batch normalization folded into the weights, and the ranges of the samples.
    Compile and fit it as any Keras model, save it as `.keras`, and `tfeff export FILE.keras --int8` makes its file.

    Args:
        model: a functional Keras 3 model; it stays as it is, weights are copied.
        calibration: representative samples: an array (n, ...) of inputs as the network takes them, of several inputs a
            dict of them by the inputs' names; or a source as `tfeff export --calibration` takes it, which needs
            `preprocessing` where it holds images.
        preprocessing: how an image becomes the input, of a network that takes one image. It gives the input's range;
            without it, that of the samples does.
        target: what the file must run on.
        method: how ranges come from the samples (`calibration.methods`); None is the default.
        samples: how many of them are used, at most.
        per_tensor: one scale for all of a layer's weights, for hardware that has none by channel.
        train_ranges: whether the ranges are trained with the weights. None: unless the method is `minmax`.
        allow_audit: whether grave findings about images are let pass; without `preprocessing` there are none.
        seed: chooses among more samples than are used.

    Returns:
        A functional `keras.Model` of the same inputs and outputs, not compiled. Its layers and ranges keep the names
        of the network's layers.

    Raises:
        TfeffError: a model without a graph, samples that do not fit it, or words that mean nothing.
        GateFailed: the audit found the images unfit.
    """
    options = GraphOptions(
        target=get_target(target).name, per_tensor=per_tensor,
        train_ranges=measuring.train_ranges_by(method, train_ranges), required=True,
    )  # fmt: skip
    search = Search.of(method, (), seed, measuring.no_progress)
    if isinstance(calibration, str) and preprocessing is None:
        raise TfeffError(
            f"calibration {calibration}: how its images become inputs is not known",
            "give preprocessing=tfeff.data.Preprocessing(...), or an array of inputs",
        )
    described = _described(model, calibration, preprocessing)
    with tempfile.TemporaryDirectory(prefix="tfeff-aware-") as scratch:
        graph, measured = aware_graph(described, calibration, Path(scratch), search, options, limit=samples)
    if preprocessing is not None:
        measuring.gate_audit(measured.calibration, allow_audit)
    return graph


def aware_graph(
    model: Model,
    source: str | Arrays,
    folder: Path,
    search: Search,
    options: GraphOptions,
    *,
    samples: int | None = None,
    limit: int = SAMPLES,
) -> tuple[Any, measuring.Measured]:
    """The fake-quant graph with ranges, and what the calibration samples said; its audit is not acted on.

    Args:
        source: as `quantize_aware` takes it.
        folder: a scratch folder.
        samples: how many are wanted, fewer is an error; None takes up to `limit`.

    Raises:
        TfeffError: bad input, or a network without a graph.
    """
    spec = source if isinstance(source, str) else _written(source, model.inputs, folder)
    calibration = collect(
        spec, model.inputs, folder, samples=samples, limit=limit, seed=search.seed,
        progress=lambda done, total: search.progress("reading", done, total),
    )  # fmt: skip
    if spec is not source:
        calibration = replace(calibration, source="an array")
    return measuring.ranged_graph(model, calibration, folder, search, options)


def _described(model, calibration, preprocessing):
    """The model with its ports; open sides are those of the samples or of the preprocessing."""
    from tfeff.export.heads import heads_of
    from tfeff.export.loading import port_names
    from tfeff.export.rewrites.graph import as_functional

    name = getattr(model, "name", None) or str(model)
    functional = as_functional(model)
    if functional is None:
        raise TfeffError(f"{name}: has no graph of layers", "build it as keras.Model(inputs, outputs)")
    names = port_names(functional.inputs, functional.input, [tensor.name for tensor in functional.inputs])
    outputs = port_names(functional.outputs, functional.output, functional.output_names)
    if preprocessing is not None and len(names) != 1:
        raise TfeffError(
            f"{name}: preprocessing is of one image, it takes {len(names)} inputs", "give arrays of its inputs"
        )
    arrays = {} if isinstance(calibration, str) else _by_input(calibration, names)
    ports = []
    for port, tensor in zip(names, functional.inputs, strict=True):
        shape = tuple(tensor.shape[1:])
        if port in arrays:
            shape = _filled(shape, arrays[port].shape[1:]) if preprocessing is None else preprocessing.shape
        elif preprocessing is not None:
            shape = preprocessing.shape
        ports.append(InputPort(port, shape, str(tensor.dtype), preprocessing))
    if len(ports) == 1 and (preprocessing is not None or _may_be_image(ports[0])):
        ports = [replace(ports[0], name="image")]
    return Model(model, name, name, tuple(ports), tuple(outputs), tuple(recognise(heads_of(model, outputs))))


def _may_be_image(port):
    return len(port.shape) == 3 and port.shape[-1] in (1, 3)


def _by_input(calibration, names):
    """Arrays by the model's inputs, checked for what no sample can be."""
    if not isinstance(calibration, Mapping):
        if len(names) != 1:
            raise TfeffError(f"calibration: one array, the model takes {', '.join(names)}", "give a dict of arrays")
        calibration = {names[0]: calibration}
    if missing := [name for name in names if name not in calibration]:
        raise TfeffError(f"calibration: holds no {missing[0]!r}", f"give an array an input: {', '.join(names)}")
    arrays = {name: np.asarray(calibration[name]) for name in names}
    for name, array in arrays.items():
        if not array.ndim or not len(array):
            raise TfeffError(f"calibration: {name} has shape {array.shape}", "give samples, (n, ...)")
    return arrays


def _filled(shape, given):
    """The model's shape with its open sides as the samples have them."""
    if len(shape) != len(given) or any(want not in (None, have) for want, have in zip(shape, given, strict=True)):
        raise TfeffError(f"calibration: an array of shape (n, *{tuple(given)}), the network takes (n, *{shape})")
    return tuple(given)


def _written(source, ports, folder):
    """Arrays as a source that is read like any other."""
    arrays = _by_input(source, [port.name for port in ports])
    for port in ports:
        array = arrays[port.name]
        if np.issubdtype(np.dtype(port.dtype), np.floating) and port.preprocessing is None:
            if not np.issubdtype(array.dtype, np.floating):
                raise TfeffError(
                    f"calibration: an array of {array.dtype}, and how pixels become inputs is not known",
                    "give inputs as the network takes them, floating point, or preprocessing=",
                )
            if not np.isfinite(array).all() or not np.any(array):
                raise TfeffError(
                    f"calibration: {port.name} holds NaN, infinity or nothing but 0", "give an array without them"
                )
        elif array.dtype.kind not in "fiub":
            raise TfeffError(f"calibration: an array of {array.dtype}", "give numbers")
    path = folder / "array.npz"
    named: dict[str, Any] = {"images": arrays[ports[0].name]} if len(ports) == 1 else arrays
    np.savez(path, **named)
    return str(path)
