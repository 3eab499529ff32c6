"""The whole way from a model to a verified artifact, top to bottom.

check the request -> do tasks, outputs and labels fit? -> calibration inputs -> rewrites, each proven -> convert (own
process) to float -> audit the inputs on it, find the ranges -> quantize (own process) -> no float operation left? ->
does the target take it? -> float file equals the model? -> the tasks' metrics, float against quantized -> the target's
compiler -> latency -> record -> put in place
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfeff.calibration import Calibration
from tfeff.errors import TfeffError
from tfeff.export import chain, gates, making, metadata, on_device, proofs, recording, steps, with_nms
from tfeff.export.checks import check_memory_for, check_request, check_space_for, io_of
from tfeff.export.context import ExportContext, Progress, no_progress
from tfeff.export.limits import check_limits
from tfeff.export.model import Model
from tfeff.export.placing import compiled_path, put_in_place, refused, scratch, twin_path
from tfeff.export.quantize import Converter, orchestrate
from tfeff.export.quantize.recipes import PRECISIONS
from tfeff.export.request import Request
from tfeff.export.targets import Compiled, get_target
from tfeff.export.trained import Trained, TrainedGraph
from tfeff.record import Record
from tfeff.record.schema import Port
from tfeff.tflite.graph import read_graph

if TYPE_CHECKING:
    from tfeff.bench import Outcome


@dataclass(frozen=True)
class Export:
    """What came of it.

    Attributes:
        path: the artifact's `.tflite`.
        record: what stands in the `.json` beside it.
        failed: gates that were not met, one line each; the artifact is there all the same.
        latency: what `tfeff.bench.bench` said, float twin and ratios included; None when nothing was timed.
    """

    path: Path
    record: Record
    failed: tuple[str, ...]
    latency: "Outcome | None"


def export_model(
    model: Model,
    path: Path,
    request: Request | None = None,
    *,
    trained: Trained | None = None,
    command: str = "",
    progress: Progress = no_progress,
) -> Export:
    """Exports a model.

    Args:
        model: the model.
        path: the `.tflite` to write; its record and its float twin go beside it.
        request: what to make of it; int8 for LiteRT without.
        trained: what brings its own ranges, of training; None is the model's own, if it came as a fake-quant graph.
        command: the command line, for the record.
        progress: called with (step, done, total).

    Raises:
        TfeffError: bad input, or a proof that failed.
        GateFailed: an integer precision left float operations, or the target would not run the file; nothing is
        written.
    """
    request = request or Request()
    check_request(request, path)
    model = _in_float32(model)
    if request.precision != "int8":
        trained = None
    elif trained is None and model.fake_quant is not None:
        trained = TrainedGraph(model.fake_quant, brought=True)
    if trained is not None:
        request = orchestrate.as_trained(request, trained)
    target = get_target(request.target)
    check_space_for(model, path)
    check_memory_for(model)
    check_limits(model, request, target)
    with scratch(path) as folder, Converter(folder) as converter:
        converter.start()
        context = ExportContext(
            model, request, target, PRECISIONS[request.precision], io_of(request, target), path, folder, converter,
            progress,
        )  # fmt: skip
        try:
            return _export(context, trained, command)
        except TfeffError as error:
            raise refused(context, error) from error


def _in_float32(model: Model) -> Model:
    """The model with a copy in float32 where it computes in another floating point."""
    if not model.is_keras:
        return model
    from tfeff.export.rewrites.float32 import coarsest, in_float32

    if model.brought is not None or coarsest(model.callable) is None:
        return model
    return replace(model, callable=in_float32(model.callable), brought=model.callable)


def _export(context: ExportContext, trained: Trained | None, command: str) -> Export:
    proofs.check_tasks(context)
    with_nms.check_nms(context)
    metadata.check_metadata(context)
    calibration = steps.calibrate(
        context, needed=context.precision.calibrated and trained is None, noise=trained is not None
    )
    reference = _reference(context, calibration)
    copied = proofs.prove_copy(context, reference)
    way = _rewritten(context, reference, trained)
    made = making.make_files(context, way.twin, way.rewritten, calibration, trained)
    gates.gate_operations(context, read_graph(made.file), made.int8.allowed.tensors if made.int8 else ())

    context.progress("proving", 0, 0)
    float_error = proofs.prove_float(context, made.twin, reference)
    compared = proofs.compare(context, made.file, made.twin)
    made, compared = making.keep_some_float(
        context, made, compared, lambda file: proofs.compare(context, file, made.twin)
    )
    if compared is not None:
        accuracy, ports = compared.accuracy, compared.ports
        said = compared.notes
    else:
        said = ()
        accuracy, ports = [], proofs.agreement(made.file, made.twin, proofs.samples(reference.inputs), reference.source)
    ports = [*ports, *proofs.ends(context, made.file, reference)]
    links = chain.links(context.model.copied, way, made, copied, float_error)
    heads: list[Port] = []
    if context.request.with_nms:
        ended = with_nms.end_in_boxes(context, made, reference.inputs)
        context, made = ended.context, ended.made
        said, heads = (*said, ended.note), ended.heads
        if compared is not None and (compared := proofs.compare(context, made.file, made.twin)) is not None:
            accuracy = compared.accuracy  # of the boxes that the file gives; the ports are those of its heads
    if context.request.metadata:
        made, accuracy = metadata.describe(context, made, accuracy)
    graph = read_graph(made.file)

    compiled, notes = _compile(context, made.file)
    check = (compiled.verdict if compiled else context.target.check(graph)).record()
    timing = on_device.time_artifact(context, made.file, made.twin)
    failed = gates.missed_gates(context, accuracy, made.quantization, timing.entries, check)
    failed += on_device.void_answers(timing.bench)
    files, part = {made.twin: twin_path(context.path), made.file: context.path}, None
    if compiled is not None:
        files[compiled.path] = compiled_path(context.path, compiled.suffix)
        part = compiled.record(files[compiled.path].name)
    measured = recording.Measured(
        float_error, links, accuracy, ports, timing.entries, check, part, failed, (*notes, *said), heads
    )
    record = recording.build_record(context, way, made, graph, reference, measured, command)
    put_in_place(context, files, record)
    return Export(context.path, record, tuple(failed), timing.bench)


def _reference(context: ExportContext, calibration: Calibration | None) -> proofs.Reference:
    """Inputs for the proofs, and what the model gives for them."""
    if calibration is None:
        return proofs.refer(context.model, steps.some_inputs(context.model.inputs), "seeded noise")
    return proofs.refer(context.model, calibration.batch(steps.PROOF_SAMPLES), calibration.source)


def _rewritten(context: ExportContext, reference: proofs.Reference, trained: Trained | None) -> recording.Way:
    """The model for the float twin, and for the artifact."""
    # What came as a fake-quant graph has its target's rewrites in it.
    brought = isinstance(trained, TrainedGraph) and trained.brought
    specs = () if brought else steps.specs_for(context.model, context.target, context.request.precision)
    choices, tuning = {}, None
    if context.request.tune:
        from tfeff.export.tune import tune

        tuned = tune(context)
        specs, choices, tuning = tuned.specs, tuned.choices, tuned.record
    context.progress("rewriting", 0, 0)
    twin = steps.rewrite(context.model, steps.TWIN_REWRITES, reference.inputs)
    rewritten = steps.rewrite(context.model, specs, reference.inputs, choices, measured=True)
    return recording.Way(specs, twin, rewritten, trained, tuning)


def _compile(context: ExportContext, file: Path) -> tuple[Compiled | None, tuple[str, ...]]:
    """What the target's compiler, if it has one that is there, makes of the file; its word stands in place of the
    prediction. And a note where it is not there."""
    target = context.target
    if target.compile is None:
        return None, ()
    context.progress("compiling", 0, 0)
    made = target.compile(file, context.folder, context.request.compiler)
    if made is None:
        return None, (f"what {target.name} takes is predicted: its compiler is not installed",)
    return made, ()
