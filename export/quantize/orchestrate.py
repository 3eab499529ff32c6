"""The int8 part of an export: the plan of the file, ranges from the calibration images, and the proof.

`graph`, the default, makes a fake-quant graph of the network and a file of its plan. `converter` leaves ranges and
weights to TensorFlow's converter, as everybody has them.
"""

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.export.on_device import time_files
from tfeff.export.quantize import Int8File, measuring
from tfeff.export.quantize.trial import Trial

QUANTIZERS = ("graph", "converter")


@dataclass
class Quantizing:
    """The int8 file of one export on its way.

    Attributes:
        jobs: to be run with the export's others, then `finish`.
        int8: the file in the making; None with the converter's own quantizer.
        notes: for the record.
        graph: the fake-quant graph, None where there is none.
        improvements: what was done to the float network before, for the record.
        trained: whether the graph came with ranges of its own.
        ranges: by tensor, once `finish` found them.
        biases: of the graph as they were before `finish` corrected them; None where it did not.
    """

    jobs: list[quantize.Job]
    int8: Int8File | None
    notes: list[str]
    graph: Any = None
    improvements: dict[str, Any] = field(default_factory=dict)
    trained: bool = False
    ranges: dict[int, tuple[float, float]] = field(default_factory=dict)
    biases: Any = None


def begin(subject, request, model, calibration, io, file: Path, folder: Path, trained=None) -> Quantizing:
    """What must be converted.

    Args:
        model: the network with its target's rewrites.
        calibration: the images, by which channels are equalized.
        io: dtype at the file's doors.
        file: where the finished file goes.
        trained: a fake-quant graph with ranges, of quantization-aware training, in place of `model`; or the finished
            int8 file that another tool left.
    """
    shape = subject.preprocessing.shape
    if isinstance(trained, Path):
        shutil.copyfile(trained, file)
        return Quantizing([], None, [], trained=True)
    if request.quantizer == "converter":
        saved = folder / "rewritten"
        quantize.write_saved_model(model, saved, shape)
        return Quantizing(
            [
                quantize.Job(str(saved), "int8", "int8", str(folder / "ranged.tflite"), step="calibrate"),
                quantize.Job(str(saved), "int8", io, str(file), per_channel=not request.per_tensor),
            ],
            None,
            [],
        )
    notes, graph, improvements = [], trained, {}
    if graph is None:
        graph, improvements, notes = _graph(subject, request, model, calibration)
    int8 = Int8File(model, graph, folder / "int8", shape, per_tensor=request.per_tensor)
    return Quantizing([int8.job(None)], int8, notes, graph, improvements, trained is not None)


def _graph(subject, request, model, calibration):
    """The fake-quant graph, with what was done to the float network before; None with a note where there is none."""
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.rewrites.copying import CannotRewrite

    try:
        if not subject.is_keras:
            raise CannotRewrite("the network is no Keras model")
        done = {}
        if request.equalize:
            from tfeff.export.quantize.equalize import equalize

            model, done["equalization"] = equalize(model, calibration.inputs(), per_tensor=request.per_tensor)
        return fake_quant_graph(model, per_tensor=request.per_tensor), done, []
    except CannotRewrite as why:
        if request.equalize:
            raise TfeffError(f"--equalize: {why.what}", "leave it out") from None
        return None, {}, [f"quantized without a simulation to prove it: {why.what}"]


