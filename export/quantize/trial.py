"""Trying ranges out: an int8 file with some ranges and its biases corrected for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration import Calibration, Feed
from tfeff.calibration.choice import Run
from tfeff.calibration.ranges import Range
from tfeff.export.quantize.convert import Converter
from tfeff.export.quantize.int8_file import Int8File


class Trial:
    """An int8 file with some ranges, its biases corrected for them: for trying ranges out, and for the last of them.

    Attributes:
        biases: of the network before any correction; None where it has no graph.
        report: what `correct_biases` said, None where biases are left as they are.
    """

    def __init__(self, int8: Int8File, folder: Path, converter: Converter, correct_bias: bool = True):
        """Begins with no ranges.

        Args:
            int8: the network, as it is before any correction; it keeps what is done to it.
            folder: a scratch folder.
            converter: that makes the files.
            correct_bias: whether biases are corrected.
        """
        self._int8, self._correct = int8, correct_bias
        self._folder, self._converter = folder, converter
        self.biases = None if int8.graph is None else int8.biases()
        self._made: tuple[Any, Int8File] | None = None
        self.report: dict[str, Any] | None = None

    def make(self, ranges: Mapping[int, tuple[float, float]], calibration: Calibration) -> Int8File:
        """The file in the making.

        Args:
            ranges: by tensor of the uncorrected one.
            calibration: samples; those that an audit left out have no say in biases either.
        """
        if self._made is not None and self._made[0] == ranges:
            return self._made[1]
        from tfeff.export.quantize.bias_correction import SAMPLES, correct_biases

        self._int8.set_biases(self.biases or {})
        self._int8.set_ranges(ranges)
        made = self._int8
        if self._correct:
            self.report = correct_biases(self._int8.graph, calibration.batch(calibration.typical(SAMPLES)))
            made = self._corrected(calibration)
        self._made = ranges, made
        return made

    def _corrected(self, calibration):
        """The file with the biases that the graph has by now."""
        folder = self._folder / "corrected"
        if (made := self._int8.rebiased(self.biases or {}, folder)) is not None:
            return made
        made = self._int8.again(folder)
        self._converter.convert([made.job(None)], calibration.paths)
        made.take()
        return made

    def run(self, found: Sequence[Range], calibration: Calibration) -> Run:
        """Ranges -> what runs the int8 file that has them: inputs -> outputs by name, as real numbers."""
        from tfeff.compare import Runner

        ranges = {each.tensor.index: (each.low, each.high) for each in found}
        made = self._int8
        if self._int8.graph is not None:
            made = self.make(ranges, calibration)
            ranges = made.own_ranges(ranges, self._int8)
        path = self._folder / "trial.tflite"
        made.quantize(ranges, {"int8": path}, self._converter)
        runner = Runner(path, isolated=False)

        def run(feed: Feed) -> dict[str, np.ndarray]:
            return runner(feed)

        return run
