"""Quantizing with the proof at hand: where the converter folded a point away and a unit is then not what was simulated,
the file is made again with ranges that go together."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tfeff.calibration import Calibration
from tfeff.export import steps
from tfeff.export.quantize.convert import Converter
from tfeff.export.quantize.int8_file import Bounds, Int8File
from tfeff.record.schema import Simulation


def prove(int8: Int8File, file: Path, calibration: Calibration) -> Simulation:
    """How a file, int8 at its doors, agrees with the fake-quant graph."""
    from tfeff.export.quantize.prove import prove_units

    batch = calibration.batch(steps.PROOF_SAMPLES)
    scales, floats = int8.scales(file)
    return prove_units(int8.graph, file.read_bytes(), scales, floats, batch).record()


def quantize_proven(
    int8: Int8File,
    ranges: Mapping[int, Bounds],
    files: Mapping[str, Path],
    converter: Converter,
    calibration: Calibration,
) -> Simulation:
    """Writes the quantized files and proves the one with int8 doors.

    Args:
        int8: of a fake-quant graph.
        ranges, files, converter: see `Int8File.quantize`; `int8` is among the files.
        calibration: the samples.

    Returns:
        How the files agree with the graph.
    """
    int8.quantize(ranges, files, converter)
    found = prove(int8, files["int8"], calibration)
    if points := folded_away(int8.graph, found.beyond, found.missing):
        int8.quantize(int8.folded_ranges(ranges, points), files, converter)
        again = prove(int8, files["int8"], calibration)
        if len(again.beyond) < len(found.beyond):
            return again
        int8.quantize(ranges, files, converter)
    return found


def folded_away(graph: Any, beyond: Collection[str], missing: Collection[str]) -> list[str]:
    """The points that are not in the file and that a unit beyond the simulation reads.

    Args:
        graph: a fake-quant graph.
        beyond: units that differ.
        missing: points that the file does not hold.
    """
    from tfeff.export.quantize.simulation import points_in_front

    front, found, waiting = points_in_front(graph), [], list(beyond)
    while waiting:
        read = [point for point in front[waiting.pop()] if point in missing and point not in found]
        found += read
        waiting += read
    return found
