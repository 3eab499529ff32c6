"""The two files of an export: the float twin and the artifact, out of one or two calls of the converter."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tfeff.calibration import Calibration
from tfeff.compare import Comparison
from tfeff.export import quantize
from tfeff.export.context import ExportContext
from tfeff.export.placing import twin_path
from tfeff.export.quantize import measuring, orchestrate
from tfeff.export.steps import Rewritten
from tfeff.export.trained import Trained
from tfeff.record.schema import Quantization


@dataclass(frozen=True)
class Made:
    """What was made, in the scratch folder.

    Attributes:
        file, twin: the artifact's `.tflite`, and the float one.
        calibration: with what the audit found; None where nothing was calibrated.
        quantization: the record's entry; None for a precision without one.
        notes: for the record.
        int8: what keeps layers in float where that is wanted; None for other precisions.
    """

    file: Path
    twin: Path
    calibration: Calibration | None
    quantization: Quantization | None = None
    notes: tuple[str, ...] = ()
    int8: orchestrate.Quantized | None = None


def make_files(
    context: ExportContext,
    twin: Rewritten,
    rewritten: Rewritten,
    calibration: Calibration | None,
    trained: Trained | None,
) -> Made:
    """Makes both files.

    Args:
        twin: the model with what no converter takes rewritten.
        rewritten: with all of its target's rewrites.
        calibration: None where the precision needs none.
        trained: what brings its own ranges.

    Raises:
        TfeffError: the converter refused the model.
        GateFailed: the audit found the calibration inputs unfit, and the user has not allowed it.
    """
    model, folder = context.model, context.folder
    file, twin_file = folder / context.path.name, folder / twin_path(context.path).name
    original = folder / "original"
    quantize.write_saved_model(twin.callable, original, model.inputs, model.outputs)
    jobs = [quantize.Job(str(original), "float32", "float32", str(twin_file))]
    context.progress("converting", 0, 0)
    if context.precision.name == "int8":
        begun = orchestrate.begin(context, rewritten.callable, calibration, file, trained)
        context.converter.convert([*jobs, *begun.jobs], calibration.paths if calibration else None)
        int8 = orchestrate.finish(context, begun, file)
        return Made(file, twin_file, int8.calibration, int8.entry, tuple(int8.notes), int8)

    saved = original
    if rewritten.names != twin.names:
        saved = folder / "rewritten"
        quantize.write_saved_model(rewritten.callable, saved, model.inputs, model.outputs)
    ranged = folder / "ranged.tflite"
    if context.precision.calibrated:
        jobs.append(quantize.Job(str(saved), "int8", "int8", str(ranged), step="calibrate"))
    jobs.append(quantize.Job(str(saved), context.precision.name, context.io, str(file)))
    context.converter.convert(jobs, calibration.paths if calibration else None)
    if context.precision.calibrated and calibration is not None:
        calibration = measuring.audited(context, ranged, calibration)  # 16 bits have room: the converter's own ranges
    return Made(file, twin_file, calibration)


def keep_some_float(
    context: ExportContext,
    made: Made,
    compared: Comparison | None,
    compare: Callable[[Path], Comparison | None],
) -> tuple[Made, Comparison | None]:
    """Where int8 costs more than `--max-drop`, keeps the fewest layers in float that mend it; the file is then that.

    Returns:
        What the file is now, and how it compares.
    """
    if made.int8 is None:
        return made, compared
    compared, entry = orchestrate.keep_some_float(context, made.int8, compared, compare, made.file, made.twin)
    return replace(made, quantization=entry), compared
