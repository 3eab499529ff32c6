"""What is exported: a network and all that its record must say of it."""

from dataclasses import dataclass
from typing import Any

from tfeff.data import Preprocessing


@dataclass(frozen=True)
class Subject:
    """A network to export.

    Attributes:
        model: a Keras model, or a callable that maps float32 (1, h, w, c) to one tensor (a SavedModel's signature).
        name: the file's name begins with it.
        network: public name of the architecture, or the user's file.
        preprocessing: how an image becomes the input; its `shape` is the network's.
        labels: class names, empty when unknown.
        preset: name of the preset, None without one.
        dataset: what it was trained on, None when unknown.
        random_weights: whether it was never trained, so that its accuracy means nothing.
        fake_quant: the fake-quant graph that it came as, with ranges; `model` is then the float network inside.
        notes: words for the user about what was not done.
    """

    model: Any
    name: str
    network: str
    preprocessing: Preprocessing
    labels: tuple[str, ...] = ()
    preset: str | None = None
    dataset: str | None = None
    random_weights: bool = False
    fake_quant: Any = None
    notes: tuple[str, ...] = ()

    @property
    def is_keras(self) -> bool:
        return hasattr(self.model, "layers")
