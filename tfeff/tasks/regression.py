"""Regression: outputs are numbers, and so are the labels. MAE, and R2 beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks.base import GroupValue, Head, Metric, Outputs, Picture, Task

# By Keras' names.
_LOSSES = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "mean_absolute_percentage_error",
           "mean_squared_logarithmic_error")  # fmt: skip


class MeanAbsoluteError(Metric[np.ndarray]):
    """Mean |prediction - label| over all values of a sample, in the labels' own unit, mean over samples."""

    name, unit, higher_is_better = "MAE", "", False

    def __init__(self, labels: Sequence[str] = ()):
        """`labels`: names of the values, where they have any."""
        self._names = tuple(labels)
        self._predicted: list[np.ndarray] = []
        self._true: list[np.ndarray] = []

    def add(self, prediction: np.ndarray, annotation: Any) -> None:
        self._predicted.append(np.asarray(prediction, np.float64).reshape(-1))
        self._true.append(np.asarray(annotation, np.float64).reshape(-1))

    @property
    def count(self) -> int:
        return len(self._true)

    def parts(self) -> np.ndarray:
        return self._errors().mean(axis=1)

    def value(self, weights: np.ndarray | None = None) -> float:
        parts = self.parts()
        return float(parts.sum() / len(parts) if weights is None else parts @ weights / weights.sum())

    def groups(self) -> list[GroupValue]:
        errors = self._errors()
        if errors.shape[1] < 2:
            return []
        names = self._names or tuple(map(str, range(errors.shape[1])))
        return [
            GroupValue(name, float(column.mean()), len(column)) for name, column in zip(names, errors.T, strict=True)
        ]

    def r2(self) -> float | None:
        """1 - residual over total sum of squares, all values together; None where the labels do not vary."""
        true, predicted = np.array(self._true), np.array(self._predicted)
        total = float(((true - true.mean(axis=0)) ** 2).sum())
        return 1 - float(((true - predicted) ** 2).sum()) / total if total > 0 else None

    def _errors(self):
        return np.abs(np.array(self._predicted) - np.array(self._true))  # (n, values)


class Regression(Task):
    name = "regression"
    annotation = "one number a value of the output"
    group = "value"

    def recognise(self, head: Head) -> TaskSpec | None:
        """By the loss; without one, by labels of a linear output that are as many numbers as it has."""
        if head.values is None or head.activation == "softmax":
            return None
        fits = head.labels is not None and head.labels.reshape(len(head.labels), -1).shape[1] == head.values
        if head.loss in _LOSSES or (head.loss is None and head.activation in (None, "linear") and fits):
            return TaskSpec(name=self.name, outputs=[head.output])
        return None

    def check(self, spec: TaskSpec, outputs: Sequence[Port]) -> None:
        if len(outputs) != 1:
            raise TfeffError(f"task regression: reads one output, not {len(outputs)}", "name one")
        values = int(np.prod(outputs[0].shape[1:]))
        if spec.labels and len(spec.labels) != values:
            raise TfeffError(f"task regression: {len(spec.labels)} names for {values} values", "name each value once")

    def decode(self, outputs: Outputs, spec: TaskSpec) -> np.ndarray:
        return outputs[spec.outputs[0]].reshape(-1)

    def annotations(self, dataset: Any, spec: TaskSpec, outputs: Sequence[Port]) -> Sequence[np.ndarray]:
        labels = dataset.labels
        if labels is None:
            raise TfeffError(f"dataset {dataset.name}: has no labels", "give numbers, float (n,) or (n, values)")
        labels = np.asarray(labels).reshape(len(labels), -1)
        values = int(np.prod(outputs[0].shape[1:]))
        if labels.shape[1] != values:
            raise TfeffError(
                f"dataset {dataset.name}: has {labels.shape[1]} numbers a sample, the output has {values}",
                "give the labels that the network was trained on",
            )
        if not np.isfinite(labels).all():
            raise TfeffError(f"dataset {dataset.name}: its labels hold NaN or infinity", "remove these samples")
        return list(labels)

    def metric(self, spec: TaskSpec) -> MeanAbsoluteError:
        return MeanAbsoluteError(spec.labels)

    def details(self, of_float: MeanAbsoluteError, of_quantized: MeanAbsoluteError) -> dict[str, Any]:
        return {"r2": {"float": of_float.r2(), "quantized": of_quantized.r2()}}

    def tell(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        r2 = details.get("r2")
        both = [r2.get(which) for which in ("float", "quantized")] if isinstance(r2, dict) else []
        if not both or not all(isinstance(value, int | float) for value in both):
            return []
        return [("R2", f"{both[0]:.4f} -> {both[1]:.4f}")]

    def draw(self, image: np.ndarray | None, prediction: np.ndarray, spec: TaskSpec) -> Picture:
        names = spec.labels or ([""] if len(prediction) == 1 else [str(n) for n in range(len(prediction))])
        return Picture(
            tuple((f"{name} {value:.4g}".strip(), None) for name, value in zip(names, prediction, strict=True))
        )

    def apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """The mean difference, in the labels' unit."""
        return float(np.abs(one.astype(np.float64) - other).mean())

    def right(self, annotation: Any, spec: TaskSpec) -> np.ndarray:
        return np.asarray(annotation)


TASK = Regression()
