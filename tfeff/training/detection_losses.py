"""The losses of detectors, on their raw outputs gathered in one tensor (n, places, values)."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfeff.tasks.detection_spec import DetectionSpec, anchor_boxes, centres
from tfeff.training.assign_anchors import hard_negatives, match, offsets
from tfeff.training.assign_points import simota, task_aligned
from tfeff.training.boxes import (
    distribution_focal,
    overlap,
    quality_focal,
    quality_focal_of_scores,
    smooth_l1,
    varifocal,
    varifocal_of_scores,
)

_ScoreLoss = Callable[[Any, Any], Any]
QUALITY: dict[str, tuple[_ScoreLoss, _ScoreLoss]] = {  # of logits, of probabilities
    "varifocal": (varifocal, varifocal_of_scores),
    "quality_focal": (quality_focal, quality_focal_of_scores),
}


def gathered(model: Any, spec: DetectionSpec) -> Any:
    """The detector with one output, (n, places, values): of each place, or anchor, its boxes, scores and alignment."""
    levels = []
    for level in spec.levels:
        places = level.rows * level.columns * max(1, len(level.anchors))
        values = [layers.Reshape((places, -1))(model.output[name]) for name in level.outputs]  # (n, places, each)
        levels.append(layers.Concatenate(axis=-1)(values))
    return keras.Model(model.input, layers.Concatenate(axis=1)(levels) if len(levels) > 1 else levels[0])


class _Loss(keras.losses.Loss):
    """Of targets (n, m, 5), boxes in pixels of the input and a class, -1 for what only fills up; one number a batch."""

    def __init__(self, spec: DetectionSpec):
        super().__init__(name="detection", reduction=None)
        self.spec = spec

    def call(self, targets: Any, raw: Any) -> Any:
        boxes, classes = targets[..., :4], tf.cast(targets[..., 4], tf.int32)
        return self.of(boxes, classes, classes >= 0, raw)

    def of(self, boxes: Any, classes: Any, there: Any, raw: Any) -> Any:
        """`boxes` (n, m, 4), `classes` and `there` (n, m), `raw` (n, places, values)."""
        raise NotImplementedError


class PointLoss(_Loss):
    """PicoDet's, of the kind "distances".

    With alignment (version 2) points are chosen as in TOOD, else by SimOTA. Scores learn the IoU of their box
    (version 2: what the assignment says) by a varifocal or quality focal loss; boxes learn by GIoU and, as
    distributions, by DFL, each weighted by the point's score (version 2: by the score that it shall learn). Weights are
    those of PaddleDetection's configs: 1, 2, 0.25 and 1, 2.5, 0.5.
    """

    def __init__(self, spec: DetectionSpec, quality: str = "varifocal"):
        super().__init__(spec)
        self.of_logits, self.of_scores = QUALITY[quality]
        self._centres = np.concatenate([centres(level) for level in spec.levels]).astype(np.float32)  # (p, 2)
        steps = [np.tile(level.step[::-1], (level.rows * level.columns, 1)) for level in spec.levels]
        self._steps = np.concatenate(steps).astype(np.float32)  # (p, 2), x and y

    def of(self, boxes: Any, classes: Any, there: Any, raw: Any) -> Any:
        of_boxes, logits, alignment = self._parts(raw)
        sides = tf.reshape(of_boxes, (-1, len(self._centres), 4, self.spec.bins))
        found = self.boxes(sides)
        still = (tf.stop_gradient(found), tf.stop_gradient(logits))
        if self.spec.score == "aligned":
            scores = tf.sqrt(tf.sigmoid(logits) * tf.sigmoid(alignment) + 1e-9)
            still = (still[0], tf.stop_gradient(scores))
            owner, quality = task_aligned(boxes, classes, there, *still, self._centres)
            wanted = self._scores(owner, classes, quality)
            total = tf.maximum(tf.reduce_sum(quality), 1.0)
            of_scores = tf.reduce_sum(self.of_scores(scores, wanted)) / total
            return of_scores + self._of_boxes(boxes, owner, sides, found, quality, (2.5, 0.5), total)
        owner = simota(boxes, classes, there, *still, self._centres, self._steps)
        positive = tf.cast(owner >= 0, tf.float32)
        quality = overlap(still[0], _own(boxes, owner)) * positive
        wanted = self._scores(owner, classes, quality)
        of_scores = tf.reduce_sum(self.of_logits(logits, wanted)) / tf.maximum(tf.reduce_sum(positive), 1.0)
        weight = positive * tf.sigmoid(tf.reduce_max(still[1], axis=-1))
        total = tf.maximum(tf.reduce_sum(weight), 1e-6)
        return of_scores + self._of_boxes(boxes, owner, sides, found, weight, (2.0, 0.25), total)

    def _parts(self, raw: Any) -> list[Any]:
        """Boxes, scores and alignment, of no values in version 1; one split, whose gradient is one concatenation."""
        boxes, scores = 4 * self.spec.bins, self.spec.classes
        return tf.split(raw, [boxes, scores, raw.shape[-1] - boxes - scores], axis=-1)

    def boxes(self, sides: Any) -> Any:
        """(n, p, 4, bins) -> (n, p, 4), pixels of the input; as the task decodes them."""
        bins = tf.range(self.spec.bins, dtype=tf.float32)
        distance = tf.reduce_sum(tf.nn.softmax(sides) * bins, axis=-1)  # steps, (n, p, 4)
        low = self._centres - distance[..., :2] * self._steps
        return tf.concat([low, self._centres + distance[..., 2:] * self._steps], axis=-1)

    def _scores(self, owner: Any, classes: Any, quality: Any) -> Any:
        """(n, p, classes): the quality at the class of the point's box."""
        own = tf.gather(classes, tf.maximum(owner, 0), batch_dims=1)
        return tf.one_hot(own, self.spec.classes) * quality[..., None]

    def _of_boxes(self, boxes, owner, sides, found, weight, factors, total):
        own = _own(boxes, owner)
        lost = factors[0] * (1 - overlap(found, own, generalized=True))
        distance = tf.concat([self._centres - own[..., :2], own[..., 2:] - self._centres], axis=-1)
        distance /= tf.concat([self._steps, self._steps], axis=-1)
        lost += factors[1] * tf.reduce_mean(distribution_focal(sides, distance), axis=-1)
        return tf.reduce_sum(tf.where(weight > 0, weight * lost, 0.0)) / total


