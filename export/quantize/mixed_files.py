"""Int8 files in which some layers stay in float."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from tfeff.calibration import Calibration
from tfeff.export.context import ExportContext
from tfeff.export.quantize.int8_file import Bounds, Int8File


class MixedFiles:
    """Files in which some layers stay in float: their weights are not rounded, biases are corrected for the rest, whose
    weights are each to the nearest step."""

    def __init__(
        self,
        context: ExportContext,
        made_of: tuple[Int8File, Calibration],
        ranges: Mapping[int, Bounds],
        biases: Mapping[str, np.ndarray] | None,
    ):
        """
        Args:
            made_of: what the file all in int8 was made of.
            ranges: of that file, by tensor.
            biases: of its graph as they were before they were corrected; None where they were not.
        """
        self._context, self._ranges, self._biases, self._count = context, ranges, biases, 0
        self._int8, self._calibration = made_of
        self._made: Int8File | None = None

    def write(self, kept: Collection[str], files: Mapping[str, Path]) -> Int8File:
        """Writes a file for each dtype of inputs and outputs; the fake-quant graph has its biases."""
        context, int8 = self._context, self._int8
        if self._made is None or self._biases is not None:
            int8.set_codes({})
            if self._biases is not None:
                from tfeff.export.quantize.bias_correction import SAMPLES, correct_biases

                int8.set_biases(self._biases)
                samples = self._calibration.batch(self._calibration.typical(SAMPLES))
                correct_biases(int8.graph, samples, kept)
            self._count += 1
            self._made = int8.again(context.folder / f"mixed-{self._count}", rounded_weights=False)
            context.converter.convert([self._made.job(None)], self._calibration.paths)
            self._made.take()
        made = self._made
        made.quantize(made.own_ranges(self._ranges, int8), files, context.converter, kept)
        return made
