"""Quantization. `convert` runs TensorFlow's converter in a process of its own: it leaks memory and can abort."""

from tfeff.export.quantize.convert import Converter, Job, convert, write_saved_model
from tfeff.export.quantize.int8_file import Int8File
from tfeff.export.quantize.recipes import PRECISIONS, Precision, check_io

__all__ = [
    "PRECISIONS", "Converter", "Int8File", "Job", "Precision", "check_io", "convert",
    "write_saved_model",
]  # fmt: skip
