"""Timing on an Android phone by TensorFlow Lite's `benchmark_model`, through the `adb` command."""
