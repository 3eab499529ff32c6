"""From a detector's raw outputs to boxes, by the numbers of `DetectionSpec`. NumPy only; the page and the app do the
same.

Scores come first, so that only boxes that may be part of the answer are decoded. All is computed in float64.
"""

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace

from tfeff.tasks.boxes import Detections, suppress
from tfeff.tasks.detection_spec import DetectionSpec, Level, Listed, anchor_boxes, centres

_BELOW_ALIGNED = 1e-9  # what PicoDet v2 adds under the root


def decode(outputs: Mapping[str, np.ndarray], spec: DetectionSpec) -> Detections:
    """The boxes of one image, in pixels of the network's input, after class-aware suppression.

    Args:
        outputs: by name, float (rows, columns, values), a map without the batch; of a file that ends in boxes as
            `Listed` says.
    """
    if spec.listed is not None:
        return _listed(outputs, spec.listed, spec)
    parts = [_candidates(outputs, level, spec) for level in spec.levels]
    boxes, classes, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    chosen: list[np.ndarray] = []
    for number in np.unique(classes):
        of = np.flatnonzero(classes == number)
        of = of[np.argsort(-scores[of], kind="stable")[: spec.per_class]]
        chosen.append(of[suppress(boxes[of], scores[of], spec.iou_threshold)])
    kept = np.concatenate(chosen) if chosen else np.zeros(0, int)
    kept = kept[np.argsort(-scores[kept], kind="stable")[: spec.keep]]
    return Detections(boxes[kept], classes[kept], scores[kept])


def decode_boxes(outputs: Mapping[str, np.ndarray], spec: DetectionSpec) -> np.ndarray:
    """All boxes before any is dropped, (places, 4) x1 y1 x2 y2 in pixels of the network's input."""
    return np.concatenate([
        _boxes(outputs, level, spec, np.arange(level.rows * level.columns * max(1, len(level.anchors))))
        for level in spec.levels
    ])  # fmt: skip


def decode_scores(outputs: Mapping[str, np.ndarray], spec: DetectionSpec) -> np.ndarray:
    """All scores before any box is dropped, (places, classes), in the order of `decode_boxes`."""
    open_spec = replace(spec, score_threshold=0.0)
    found = []
    for level in spec.levels:
        scores = np.zeros((level.rows * level.columns * max(1, len(level.anchors)), spec.classes))
        places, classes, values = _scores(outputs, level, open_spec)
        scores[places, classes] = values
        found.append(scores)
    return np.concatenate(found)


def surest(outputs: Mapping[str, np.ndarray], spec: DetectionSpec) -> tuple[int, float]:
    """Class and score of the surest box, whatever its score."""
    if spec.listed is not None:
        found = decode(outputs, spec)
        return (int(found.classes[0]), float(found.scores[0])) if len(found) else (0, 0.0)
    open_spec = replace(spec, score_threshold=0.0)
    best = (0, 0.0)
    for level in spec.levels:
        _, classes, scores = _scores(outputs, level, open_spec)
        if len(scores) and scores.max() > best[1]:
            best = int(classes[scores.argmax()]), float(scores.max())
    return best


def _listed(outputs, names: Listed, spec: DetectionSpec) -> Detections:
    """The boxes of a file that ends in boxes, in pixels."""
    count = int(np.asarray(outputs[names.count]).reshape(-1)[0])
    rows = np.asarray(outputs[names.boxes], np.float64).reshape(-1, 4)[:count]
    boxes = rows[:, [1, 0, 3, 2]] * ([spec.size[1], spec.size[0]] * 2)
    if spec.clip:
        boxes = np.clip(boxes, 0, [spec.size[1], spec.size[0]] * 2)
    classes = np.asarray(outputs[names.classes]).reshape(-1)[:count]
    scores = np.asarray(outputs[names.scores], np.float64).reshape(-1)[:count]
    return Detections(boxes, np.rint(classes).astype(np.int64), scores)


def _candidates(outputs, level: Level, spec: DetectionSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a level: boxes (k, 4), classes (k,) and scores (k,) of all that score more than the threshold."""
    places, classes, scores = _scores(outputs, level, spec)
    above = scores > spec.score_threshold
    places, classes, scores = places[above], classes[above], scores[above]
    used, of = np.unique(places, return_inverse=True)
    return _boxes(outputs, level, spec, used)[of], classes, scores


def _scores(outputs, level, spec):
    """Places, classes and scores of at least all that score more than the threshold, in the order of their places."""
    raw = outputs[level.scores].reshape(-1, spec.channels).astype(np.float64)  # (places, channels)
    if spec.score == "softmax":
        shares = np.exp(raw - raw.max(axis=1, keepdims=True))
        shares = shares / shares.sum(axis=1, keepdims=True)
        if spec.kind == "refined":
            first = outputs[level.first_scores].reshape(-1, 2).astype(np.float64)
            shares[_sigmoid(first[:, 1] - first[:, 0]) <= spec.objectness] = 0
        places, classes = np.nonzero(shares[:, 1:] > spec.score_threshold)
        return places, classes, shares[places, classes + 1]
    aligned = spec.score == "aligned"
    least = spec.score_threshold**2 - _BELOW_ALIGNED if aligned else spec.score_threshold
    places, classes = np.nonzero(raw > _logit(least) - 1e-6)  # a score of "aligned" squared is at most its sigmoid
    scores = _sigmoid(raw[places, classes])
    if aligned:
        of_place = _sigmoid(outputs[level.alignment].reshape(-1).astype(np.float64))
        scores = np.sqrt(scores * of_place[places] + _BELOW_ALIGNED)
    return places, classes, scores


def _boxes(outputs, level, spec, places):
    """(k, 4) x1 y1 x2 y2 of some places of a level (of anchors, where it has any)."""
    if spec.kind == "distances":
        raw = outputs[level.boxes].reshape(-1, 4, spec.bins)[places].astype(np.float64)
        shares = np.exp(raw - raw.max(axis=2, keepdims=True))
        steps = (shares @ np.arange(spec.bins)) / shares.sum(axis=2)  # (k, 4)
        steps *= [level.step[1], level.step[0]] * 2
        centre = centres(level)[places]
        boxes = np.concatenate([centre - steps[:, :2], centre + steps[:, 2:]], axis=1)
    else:
        held = anchor_boxes(level)[places]
        names = (level.first_boxes, level.boxes) if spec.kind == "refined" else (level.boxes,)
        for name in names:
            held = _moved(held, outputs[name].reshape(-1, 4)[places].astype(np.float64), spec)
        boxes = np.concatenate([held[:, :2] - held[:, 2:] / 2, held[:, :2] + held[:, 2:] / 2], axis=1)
    if spec.clip:
        boxes = np.clip(boxes, 0, [spec.size[1], spec.size[0]] * 2)
    return boxes


def _moved(anchors, offsets, spec):
    """(k, 4) centre x, centre y, width, height of anchors moved by a box regression."""
    offsets = offsets * spec.variances
    sizes = offsets[:, 2:] if spec.max_log_size is None else np.minimum(offsets[:, 2:], spec.max_log_size)
    return np.concatenate([anchors[:, :2] + offsets[:, :2] * anchors[:, 2:], anchors[:, 2:] * np.exp(sizes)], axis=1)


def _sigmoid(values):
    return 1 / (1 + np.exp(-np.clip(values, -700, 700)))


def _logit(share):
    if share <= 0:
        return -np.inf
    return np.inf if share >= 1 else np.log(share / (1 - share))
