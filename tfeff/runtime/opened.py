"""What a file that LiteRT has opened is to those that run it, in whichever process it lies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Port:
    """An input or output as LiteRT tells it.

    Attributes:
        name: of the tensor.
        index: of the tensor.
        shape: as it was allocated.
        shape_signature: the same, -1 where a size is open.
        dtype: of its numbers.
        scales, zero_points: of its quantization; empty without one.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: np.dtype
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


class Opened(ABC):
    """A file in LiteRT.

    Attributes:
        inputs, outputs: in the file's order.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def _tell(self, told: Mapping[str, Any]) -> None:
        self.inputs, self.outputs = (tuple(map(_port, told[side])) for side in ("inputs", "outputs"))

    @abstractmethod
    def run(
        self, samples: Sequence[Sequence[np.ndarray]], outputs: Sequence[int] = (), *, fresh: bool = False
    ) -> list[list[np.ndarray]]:
        """Runs samples one after the other; what the file keeps from run to run is as at its first run.

        Args:
            samples: an array an input each, in the file's order, of its shapes and dtypes.
            outputs: tensors to give of each sample.
            fresh: whether only a new interpreter forgets what the file keeps (variables by handle).

        Raises:
            RuntimeError, ValueError: LiteRT fails.
            TfeffError: it died of it, or took too long.
        """

    @abstractmethod
    def shapes(self) -> dict[int, tuple[int, ...]]:
        """The shapes of its tensors as they are allocated, by number; some may be LiteRT's own."""


def _port(told: Mapping[str, Any]) -> Port:
    return Port(
        name=told["name"],
        index=told["index"],
        shape=tuple(told["shape"]),
        shape_signature=tuple(told["shape_signature"]),
        dtype=np.dtype(told["dtype"]),
        scales=tuple(told["scales"]),
        zero_points=tuple(told["zero_points"]),
    )
