"""The record of an export, put together of typed parts."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tfeff.artifact import check_tflite
from tfeff.compare import Runner
from tfeff.data import Preprocessing as DataPreprocessing
from tfeff.export.context import ExportContext
from tfeff.export.making import Made
from tfeff.export.placing import twin_path
from tfeff.export.proofs import FloatError, Reference
from tfeff.export.quantize.convert import environment_versions
from tfeff.export.steps import TWIN_REWRITES, Rewritten
from tfeff.export.targets import Target
from tfeff.export.trained import Trained, TrainedGraph
from tfeff.record import Record, build, to_dict
from tfeff.record.schema import (
    Accuracy,
    Calibration,
    Check,
    Compiled,
    FloatTwin,
    Gates,
    Latency,
    Link,
    Operations,
    Port,
    PortAgreement,
    Preprocessing,
    Proof,
    Quantization,
    Rewrite,
    Tuning,
)
from tfeff.tflite.graph import Graph, describe_operations


@dataclass(frozen=True)
class Way:
    """How the model came to the converter.

    Attributes:
        specs: of the rewrites that the target asked for.
        twin, rewritten: what was done for the float twin, and for the artifact.
        trained: what brought its own ranges.
        tuning: what `--tune` timed.
    """

    specs: tuple[str, ...]
    twin: Rewritten
    rewritten: Rewritten
    trained: Trained | None = None
    tuning: Tuning | None = None


@dataclass(frozen=True)
class Measured:
    """What was measured on the finished file.

    Attributes:
        float_error: of the twin.
        links: of the chain from the model to what was quantized.
        accuracy, ports: against the twin, and of ports against the model itself.
        latency: on each device.
        check: what the target makes of it; `compiled`: what its compiler made of it.
        failed: gates that were missed, one line each.
        notes: for the record.
        heads: what the file's boxes are made of, where it ends in boxes.
    """

    float_error: FloatError
    links: list[Link]
    accuracy: list[Accuracy]
    ports: list[PortAgreement]
    latency: list[Latency]
    check: Check
    compiled: Compiled | None
    failed: list[str]
    notes: tuple[str, ...] = ()
    heads: list[Port] = field(default_factory=list)


def build_record(
    context: ExportContext,
    way: Way,
    made: Made,
    graph: Graph,
    reference: Reference,
    measured: Measured,
    command: str,
) -> Record:
    """The record; ValueError where it is not as the schema says, which is our fault."""
    model, request = context.model, context.request
    inputs, outputs = ports_of(context, made.file)
    record = Record(
        network=model.network,
        preset=model.preset,
        source=model.source,
        target=context.target.name,
        file=context.path.name,
        sha256=check_tflite(made.file),
        size_bytes=made.file.stat().st_size,
        float_twin=_twin(context, way, made, measured.float_error),
        inputs=inputs,
        outputs=outputs,
        heads=measured.heads,
        tasks=list(model.tasks),
        precision=context.precision.name,
        weights="random" if model.random_weights else "trained",
        dataset=model.dataset,
        ops=_operations(graph),
        min_runtime_version=graph.min_runtime_version,
        rewrites=rewrites_part(way.rewritten, context.target),
        tuning=way.tuning,
        proof=Proof(inputs=reference.count, source=reference.source, links=measured.links),
        calibration=_calibration(context, way, made),
        quantization=_quantization(way, made),
        accuracy=measured.accuracy,
        ports=measured.ports,
        latency=measured.latency,
        check=measured.check,
        compiled=measured.compiled,
        gates=Gates(
            max_drop=request.max_drop,
            max_latency_ms=request.max_latency_ms,
            strict=request.strict,
            failed=measured.failed,
        ),
        notes=[*model.notes, *reference.notes, *made.notes, *_not_rewritten(context, way), *measured.notes],
        command=command,
        versions=environment_versions(),
        **_counts(context),
    )
    return build(to_dict(record))


def ports_of(context: ExportContext, file: Path) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs as the file has them, in the model's order."""
    model, runner = context.model, Runner(file, isolated=False)
    inputs = {port.name: port.as_dict() for port in runner.inputs}
    outputs = {port.name: port.as_dict() for port in runner.outputs}
    preprocessing = {
        port.name: None if port.preprocessing is None else preprocessing_part(port.preprocessing)
        for port in model.inputs
    }
    return (
        [Port(**inputs[name], preprocessing=each) for name, each in preprocessing.items()],
        [Port(**outputs[name]) for name in model.outputs],
    )


def rewrites_part(rewritten: Rewritten, target: Target) -> list[Rewrite]:
    """The record's `rewrites`."""
    return [Rewrite(**asdict(each), because=target.because.get(each.name)) for each in rewritten.applied]


def preprocessing_part(preprocessing: DataPreprocessing) -> Preprocessing:
    """How an image becomes an input, as a record's port has it."""
    return msgspec.convert(preprocessing.as_dict(), Preprocessing)


def _twin(context, way, made, error):
    return FloatTwin(
        file=twin_path(context.path).name,
        sha256=check_tflite(made.twin),
        size_bytes=made.twin.stat().st_size,
        rewrites=way.twin.names,
        max_abs_error=error.max_abs_error,
        relative_error=error.relative_error,
    )


def _operations(graph):
    return msgspec.convert(describe_operations(graph), Operations)


def _calibration(context, way, made) -> Calibration | None:
    """Of the inputs that the ranges come from: now, or before training."""
    if isinstance(way.trained, TrainedGraph):
        return way.trained.calibration
    if made.calibration is None or way.trained is not None or not context.precision.calibrated:
        return None
    return made.calibration.record()


def _quantization(way, made) -> Quantization | None:
    if made.quantization is None:
        return None
    return msgspec.structs.replace(made.quantization, training=way.trained.training if way.trained else None)


def _not_rewritten(context, way):
    """A note, where the target's rewrites could not be applied."""
    yield from way.rewritten.left_out
    if way.rewritten.refused and set(way.specs) - set(TWIN_REWRITES):
        yield f"not rewritten for {context.target.name}: {way.rewritten.refused}"


def _counts(context) -> dict[str, Any]:
    """Parameters and multiply-adds of the model as it was given."""
    model = context.model
    if not model.is_keras:
        return {}
    from tfeff.cost import count

    try:
        counted = count(model.callable)
    except (ValueError, AttributeError):  # a user's own layers, or a model that is no graph
        return {"parameters": int(model.keras.count_params())}
    return {"parameters": counted.parameters, "macs": counted.madds}
