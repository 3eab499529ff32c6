"""One export: what every step of it needs to know."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfeff.export.model import Model
from tfeff.export.quantize.convert import Converter
from tfeff.export.quantize.recipes import Precision
from tfeff.export.request import Request
from tfeff.export.targets import Target

Progress = Callable[[str, float, float], None]  # (step, done, total); a total of 0 is a step of unknown length


def no_progress(step: str, done: float, total: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class ExportContext:
    """One export on its way.

    Attributes:
        model: what is exported, as it was brought.
        request: what to make of it.
        target, precision: that the request names.
        io: dtype of the file's quantized inputs and outputs.
        path: the `.tflite` to write.
        folder: a scratch folder beside it.
        converter: the converter's process.
        progress: called with (step, done, total).
    """

    model: Model
    request: Request
    target: Target
    precision: Precision
    io: str
    path: Path
    folder: Path
    converter: Converter
    progress: Progress