def finish(subject, request, begun: Quantizing, calibration, io, file: Path, folder: Path, converter, progress):
    """Ranges, the quantized file, and the proof that it is what was planned.

    Returns:
        The calibration with its findings, and the record's `quantization` entry.

    Raises:
        GateFailed: the audit found the images unfit, and the user has not allowed it.
    """
    int8 = begun.int8
    entry = {
        "quantizer": request.quantizer, "per_tensor": request.per_tensor, **begun.improvements, "simulation": None,
        "kept_float": None,
    }  # fmt: skip
    if begun.trained and int8 is None:
        return calibration, {**entry, "quantizer": "converter"}  # of the ranges that it was trained with
    if int8 is None:
        ranged, method = folder / "ranged.tflite", "minmax"
    else:
        int8.take()
        ranged, method = int8.path, request.method
    if begun.trained:
        from tfeff.export.quantize.simulation import get_ranges

        ranges = {int8.tensors[point]: bounds for point, bounds in get_ranges(begun.graph).items()}
    else:
        trial = None if int8 is None else Trial(int8, calibration, folder, converter, request.correct_bias)
        measured = measuring.measure(
            ranged, subject, calibration, method, request.ranges, folder,
            trial=trial, seed=request.seed, progress=progress,
        )  # fmt: skip
        calibration = measured.calibration
        measuring.gate_audit(calibration, request.allow_audit)
        ranges = {each.tensor.index: (each.low, each.high) for each in measured.ranges}
        if trial is not None and int8.graph is not None:
            progress("correcting biases", 0, 0)
            begun.int8 = int8 = trial.make(ranges)
            ranges = {int8.tensors[point]: bounds for point, bounds in int8.ranges().items()}
            entry["bias_correction"] = trial.report
            begun.biases = trial.biases if request.correct_bias else None
    if int8 is None:
        return calibration, entry
    begun.ranges = ranges
    progress("quantizing", 0, 0)
    # The same file with int8 doors takes the simulation's own input.
    inside = file if io == "int8" or int8.graph is None else folder / "inside.tflite"
    int8.quantize(ranges, {io: file, **({} if inside is file else {"int8": inside})}, converter)
    if int8.graph is not None:
        progress("proving", 0, 0)
        entry["simulation"] = _prove(int8, inside, calibration)
        if beyond := entry["simulation"]["beyond"]:
            begun.notes.append(
                f"{len(beyond)} units differ from the simulation by more than 1: {', '.join(beyond[:5])}"
            )
    return calibration, entry


def _prove(int8, file, calibration):
    """The record's `simulation` entry: how the file agrees with the fake-quant graph."""
    from tfeff.export.quantize.prove import prove_units
    from tfeff.export.steps import PROOF_SAMPLES

    images = calibration.inputs(PROOF_SAMPLES)
    return prove_units(int8.graph, file.read_bytes(), *int8.scales(file), images).as_dict()


def keep_some_float(
    subject, request, target, begun: Quantizing, model, calibration, accuracy, compare, io, file: Path, twin: Path,
    folder: Path, converter, progress,
):  # fmt: skip
    """Where int8 costs more than `--max-drop`, keeps the fewest layers in float that mend it; `file` is then that one.

    Returns:
        The accuracy of what `file` is now, and what is new in the record's `quantization` entry: nothing when there was
        no need, and why not when there is no way.
    """
    from tfeff.export.quantize.mixed import find_kept

    if request.max_drop is None or accuracy is None or -accuracy["delta"] <= request.max_drop:
        return accuracy, {}
    if target.whole:
        return accuracy, _refused(f"{target.name} takes no float operation, so no layer can be kept in float")
    if begun.int8 is None or begun.graph is None:
        return accuracy, _refused("only with our own quantizer, of a Keras graph, can layers be kept in float")
    mixed = _MixedFiles(begun, model, calibration, subject.preprocessing.shape, request.per_tensor, folder, converter)
    found = find_kept(
        begun.int8, lambda kept, path: mixed.write(kept, {io: path}), file, twin, calibration.inputs(),
        max_drop=request.max_drop, compare=compare, folder=folder, progress=progress,
    )  # fmt: skip
    entry = {"layers": list(found.kept), "all_int8": accuracy, "tried": list(found.tried), "latency": []}
    if found.path is None:
        best = max(found.tried, key=lambda each: (each["delta"], -each["kept"]))
        why = f"no number of layers in float meets it, the best are {best['kept']} with {best['delta']:+.2f} points"
        return accuracy, _refused(why, tried=list(found.tried))
    if request.devices:
        entry["latency"] = _cost(file, found.path, request, subject.preprocessing, progress)
    os.replace(found.path, file)
    inside = folder / "mixed_inside.tflite"
    made = mixed.write(found.kept, {"int8": inside})
    return found.accuracy, {"kept_float": entry, "simulation": _prove(made, inside, calibration)}


