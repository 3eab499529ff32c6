"""What is exported: a model and all that its record must say of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.data import InputPort, Preprocessing, image_port
from tfeff.record.schema import SourceFile, TaskSpec


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
        brought: the model as its user brought it, where `callable` is a copy of it; None where they are the same.
        copied: what the record calls such a copy.
        fake_quant: the fake-quant graph that it came as, with ranges; `callable` is then the float network inside.
        notes: words for the user about what was not done.
        calibration_method: how its int8 ranges are found where the user says nothing: of a preset, as it was measured
            on labelled images. None: what is found by trying.
        source: the user's own file; None for a network or a preset.
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
    brought: Callable[..., Any] | None = None
    copied: str = "float32 copy"
    fake_quant: Any = None
    notes: tuple[str, ...] = ()
    calibration_method: str | None = None
    source: SourceFile | None = None

    @property
    def is_keras(self) -> bool:
        return hasattr(self.callable, "layers")

    @property
    def keras(self) -> Any:
        """`callable` as the Keras model that it is where `is_keras`."""
        return self.callable

    @property
    def image(self) -> InputPort | None:
        """The input that is an image, where there is exactly one such."""
        images = [port for port in self.inputs if port.preprocessing is not None]
        return images[0] if len(images) == 1 else None

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model gives as it was brought, in inference mode.

        Args:
            batch: by input, (n, ...) each.

        Returns:
            By output, (n, ...) each; floating point as float32.
        """
        return self._run(self.brought or self.callable, batch)

    def run_copy(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same of `callable`."""
        return self._run(self.callable, batch)

    def _run(self, callable, batch):
        given = [batch[port.name] for port in self.inputs]
        outputs = callable(given[0] if len(given) == 1 else given, training=False)
        return {name: _plain(np.asarray(value)) for name, value in named_outputs(outputs, self.outputs).items()}


def classifier(
    callable: Callable[..., Any],
    name: str,
    network: str,
    preprocessing: Preprocessing,
    labels: Sequence[str] = (),
    **known: Any,
) -> Model:
    """A model of one image that gives logits of classes, as every network of ours does.

    Args:
        callable, name, network: see `Model`.
        preprocessing: how an image becomes its input.
        labels: names of the classes, empty when unknown.
        known: of `Model`.
    """
    decode = {"kind": "classes", "scores": "logits"}
    task = TaskSpec(name="classification", outputs=["logits"], labels=list(labels), decode=decode)
    return Model(callable, name, network, (image_port(preprocessing),), ("logits",), (task,), **known)


def named_outputs(made: Any, names: Sequence[str]) -> dict[str, Any]:
    """What a model gives, by the names of its outputs.

    Args:
        made: one value; or several in lists, tuples and dicts. A dict with just these names is taken by them; what is
            nested is in Keras' order: lists as they are, dicts by sorted key.
        names: in the order of the outputs.
    """
    if isinstance(made, Mapping) and set(made) == set(names):
        return {name: made[name] for name in names}
    return dict(zip(names, _flat(made), strict=True))


def _plain(values):
    """float32 for every other floating point; NumPy knows bfloat16 by name only."""
    return values.astype(np.float32) if "float" in values.dtype.name else values


def _flat(made):
    if isinstance(made, Mapping):
        return [value for key in sorted(made) for value in _flat(made[key])]
    if isinstance(made, list | tuple):
        return [value for each in made for value in _flat(each)]
    return [made]
