"""What the standard operation TFLite_Detection_PostProcess is told, so that a detector's file ends in boxes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec
from tfeff.tasks.detection_spec import DetectionSpec, Listed, anchor_boxes, read_spec

_LISTED = Listed(boxes="boxes", classes="classes", scores="scores", count="count")


@dataclass(frozen=True)
class Suppression:
    """Its inputs and options.

    Attributes:
        boxes, scores: outputs of the network, level by level.
        channels: of the scores of an anchor, a background first where there is one.
        score: what makes chances of them: "softmax" or "sigmoid".
        order: which of the four numbers of a box is y, x, h and w.
        largest: (4,) of these in that order, what they may be at most; None for no limit.
        anchors: float32 (anchors, 4): centre y, centre x, height, width, of the image's sides.
        options: of the operation.
        task: what its four outputs mean.
    """

    boxes: tuple[str, ...]
    scores: tuple[str, ...]
    channels: int
    score: str
    order: tuple[int, int, int, int]
    largest: np.ndarray | None
    anchors: np.ndarray
    options: Mapping[str, int | float | bool]
    task: TaskSpec


def suppression_of(task: TaskSpec) -> Suppression:
    """Of a detector with anchors.

    Raises:
        TfeffError: its boxes are made in another way than the operation's.
    """
    spec = read_spec(task.decode)
    if spec.kind != "anchors" or spec.score == "aligned" or spec.variances is None:
        how = {"distances": "distances from points", "refined": "anchors that are moved twice"}.get(spec.kind, spec.kind)
        raise TfeffError(
            f"--with-nms: TFLite_Detection_PostProcess moves anchors once, these boxes are {how}",
            "leave it out: decode and suppression are described by the record (an SSDLite can have it)",
        )
    height, width = spec.size
    x, y, w, h = (1 / each for each in spec.variances)
    anchors = np.concatenate([anchor_boxes(level) for level in spec.levels]) / [width, height, width, height]
    largest = None
    if spec.max_log_size is not None:
        largest = np.array([np.inf, np.inf, spec.max_log_size * h, spec.max_log_size * w], np.float32)
    options: dict[str, int | float | bool] = {
        "max_detections": spec.keep, "max_classes_per_detection": 1, "detections_per_class": spec.per_class,
        "use_regular_nms": True, "nms_score_threshold": float(spec.score_threshold),
        "nms_iou_threshold": float(spec.iou_threshold), "num_classes": spec.classes, "y_scale": y, "x_scale": x,
        "h_scale": h, "w_scale": w,
    }  # fmt: skip
    listed = listed_spec(spec)
    return Suppression(
        boxes=tuple(level.boxes for level in spec.levels), scores=tuple(level.scores for level in spec.levels),
        channels=spec.channels, score=spec.score, order=(1, 0, 3, 2), largest=largest,
        anchors=anchors[:, [1, 0, 3, 2]].astype(np.float32), options=options,
        task=TaskSpec(name=task.name, outputs=listed.outputs, labels=task.labels, decode=listed.as_dict()),
    )  # fmt: skip


def listed_spec(spec: DetectionSpec) -> DetectionSpec:
    """The same detector, whose file ends in boxes."""
    return read_spec({**spec.as_dict(), "listed": {"boxes": _LISTED.boxes, "classes": _LISTED.classes,
                                                   "scores": _LISTED.scores, "count": _LISTED.count}})  # fmt: skip
