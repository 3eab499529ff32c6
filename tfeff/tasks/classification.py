"""Classification: which class, whether (one value against a threshold), or which labels (each value by itself).

`decode` of the spec: `kind` is `classes` (the largest of two or more values), `binary` (one value) or `multi-label`;
`scores` says what the values are, `logits` or `probabilities` (records of schema 1 do not say it of users' models: of
`classes` the values then tell); `threshold` is a probability, of `binary` and `multi-label`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks.base import GroupValue, Head, Metric, Outputs, Picture, Task
from tfeff.tasks.class_names import order_notes, output_numbers
from tfeff.tasks.criteria import Divergence
from tfeff.tasks.meant import Meant

CLASSES, BINARY, MULTI_LABEL = "classes", "binary", "multi-label"
KINDS = (CLASSES, BINARY, MULTI_LABEL)
SCORES = ("logits", "probabilities")
# Losses that say what an output is, by Keras' names.
_OF_CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy")
_OF_EACH = ("binary_crossentropy", "binary_focal_crossentropy")
_DRAWN = 5


@dataclass(frozen=True)
class Classes:
    """An answer.

    Attributes:
        chosen: bool (k,), the one class, or each label that holds; of `binary` (1,).
        scores: float64 (k,), probabilities.
    """

    chosen: np.ndarray
    scores: np.ndarray

    @property
    def first(self) -> int:
        """The class of `classes`; of `binary` 0 or 1."""
        return int(self.chosen.argmax()) if len(self.chosen) > 1 else int(self.chosen[0])


class TopOne(Metric[Classes]):
    """Share of samples whose first class is right. Of equal scores the first counts, as on a device."""

    unit, higher_is_better, scale = "%", True, 100.0

    def __init__(self, labels: Sequence[str], name: str = "top-1"):
        self.name = name
        self._labels = tuple(labels)
        self.predicted: list[int] = []
        self._true: list[int] = []

    def add(self, prediction: Classes, annotation: Any) -> None:
        self.predicted.append(prediction.first)
        self._true.append(int(annotation))

    @property
    def count(self) -> int:
        return len(self._true)

    def parts(self) -> np.ndarray:
        return np.array(self.predicted) == np.array(self._true)

    def value(self, weights: np.ndarray | None = None) -> float:
        right = self.parts()
        return float(100 * int(right.sum()) / len(right) if weights is None else 100 * right @ weights / weights.sum())

    def groups(self) -> list[GroupValue]:
        """By true class; a class without a name is called by its number."""
        true, right = np.array(self._true), self.parts()
        rows = []
        for number in np.unique(true):
            here = right[true == number]
            label = self._labels[number] if number < len(self._labels) else str(number)
            rows.append(GroupValue(label, 100 * int(here.sum()) / len(here), len(here)))
        return rows


class MeanF1(Metric[Classes]):
    """Mean over labels of F1 = 2 TP / (2 TP + FP + FN). A label that is neither there nor predicted counts as 1 (there
    is no error)."""

    name, unit, higher_is_better = "mean F1", "%", True

    def __init__(self, labels: Sequence[str]):
        self._labels = tuple(labels)
        self.predicted: list[np.ndarray] = []
        self._true: list[np.ndarray] = []
        self._counted: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, prediction: Classes, annotation: Any) -> None:
        self.predicted.append(np.asarray(prediction.chosen, bool))
        self._true.append(np.asarray(annotation, bool))
        self._counted = None

    @property
    def count(self) -> int:
        return len(self._true)

    def value(self, weights: np.ndarray | None = None) -> float:
        return float(100 * self._by_label(weights).mean())

    def groups(self) -> list[GroupValue]:
        values = 100 * self._by_label(None)
        names = self._labels or tuple(map(str, range(len(values))))
        return [GroupValue(name, float(value), self.count) for name, value in zip(names, values, strict=True)]

    def _by_label(self, weights):
        if self._counted is None:  # once for all resamples
            predicted, true = np.array(self.predicted), np.array(self._true)  # (n, k)
            self._counted = (predicted & true).astype(np.float64), predicted.astype(np.float64) + true
        weights = np.ones(self.count) if weights is None else weights.astype(np.float64)
        both, either = (weights @ part for part in self._counted)
        return np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)  # (k,)


class Classification(Task):
    name = "classification"
    annotation = "a class number, or of multi-label a 0 or 1 a label"
    output_names = ("logits",)
    group = "class"

    def recognise(self, head: Head) -> TaskSpec | None:
        """By its activation; of a linear one by the loss, or by labels that are numbers of classes."""
        kind = None if head.values is None else _kind_of(head, head.values)
        return None if kind is None else _spec(kind, head)

    def describe(self, kind: str | None, heads: Sequence[Head]) -> TaskSpec:
        if kind is not None and kind not in KINDS:
            raise TfeffError(f"--task classification:{kind}: there is no such kind", f"choose {', '.join(KINDS)}")
        if len(heads) != 1:
            names = ", ".join(head.output for head in heads)
            raise TfeffError(
                f"--task classification: reads one output, the model has {names}",
                f"--task {heads[0].output}=classification",
            )
        return _spec(kind or (BINARY if heads[0].values == 1 else CLASSES), heads[0])

    def check(self, spec: TaskSpec, outputs: Sequence[Port]) -> None:
        kind, scores = spec.decode.get("kind", CLASSES), spec.decode.get("scores", "logits")
        if kind not in KINDS or scores not in SCORES:
            raise TfeffError(
                f"task classification: kind {kind!r:.40} with scores {scores!r:.40}",
                f"kind is {', '.join(KINDS)}; scores are {' or '.join(SCORES)}",
            )
        threshold = spec.decode.get("threshold", 0.5)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise TfeffError(f"task classification: threshold {threshold!r:.40}", "give a probability, 0 to 1")
        if len(outputs) != 1:
            raise TfeffError(f"task classification: reads one output, not {len(outputs)}", "name one")
        shape, count = outputs[0].shape, int(np.prod(outputs[0].shape[1:]))
        if count != (shape[-1] if len(shape) > 1 else 1):
            raise TfeffError(
                f"task classification: output {outputs[0].name} has shape {tuple(shape)}",
                "compare classifiers: one number a class, (1, classes)",
            )
        if kind == CLASSES and count < 2:
            raise TfeffError(
                f"task classification: output {outputs[0].name} has one value, so no class is the largest",
                "its kind is `binary`: one value against a threshold",
            )
        if kind == BINARY and count != 1:
            raise TfeffError(
                f"task classification: output {outputs[0].name} has {count} values, `binary` has one",
                "its kind is `classes` or `multi-label`",
            )
        allowed = {0, 2} if kind == BINARY else {0, count}
        if len(spec.labels) not in allowed:
            raise TfeffError(
                f"task classification: {len(spec.labels)} labels, the output {outputs[0].name} gives {count} values",
                "name each class once",
            )

    def decode(self, outputs: Outputs, spec: TaskSpec) -> Classes:
        values = outputs[spec.outputs[0]].reshape(-1).astype(np.float64)
        kind, scores = spec.decode.get("kind", CLASSES), spec.decode.get("scores")
        if kind == CLASSES:
            chosen = np.zeros(len(values), bool)
            chosen[values.argmax()] = True
            shares = _are_shares(values) if scores is None else scores == "probabilities"
            return Classes(chosen, values if shares else _softmax(values))
        chances = values if scores == "probabilities" else 1 / (1 + np.exp(-np.clip(values, -700, 700)))
        return Classes(chances > spec.decode.get("threshold", 0.5), chances)

    def annotations(self, dataset: Any, spec: TaskSpec, outputs: Sequence[Port]) -> Sequence[Any]:
        if dataset.labels is None:
            raise TfeffError(
                f"dataset {dataset.name}: has no labels, so there is no accuracy", "give a labelled dataset"
            )
        if not len(dataset):
            raise TfeffError(f"dataset {dataset.name}: holds no images", "give a dataset with images")
        labels, count = np.asarray(dataset.labels), int(np.prod(outputs[0].shape[1:]))
        kind = spec.decode.get("kind", CLASSES)
        if kind == MULTI_LABEL:
            return _many_hot(dataset, labels, count)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim == 2:
            labels = _from_one_hot(dataset, labels, outputs[0], 2 if kind == BINARY else count)
        if labels.ndim != 1 or not np.array_equal(labels, np.round(labels)):
            raise TfeffError(
                f"dataset {dataset.name}: labels of shape {labels.shape} and type {labels.dtype} are no class numbers",
                "give integers of shape (n,), or say with --task what the outputs mean",
            )
        return _match(dataset, labels.astype(np.int64), spec, outputs[0])

    def notes(self, dataset: Any, spec: TaskSpec) -> list[str]:
        return [] if spec.decode.get("kind") == MULTI_LABEL else order_notes(dataset, spec.labels)

    def metric(self, spec: TaskSpec) -> TopOne | MeanF1:
        kind = spec.decode.get("kind", CLASSES)
        if kind == MULTI_LABEL:
            return MeanF1(spec.labels)
        return TopOne(spec.labels, "top-1" if kind == CLASSES else "accuracy")

    def same_answer(self, one: Classes, other: Classes) -> bool:
        return bool(np.array_equal(one.chosen, other.chosen))

    def details(self, of_float: Any, of_quantized: Any) -> dict[str, Any]:
        """`flips`: percent of samples whose answer changed."""
        changed = (np.array(of_float.predicted) != np.array(of_quantized.predicted)).reshape(of_float.count, -1)
        return {"flips": 100 * int(changed.any(axis=1).sum()) / of_float.count}

    def tell(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        flips = details.get("flips")
        return [("predictions that changed", f"{flips:.2f} %")] if isinstance(flips, int | float) else []

    def criterion(self, spec: TaskSpec, outputs: Sequence[Port]) -> Divergence:
        scores = spec.decode.get("scores", "logits")
        return Divergence(spec.outputs[0], scores, spec.decode.get("kind", CLASSES) != CLASSES)

    def meant(self, spec: TaskSpec) -> tuple[Meant, ...]:
        return (Meant("score", "Score of each class.", labelled="axis"),)

    def belief(self, outputs: Outputs, spec: TaskSpec) -> tuple[int, float] | None:
        """Of `classes` the first class and the logarithm of its probability."""
        if spec.decode.get("kind", CLASSES) != CLASSES:
            return None
        values = outputs[spec.outputs[0]].reshape(-1).astype(np.float64)
        if spec.decode.get("scores", "logits") == "logits":
            return int(values.argmax()), float(-np.log(np.exp(values - values.max()).sum()))
        return int(values.argmax()), float(np.log(max(values.max(), 1e-30)))

    def draw(self, image: np.ndarray | None, prediction: Classes, spec: TaskSpec) -> Picture:
        scores = prediction.scores
        if len(scores) == 1:
            names = spec.labels or ["no", "yes"]
            chance = float(scores[0]) if prediction.first else 1 - float(scores[0])
            return Picture(((names[prediction.first], chance),))
        names = spec.labels or [f"class {number}" for number in range(len(scores))]
        order = np.argsort(-scores, kind="stable")[:_DRAWN]
        return Picture(tuple((names[number], float(scores[number])) for number in order))

    def apart(self, one: Classes, other: Classes) -> float:
        """By how much the probabilities differ, 0 to 1; and 1 more where the answer is another."""
        change = np.abs(one.scores - other.scores)
        whole = len(change) > 1 and one.chosen.sum() == other.chosen.sum() == 1
        return float(change.sum() / 2 if whole else change.max()) + float(not self.same_answer(one, other))

    def changes(self, of_float: Classes, of_quantized: Classes, spec: TaskSpec) -> list[str]:
        if self.same_answer(of_float, of_quantized):
            return []
        if spec.decode.get("kind") == MULTI_LABEL:
            names = spec.labels or [f"class {number}" for number in range(len(of_float.scores))]
            return [
                f"{names[number]}: in {'float' if of_float.chosen[number] else 'quantized'} alone"
                for number in np.flatnonzero(of_float.chosen != of_quantized.chosen)
            ]
        both = [self.draw(None, each, spec).lines[0] for each in (of_float, of_quantized)]
        return [" -> ".join(f"{name} {100 * (score or 0):.0f} %" for name, score in both)]

    def right(self, annotation: Any, spec: TaskSpec) -> Classes:
        """Labels as probabilities of 0 and 1."""
        if spec.decode.get("kind", CLASSES) == CLASSES:
            number = int(annotation)
            chosen = np.arange(max(2, len(spec.labels), number + 1)) == number
        else:
            chosen = np.asarray(annotation, bool).reshape(-1)
        return Classes(chosen, chosen.astype(np.float64))


def _spec(kind: str, head: Head) -> TaskSpec:
    scores = "probabilities" if head.activation in ("softmax", "sigmoid") else "logits"
    return TaskSpec(name="classification", outputs=[head.output], decode={"kind": kind, "scores": scores})


def _kind_of(head: Head, count: int) -> str | None:
    """What a list of `count` values is; None where it need be no classification."""
    each = BINARY if count == 1 else MULTI_LABEL
    if head.activation == "softmax" and count > 1:
        return CLASSES
    if head.activation == "sigmoid":
        return each if head.loss in (None, *_OF_EACH) else None
    if head.activation not in (None, "linear"):
        return None
    if head.loss is not None:
        return each if head.loss in _OF_EACH else CLASSES if head.loss in _OF_CLASSES and count > 1 else None
    labels = None if head.labels is None else _whole(head.labels)
    if labels is None:
        return None
    if labels.ndim == 1:
        return CLASSES if count > 1 else BINARY if np.isin(labels, (0, 1)).all() else None
    if labels.shape[1:] != (count,) or not np.isin(labels, (0, 1)).all():
        return None
    return CLASSES if count > 1 and (labels.sum(axis=1) == 1).all() else each


def _whole(labels: np.ndarray) -> np.ndarray | None:
    """Labels as integers; None where they are other numbers. Keras' pipelines make floats of both."""
    if labels.dtype.kind in "iu":
        return labels
    whole = labels.dtype.kind in "fb" and np.isfinite(labels).all() and np.array_equal(labels, np.round(labels))
    return labels.astype(np.int64) if whole else None


