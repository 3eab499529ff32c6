"""Timing .tflite files on devices, with intervals. Never imports TensorFlow or Keras."""

from tfeff.bench.protocol import bench, kernel_words
from tfeff.bench.record import latency_entry, ratio_to_float, record_latency

__all__ = ["bench", "kernel_words", "latency_entry", "ratio_to_float", "record_latency"]
