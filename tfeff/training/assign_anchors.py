"""Which anchors of SSD learn which boxes, and which of the others are shown (arXiv 1512.02325, section 2.2)."""

from typing import Any

import tensorflow as tf

from tfeff.training.boxes import overlap

_LEAST = 0.5  # IoU of an anchor and its box
_NEGATIVES = 3  # for each anchor with a box


def match(boxes: Any, there: Any, anchors: Any) -> Any:
    """The number of each anchor's box, int32 (n, p), -1 for none.

    An anchor has the box that it overlaps most, if by an IoU of 0.5 or more; and each box has the anchor that overlaps
    it most, whatever else this would have. Of two boxes with the same best anchor the later one has it.

    Args:
        boxes: (n, m, 4) x1 y1 x2 y2, in pixels; those that are not `there`, bool (n, m), fill up to m.
        anchors: (p, 4), x1 y1 x2 y2.
    """
    overlaps = tf.where(there[..., None], overlap(anchors, boxes[:, :, None]), -1.0)  # (n, m, p)
    owner = tf.where(tf.reduce_max(overlaps, axis=1) >= _LEAST, tf.argmax(overlaps, axis=1, output_type=tf.int32), -1)
    best = tf.one_hot(tf.argmax(overlaps, axis=-1), anchors.shape[0], on_value=True, off_value=False)
    best = best & there[..., None]  # (n, m, p)
    numbers = tf.range(tf.shape(boxes)[1])[None, :, None]
    forced = tf.reduce_max(tf.where(best, numbers, -1), axis=1, keepdims=False)
    return tf.where(forced >= 0, forced, owner)


def offsets(boxes: Any, anchors: Any, variances: Any) -> Any:
    """What the network shall say for a box (..., p, 4) at each anchor (p, 4): dx, dy, dw, dh; the decode's opposite.

    Args:
        anchors: centre x, centre y, width, height.
    """
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, tf.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    moved = (centre - anchors[:, :2]) / anchors[:, 2:]
    return tf.concat([moved, tf.math.log(size / anchors[:, 2:])], axis=-1) / variances


def hard_negatives(loss: Any, positive: Any) -> Any:
    """Which anchors without a box are shown: of each image those of the largest loss, three for each with one.

    Args:
        loss: (n, p) of the scores.
        positive: bool (n, p), which have a box.
    """
    order = tf.argsort(tf.where(positive, -1.0, loss), axis=-1, direction="DESCENDING", stable=True)
    rank = tf.argsort(order, axis=-1, stable=True)  # of each anchor
    count = _NEGATIVES * tf.reduce_sum(tf.cast(positive, tf.int32), axis=-1, keepdims=True)
    return (rank < count) & ~positive
