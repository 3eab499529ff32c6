"""Random boxes and detections of them, and what pycocotools makes of these."""

from contextlib import redirect_stdout
from io import StringIO
from types import SimpleNamespace

import numpy as np

from tfeff.tasks.boxes import Detections


def annotated(boxes, classes, crowd=None, difficult=None):
    none = np.zeros(len(classes), bool)
    return SimpleNamespace(
        boxes=np.asarray(boxes, float).reshape(-1, 4), classes=np.asarray(classes, np.int64),
        crowd=none if crowd is None else np.asarray(crowd, bool),
        difficult=none if difficult is None else np.asarray(difficult, bool),
    )  # fmt: skip


def detected(boxes, classes, scores):
    return Detections(np.asarray(boxes, float).reshape(-1, 4), np.asarray(classes, np.int64), np.asarray(scores, float))


def scenes(seed, count, classes=4, *, crowd=0.0, difficult=0.0, ties=False, most=6, clutter=8):
    """(annotation, detections) of each image: boxes found more or less well, twice, in another class, or missed."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        corners = random.uniform(0, 80, (random.integers(0, most + 1), 2))
        boxes = np.concatenate([corners, corners + random.uniform(4, 40, corners.shape)], axis=1)
        kinds = random.integers(0, classes, len(boxes))
        found = np.repeat(np.arange(len(boxes)), random.integers(0, 4, len(boxes)))
        near = boxes[found] + random.normal(0, 2, (len(found), 4)) * random.uniform(0, 1.5, (len(found), 1))
        far = random.uniform(0, 60, (random.integers(0, clutter + 1), 2))
        guesses = np.concatenate([near, np.concatenate([far, far + random.uniform(2, 50, far.shape)], axis=1)])
        guesses[:, 2:] = np.maximum(guesses[:, 2:], guesses[:, :2] + 0.5)
        told = np.concatenate([kinds[found], random.integers(0, classes, len(far))])
        told = np.where(random.random(len(told)) < 0.1, random.integers(0, classes, len(told)), told)
        scores = np.clip(random.normal(0.5, 0.2, len(told)) + 0.15 * (np.arange(len(told)) < len(found)), 0.01, 1)
        yield (
            annotated(boxes, kinds, random.random(len(boxes)) < crowd, random.random(len(boxes)) < difficult),
            detected(guesses, told, np.round(scores, 1) if ties else scores),
        )


def coco_figures(pairs):
    """AP, AP50 and AP75 by pycocotools, percent; and its evaluation."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    kinds = sorted({int(k) for truth, guess in pairs for k in (*truth.classes, *guess.classes)})
    truths, guesses = [], []
    for image, (truth, guess) in enumerate(pairs):
        for box, kind, crowd, difficult in zip(truth.boxes, truth.classes, truth.crowd, truth.difficult, strict=True):
            # its `ignore` is what lies outside the areas asked for
            area = 1e11 if difficult else (box[2] - box[0]) * (box[3] - box[1])
            truths.append({"id": len(truths) + 1, "image_id": image, "category_id": int(kind), "area": area,
                           "bbox": [*box[:2], *(box[2:] - box[:2])], "iscrowd": int(crowd)})  # fmt: skip
        for box, kind, score in zip(guess.boxes, guess.classes, guess.scores, strict=True):
            guesses.append({"image_id": image, "category_id": int(kind), "score": float(score),
                            "bbox": [*box[:2], *(box[2:] - box[:2])]})  # fmt: skip
    with redirect_stdout(StringIO()):
        of_truth = COCO()
        of_truth.dataset = {
            "images": [{"id": image} for image in range(len(pairs))], "annotations": truths,
            "categories": [{"id": kind} for kind in kinds], "info": {},
        }  # fmt: skip
        of_truth.createIndex()
        evaluation = COCOeval(of_truth, of_truth.loadRes(guesses), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * value for value in evaluation.stats[:3]], evaluation
