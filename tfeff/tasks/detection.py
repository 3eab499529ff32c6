"""Detection: boxes, each with a class and a score. The file ends at raw maps; `decode` of the spec holds the numbers by
which they become boxes (`tfeff.tasks.detection_spec`)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record import load_json
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks.average_precision import AveragePrecision
from tfeff.tasks.base import Head, Outputs, Picture, Task
from tfeff.tasks.boxes import Detections, overlaps
from tfeff.tasks.class_names import order_notes, output_numbers
from tfeff.tasks.detection_decode import decode, surest
from tfeff.tasks.detection_spec import DetectionSpec, read_spec

SHOWN = 0.3  # a score from which on people see a box
_DRAWN = 10  # lines
_ALIKE = 0.9  # IoU from which on two boxes are the same
_COLOURS = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180),
            (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212))  # fmt: skip
_FILE_MEND = "--task detection:FILE.json, the numbers that a record has as its task's `decode`"


class Detection(Task):
    name = "detection"
    annotation = "boxes with classes"
    group = "class"

    def describe(self, kind: str | None, heads: Sequence[Head]) -> TaskSpec:
        """`kind` is a JSON file: `decode` as a record has it, and `labels` if they have names."""
        if kind is None:
            raise TfeffError("--task detection: how its outputs become boxes is not known", _FILE_MEND)
        try:
            values = load_json(Path(kind))
        except (OSError, ValueError) as error:
            raise TfeffError(f"--task detection:{kind}: cannot be read ({error})", _FILE_MEND) from None
        labels = values.pop("labels", [])
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise TfeffError(f"--task detection:{kind}: labels are no list of names", _FILE_MEND)
        spec = read_spec(values, f"--task detection:{kind}")
        known = [head.output for head in heads]
        if missing := next((name for name in spec.outputs if name not in known), None):
            raise TfeffError(
                f"--task detection:{kind}: reads the output {missing!r}, the model has {', '.join(known)}", _FILE_MEND
            )
        return TaskSpec(name=self.name, outputs=spec.outputs, labels=labels, decode=spec.as_dict())

    def check(self, spec: TaskSpec, outputs: Sequence[Port]) -> None:
        numbers = read_spec(spec.decode)
        if spec.outputs != numbers.outputs:
            raise TfeffError(
                f"task detection: reads {', '.join(spec.outputs)}, its numbers are of {', '.join(numbers.outputs)}",
                "name the same outputs in the same order",
            )
        if len(spec.labels) not in (0, numbers.classes):
            raise TfeffError(
                f"task detection: {len(spec.labels)} labels for {numbers.classes} classes", "name each class once"
            )
        wanted = _shapes(numbers)
        for port in outputs:
            if tuple(port.shape[1:]) != wanted[port.name]:
                raise TfeffError(
                    f"task detection: output {port.name} has shape {tuple(port.shape)}, its numbers are of "
                    f"{(1, *wanted[port.name])}",
                    "give the numbers of this network at this input size",
                )

    def decode(self, outputs: Outputs, spec: TaskSpec) -> Detections:
        return decode(outputs, read_spec(spec.decode))

    def in_image(self, prediction: Detections, placement: Any) -> Detections:
        return Detections(placement.back(prediction.boxes), prediction.classes, prediction.scores)

    def annotations(self, dataset: Any, spec: TaskSpec, outputs: Sequence[Port]) -> Sequence[Any]:
        objects = dataset.annotations.get("objects")
        if objects is None:
            raise TfeffError(
                f"dataset {dataset.name}: has no boxes, so there is no mAP",
                "give images with boxes as COCO (JSON), VOC (XML) or YOLO (text) have them, or fashion_scenes",
            )
        if not len(dataset):
            raise TfeffError(f"dataset {dataset.name}: holds no images", "give a dataset with images")
        count, given = read_spec(spec.decode).classes, len(dataset.classes)
        if given > count or (given < count and not spec.labels):
            raise TfeffError(
                f"dataset {dataset.name}: has {given} classes, the network has {count}",
                "give the dataset that the network was trained for, all classes named",
            )
        return _Renumbered(objects, output_numbers(dataset, spec.labels)[0])

    def notes(self, dataset: Any, spec: TaskSpec) -> list[str]:
        return order_notes(dataset, spec.labels)

    def metric(self, spec: TaskSpec) -> AveragePrecision:
        return AveragePrecision(spec.labels, SHOWN)

    def same_answer(self, one: Detections, other: Detections) -> bool:
        """Whether each box that people see has one of its class in the other answer that lies where it does."""
        for seen, all_others in ((one, other), (other, one)):
            shown = _shown(seen)
            overlap = overlaps(shown.boxes, all_others.boxes)
            alike = (overlap >= _ALIKE) & (shown.classes[:, None] == all_others.classes[None])
            if not alike.any(axis=1).all():
                return False
        return True

    def details(self, of_float: AveragePrecision, of_quantized: AveragePrecision) -> dict[str, Any]:
        """`ap50`, `ap75` and `voc07` of both files in percent, `changed` (see `AveragePrecision.changed`), `shown`
        detections of both, `boxes` to be found."""
        changed, shown = of_float.changed(of_quantized, _ALIKE)
        both = (("float", of_float), ("quantized", of_quantized))
        return {
            "ap50": {which: metric.at(0.5) for which, metric in both},
            "ap75": {which: metric.at(0.75) for which, metric in both},
            "voc07": {which: metric.voc07() for which, metric in both},
            "changed": changed, "shown": shown, "boxes": of_float.boxes,
        }  # fmt: skip

    def tell(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = []
        for key, name in (("ap50", "AP50"), ("ap75", "AP75"), ("voc07", "AP of VOC 2007")):
            pair = details.get(key)
            both = [pair.get(which) for which in ("float", "quantized")] if isinstance(pair, dict) else [None]
            if all(isinstance(value, int | float) for value in both):
                rows.append((name, f"{both[0]:.2f} % -> {both[1]:.2f} %"))
        changed, shown = details.get("changed"), details.get("shown")
        if isinstance(changed, int | float) and isinstance(shown, int):
            rows.append(("detections that changed", f"{changed:.2f} % of {shown:,} with a score of {SHOWN:g} or more"))
        return rows

    def belief(self, outputs: Outputs, spec: TaskSpec) -> tuple[int, float] | None:
        """The class of the surest box, and the logarithm of its score."""
        number, score = surest(outputs, read_spec(spec.decode))
        return number, math.log(max(score, 1e-30))

    def draw(self, image: np.ndarray | None, prediction: Detections, spec: TaskSpec) -> Picture:
        shown, lines, met = _shown(prediction), [], dict[str, int]()
        for number, score in zip(shown.classes, shown.scores, strict=True):
            name = spec.labels[number] if spec.labels else f"class {number}"
            met[name] = met.get(name, 0) + 1
            lines.append((name if met[name] == 1 else f"{name} ({met[name]})", float(score)))
        told: list[tuple[str, float | None]] = [*lines[:_DRAWN]]
        return Picture(tuple(told) or (("nothing found", None),), None if image is None else _framed(image, shown))


class _Renumbered(Sequence[Any]):
    """A dataset's boxes with the numbers that the network has for their classes."""

    def __init__(self, objects: Sequence[Any], numbers: np.ndarray):
        self._objects, self._numbers = objects, numbers

    def __len__(self) -> int:
        return len(self._objects)

    def __getitem__(self, number: Any) -> Any:
        objects = self._objects[number]
        return replace(objects, classes=self._numbers[objects.classes])


