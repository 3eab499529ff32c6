"""What training brings to an export in place of ranges: our fake-quant graph, or a file of another tool."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.record.schema import Calibration, Details


@dataclass(frozen=True)
class TrainedGraph:
    """A fake-quant graph with its ranges: the int8 file is made of it.

    Attributes:
        graph: of `quantize.graph.fake_quant_graph`.
        brought: whether the user's model came as it; it then has a target's rewrites in it already.
        training: the record's `quantization.training`; None when it is not known.
        calibration: the record's, of the inputs that its ranges began with; None when they are not known.
    """

    graph: Any
    brought: bool = False
    training: Details | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True)
class QuantizedFile:
    """A finished int8 `.tflite` that another tool made of the model.

    Attributes:
        path: the file; it is copied.
        training: the record's `quantization.training`.
    """

    path: Path
    training: Details | None = None


Trained = TrainedGraph | QuantizedFile
