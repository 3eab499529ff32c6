"""Trying ranges out: an int8 file with some ranges and its biases corrected for them."""

from pathlib import Path
from typing import Any

from tfeff.export.quantize import Int8File


class Trial:
    """An int8 file with some ranges, its biases corrected for them: for trying ranges out, and for the last of them.

    Attributes:
        calibration: the images; once they are audited, those that are left out have no say in biases either.
        biases: of the network before any correction; None where it has no graph.
        report: what `correct_biases` said, None where biases are left as they are.
    """

    def __init__(self, int8: Int8File, calibration, folder: Path, converter, correct_bias: bool = True):
        """Begins with no ranges.

        Args:
            int8: the network, as it is before any correction; it keeps what is done to it.
            calibration: the images.
            folder: a scratch folder.
            converter: that makes the files.
            correct_bias: whether biases are corrected.
        """
        self._int8, self.calibration, self._correct = int8, calibration, correct_bias
        self._folder, self._converter = folder, converter
        self.biases = None if int8.graph is None else int8.biases()
        self._made: tuple[Any, Int8File] | None = None
        self.report: dict[str, Any] | None = None

    def make(self, ranges: dict[int, tuple[float, float]]) -> Int8File:
        """The file in the making; `ranges` by tensor of the uncorrected one."""
        if self._made is not None and self._made[0] == ranges:
            return self._made[1]
        from tfeff.export.quantize.bias_correction import IMAGES, correct_biases

        self._int8.set_biases(self.biases)
        self._int8.set_ranges(ranges)
        made = self._int8
        if self._correct:
            images = self.calibration.inputs()[self.calibration.typical(IMAGES)]
            self.report = correct_biases(self._int8.graph, images)
            made = self._int8.again(self._folder / "corrected", images.shape[1:])
            self._converter.convert([made.job(None)], self.calibration.path)
            made.take()
        self._made = ranges, made
        return made

    def run(self, found):
        """For `measuring.measure`: ranges -> what runs the int8 file that has them."""
        from tfeff.compare import Runner

        ranges = {each.tensor.index: (each.low, each.high) for each in found}
        made = self._int8
        if self._int8.graph is not None:
            made = self.make(ranges)
            ranges = {made.tensors[point]: bounds for point, bounds in made.ranges().items()}
        path = self._folder / "trial.tflite"
        made.quantize(ranges, {"int8": path}, self._converter)
        return Runner(path)
