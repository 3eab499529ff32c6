"""Classification: how a network learns classes, and how it is taught by its float twin."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfeff.data import Dataset, InputPort
from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec
from tfeff.training.base import Judge, Training
from tfeff.training.batches import Batches
from tfeff.training.recipe import Recipe

_TINY = 1e-6


def taught_loss(
    spec: TaskSpec, output: str, scale: float, temperature: float, label_weight: float
) -> keras.losses.Loss:
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


class _Classification(Training):
    def check(self, recipe: Recipe, whole: Dataset, test: Dataset) -> None:
        if whole.classes != test.classes:
            raise TfeffError(
                f"{recipe.dataset}: training and test images have different classes", "give both the same ones"
            )
        if len(whole.classes) < 2:
            raise TfeffError(f"{recipe.dataset}: {len(whole.classes)} class", "a classifier needs at least 2")
        if whole.labels is None or test.labels is None:
            raise TfeffError(
                f"{recipe.dataset}: says {', '.join(whole.annotations) or 'nothing'} of its images, no class of each",
                "a classifier is trained on one class an image: folders of classes, a CSV or an .npz with labels",
            )

    def loss(self, recipe: Recipe, spec: TaskSpec) -> Any:
        # Smoothing needs one-hot labels, and those would have to be made a batch at a time: this is the same loss.
        return _SmoothCrossEntropy(recipe.label_smoothing)

    def batches(self, dataset: Dataset, port: InputPort, recipe: Recipe) -> Batches:
        move = recipe.move if recipe.augment else None
        return Batches(dataset, (port,), recipe.batch_size, move=move, seed=recipe.seed)

    def judge(self, dataset: Dataset, port: InputPort, spec: TaskSpec) -> Judge:
        batches = Batches(dataset, (port,), 256)
        return lambda model: {"top1": top1(model, batches)}


def top1(model: Any, batches: Batches) -> float:
    """Percent of the images whose largest logit is the label's."""
    hits = 0
    for number in range(len(batches)):
        images, labels = batches[number]
        hits += int((np.asarray(model.predict_on_batch(images)).argmax(-1) == labels).sum())
    return 100 * hits / batches.count


class _SmoothCrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy with label smoothing from integer labels: (n,) and (n, classes) logits -> (n,)."""

    def __init__(self, smoothing):
        super().__init__()
        self.smoothing = smoothing

    def call(self, labels, logits):
        log_p = ops.log_softmax(logits)
        target = ops.one_hot(ops.cast(labels, "int32"), logits.shape[-1])
        target = target * (1 - self.smoothing) + self.smoothing / logits.shape[-1]
        return -ops.sum(target * log_p, axis=-1)


TRAINING = _Classification()
