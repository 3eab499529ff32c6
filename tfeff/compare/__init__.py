"""A quantized file against its float twin on the same images, run by LiteRT; TensorFlow is never imported here."""

from tfeff.compare.accuracy import compare, record_accuracy
from tfeff.compare.real_input import real_input
from tfeff.compare.runner import Runner, dequantize, quantize

__all__ = ["Runner", "compare", "dequantize", "quantize", "real_input", "record_accuracy"]
