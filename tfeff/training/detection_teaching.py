"""How a detector is taught by its float twin on raw outputs: where the twin sees something, and as answers use them."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfeff.tasks.detection_spec import DetectionSpec, Level

Kind = Literal["bins", "offsets", "sigmoid", "softmax"]


@keras.saving.register_keras_serializable(package="tfeff")
class Taught(keras.losses.Loss):
    """How far one output is from the float twin's, summed over its places.

    "bins": the Kullback-Leibler divergence of the distributions of the four distances, a mean over these (arXiv
    2102.12252, equation 3), each place weighed; "offsets": half the squared difference of the four, each place weighed.
    "sigmoid" and "softmax": the divergence of the scores, each of its own or of one distribution.

    Targets (n, values + places), outputs (n, rows, columns, values of a place) -> (n,): what the twin gives, flat, then
    the weights of boxes; scores have none.

    Args:
        values: of a place, or of an anchor.
    """

    def __init__(self, kind: Kind = "offsets", values: int = 4, name: str = "taught", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.kind, self.values = kind, values

    def call(self, targets: Any, outputs: Any) -> Any:
        count = int(np.prod(outputs.shape[1:]))
        wanted, weights = targets[:, :count], targets[:, count:]
        if self.kind in ("bins", "offsets"):
            of_places = self._of_boxes(wanted, outputs)
            return ops.sum(weights * of_places, axis=-1)
        last = self.values if self.kind == "softmax" else 1
        return ops.sum(_divergence(*(ops.reshape(each, (-1, count // last, last)) for each in (wanted, outputs))), -1)

    def _of_boxes(self, wanted, outputs):
        """(n, places)"""
        places = wanted.shape[1] // self.values
        if self.kind == "offsets":
            one, other = (ops.reshape(each, (-1, places, self.values)) for each in (wanted, outputs))
            return 0.5 * ops.sum(ops.square(one - other), axis=-1)
        both = (ops.reshape(each, (-1, places, 4, self.values // 4)) for each in (wanted, outputs))
        return ops.mean(_divergence(*both), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "values": self.values}


def _divergence(wanted: Any, given: Any) -> Any:
    """(..., k) logits each -> (...), nats; of k = 1 that of yes and no."""
    if wanted.shape[-1] == 1:
        wanted, given = (ops.concatenate([each, ops.zeros_like(each)], axis=-1) for each in (wanted, given))
    log_p, log_q = ops.log_softmax(wanted), ops.log_softmax(given)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def loss_of(spec: DetectionSpec, output: str) -> Taught:
    """The loss of an output by its name."""
    boxes: Kind = "bins" if spec.kind == "distances" else "offsets"
    scores: Kind = "softmax" if spec.score == "softmax" else "sigmoid"
    for level in spec.levels:
        kinds: dict[str | None, tuple[Kind, int]] = {
            level.boxes: (boxes, 4 * max(1, spec.bins)), level.scores: (scores, spec.channels),
            level.alignment: ("sigmoid", 1), level.first_boxes: ("offsets", 4), level.first_scores: ("softmax", 2),
        }  # fmt: skip
        if output in kinds:
            return Taught(*kinds[output])
    raise ValueError(f"the spec reads no output {output!r}")


def weights(spec: DetectionSpec, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By output that holds boxes, float32 (n, places): the largest score that the twin has at each place.

    Args:
        outputs: raw, (n, rows, columns, values).
    """
    found: dict[str, np.ndarray] = {}
    for level in spec.levels:
        best = _largest(spec, level, outputs).astype(np.float32)
        found |= {name: best for name in (level.boxes, level.first_boxes) if name is not None}
    return found


def _largest(spec: DetectionSpec, level: Level, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    raw = outputs[level.scores]
    logits = raw.reshape(len(raw), -1, spec.channels).astype(np.float64)  # (n, places, values)
    if spec.score == "softmax":
        raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return (raised[..., 1:].max(axis=-1)) / raised.sum(axis=-1)
    best = _sigmoid(logits.max(axis=-1))
    if level.alignment is None:
        return best
    return np.sqrt(best * _sigmoid(outputs[level.alignment].reshape(len(raw), -1).astype(np.float64)))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * values)
