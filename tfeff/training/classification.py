"""Classification: how a network is taught by its float twin."""

from typing import Any

import keras
from keras import ops

from tfeff.record.schema import TaskSpec

_TINY = 1e-6


def taught_loss(spec: TaskSpec, scale: float, temperature: float, label_weight: float) -> keras.losses.Loss:
    """The loss of an output towards the float twin's."""
    kind = spec.decode.get("kind", "classes")
    probabilities = spec.decode.get("scores", "logits") == "probabilities"
    return Distillation(temperature, label_weight, independent=kind != "classes", probabilities=probabilities)


@keras.saving.register_keras_serializable(package="tfeff")
class Distillation(keras.losses.Loss):
    """How far outputs are from the float twin's: T^2 times the Kullback-Leibler divergence of the softmax of both
    over T (Hinton et al., arXiv 1503.02531), and cross-entropy with the labels.

    Targets (n, k + labels), outputs (n, k) -> (n,): what the twin gives, then a class number, or 0 or 1 a label.
    Without labels among the targets the label weight must be 0.

    Args:
        independent: whether each value is by itself, a sigmoid's, rather than one of a distribution.
        probabilities: whether outputs are these rather than logits.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        label_weight: float = 0.0,
        independent: bool = False,
        probabilities: bool = False,
        name: str = "distillation",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.temperature, self.label_weight = temperature, label_weight
        self.independent, self.probabilities = independent, probabilities

    def call(self, targets: Any, outputs: Any) -> Any:
        count = outputs.shape[-1]
        taught, labels = self._logits(targets[:, :count]), targets[:, count:]
        logits = self._logits(outputs)
        log_p, log_q = self._log(taught / self.temperature), self._log(logits / self.temperature)
        loss = self.temperature**2 * ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
        loss = ops.sum(loss, axis=-1) if self.independent else loss
        if self.label_weight:
            loss = loss - self.label_weight * self._of_labels(labels, logits)
        return loss

    def _of_labels(self, labels, logits):
        """Log-likelihood, (n,)."""
        if not self.independent:
            own = ops.one_hot(ops.cast(labels[:, 0], "int32"), logits.shape[-1])
            return ops.sum(own * ops.log_softmax(logits), axis=-1)
        both = self._log(logits)  # (n, k, 2)
        return ops.sum(labels * both[..., 0] + (1 - labels) * both[..., 1], axis=-1)

    def _logits(self, values):
        if not self.probabilities:
            return values
        values = ops.clip(values, _TINY, 1 - _TINY)
        return ops.log(values) - ops.log(1 - values) if self.independent else ops.log(values)

    def _log(self, logits):
        """Log-probabilities: (n, k), or of independent values (n, k, 2)."""
        if self.independent:
            logits = ops.stack([logits, ops.zeros_like(logits)], axis=-1)
        return ops.log_softmax(logits)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "temperature": self.temperature, "label_weight": self.label_weight,
            "independent": self.independent, "probabilities": self.probabilities,
        }  # fmt: skip
