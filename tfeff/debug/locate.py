"""Where an int8 file loses accuracy: every layer measured, and switched to float alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, check_tflite, open_artifact, read_record, record_path, verify_twin
from tfeff.compare import Runner
from tfeff.compare.runner import RUNTIME, runtime_version
from tfeff.compare.statistics import decibels
from tfeff.debug.counterparts import find_counterparts
from tfeff.debug.images import find_preprocessing, load_images
from tfeff.debug.layers import Layer, find_layers
from tfeff.debug.measuring import Figures, measure
from tfeff.debug.network import Network
from tfeff.debug.running import Running
from tfeff.debug.simulation import Alone, Simulation
from tfeff.debug.weights import find_exact, quantized_constants
from tfeff.errors import TfeffError

_SAME_FUNCTION_DB = 40.0  # the float file against the simulation in float: above it they are the same network
_NAMING_IMAGES = 4
# The simulation stands for the file when it errs as much, and decides alike or is as near as no matter: outputs that
# are all nearly equal are decided by single steps.
_ERROR_RATIO, _TOP1_AGREEMENT, _NEAR_STEPS = 2.0, 0.95, 0.5


def debug(
    path: str | Path,
    *,
    float_file: str | Path | None = None,
    images: str | None = None,
    samples: int = 64,
    seed: int = 0,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    colour: str | None = None,
    threads: int = 1,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> dict[str, Any]:
    """Measures where a statically quantized `.tflite` file departs from float, layer by layer.

    The file is simulated in float, operation by operation, each value put on its tensor's grid; one layer at a time is
    then left off its grids, with its weights as they were before quantization where the float file tells.

    Args:
        path: the int8 (uint8, int16) file, or its record; one input (1, h, w, c), one output. Operations in float
            between are taken as they are.
        float_file: the same network in float32; None takes the record's twin.
        images: a dataset's name, a folder or an `.npz` (8-bit images, or float arrays that are inputs already); None
            takes what the record names.
        samples: how many images, a seeded choice; they are kept in memory.
        seed: of the choice.
        mean, std, colour: preprocessing where no record says it; see `images.find_preprocessing`.
        threads: layers that are switched side by side.
        progress: called with (step, done, total).

    Returns:
        `file`, `sha256`, `float_file`, `float_sha256` (None without one); `reference`: "float file", or "simulation"
        where the float side is the int8 file with all grids left out (its weights remain rounded); `images`,
        `samples`; `output_sqnr_db` and `output_mse` of the file against the reference; `simulation`: whether it
        `agrees` with the file, `top1_agreement` (0..1; None for outputs that are no classes), `mean_lsb`, `max_lsb`
        (difference of outputs in steps of the output's grid; None for an output without one), `mse` (against the
        reference), `float_sqnr_db` (all in float against the float file; None without one, or when equal); `weights`:
        `rounded` constants, and `found` in the float file; `layers`; `notes`; `runtime`, `version`.

        `layers`, the largest `error_share` first: `position` along the network; `layer` (Keras name), `names` (all
        that were fused), `op`, `operations` (numbers), `tensor` (its output's name in the file) and `tensors` (all its
        quantized ones), `scale`, `zero_point`, `range` (the lowest and highest real value of its output's grid), `seen`
        (of the int8 file's output, on these images);
        `sqnr_db` (10 log10 of the float values' energy over that of their error, None when there is no error) and
        `local_sqnr_db` (the same when only this layer is quantized); `range_use` (share of the grid's levels between
        the lowest and the highest that occurred); `clipped_share` (of the float values, beyond the grid's ends);
        `error_share` (how much of the outputs' mean squared error goes when this layer alone is in float; negative
        where it makes up for another's error; they need not sum to 1) and `error_share_se`, its standard error over the
        images; `reference` ("float file" or "simulation", for `sqnr_db`).

    Raises:
        TfeffError: a file that cannot be debugged (float, dynamic-range, open sizes, several inputs, no runtime for
            it), files that do not fit each other, or images that are missing or do not fit.
    """
    artifact = _open(Path(path))
    network = Network(artifact.path)
    _check(network)
    notes = []
    preprocessing, note = find_preprocessing(artifact, network, mean, std, colour)
    source, inputs = load_images(artifact, network, images, preprocessing, samples, seed)
    notes += [note] if note else []
    floats, reference = _reference(artifact, float_file, network, inputs, notes)
    exact = find_exact(network, floats) if floats else {}
    layers = find_layers(network)
    simulation, alone = Simulation(network, exact), Alone(network, exact, layers)
    all_float = _run(simulation, None, network, inputs)
    named = floats is not None and (decibels(*_energies(reference, all_float)) or np.inf) < _SAME_FUNCTION_DB
    reference = all_float if reference is None else reference
    _check_finite(network, reference)
    counterparts, running = {}, None
    if named:
        notes.append(
            "the float file and the int8 file in float are not the same function (weights that were not found, "
            "equalized, corrected or trained further): layers are compared by name where they have a counterpart"
        )
        counterparts, running = find_counterparts(network, floats, alone, layers, inputs[:_NAMING_IMAGES])
    figures, outputs = measure(
        network, alone, layers, counterparts, running, inputs, lambda d, t: progress("measuring", d, t)
    )
    quantized = _run(simulation, (), network, inputs)
    total = _errors(reference, quantized)
    shares = [
        _share(total, error) for error in _switch(simulation, layers, network, inputs, reference, threads, progress)
    ]
    rows = [_row(network, layer, figures, share, counterparts) for layer, share in zip(layers, shares, strict=True)]
    if floats is None:
        notes.append("no float file: errors are counted from the file without its grids, its weights remain rounded")
    agreement = _agreement(network, outputs, quantized, _mse(reference, outputs), float(total.mean()))
    if not agreement["agrees"]:
        notes.append("the simulation does not agree with the file: shares of the output error are to be doubted")
    return {
        "file": artifact.path.name,
        "sha256": artifact.sha256,
        "float_file": floats.path.name if floats else None,
        "float_sha256": floats.sha256 if floats else None,
        "reference": "float file" if floats else "simulation",
        "images": source,
        "samples": len(inputs),
        "output_sqnr_db": decibels(*_energies(reference, outputs)),
        "output_mse": _mse(reference, outputs),
        "simulation": agreement
        | {"mse": float(total.mean()), "float_sqnr_db": decibels(*_energies(reference, all_float)) if floats else None},
        "weights": {"rounded": len(quantized_constants(network)), "found": len(exact)},
        "layers": sorted(rows, key=lambda row: -row["error_share"]),
        "notes": notes,
        "runtime": RUNTIME,
        "version": runtime_version(),
    }


def _open(path):
    """The artifact; one without a record where the .json beside it is none of ours."""
    if path.suffix == ".json":
        return open_artifact(path)
    try:
        read_record(record_path(path))
    except TfeffError:
        return Artifact(path, None, check_tflite(path))
    return open_artifact(path)


def _check(network):
    if any(op.name.startswith("CUSTOM edgetpu") for op in network.operations):
        raise TfeffError(
            f"{network.path}: is compiled for the Edge TPU, its layers cannot be seen", "give the file before compiling"
        )
    if any(network.grid(tensor) for tensor in (network.input, *network.producers)):
        for op, source in zip(network.operations, network.tree.operators, strict=True):
            if getattr(source.builtinOptions, "weightsFormat", 0):
                raise TfeffError(f"{network.path}: {op.name} has shuffled weights", "give a file with plain weights")
        return
    if quantized_constants(network):
        raise TfeffError(
            f"{network.path}: is a dynamic-range file: its weights are 8-bit, its activations float",
            "give a file with int8 activations (`tfeff export NETWORK --int8`)",
        )
    raise TfeffError(f"{network.path}: is a float file, nothing in it is quantized", "give the int8 file")


def _reference(artifact, float_file, network, inputs, notes):
    """The float file as a network, and its outputs (n, elements); (None, None) without one."""
    path = Path(float_file) if float_file else None
    if path is None and artifact.twin is not None:
        if artifact.twin.is_file():
            path = verify_twin(artifact)
        else:
            notes.append(f"its float twin {artifact.twin.name} is not beside it")
    if path is None:
        return None, None
    floats, runner = Network(path), Runner(path)
    if any(floats.grid(tensor) for tensor in (floats.input, *floats.producers)):
        raise TfeffError(f"{path}: is quantized, so it is no float reference", "--float the network in float32")
    if runner.shape != network.shape(network.input)[1:]:
        raise TfeffError(
            f"{path}: takes images of shape {runner.shape}, {network.path} {network.shape(network.input)[1:]}",
            "give two files of the same network",
        )
    outputs = np.stack([runner(value).reshape(-1) for value in inputs])
    if outputs.shape[1] != int(np.prod(network.shape(network.output))):
        raise TfeffError(
            f"{path}: gives {outputs.shape[1]} numbers, {network.path} {int(np.prod(network.shape(network.output)))}",
            "give two files of the same network",
        )
    return floats, outputs


def _run(simulation, switched, network, inputs):
    return Running(simulation.file(switched), f"{network.path} in float").run_all(inputs)


def _switch(simulation, layers, network, inputs, reference, threads, progress):
    """For each layer the outputs' squared error with it alone in float, (n,)."""
    errors = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        runs = pool.map(lambda layer: _run(simulation, layer.switched, network, inputs), layers)
        for outputs in runs:
            errors.append(_errors(reference, outputs))
            progress("switching", len(errors), len(layers))
    return errors


def _share(total, error):
    """How much of the error is gone, and the standard error of that over the images."""
    whole = float(total.mean())
    if whole == 0:
        return 0.0, 0.0
    share = 1 - float(error.mean()) / whole
    spread = error - (1 - share) * total  # of a ratio of two means, to first order
    return share, float(np.sqrt(np.mean(spread**2) / len(total))) / whole


def _row(network: Network, layer: Layer, figures: dict[int, Figures], share, counterparts):
    own, last = [figures[tensor] for tensor in layer.tensors], figures[layer.tensor]
    return {
        "position": layer.position,
        "layer": layer.names[0],
        "names": list(layer.names),
        "op": layer.op,
        "operations": list(layer.operations),
        "tensor": network.name(layer.tensor),
        "tensors": [network.name(tensor) for tensor in layer.tensors],
        "scale": last.grid.scale,
        "zero_point": last.grid.zero_point,
        "range": [float(last.grid.low), float(last.grid.high)],
        "seen": [float(value) for value in last.grid.values(np.array([last.lowest, last.highest]))],
        "sqnr_db": decibels(last.signal, last.noise),
        "local_sqnr_db": decibels(last.local_signal, last.local),
        "range_use": min(each.range_use for each in own),
        "clipped_share": max(each.clipped for each in own),
        "error_share": share[0],
        "error_share_se": share[1],
        "reference": "float file" if layer.tensor in counterparts else "simulation",
    }


def _agreement(network, outputs, simulated, mse, simulated_mse):
    classes = network.shape(network.output)[-1] if network.shape(network.output) else 1
    alike = None
    if classes > 1:
        decided = [values.reshape(-1, classes).argmax(axis=1) for values in (outputs, simulated)]
        alike = float(np.mean(decided[0] == decided[1]))
    grid = network.grid(network.output)
    if grid is None and (last := network.operations[network.producers[network.output]]).name == "DEQUANTIZE":
        grid = network.grid(last.inputs[0])
    steps = np.abs(outputs - simulated) / grid.scale if grid else None
    ratio = simulated_mse / mse if mse > 0 else 1.0
    near = alike is None or alike >= _TOP1_AGREEMENT or (grid is not None and steps.mean() <= _NEAR_STEPS)
    return {
        "agrees": near and 1 / _ERROR_RATIO <= ratio <= _ERROR_RATIO,
        "top1_agreement": alike,
        "mean_lsb": float(steps.mean()) if grid else None,
        "max_lsb": float(steps.max()) if grid else None,
    }


def _check_finite(network, outputs):
    if not np.isfinite(outputs).all():
        raise TfeffError(
            f"{network.path}: the float side gives NaN or infinity", "the network itself is broken: look at its weights"
        )


def _energies(reference, values):
    return float(np.sum(np.square(reference, dtype=np.float64))), _mse(reference, values) * values.size


def _errors(reference, values):
    """Mean squared error of each image, float64 (n,)."""
    return np.mean(np.square(np.float64(values) - reference), axis=1)


def _mse(reference, values):
    return float(_errors(reference, values).mean())