class AnchorLoss(_Loss):
    """SSD's (arXiv 1512.02325, equation 1), of the kind "anchors": smooth L1 of the offsets and the cross-entropy of
    the scores, background among them, three hard negatives for each anchor with a box; both over the number of these.
    """

    def __init__(self, spec: DetectionSpec):
        super().__init__(spec)
        self._anchors = np.concatenate([anchor_boxes(level) for level in spec.levels]).astype(np.float32)  # (p, 4)
        middle, half = self._anchors[:, :2], self._anchors[:, 2:] / 2
        self._corners = np.concatenate([middle - half, middle + half], axis=1)

    def of(self, boxes: Any, classes: Any, there: Any, raw: Any) -> Any:
        owner = match(boxes, there, self._corners)
        positive = owner >= 0
        own = tf.gather(classes, tf.maximum(owner, 0), batch_dims=1)
        moves, scores = tf.split(raw, [4, raw.shape[-1] - 4], axis=-1)
        lost = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(positive, own + 1, 0), scores)
        shown = positive | hard_negatives(tf.stop_gradient(lost), positive)
        wanted = offsets(_own(boxes, owner), self._anchors, np.array(self.spec.variances, np.float32))
        moved = tf.reduce_sum(smooth_l1(moves - wanted), axis=-1)
        total = tf.reduce_sum(tf.where(positive, moved, 0.0)) + tf.reduce_sum(tf.where(shown, lost, 0.0))
        return total / tf.maximum(tf.reduce_sum(tf.cast(positive, tf.float32)), 1.0)


def _own(boxes: Any, owner: Any) -> Any:
    """The box of each place, (n, p, 4); of places without one the first, whose loss counts nothing."""
    return tf.gather(boxes, tf.maximum(owner, 0), batch_dims=1)
