"""Segmentation: each pixel has a class. The file gives a map of scores, at the head's stride or at the input's size.

`decode` of the spec: `size` [h, w] of the network's input in pixels; `resize` says where a pixel of the map lies in the
input, `half-pixel` (its area is a rectangle of the input) or `align-corners` (the outermost pixels' centres coincide).
Scores may be logits or probabilities: only which is largest matters. What an answer says of an image is told in the
image's own pixels: scores are resized to it, bilinear, and the largest is the class.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks.base import Head, Outputs, Picture, Task
from tfeff.tasks.class_names import output_numbers
from tfeff.tasks.criteria import Criterion
from tfeff.tasks.mean_iou import IGNORED, MeanIoU
from tfeff.tasks.pixels import ALIGN_CORNERS, HALF_PIXEL, Pixels, colours, places

_RESIZES = (HALF_PIXEL, ALIGN_CORNERS)
_SHOWN = 10  # classes in words
_ALIKE = 0.97  # share of equal pixels from which on two answers say the same
_LARGEST = 2**16  # pixels of a side
_MOST_CLASSES = 255  # a mask has one value more, for what is left out
_OPACITY = 0.5  # of the colours over the image
_MEND = "--task segmentation:HxW, the size of the network's input, or HxW-corners where its resizes align the corners"


class PixelDivergence(Criterion):
    """Kullback-Leibler divergence of the int8 file's class probabilities from the float network's, nats a pixel."""

    name = "divergence of the class scores, nats a pixel"

    def __init__(self, output: str):
        self._output = output

    def terms(self, wanted: Outputs, given: Outputs) -> np.ndarray:
        one, other = (_log_softmax(side[self._output].astype(np.float64)) for side in (wanted, given))
        return np.array([float((np.exp(one) * (one - other)).sum(axis=-1).mean())])

    def loss(self, terms: Sequence[np.ndarray]) -> float:
        return max(0.0, float(np.mean([term[0] for term in terms])))


class Segmentation(Task):
    name = "segmentation"
    annotation = "a mask: the class of each pixel"
    output_names = ("logits",)
    group = "class"

    def describe(self, kind: str | None, heads: Sequence[Head]) -> TaskSpec:
        """`kind` is the size of the network's input, `256x320`, with `-corners` where its resizes align the corners."""
        found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})(-corners)?", kind or "")
        if found is None:
            said = f"segmentation:{kind}" if kind else "segmentation"
            raise TfeffError(f"--task {said}: how large its input is, is not known", _MEND)
        if len(heads) != 1:
            names = ", ".join(head.output for head in heads)
            raise TfeffError(
                f"--task segmentation: reads one output, the model has {names}",
                f"--task {heads[0].output}=segmentation:{kind}",
            )
        decode = {"size": [int(found[1]), int(found[2])], "resize": ALIGN_CORNERS if found[3] else HALF_PIXEL}
        return TaskSpec(name=self.name, outputs=[heads[0].output], decode=decode)

    def check(self, spec: TaskSpec, outputs: Sequence[Port]) -> None:
        _read(spec)
        if len(outputs) != 1:
            raise TfeffError(f"task segmentation: reads one output, not {len(outputs)}", "name one")
        shape = tuple(outputs[0].shape)
        if len(shape) != 4 or not 2 <= shape[-1] <= _MOST_CLASSES:
            raise TfeffError(
                f"task segmentation: output {outputs[0].name} has shape {shape}",
                f"give a map of scores, (1, h, w, classes), with 2 to {_MOST_CLASSES} classes",
            )
        if len(spec.labels) not in (0, shape[-1]):
            raise TfeffError(
                f"task segmentation: {len(spec.labels)} labels for {shape[-1]} classes",
                "name each class once, the background too",
            )

    def decode(self, outputs: Outputs, spec: TaskSpec) -> Pixels:
        size, resize = _read(spec)
        scores = np.asarray(outputs[spec.outputs[0]], np.float32)
        rows, columns = (places(np.arange(n) + 0.5, n, m, resize) for n, m in zip(size, scores.shape[:2], strict=True))
        return Pixels(scores, rows, columns, size, resize)

    def in_image(self, prediction: Pixels, placement: Any) -> Pixels:
        return prediction.at(placement.size, placement.scale, placement.offset)

    def annotations(self, dataset: Any, spec: TaskSpec, outputs: Sequence[Port]) -> Sequence[Any]:
        masks = dataset.annotations.get("semantic")
        if masks is None:
            raise TfeffError(
                f"dataset {dataset.name}: has no masks, so there is no mIoU",
                "give folders `images` and `masks` of the same file names, or fashion_scenes",
            )
        if not len(dataset):
            raise TfeffError(f"dataset {dataset.name}: holds no images", "give a dataset with images")
        count, names = outputs[0].shape[-1], _classes(dataset)
        if len(names) > count or (len(names) < count and not spec.labels):
            raise TfeffError(
                f"dataset {dataset.name}: has {len(names)} classes, the network has {count}",
                "give the dataset that the network was trained for, all classes named, the background too",
            )
        return _Renumbered(masks, output_numbers(_Named(dataset, names), spec.labels)[0], dataset)

    def metric(self, spec: TaskSpec) -> MeanIoU:
        return MeanIoU(spec.labels)

    def same_answer(self, one: Pixels, other: Pixels) -> bool:
        """Whether 97 % of the pixels have the same class."""
        return self.apart(one, other) <= 1 - _ALIKE

    def details(self, of_float: MeanIoU, of_quantized: MeanIoU) -> dict[str, Any]:
        """`pixel_accuracy` of both files, and `agreement`, pixels with the same class in both: `mean` over images and
        the `lowest` of an image; all in percent. `classes`: how many the mean is over, of each file."""
        both = (("float", of_float), ("quantized", of_quantized))
        same = of_float.agreement(of_quantized)
        return {
            "pixel_accuracy": {which: metric.pixel_accuracy() for which, metric in both},
            "agreement": {"mean": float(same.mean()), "lowest": float(same.min())},
            "classes": {which: metric.classes for which, metric in both},
        }

    def tell(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = []
        for key, words, what in (
            ("pixel_accuracy", ("float", "quantized"), "pixel accuracy"),
            ("agreement", ("mean", "lowest"), "equal pixels"),
        ):
            pair = details.get(key)
            pair = [pair.get(word) for word in words] if isinstance(pair, dict) else [None]
            if all(isinstance(value, int | float) for value in pair):
                form = "{:.2f} % -> {:.2f} %" if key == "pixel_accuracy" else "{:.2f} %, lowest of an image {:.2f} %"
                rows.append((what, form.format(*pair)))
        return rows

    def criterion(self, spec: TaskSpec, outputs: Sequence[Port]) -> PixelDivergence:
        return PixelDivergence(spec.outputs[0])

    def belief(self, outputs: Outputs, spec: TaskSpec) -> tuple[int, float] | None:
        """The class of most pixels, and the mean logarithm of the largest probability."""
        scores = _log_softmax(np.asarray(outputs[spec.outputs[0]], np.float64))
        scores = scores.reshape(-1, scores.shape[-1])
        return int(np.bincount(scores.argmax(axis=1)).argmax()), float(scores.max(axis=1).mean())

    def draw(self, image: np.ndarray | None, prediction: Pixels, spec: TaskSpec) -> Picture:
        """The classes with their share of the pixels, and their colours over the image."""
        counts = np.bincount(prediction.labels.reshape(-1))
        order = [int(number) for number in np.argsort(-counts, kind="stable") if counts[number]][:_SHOWN]
        lines = tuple((_name(number, spec), float(counts[number] / counts.sum())) for number in order)
        if image is None or image.shape[:2] != prediction.labels.shape:
            return Picture(lines)
        plain = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        over = colours(max(len(counts), 1))[prediction.labels]
        return Picture(lines, np.rint((1 - _OPACITY) * plain + _OPACITY * over).astype(np.uint8))

    def apart(self, one: Pixels, other: Pixels) -> float:
        """Share of the pixels whose class differs, 0 to 1."""
        return float((one.labels != other.labels).mean())

    def changes(self, of_float: Pixels, of_quantized: Pixels, spec: TaskSpec) -> list[str]:
        """The changes of class, the most frequent first, by their share of all pixels."""
        before, after = of_float.labels.astype(np.int64), of_quantized.labels.astype(np.int64)
        count = int(max(before.max(), after.max())) + 1
        pairs = np.bincount((before * count + after)[before != after], minlength=count * count)
        found = [int(pair) for pair in np.argsort(-pairs, kind="stable")[:_SHOWN] if pairs[pair]]
        return [
            f"{_name(pair // count, spec)} -> {_name(pair % count, spec)}: "
            f"{100 * pairs[pair] / before.size:.2f} % of the pixels"
            for pair in found
        ]

    def right(self, annotation: Any, spec: TaskSpec) -> Pixels:
        """The mask; what it leaves out is drawn as the first class."""
        return Pixels.of(np.maximum(annotation, 0))


class _Named:
    """A dataset's name, and the names of its masks' classes."""

    def __init__(self, dataset: Any, classes: Sequence[str]):
        self.name, self.classes, self.guessed = dataset.name, tuple(classes), dataset.guessed


class _Renumbered(Sequence[Any]):
    """A dataset's masks with the network's numbers, int16 (h, w); `IGNORED` where a mask leaves a pixel out."""

    def __init__(self, masks: Sequence[Any], numbers: np.ndarray, dataset: Any):
        self._masks, self._dataset, self._count = masks, dataset, len(numbers)
        self._table = np.full(256, IGNORED - 1, np.int16)
        self._table[: len(numbers)] = numbers
        self._table[255] = IGNORED

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, number: Any) -> Any:
        mask = self._table[self._masks[number]]
        if mask.min(initial=0) < IGNORED:
            strange = int(self._masks[number][mask < IGNORED][0])
            raise TfeffError(
                f"dataset {self._dataset.name}, {self._dataset.names[number]}: its mask holds class {strange}, of "
                f"{self._count} classes",
                "number the classes from 0, and what is left out 255",
            )
        return mask


def _classes(dataset: Any) -> Sequence[str]:
    return getattr(dataset, "annotation_classes", {}).get("semantic", dataset.classes)


def _read(spec: TaskSpec) -> tuple[tuple[int, int], str]:
    """The input's size, and where a map's pixels lie; raises TfeffError for what these cannot be."""
    size, resize = spec.decode.get("size"), spec.decode.get("resize", HALF_PIXEL)
    sides = list(size) if isinstance(size, list | tuple) else []
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= _LARGEST for side in sides):
        raise TfeffError(f"task segmentation: size {size!r:.40}", "give [h, w] of the network's input, in pixels")
    if resize not in _RESIZES:
        raise TfeffError(f"task segmentation: resize {resize!r:.40}", f"it is {' or '.join(_RESIZES)}")
    return (sides[0], sides[1]), resize


def _name(number: int, spec: TaskSpec) -> str:
    return spec.labels[number] if number < len(spec.labels) else f"class {number}"


def _log_softmax(scores):
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


TASK = Segmentation()