class _MixedFiles:
    """Files in which some layers stay in float: their weights are not rounded, biases are corrected for the rest."""

    def __init__(self, begun: Quantizing, model, calibration, shape, per_tensor, folder: Path, converter):
        self._begun, self._model, self._calibration, self._shape = begun, model, calibration, shape
        self._per_tensor, self._folder, self._converter, self._count = per_tensor, folder, converter, 0
        self._made: Int8File | None = None

    def write(self, kept, files) -> Int8File:
        """Writes a file for each dtype of input and output; the fake-quant graph has its biases."""
        begun = self._begun
        if self._made is None or begun.biases is not None:
            if begun.biases is not None:
                from tfeff.export.quantize.bias_correction import IMAGES, correct_biases

                begun.int8.set_biases(begun.biases)
                images = self._calibration.inputs()[self._calibration.typical(IMAGES)]
                correct_biases(begun.graph, images, kept)
            self._count += 1
            self._made = Int8File(
                self._model, begun.graph, self._folder / f"mixed-{self._count}", self._shape,
                per_tensor=self._per_tensor, rounded_weights=False,
            )  # fmt: skip
            self._converter.convert([self._made.job(None)], self._calibration.path)
            self._made.take()
        made = self._made
        ranges = {made.tensors[point]: begun.ranges[tensor] for point, tensor in begun.int8.tensors.items()
                  if tensor in begun.ranges}  # fmt: skip
        made.quantize(ranges, files, self._converter, kept)
        return made


def _refused(why, **more):
    return {"kept_float": {"layers": [], "refused": why, **more}}


def _cost(int8, mixed, request, preprocessing, progress):
    """What keeping layers in float costs in time: mixed / int8, on each device, in one interleaved run."""
    timing = time_files(
        [int8, mixed], request.devices, request,
        lambda done, total: progress("timing what float costs", done, total), preprocessing,
    )  # fmt: skip
    return [
        {"device": each.device.partition(":")[0], "ratio": each.ratio, "ci95": list(each.ci95), "of": "all in int8"}
        for each in timing.ratios
    ]


def as_trained(request, graph, *, own: bool):
    """The request for a fake-quant graph that has its ranges: its weights' scales are as it was made.

    Args:
        graph: or the finished file that another tool left.
        own: whether the network came as this graph, and was not rewritten for its target now.

    Raises:
        TfeffError: options that would change what was trained.
    """
    from tfeff.export.quantize.fake_quant import QuantizedWeights

    words = {
        "--calibration-method": request.method, "--range": request.ranges, "--equalize": request.equalize,
        "--no-correct-bias": not request.correct_bias, "--quantizer converter": request.quantizer == "converter",
        "--samples": request.samples, "--tune": own and request.tune,
    }  # fmt: skip
    if given := [word for word, value in words.items() if value]:
        raise TfeffError(
            f"{given[0]}: means nothing for a fake-quant network, which has its ranges and its target's rewrites",
            "leave it out, or export the float network",
        )
    if isinstance(graph, Path):
        return request
    units = [layer for layer in graph.layers if isinstance(layer, QuantizedWeights)]
    per_tensor = bool(units) and all(unit.per_tensor for unit in units)
    if request.per_tensor and not per_tensor:
        raise TfeffError(
            "--per-tensor: this fake-quant network was made with a scale a channel", "make it anew with per_tensor"
        )
    return replace(request, per_tensor=per_tensor)


def check_quantizer(request) -> None:
    """Raises TfeffError for options of int8 that mean nothing here."""
    if request.quantizer not in QUANTIZERS:
        raise TfeffError(f"unknown quantizer {request.quantizer!r}", f"choose {' or '.join(QUANTIZERS)}")
    words = {
        "--calibration-method": request.method, "--range": request.ranges, "--per-tensor": request.per_tensor,
        "--quantizer": request.quantizer != "graph", "--equalize": request.equalize,
        "--no-correct-bias": not request.correct_bias,
    }  # fmt: skip
    given = [word for word, value in words.items() if value]
    if given and request.precision != "int8":
        raise TfeffError(f"{given[0]}: means nothing for {request.precision}", "leave it out, or export --int8")
    if request.quantizer == "converter":
        ours = [word for word in given if word not in ("--quantizer", "--per-tensor")]
        if ours:
            raise TfeffError(
                f"{ours[0]}: the converter's own quantizer takes no such word", "leave out --quantizer converter"
            )
