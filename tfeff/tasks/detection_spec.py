"""What a detector's raw outputs mean: the numbers by which they become boxes. NumPy only.

`DetectionSpec.as_dict()` is the `decode` of the record's task, so that Python, page and app read the same numbers. A
network's own comes from `tfeff.networks.detection.spec_of(network, model)`.

An output is a map (1, rows, columns, values) of one level. Its places are counted row by row, and in a place anchor by
anchor: scores of (rows, columns, anchors * channels) are (rows * columns * anchors, channels) by a plain reshape. Boxes
are x1, y1, x2, y2 in pixels of the network's input.

`kind` is one of
- "distances": one point a place, at its centre. Boxes hold 4 * `bins` values: left, top, right, bottom, each the logits
  of a distribution over 0 .. bins - 1 steps; its mean times `step` is the distance (arXiv 2006.04388).
- "anchors": boxes hold dx, dy, dw, dh for each anchor. centre = anchor's centre + d * variance * anchor's size, size =
  anchor's size * exp(d * variance), d * variance of sizes at most `max_log_size` (arXiv 1512.02325).
- "refined": as "anchors", twice: `first_boxes` move the anchors, `boxes` the moved ones. Where the softmax of
  `first_scores` (background, object) says no more than `objectness` for an object, all classes score 0
  (arXiv 1711.06897).

`score` is one of
- "sigmoid": of each value of `scores`.
- "softmax": over `classes` + 1 values, background first; it is left out of the answer.
- "aligned": sqrt(sigmoid(scores) * sigmoid(alignment) + 1e-9) (PicoDet v2).

`listed` is of a file that ends in boxes: TFLite_Detection_PostProcess has done all of that already, by the numbers that
are still there.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from tfeff.errors import TfeffError
from tfeff.record import one_line
from tfeff.record.base import Positive, Share

Size = Annotated[int, Meta(ge=1)]


class Level(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One map of a detector.

    Attributes:
        stride: that names its outputs; a nominal one where the map does not divide the image.
        rows, columns: of the map.
        step: (y, x), pixels from one place to the next; the first lies at half of it.
        anchors: (width, height) of each anchor of a place, in pixels; none of the kind "distances".
        boxes, scores: names of outputs.
        alignment: name of an output of one value a place; of "aligned" scores alone.
        first_boxes, first_scores: names of outputs; of the kind "refined" alone.
    """

    stride: Size
    rows: Size
    columns: Size
    step: tuple[Positive, Positive]
    boxes: str
    scores: str
    anchors: tuple[tuple[Positive, Positive], ...] = ()
    alignment: str | None = None
    first_boxes: str | None = None
    first_scores: str | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that it reads."""
        names = (self.boxes, self.scores, self.alignment, self.first_boxes, self.first_scores)
        return tuple(name for name in names if name is not None)

    def with_anchors(self, anchors: Sequence[tuple[float, float]]) -> "Level":
        """The level with these (width, height) of each place, in pixels."""
        return msgspec.structs.replace(self, anchors=tuple(anchors))


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Names of the outputs of a file that ends in boxes.

    Attributes:
        boxes: (keep, 4): y1, x1, y2, x2 of the image's sides, the surest first; what lies behind the last is 0.
        classes: (keep,), whole numbers from 0 on, without a background.
        scores: (keep,).
        count: how many boxes there are.
    """

    boxes: str
    classes: str
    scores: str
    count: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """All four, in that order."""
        return (self.boxes, self.classes, self.scores, self.count)


class DetectionSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """See the top of this file.

    Attributes:
        size: (h, w) of the network's input in pixels.
        classes: without a background.
        levels: the finest first.
        bins: of the kind "distances"; 0 of the others.
        variances: of dx, dy, dw, dh; of the kinds with anchors.
        max_log_size: see there; None for no limit.
        objectness: of the kind "refined".
        clip: whether boxes are cut off at the image's border.
        score_threshold: a class must score more.
        iou_threshold: of two boxes of a class, the one of less score is dropped where they overlap more.
        per_class: boxes of a class that are looked at, those of the highest score.
        keep: boxes of an image, over all classes, those of the highest score.
        listed: of a file that ends in boxes, which outputs they are; None of one that ends in maps.
    """

    kind: Literal["distances", "anchors", "refined"]
    size: tuple[Size, Size]
    classes: Size
    levels: tuple[Level, ...]
    score: Literal["sigmoid", "softmax", "aligned"]
    bins: Annotated[int, Meta(ge=0)] = 0
    variances: tuple[Positive, Positive, Positive, Positive] | None = None
    max_log_size: Positive | None = None
    objectness: Share | None = None
    clip: bool = False
    score_threshold: Share
    iou_threshold: Share
    per_class: Size
    keep: Size
    listed: Listed | None = None

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs, level after level."""
        if self.listed is not None:
            return [*self.listed.outputs]
        return [name for level in self.levels for name in level.outputs]

    @property
    def channels(self) -> int:
        """Values of `scores` for each anchor: the classes, and the background where there is one."""
        return self.classes + (self.score == "softmax")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is None, 0, false or empty is left out."""
        return msgspec.json.decode(msgspec.json.encode(self))


def read_spec(values: Mapping[str, Any], where: str = "task detection") -> DetectionSpec:
    """`DetectionSpec.as_dict`'s opposite.

    Args:
        where: what messages call it.

    Raises:
        TfeffError: values that are missing, unknown, of another kind or that contradict each other.
    """
    try:
        spec = msgspec.convert(values, DetectionSpec)
        _check(spec)
    except (msgspec.ValidationError, ValueError) as error:
        raise TfeffError(
            f"{where}: {one_line(str(error))}", "its numbers were changed after they were written: export again"
        ) from None
    return spec


def _check(spec):
    if not spec.levels:
        raise ValueError("has no levels")
    if len(set(spec.outputs)) != len(spec.outputs):
        raise ValueError("names an output twice")
    anchored, refined = spec.kind != "distances", spec.kind == "refined"
    if anchored == bool(spec.bins) or anchored != (spec.variances is not None):
        raise ValueError(f"bins {spec.bins} and variances {spec.variances} do not go with kind {spec.kind}")
    if refined != (spec.objectness is not None):
        raise ValueError(f"objectness {spec.objectness} does not go with kind {spec.kind}")
    if spec.listed is not None and (spec.kind != "anchors" or spec.score == "aligned"):
        raise ValueError(f"listed boxes do not go with {spec.kind}, {spec.score}")
    for level in spec.levels:
        given = (bool(level.anchors), level.alignment is not None, level.first_boxes is not None)
        if given != (anchored, spec.score == "aligned", refined) or given[2] != (level.first_scores is not None):
            raise ValueError(f"outputs or anchors of stride {level.stride} do not go with {spec.kind}, {spec.score}")


def centres(level: Level) -> np.ndarray:
    """(rows * columns, 2) x and y of the places of a level, in pixels, float64."""
    y, x = np.meshgrid(np.arange(level.rows) + 0.5, np.arange(level.columns) + 0.5, indexing="ij")
    return np.stack([x * level.step[1], y * level.step[0]], axis=-1).reshape(-1, 2)


def anchor_boxes(level: Level) -> np.ndarray:
    """(rows * columns * anchors, 4) anchors of a level: centre x, centre y, width, height, in pixels, float64."""
    places = np.repeat(centres(level), len(level.anchors), axis=0)  # anchors of one place lie together
    sizes = np.tile(np.array(level.anchors, np.float64).reshape(-1, 2), (level.rows * level.columns, 1))
    return np.concatenate([places, sizes], axis=1)
