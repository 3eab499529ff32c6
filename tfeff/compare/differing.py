"""The images on which two files differ most, found while they are compared; memory does not grow with the samples."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.data import Dataset
from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks import get_task


@dataclass(frozen=True)
class Answers:
    """What a task makes of an image.

    Attributes:
        spec: the task.
        of_float, of_quantized: the answers of the two files, in places of the image.
        right: the answer by the annotation; None without one.
    """

    spec: TaskSpec
    of_float: Any
    of_quantized: Any
    right: Any


@dataclass(frozen=True)
class Differing:
    """An image: its number in the dataset, how far the answers are `apart`, and these, task by task."""

    number: int
    apart: float
    answers: tuple[Answers, ...]


class MostDiffering:
    """Keeps the images on which the answers are farthest apart; of equal ones the first. Where both files say the same,
    there is nothing to see.

    Only tasks whose answers can be shown count (`Task.apart`).
    """

    def __init__(self, specs: Sequence[TaskSpec], outputs: Sequence[Port], dataset: Dataset, most: int):
        """
        Args:
            specs, outputs: what the outputs mean, and all of them.
            dataset: its annotations are shown beside, where it has any that fit.
            most: images that are kept.
        """
        by_name = {port.name: port for port in outputs}
        self._most = most
        self._specs: list[tuple[TaskSpec, Sequence[Any] | None]] = []
        self._kept: list[tuple[float, int, Differing]] = []
        for spec in specs:
            task, chosen = get_task(spec.name), [by_name[name] for name in spec.outputs if name in by_name]
            if len(chosen) < len(spec.outputs):
                continue
            task.check(spec, chosen)
            annotations: Sequence[Any] | None
            try:
                annotations = task.annotations(dataset, spec, chosen) if task.metric(spec) is not None else None
            except TfeffError:  # pictures need none
                annotations = None
            self._specs.append((spec, annotations))

    def add(
        self, number: int, place: Any, of_float: Mapping[str, np.ndarray], of_quantized: Mapping[str, np.ndarray]
    ) -> None:
        """Takes a sample.

        Args:
            number: in the dataset.
            place: where its image lies in the input; None where it is the input.
        """
        if not self._most:
            return
        total, answers = 0.0, []
        for spec, annotations in self._specs:
            task = get_task(spec.name)
            before, after = task.decode(of_float, spec), task.decode(of_quantized, spec)
            if place is not None:
                before, after = task.in_image(before, place), task.in_image(after, place)
            apart = task.apart(before, after)
            if apart is None:
                continue
            total += apart
            right = None if annotations is None else task.right(annotations[number], spec)
            answers.append(Answers(spec, before, after, right))
        if total > 0:
            entry = (total, -number, Differing(number, total, tuple(answers)))
            if len(self._kept) < self._most:
                heapq.heappush(self._kept, entry)
            elif entry[:2] > self._kept[0][:2]:
                heapq.heapreplace(self._kept, entry)

    @property
    def found(self) -> tuple[Differing, ...]:
        """Those that are farthest apart first."""
        return tuple(each for _, _, each in sorted(self._kept, key=lambda entry: entry[:2], reverse=True))
