"""Moved to `tfeff.tflite.graph`; here until nothing asks for it by this name."""

from tfeff.tflite.graph import Graph, Operation, Tensor, describe_operations, describe_tensor, read_graph  # noqa: F401