def _shapes(numbers: DetectionSpec) -> dict[str, tuple[int, int, int]]:
    """{output: (rows, columns, values)}."""
    found = {}
    for level in numbers.levels:
        anchors = max(1, len(level.anchors))
        of_box = 4 * numbers.bins if numbers.kind == "distances" else 4
        widths = {level.boxes: of_box, level.scores: numbers.channels, level.alignment: 1, level.first_boxes: 4,
                  level.first_scores: 2}  # fmt: skip
        for name, width in widths.items():
            if name is not None:
                found[name] = (level.rows, level.columns, anchors * width)
    return found


def _shown(prediction: Detections) -> Detections:
    seen = (prediction.scores >= SHOWN) & np.isfinite(prediction.boxes).all(axis=1)  # a network may give anything
    return Detections(prediction.boxes[seen], prediction.classes[seen], prediction.scores[seen])


def _framed(image: np.ndarray, shown: Detections) -> np.ndarray:
    """uint8 (h, w, 3) with a frame of 2 pixels around each box, the surest on top, coloured by class."""
    out = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    height, width = out.shape[:2]
    for box, number in zip(shown.boxes[::-1], shown.classes[::-1], strict=True):
        left, top, right, bottom = (round(float(side)) for side in np.clip(box, 0, [width, height] * 2))
        part, colour = out[top:bottom, left:right], _COLOURS[int(number) % len(_COLOURS)]
        for edge in (part[:2], part[-2:], part[:, :2], part[:, -2:]):
            edge[...] = colour
    return out


TASK = Detection()
