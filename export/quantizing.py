"""The int8 part of an export: the plan of the file, ranges from the calibration images, and the proof.

`graph`, the default, makes a fake-quant graph of the network and a file of its plan. `converter` leaves ranges and
weights to TensorFlow's converter, as everybody has them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.export import measuring, quantize
from tfeff.export.quantize import Int8File

from tfeff.errors import TfeffError

QUANTIZERS = ("graph", "converter")


@dataclass
class Quantizing:
    """The int8 file of one export on its way.

    Attributes:
        jobs: to be run with the export's others, then `finish`.
        int8: the file in the making; None with the converter's own quantizer.
        notes: for the record.
    """

    jobs: list[quantize.Job]
    int8: Int8File | None
    notes: list[str]
    graph: Any = None
    improvements: dict[str, Any] | None = None
    trained: bool = False


def begin(subject, request, model, proof, io, file: Path, folder: Path, trained=None) -> Quantizing:
    """What must be converted.

    Args:
        model: the network with its target's rewrites.
        proof: images on which what changes the float network is proven.
        io: dtype at the file's doors.
        file: where the finished file goes.
        trained: a fake-quant graph with ranges, of quantization-aware training, in place of `model`.
    """
    shape = subject.preprocessing.shape
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
        graph, improvements, notes = _graph(subject, request, model, proof)
    int8 = Int8File(model, graph, folder / "int8", shape, per_tensor=request.per_tensor)
    return Quantizing([int8.job(None)], int8, notes, graph, improvements, trained is not None)


def _graph(subject, request, model, proof):
    """The fake-quant graph, with what was done to the float network before; None with a note where there is none."""
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.rewrites.graph import CannotRewrite

    try:
        if not subject.is_keras:
            raise CannotRewrite("the network is no Keras model")
        return fake_quant_graph(model, per_tensor=request.per_tensor), {}, []
    except CannotRewrite as why:
        return None, {}, [f"quantized without a simulation to prove it: {why.what}"]


def finish(subject, request, begun: Quantizing, calibration, io, file: Path, folder: Path, converter, progress):
    """Ranges, the quantized file, and the proof that it is what was planned.

    Returns:
        The calibration with its findings, and the record's `quantization` entry.

    Raises:
        GateFailed: the audit found the images unfit, and the user has not allowed it.
    """
    int8 = begun.int8
    entry = {"quantizer": request.quantizer, "per_tensor": request.per_tensor, "simulation": None}
    if int8 is None:
        ranged, method = folder / "ranged.tflite", "minmax"
    else:
        int8.take()
        ranged, method = int8.path, request.method
    if begun.trained:
        ranges = {}  # the graph's own
    else:
        measured = measuring.measure(
            ranged, subject, calibration, method, request.ranges, folder, seed=request.seed, progress=progress
        )
        calibration = measured.calibration
        measuring.gate_audit(calibration, request.allow_audit)
        ranges = {each.tensor.index: (each.low, each.high) for each in measured.ranges}
    if int8 is None:
        return calibration, entry
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
    from tfeff.export.steps import PROOF_IMAGES

    images = calibration.inputs(PROOF_IMAGES)
    return prove_units(int8.graph, file.read_bytes(), *int8.scales(file), images).as_dict()


def check_quantizer(request) -> None:
    """Raises TfeffError for options of int8 that mean nothing here."""
    if request.quantizer not in QUANTIZERS:
        raise TfeffError(f"unknown quantizer {request.quantizer!r}", f"choose {' or '.join(QUANTIZERS)}")
    words = {
        "--calibration-method": request.method, "--range": request.ranges, "--per-tensor": request.per_tensor,
        "--quantizer": request.quantizer != "graph", "--equalize": request.equalize,
        "--correct-bias": request.correct_bias,
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
