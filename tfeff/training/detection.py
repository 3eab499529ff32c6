"""Detection: how a network is taught by its float twin, as numbers."""

import keras

from tfeff.record.schema import TaskSpec
from tfeff.training.tensors import taught_loss as _as_numbers


def taught_loss(spec: TaskSpec, scale: float, temperature: float, label_weight: float) -> keras.losses.Loss:
    """The loss of an output towards the float twin's; raises TfeffError for labels, which are no boxes."""
    return _as_numbers(spec, scale, temperature, label_weight)
