"""What a record keeps of `debug`: the layers along the network, for reports."""

from dataclasses import asdict
from typing import TypeVar

from tfeff.artifact import Artifact, update_record
from tfeff.debug.result import DebugResult, LayerError
from tfeff.errors import TfeffError
from tfeff.record import Record
from tfeff.record.schema import Debug, DebugLayer, DebugSimulation

_KEPT = set(DebugLayer.__struct_fields__)
_Value = TypeVar("_Value")


def debug_entry(result: DebugResult) -> Debug:
    """What a record keeps of what `debug` gave: the layers in the network's order, figures of 5 digits."""
    return Debug(
        sha256=result.sha256,
        float_sha256=result.float_sha256,
        reference=result.reference,
        images=result.images,
        samples=result.samples,
        output=result.output,
        output_sqnr_db=result.output_sqnr_db,
        ports=result.ports,
        notes=result.notes,
        runtime=result.runtime,
        version=result.version,
        simulation=DebugSimulation(
            agrees=result.simulation.agrees,
            same_answers=result.simulation.same_answers,
            sqnr_db=result.simulation.sqnr_db,
        ),
        layers=[_layer(row) for row in sorted(result.layers, key=lambda row: row.position)],
    )


def record_debug(artifact: Artifact, result: DebugResult) -> bool:
    """Writes what `debug` gave as `debug` into the artifact's record; False when it has none.

    Raises:
        TfeffError: the result was found on another file, or the record cannot be written.
    """
    if result.sha256 != artifact.sha256:
        raise TfeffError(f"{artifact.path}: changed while it was debugged (sha256 differs)", "debug it again")

    def change(record: Record) -> None:
        record.debug = debug_entry(result)

    return update_record(artifact, change)


def _layer(row: LayerError) -> DebugLayer:
    return DebugLayer(**{key: _round(value) for key, value in asdict(row).items() if key in _KEPT})


def _round(value: _Value) -> _Value:
    if isinstance(value, tuple):
        return tuple(_round(each) for each in value)  # type: ignore[return-value]
    return float(f"{value:.5g}") if isinstance(value, float) else value  # type: ignore[return-value]
