"""Which points of a detector without anchors learn which boxes: SimOTA and task-aligned assignment.

Both look at what the network answers by now, for a whole batch at once. `boxes` are (n, m, 4) and `classes` int32
(n, m), filled up to m by boxes that are not `there`, bool (n, m); `found` are the boxes of all points, (n, p, 4),
`centres` (p, 2), all in pixels of the input. Both tell the number of each point's box, int32 (n, p), -1 for none.
"""

from typing import Any

import tensorflow as tf

from tfeff.training.boxes import overlap, varifocal

_RADIUS = 2.5  # steps around a box's centre
_MOST = 10  # points that a box gets at most, by SimOTA
_BOX_WEIGHT = 6.0  # of 1 - GIoU in its cost
_FAR = 1e4  # costs of a point outside of the box or of its centre; a float32 still tells two such apart
_CANDIDATES, _SHARPNESS = 13, 6.0  # of the task-aligned assignment: points, and the power of the IoU


def simota(boxes: Any, classes: Any, there: Any, found: Any, logits: Any, centres: Any, steps: Any) -> Any:
    """SimOTA (arXiv 2107.08430, section 2.1) with the cost of PicoDet (arXiv 2111.00902, section 2.3).

    Candidates of a box are points that lie in it, or within 2.5 steps of its centre. A candidate costs its varifocal
    loss and 6 times 1 - GIoU, and much more unless both are true of it. A box gets as many of the cheapest ones as its
    ten largest IoUs add up to, at least one; a point that several want is the one's for which it costs least.

    Args:
        logits: (n, p, classes) scores before the sigmoid.
        steps: (p, 2) x and y from one point of the level to the next.
    """
    inside, near = _inside(boxes, centres), _near(boxes, centres, steps)  # (n, m, p)
    candidate = (inside | near) & there[..., None]
    overlaps = overlap(found[:, None], boxes[:, :, None])
    cost = _score_cost(logits, classes, overlaps)
    cost += _BOX_WEIGHT * (1 - overlap(found[:, None], boxes[:, :, None], generalized=True))
    cost += tf.where(inside & near, 0.0, _FAR)
    cost = tf.where(candidate, cost, tf.float32.max)
    most = min(_MOST, centres.shape[0])
    total = tf.reduce_sum(tf.math.top_k(tf.where(candidate, overlaps, 0.0), most).values, axis=-1)  # (n, m)
    count = tf.minimum(tf.maximum(tf.cast(total, tf.int32), 1), _count(candidate))
    return _cheapest(_first(-cost, count, most) & candidate, cost)


def task_aligned(boxes: Any, classes: Any, there: Any, found: Any, scores: Any, centres: Any) -> tuple[Any, Any]:
    """Task-aligned assignment (TOOD, arXiv 2108.07755, section 3.2): the points, and the score that each shall learn.

    A box gets the 13 points in it of the largest score * IoU^6; a point that several get is the one's that it overlaps
    most. The score to be learned is that product, scaled so that a box's largest is its largest IoU.

    Args:
        scores: (n, p, classes), 0 to 1.

    Returns:
        The number of each point's box, int32 (n, p), and its score, float32 (n, p).
    """
    candidate = _inside(boxes, centres) & there[..., None]  # (n, m, p)
    overlaps = overlap(found[:, None], boxes[:, :, None])
    aligned = _of_class(scores, classes) * overlaps**_SHARPNESS
    most = min(_CANDIDATES, centres.shape[0])
    chosen = _first(tf.where(candidate, aligned, -1.0), _count(candidate), most) & candidate
    owner = _cheapest(chosen, -overlaps)
    mine = owner[:, None] == tf.range(tf.shape(boxes)[1])[None, :, None]
    aligned, overlaps = tf.where(mine, aligned, 0.0), tf.where(mine, overlaps, 0.0)
    largest = tf.reduce_max(aligned, axis=-1, keepdims=True)
    quality = tf.math.divide_no_nan(aligned, largest) * tf.reduce_max(overlaps, axis=-1, keepdims=True)
    return owner, tf.reduce_max(quality, axis=1)


def _inside(boxes: Any, centres: Any) -> Any:
    """bool (n, m, p)."""
    low, high = centres - boxes[:, :, None, :2], boxes[:, :, None, 2:] - centres
    return tf.reduce_min(tf.minimum(low, high), axis=-1) > 0


def _near(boxes: Any, centres: Any, steps: Any) -> Any:
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    return tf.reduce_all(tf.abs(centres - middle[:, :, None]) < _RADIUS * steps, axis=-1)


def _of_class(values: Any, classes: Any) -> Any:
    """(n, p, classes) of the class of each box -> (n, m, p)."""
    return tf.gather(tf.transpose(values, (0, 2, 1)), tf.maximum(classes, 0), batch_dims=1)


def _score_cost(logits: Any, classes: Any, overlaps: Any) -> Any:
    """What the scores of a point lose if it learns a box, summed over the classes, (n, m, p)."""
    absent = varifocal(logits, tf.zeros_like(logits))
    own = _of_class(logits, classes)
    return tf.reduce_sum(absent, axis=-1)[:, None] - _of_class(absent, classes) + varifocal(own, overlaps)


def _count(chosen: Any) -> Any:
    return tf.reduce_sum(tf.cast(chosen, tf.int32), axis=-1)


def _first(values: Any, count: Any, most: int) -> Any:
    """Which are among the `count` (n, m) largest, at most `most`, of values (n, m, p): bool (n, m, p)."""
    places = tf.math.top_k(values, most).indices  # (n, m, most)
    taken = tf.range(most) < count[..., None]
    return tf.reduce_any(
        tf.one_hot(places, values.shape[-1], on_value=True, off_value=False) & taken[..., None], axis=2
    )


def _cheapest(chosen: Any, cost: Any) -> Any:
    """Of the boxes that chose a point the one of the least cost, (n, p); -1 where none did."""
    owner = tf.argmin(tf.where(chosen, cost, tf.float32.max), axis=1, output_type=tf.int32)
    return tf.where(tf.reduce_any(chosen, axis=1), owner, -1)
