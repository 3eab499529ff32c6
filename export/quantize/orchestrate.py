"""The int8 part of an export: the plan of the file, ranges from the calibration samples, and the proof.

`graph`, the default, makes a fake-quant graph of the network and a file of its plan. `converter` leaves ranges and
weights to TensorFlow's converter, as everybody has them.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tfeff.calibration import Calibration
from tfeff.compare import Comparison
from tfeff.errors import TfeffError
from tfeff.export import quantize, steps
from tfeff.export.context import ExportContext
from tfeff.export.on_device import time_files
from tfeff.export.quantize import Int8File, choosing, measuring
from tfeff.export.quantize.allowed import Allowed, find_allowed
from tfeff.export.quantize.joined_ranges import uneven_notes
from tfeff.export.quantize.mixed import Files, find_kept, worst_drop
from tfeff.export.quantize.mixed_files import MixedFiles
from tfeff.export.quantize.proven import prove, quantize_proven
from tfeff.export.quantize.trial import Trial
from tfeff.export.request import Request
from tfeff.export.trained import QuantizedFile, Trained, TrainedGraph
from tfeff.record.schema import KeptFloat, LatencyOfMixed, Quantization

QUANTIZERS = ("graph", "converter")


@dataclass(frozen=True)
class Begun:
    """The int8 file of one export, planned.

    Attributes:
        jobs: for the converter, to be run with the export's others; then `finish`.
        int8: the file in the making; None with the converter's own quantizer, and where the file is there.
        calibration: the samples; None for a finished file.
        trained: what brought its own ranges.
        equalization: what was done to the float network before, for the record.
        unequalized: the file without that, to be tried too; None where nothing was done.
        notes: for the record.
        graph_distance: how far the float network in the fake-quant graph is from the one that was given, and may be;
            see `graph.prove_graph`. None where there is no graph, or it was brought.
        unequalized_distance: the same of `unequalized`.
    """

    jobs: list[quantize.Job]
    int8: Int8File | None = None
    calibration: Calibration | None = None
    trained: Trained | None = None
    equalization: dict[str, Any] | None = None
    unequalized: Int8File | None = None
    notes: tuple[str, ...] = ()
    graph_distance: Any = None
    unequalized_distance: Any = None


@dataclass(frozen=True)
class Quantized:
    """The int8 file, made.

    Attributes:
        entry: the record's.
        calibration: with what its audit found; None for a finished file.
        notes: for the record.
        int8: what it was made of; None as in `Begun`.
        ranges: by tensor.
        biases: of the graph as they were before they were corrected; None where they were not.
        graph_distance: as in `Begun`.
        allowed: what stays in float because the user said so.
    """

    entry: Quantization
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ()
    int8: Int8File | None = None
    ranges: dict[int, tuple[float, float]] = field(default_factory=dict)
    biases: dict[str, np.ndarray] | None = None
    graph_distance: Any = None
    allowed: Allowed = field(default_factory=Allowed)

    @property
    def made_of(self) -> tuple[Int8File, Calibration]:
        """`int8` and `calibration`, where both are there; ValueError where not."""
        if self.int8 is None or self.calibration is None:
            raise ValueError("made by another tool")
        return self.int8, self.calibration


def begin(
    context: ExportContext,
    callable: Callable[..., Any],
    calibration: Calibration | None,
    file: Path,
    trained: Trained | None = None,
) -> Begun:
    """What must be converted.

    Args:
        callable: the model with its target's rewrites.
        calibration: the samples; None where `trained` is a finished file.
        file: where the finished file goes.
        trained: what brings its own ranges, in place of `callable`.
    """
    request, model, folder = context.request, context.model, context.folder
    if isinstance(trained, QuantizedFile):
        shutil.copyfile(trained.path, file)
        return Begun([], trained=trained)
    if request.quantizer == "converter":
        saved = folder / "rewritten"
        quantize.write_saved_model(callable, saved, model.inputs, model.outputs)
        jobs = [
            quantize.Job(str(saved), "int8", "int8", str(_ranged(context)), step="calibrate"),
            quantize.Job(str(saved), "int8", context.io, str(file), per_channel=not request.per_tensor),
        ]
        return Begun(jobs, calibration=calibration)
    if isinstance(trained, TrainedGraph):
        graph, notes, apart = trained.graph, (), None
    else:
        graph, notes, apart = _graph(context, callable, calibration)

    def file_of(graph, folder):
        search = measuring.Search.of(request.method, (), request.seed, context.progress)
        return Int8File(
            callable, graph, context.folder / folder, model.inputs, model.outputs, per_tensor=request.per_tensor,
            aligned=trained is None and search.aligns(model),
        )  # fmt: skip

    int8 = file_of(graph, "int8")
    if not request.equalize:
        return Begun([int8.job(None)], int8, calibration, trained, None, None, notes, apart)
    equal, told, apart_equal = _equalized(context, callable, calibration)
    if not told["places"]:  # it is the same network
        return Begun([int8.job(None)], int8, calibration, trained, told, None, notes, apart)
    other = file_of(equal, "equalized")
    jobs = [int8.job(None), other.job(None)]
    return Begun(jobs, other, calibration, trained, told, int8, notes, apart_equal, apart)


def _ranged(context):
    return context.folder / "ranged.tflite"  # the float file with the converter's own ranges, for the audit


def _graph(context, callable, calibration):
    """The fake-quant graph, notes, and how far the graph is from the float network; None with a note where there is
    none."""
    from tfeff.export.quantize.graph import fake_quant_graph, prove_graph
    from tfeff.export.rewrites.copying import CannotRewrite
    from tfeff.export.rewrites.graph import as_functional

    request = context.request
    try:
        if not context.model.is_keras:
            raise CannotRewrite("the model is no Keras model")
        names = [port.name for port in context.model.inputs]
        proof = calibration.batch(steps.PROOF_SAMPLES)
        graph = fake_quant_graph(callable, names, per_tensor=request.per_tensor, seen=proof)
        return graph, (), prove_graph(graph, as_functional(callable), proof)
    except CannotRewrite as why:
        if request.equalize:
            raise TfeffError(f"--equalize: {why.what}", "leave it out") from None
        return None, (f"quantized without a simulation to prove it: {why.what}",), None


def _equalized(context, callable, calibration):
    """The fake-quant graph of the equalized network, what was done to it, and how far the graph is from it."""
    from tfeff.export.quantize.equalize import equalize
    from tfeff.export.rewrites.copying import CannotRewrite

    try:
        equal, told = equalize(callable, calibration.batch(), per_tensor=context.request.per_tensor)
    except CannotRewrite as why:
        raise TfeffError(f"--equalize: {why.what}", "leave it out") from None
    graph, _, apart = _graph(context, equal, calibration)
    return graph, told, apart


def finish(context: ExportContext, begun: Begun, file: Path) -> Quantized:
    """Ranges, the quantized file, and the proof that it is what was planned.

    Raises:
        GateFailed: the audit found the samples unfit, and the user has not allowed it.
    """
    request = context.request
    entry = Quantization(quantizer=request.quantizer, per_tensor=request.per_tensor, equalization=begun.equalization)
    if begun.calibration is None:
        return Quantized(replace_part(entry, quantizer="converter"))  # of the ranges that it was trained with
    if begun.int8 is None:
        return Quantized(entry, measuring.audited(context, _ranged(context), begun.calibration))
    begun.int8.take()
    words = request.allow_float
    allowed = find_allowed(words, begun.int8, context.converter, context.folder)
    if words:
        entry = replace_part(
            entry, kept_float=KeptFloat(layers=list(allowed.points), allowed=list(words), left=list(allowed.operations))
        )
    made = replace(_with_ranges(context, begun, begun.int8, entry), allowed=allowed)
    int8, calibration = made.made_of
    context.progress("quantizing", 0, 0)
    # The same file with int8 doors takes the simulation's own input.
    same = context.io == "int8" or int8.graph is None
    inside = file if same else context.folder / "inside.tflite"
    files = {context.io: file} | ({} if same else {"int8": inside})
    if int8.graph is None:
        int8.quantize(made.ranges, files, context.converter)
        return made
    if allowed.points:
        simulation = prove(
            MixedFiles(context, made.made_of, made.ranges, made.biases).write(allowed.points, files),
            inside,
            calibration,
        )
    else:
        simulation = quantize_proven(int8, made.ranges, files, context.converter, calibration)
    entry = replace_part(made.entry, simulation=simulation)
    as_begun = int8.graph is begun.int8.graph
    apart = begun.graph_distance if as_begun else begun.unequalized_distance
    return replace(made, entry=entry, graph_distance=apart)


def replace_part(part: Any, **changes: Any) -> Any:
    """A part of the record with some values changed."""
    return msgspec.structs.replace(part, **changes)


def _with_ranges(context, begun, int8, entry):
    """The file with its ranges and corrected biases, before it is quantized."""
    request = context.request
    if isinstance(begun.trained, TrainedGraph):
        seen = measuring.smallest_to_largest(int8.path, begun.calibration)
        notes = (*begun.notes, *uneven_notes(int8.path, seen))
        return Quantized(entry, begun.calibration, notes, int8, int8.own_ranges(seen, int8))
    trial, measured = _measured(context, begun, int8)
    if begun.unequalized is not None:
        begun.unequalized.take()
        other, without = _measured(context, begun, begun.unequalized)
        if without.choice is not None and measured.choice is not None:
            pays, told = choosing.pays(without.choice, measured.choice)
            entry = replace_part(entry, equalization={**begun.equalization, **told})
            if not pays:
                int8, trial, measured = begun.unequalized, other, without
    notes = (*begun.notes, *uneven_notes(int8.path, measured.seen))
    measuring.gate_audit(measured.calibration, request.allow_audit)
    context.progress("correcting biases", 0, 0)
    made, ranges = measuring.made_of(measured, trial, int8)
    entry = replace_part(entry, **choosing.steps_told(measured.choice, trial.report))
    biases = trial.biases if trial.report is not None else None
    return Quantized(entry, measured.calibration, notes, made, ranges, biases)


def _measured(context, begun, int8):
    """What tries out ranges of a file, and what came of it."""
    request = context.request
    trial = Trial(
        int8, int8.path.parent, context.converter, request.correct_bias, judged=begun.unequalized is not None,
        round_weights=not request.allow_float,
    )  # fmt: skip
    search = measuring.Search.of(request.method, request.ranges, request.seed, context.progress)
    return trial, measuring.measure(int8.path, context.model, begun.calibration, context.folder, search, trial)


def keep_some_float(
    context: ExportContext,
    made: Quantized,
    compared: Comparison | None,
    compare: Callable[[Path], Comparison | None],
    file: Path,
    twin: Path,
) -> tuple[Comparison | None, Quantization]:
    """Where int8 costs more than `--max-drop`, keeps the fewest layers in float that mend it; `file` is then that one.

    Args:
        made: what `file` is.
        compared: how it compares with `twin`, the float file.
        compare: says that of another file.

    Returns:
        How what `file` is now compares, and the record's entry: with why there is no way, where there is none.
    """
    allowed, target = context.request.max_drop, context.target
    if allowed is None or compared is None or not compared.accuracy:
        return compared, made.entry
    if worst_drop(compared.accuracy).drop <= allowed:
        return compared, made.entry
    if target.whole:
        return compared, _refused(made, f"{target.name} takes no float operation, so no layer can be kept in float")
    if made.int8 is None or made.int8.graph is None or made.calibration is None:
        return compared, _refused(made, "only with our own quantizer, of a Keras graph, can layers be kept in float")
    mixed = MixedFiles(context, made.made_of, made.ranges, made.biases)
    files = Files(made.int8, file, twin, made.calibration)

    def worse(path: Path) -> Comparison:
        found = compare(path)
        assert found is not None  # there is a dataset: `compared` came from it
        return found

    asked = made.allowed.points  # in float already

    def write(kept, path):
        return mixed.write((*asked, *kept), {context.io: path})

    found = find_kept(context, files, write, worse, allowed)
    if found.path is None or found.compared is None:
        better = 1 if compared.accuracy[0].higher_is_better else -1
        best = max(found.tried, key=lambda each: (better * each.delta, -each.kept), default=None)
        told = f", the best are {best.kept} with {best.delta:+.2f}" if best else ""
        unit = " points" if compared.accuracy[0].unit == "%" else f" {compared.accuracy[0].unit}".rstrip()
        why = f"no number of layers in float meets it{told}{unit if best else ''}"
        return compared, _refused(made, why, tried=list(found.tried))
    latency = _cost(context, file, found.path) if context.request.devices else []
    os.replace(found.path, file)
    inside = context.folder / "mixed_inside.tflite"
    int8 = mixed.write((*asked, *found.kept), {"int8": inside})
    kept = replace_part(
        made.entry.kept_float or KeptFloat(),
        layers=[*asked, *found.kept],
        all_int8=compared.accuracy,
        tried=list(found.tried),
        latency=latency,
    )
    simulation = prove(int8, inside, made.calibration)
    rounding = choosing.not_rounded(made.entry.weight_rounding)
    return found.compared, replace_part(made.entry, kept_float=kept, simulation=simulation, weight_rounding=rounding)


def _refused(made, why, **more):
    kept = replace_part(made.entry.kept_float or KeptFloat(), refused=why, **more)
    return replace_part(made.entry, kept_float=kept)


def _cost(context, int8, mixed):
    """What keeping layers in float costs in time: mixed / int8, on each device, in one interleaved run."""
    timing = time_files(
        [int8, mixed], context.request.devices, context.request,
        lambda done, total: context.progress("timing what float costs", done, total), context.model.inputs,
    )  # fmt: skip
    return [
        LatencyOfMixed(device=each.device.partition(":")[0], ratio=each.ratio, ci95=each.ci95, of="all in int8")
        for each in timing.ratios
    ]


def as_trained(request: Request, trained: Trained) -> Request:
    """The request for what brings its own ranges: its weights' scales are as it was made.

    Raises:
        TfeffError: options that would change what was trained.
    """
    from tfeff.export.quantize.fake_quant import QuantizedWeights

    words = {
        "--calibration-method": request.method, "--range": request.ranges, "--equalize": request.equalize,
        "--no-correct-bias": not request.correct_bias, "--quantizer converter": request.quantizer == "converter",
        "--samples": request.samples, "--tune": isinstance(trained, TrainedGraph) and trained.brought and request.tune,
    }  # fmt: skip
    if given := [word for word, value in words.items() if value]:
        raise TfeffError(
            f"{given[0]}: means nothing for a fake-quant network, which has its ranges and its target's rewrites",
            "leave it out, or export the float network",
        )
    if isinstance(trained, QuantizedFile):
        return request
    units = [layer for layer in trained.graph.layers if isinstance(layer, QuantizedWeights)]
    per_tensor = bool(units) and all(unit.per_tensor for unit in units)
    if request.per_tensor and not per_tensor:
        raise TfeffError(
            "--per-tensor: this fake-quant network was made with a scale a channel", "make it anew with per_tensor"
        )
    return replace(request, per_tensor=per_tensor)


def check_quantizer(request: Request) -> None:
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
