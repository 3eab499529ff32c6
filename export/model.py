"""What is exported: a model and all that its record must say of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.data import InputPort
from tfeff.record.schema import TaskSpec


@dataclass(frozen=True)
class Model:
    """A model to export.

    Attributes:
        callable: a Keras model, or any function that maps a batch of each input to the outputs. Always called as
            `predict` calls it, in inference mode; see `run`.
        name: the file's name begins with it.
        network: public name of the architecture, or the user's file.
        inputs: its ports, in the order in which `callable` takes them.
        outputs: names of its outputs, in the order in which `callable` gives them.
        tasks: what the outputs mean.
        preset: name of the preset, None without one.
        dataset: what it was trained on, None when unknown.
        random_weights: whether it was never trained, so that its accuracy means nothing.
        fake_quant: the fake-quant graph that it came as, with ranges; `callable` is then the float network inside.
        notes: words for the user about what was not done.
    """

    callable: Callable[..., Any]
    name: str
    network: str
    inputs: tuple[InputPort, ...]
    outputs: tuple[str, ...]
    tasks: tuple[TaskSpec, ...]
    preset: str | None = None
    dataset: str | None = None
    random_weights: bool = False
    fake_quant: Any = None
    notes: tuple[str, ...] = ()

    @property
    def is_keras(self) -> bool:
        return hasattr(self.callable, "layers")

    @property
    def image(self) -> InputPort | None:
        """The input that is an image, where there is exactly one such."""
        images = [port for port in self.inputs if port.preprocessing is not None]
        return images[0] if len(images) == 1 else None

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model gives, in inference mode.

        Args:
            batch: by input, (n, ...) each.

        Returns:
            By output, (n, ...) each.
        """
        given = [batch[port.name] for port in self.inputs]
        outputs = self.callable(given[0] if len(given) == 1 else given, training=False)
        values = list(outputs.values()) if isinstance(outputs, Mapping) else outputs
        values = list(values) if isinstance(values, list | tuple) else [values]
        return {name: np.asarray(value) for name, value in zip(self.outputs, values, strict=True)}
