"""Regression: how a network is taught by its float twin, and by numbers."""

import keras

from tfeff.record.schema import TaskSpec
from tfeff.training.tensors import SquaredError


def taught_loss(
    spec: TaskSpec, output: str, scale: float, temperature: float, label_weight: float
) -> keras.losses.Loss:
    """The loss of an output towards the float twin's."""
    return SquaredError(scale, label_weight)
