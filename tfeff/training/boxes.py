"""Overlap of boxes and the losses of detectors, in TensorFlow, each as its paper has it.

Boxes are float32 (..., 4), x1 y1 x2 y2 in pixels.
"""

from typing import Any

import tensorflow as tf

_TINY = 1e-7


def overlap(boxes: Any, others: Any, *, generalized: bool = False) -> Any:
    """Intersection over union of boxes (..., 4) and others (..., 4), which broadcast -> (...).

    Args:
        generalized: less the share of the smallest box around both that neither covers: GIoU, -1 to 1
            (arXiv 1902.09630, Algorithm 1).
    """
    low, high = tf.maximum(boxes[..., :2], others[..., :2]), tf.minimum(boxes[..., 2:], others[..., 2:])
    shared = _area(tf.maximum(high - low, 0.0))
    union = _area(boxes[..., 2:] - boxes[..., :2]) + _area(others[..., 2:] - others[..., :2]) - shared
    iou = shared / tf.maximum(union, _TINY)
    if not generalized:
        return iou
    low, high = tf.minimum(boxes[..., :2], others[..., :2]), tf.maximum(boxes[..., 2:], others[..., 2:])
    around = tf.maximum(_area(high - low), _TINY)
    return iou - (around - union) / around


def _area(sides: Any) -> Any:
    return sides[..., 0] * sides[..., 1]


def varifocal(logits: Any, quality: Any, *, alpha: float = 0.75, gamma: float = 2.0) -> Any:
    """Varifocal loss (arXiv 2008.13367, equation 2), element by element.

    Args:
        quality: 0 for what is not there, else the score to be learned: the IoU of the box.
    """
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=quality, logits=logits)
    return loss * tf.where(quality > 0, quality, alpha * tf.sigmoid(logits) ** gamma)


def varifocal_of_scores(scores: Any, quality: Any, *, alpha: float = 0.75, gamma: float = 2.0) -> Any:
    """The same of scores that are probabilities already."""
    sure = tf.clip_by_value(scores, _TINY, 1 - _TINY)
    loss = -quality * tf.math.log(sure) - (1 - quality) * tf.math.log(1 - sure)
    return loss * tf.where(quality > 0, quality, alpha * scores**gamma)


def quality_focal(logits: Any, quality: Any, *, beta: float = 2.0) -> Any:
    """Quality focal loss (arXiv 2006.04388, equation 5), element by element; arguments as of `varifocal`."""
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=quality, logits=logits)
    return loss * tf.abs(quality - tf.sigmoid(logits)) ** beta


def quality_focal_of_scores(scores: Any, quality: Any, *, beta: float = 2.0) -> Any:
    """The same of scores that are probabilities already."""
    sure = tf.clip_by_value(scores, _TINY, 1 - _TINY)
    loss = -quality * tf.math.log(sure) - (1 - quality) * tf.math.log(1 - sure)
    return loss * tf.abs(quality - scores) ** beta


def distribution_focal(logits: Any, distance: Any) -> Any:
    """Distribution focal loss (arXiv 2006.04388, equation 6): logits (..., bins) and a distance (...) -> (...).

    Args:
        distance: in steps; what lies beyond the last bin is learned as a tenth of a step before it.
    """
    last = logits.shape[-1] - 1
    distance = tf.clip_by_value(distance, 0.0, last - 0.1)
    below = tf.floor(distance)
    part, number = distance - below, tf.cast(below, tf.int32)
    bins = logits.shape[-1]
    wanted = tf.one_hot(number, bins) * (1 - part)[..., None] + tf.one_hot(number + 1, bins) * part[..., None]
    return -tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=-1)


def smooth_l1(difference: Any) -> Any:
    """Half the square of what is below 1, else its size less a half (arXiv 1504.08083, equation 3)."""
    size = tf.abs(difference)
    return tf.where(size < 1, 0.5 * size**2, size - 0.5)
