"""Trying out: an int8 file with some ranges, its biases corrected for them or as they are, its weights rounded each to
the nearest step or together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration import Calibration, Feed
from tfeff.calibration.judging import Run
from tfeff.calibration.ranges import Range
from tfeff.export.quantize.convert import Converter
from tfeff.export.quantize.int8_file import Int8File


class Trial:
    """An int8 file with some ranges, its biases corrected for them or not, its weights rounded together or not: for
    trying out, and for the last of them.

    Attributes:
        biases: of the network before any correction; None where it has no graph.
        correctable: whether biases can be and may be corrected.
        judged: whether the file's loss is wanted even where there is nothing to choose.
        roundable: whether weights may be rounded together.
        report: what `correct_biases` said of the file that was made last; None where biases are left as they are.
    """

    def __init__(
        self, int8: Int8File, folder: Path, converter: Converter, correct_bias: bool = True, *, judged: bool = False,
        round_weights: bool = True,
    ):  # fmt: skip
        """Begins with no ranges.

        Args:
            int8: the network, as it is before any correction; it keeps what is done to it.
            folder: a scratch folder.
            converter: that makes the files.
            correct_bias: whether biases may be corrected.
            judged: whether the file's loss is wanted even where there is nothing to choose.
            round_weights: whether weights may be rounded together, where biases may be corrected.
        """
        self.judged = judged
        self._int8, self._folder, self._converter = int8, folder, converter
        self.correctable = correct_bias and int8.graph is not None
        self.biases = None if int8.graph is None else int8.biases()
        self.roundable = self.correctable and round_weights
        self._codes: dict[str, np.ndarray] = {}  # of weights that were rounded together
        self._rounded: Int8File | None = None  # with these
        self._made: tuple[Any, Int8File] | None = None
        self.report: dict[str, Any] | None = None

    def make(
        self,
        ranges: Mapping[int, tuple[float, float]],
        calibration: Calibration,
        corrected: bool = True,
        rounded: bool = False,
    ) -> Int8File:
        """The file in the making.

        Args:
            ranges: by tensor of the uncorrected one.
            calibration: samples; those that are left out have no say in biases either.
            corrected: whether biases are, where they may be.
            rounded: whether its weights are those of `round_weights`.
        """
        corrected, rounded = corrected and self.correctable, rounded and self._rounded is not None
        what = ranges, frozenset(calibration.left_out) if corrected else None, rounded
        if self._made is not None and self._made[0] == what:
            return self._made[1]
        from tfeff.export.quantize.bias_correction import SAMPLES, correct_biases

        self._restore(rounded)
        self._int8.set_ranges(ranges)
        made = self._rounded if rounded and self._rounded is not None else self._int8
        if corrected:
            self.report = correct_biases(self._int8.graph, calibration.batch(calibration.typical(SAMPLES)))
            made = self._corrected(made, calibration)
        self._made = what, made
        return made

    def round_weights(self, calibration: Calibration) -> dict[str, Any]:
        """Chooses the steps of the weights together, by these samples; what `weight_rounding.round_weights` said. The
        files of `make` have them where `rounded` is asked for."""
        from tfeff.export.quantize.weight_rounding import SAMPLES, round_weights

        self._restore()
        report = round_weights(self._int8.graph, calibration.batch(calibration.typical(SAMPLES)))
        self._codes = self._int8.codes()
        folder = self._folder / "rounded"
        self._rounded = self._int8.recoded(folder) or self._converted(self._int8.again(folder), calibration)
        self._restore()
        return report

    def _corrected(self, before, calibration):
        """A file with the biases that the graph has by now."""
        folder = self._folder / "corrected"
        if (made := before.rebiased(self.biases or {}, folder)) is not None:
            return made
        return self._converted(self._int8.again(folder), calibration)

    def as_it_was(self, calibration: Calibration) -> Int8File:
        """The float file with nothing rounded and no bias moved: what TensorFlow's own converter measures. Of a network
        without a graph that is the file there is."""
        if self._int8.graph is None:
            return self._int8
        self._restore()
        return self._converted(self._int8.again(self._folder / "as_it_was", rounded_weights=False), calibration)

    def _converted(self, made, calibration):
        self._converter.convert([made.job(None)], calibration.paths)
        made.take()
        return made

    def run(
        self, found: Sequence[Range], calibration: Calibration, corrected: bool = True, rounded: bool = False
    ) -> Run:
        """Ranges -> what runs the int8 file that has them: inputs -> outputs by name, as real numbers."""
        ranges = _by_tensor(found)
        if self._int8.graph is None:
            return self._run(self._int8, ranges)
        made = self.make(ranges, calibration, corrected, rounded)
        return self._run(made, made.own_ranges(ranges, self._int8))

    def run_as_it_was(self, made: Int8File, found: Sequence[Range]) -> Run:
        """The same of what `as_it_was` made, with ranges of its own tensors."""
        return self._run(made, self.ranges_as_it_was(made, found))

    def ranges_as_it_was(self, made: Int8File, found: Sequence[Range]) -> dict[int, tuple[float, float]]:
        """Gives the graph these ranges and its own biases; the ranges by tensor of that file."""
        ranges = _by_tensor(found)
        if made.graph is None:
            return ranges
        self._restore()
        made.set_ranges(ranges)
        return made.own_ranges(ranges, made)

    def _restore(self, rounded=False):
        """Biases as they were before any correction, weights to the nearest step or rounded together."""
        self._int8.set_biases(self.biases or {})
        self._int8.set_codes(self._codes if rounded else {})
        self._made = self.report = None

    def _run(self, made, ranges):
        from tfeff.compare import Runner

        path = self._folder / "trial.tflite"
        made.quantize(ranges, {"int8": path}, self._converter)
        runner = Runner(path, isolated=False)

        def run(feed: Feed) -> dict[str, np.ndarray]:
            return runner(feed)

        return run


def _by_tensor(found):
    return {each.tensor.index: (each.low, each.high) for each in found}
