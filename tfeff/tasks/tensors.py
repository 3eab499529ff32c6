"""The task of a model that nobody described: outputs are compared as numbers, port by port, without annotations.

The figures (SQNR, largest error, cosine; of integers the share of equal values) are measured of every task's ports:
see `tfeff.compare.ports`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks.base import Outputs, Picture, Task

_SHOWN = 8  # values of each port


class Tensors(Task):
    name = "tensors"
    annotation = "none"

    def check(self, spec: TaskSpec, outputs: Sequence[Port]) -> None:
        if not outputs:
            raise TfeffError("task tensors: names no output", "name at least one")

    def decode(self, outputs: Outputs, spec: TaskSpec) -> dict[str, np.ndarray]:
        return {name: outputs[name] for name in spec.outputs}

    def annotations(self, dataset: Any, spec: TaskSpec, outputs: Sequence[Port]) -> Sequence[None]:
        return [None] * len(dataset)

    def draw(self, image: np.ndarray | None, prediction: dict[str, np.ndarray], spec: TaskSpec) -> Picture:
        lines: list[tuple[str, float | None]] = []
        for name, values in prediction.items():
            flat = values.reshape(-1)
            shown = ", ".join(f"{value:.4g}" for value in flat[:_SHOWN]) + (", ..." if flat.size > _SHOWN else "")
            lines.append((f"{name} {list(values.shape)}: {shown}", None))
        return Picture(tuple(lines))


TASK = Tensors()
