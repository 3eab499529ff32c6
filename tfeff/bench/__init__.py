"""Timing .tflite files on devices, with intervals. Never imports TensorFlow or Keras."""

from tfeff.bench.outcome import Outcome, Ratio, Result, kernel_words
from tfeff.bench.protocol import bench
from tfeff.bench.record import latency_entry, ratio_to_float, record_latency
from tfeff.bench.settings import Settings

__all__ = ["Outcome", "Ratio", "Result", "Settings", "bench", "kernel_words", "latency_entry", "ratio_to_float",
           "record_latency"]  # fmt: skip
