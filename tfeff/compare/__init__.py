"""A quantized file against its float twin on the same samples, run by LiteRT; TensorFlow is never imported here."""

from tfeff.compare.accuracy import Comparison, compare, record_accuracy
from tfeff.compare.real_input import real_input
from tfeff.compare.runner import FilePort, Runner, dequantize, quantize

__all__ = ["Comparison", "FilePort", "Runner", "compare", "dequantize", "quantize", "real_input", "record_accuracy"]
