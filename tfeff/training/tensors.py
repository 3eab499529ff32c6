"""Outputs that nobody described: they are taught as numbers."""

from typing import Any, NoReturn

import keras
from keras import ops

from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec


def taught_loss(
    spec: TaskSpec, output: str, scale: float, temperature: float, label_weight: float
) -> keras.losses.Loss:
    """The loss of an output towards the float twin's; raises TfeffError for labels, which mean nothing here."""
    return SquaredError(scale) if not label_weight else refuse_labels(spec)


def refuse_labels(spec: TaskSpec) -> NoReturn:
    """Raises TfeffError: there are no labels of these outputs."""
    raise TfeffError(
        f"--label-weight: what {', '.join(spec.outputs)} means is not known, so no label is of it",
        "leave it out, or say with --task what it means",
    )


@keras.saving.register_keras_serializable(package="tfeff")
class SquaredError(keras.losses.Loss):
    """Mean squared difference to the float twin over `scale`, the mean square of its outputs, and to the labels.

    Targets (n, k + labels), outputs (n, ...) of k values each -> (n,): what the twin gives, then the labels.
    """

    def __init__(self, scale: float = 1.0, label_weight: float = 0.0, name: str = "squared_error", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.scale, self.label_weight = scale, label_weight

    def call(self, targets: Any, outputs: Any) -> Any:
        count = 1
        for size in outputs.shape[1:]:
            count *= size
        values = ops.reshape(outputs, (-1, count))
        loss = ops.mean(ops.square(values - targets[:, :count]), axis=-1)
        if self.label_weight:
            loss = loss + self.label_weight * ops.mean(ops.square(values - targets[:, count:]), axis=-1)
        return loss / self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "label_weight": self.label_weight}