def _are_shares(values: np.ndarray) -> bool:
    """Whether numbers are probabilities, where nobody said it: none below 0, together 1 but for int8's rounding."""
    return bool(values.min() >= 0 and abs(float(values.sum()) - 1) < 0.02)


def _softmax(values):
    values = np.exp(values - values.max())
    return values / values.sum()


def _many_hot(dataset, labels, count):
    if labels.ndim != 2 or labels.shape[1] != count or not np.isin(labels, (0, 1)).all():
        raise TfeffError(
            f"dataset {dataset.name}: labels of shape {labels.shape}, the output has {count} labels",
            f"give 0 or 1 a label, (n, {count})",
        )
    return labels.astype(bool)


def _from_one_hot(dataset, labels, output, width):
    """(n,) the largest of each row; rows may be smoothed or mixed, as long as each is shares of one whole."""
    if labels.shape[1:] != (width,):
        raise TfeffError(
            f"dataset {dataset.name}: labels of shape {labels.shape}, the output {output.name} has {width} classes",
            f"give class numbers (n,), or rows of {width}",
        )
    shares = labels.astype(np.float64)
    top = shares.max(axis=1, keepdims=True)
    if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > 1e-3 or ((shares == top).sum(axis=1) > 1).any():
        raise TfeffError(
            f"dataset {dataset.name}: labels of shape {labels.shape} are not one-hot",
            "give class numbers (n,), one-hot rows, or --task classification:multi-label",
        )
    return shares.argmax(axis=1)


def _match(dataset, numbers, spec, output):
    """The dataset's labels as numbers of the outputs, int64 (n,)."""
    if numbers.min() < 0:
        raise TfeffError(
            f"dataset {dataset.name}: labels from {numbers.min()} to {numbers.max()}", "number the classes from 0"
        )
    values, given = int(np.prod(output.shape[1:])), max(len(dataset.classes), int(numbers.max()) + 1)
    if spec.decode.get("kind", CLASSES) == BINARY:
        if given > 2:
            raise TfeffError(
                f"dataset {dataset.name}: has {given} classes, the output {output.name} is one value: no or yes",
                "give labels 0 and 1, or a network with an output value a class",
            )
    elif given != values:
        raise TfeffError(
            f"dataset {dataset.name}: has {given} classes, the output {output.name} has {values} values",
            "give the dataset that the network was trained for; one that lacks some names them all: an .npz in an "
            "array `classes`, a folder or a CSV in classes.txt",
        )
    if not len(dataset.classes):
        return numbers
    return output_numbers(dataset, spec.labels)[0][numbers]


TASK = Classification()
