"""The user's own file as a model that can be called: LiteRT runs it, in a process of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfeff.compare import Runner
from tfeff.export.rebuild.reading import FloatFile


class FileModel:
    """A `.tflite` file, called as a Keras model is: a batch of each input, to its outputs in the file's order.

    It holds no layers; where the proof of an export begins at a file, it begins here.
    """

    def __init__(self, file: FloatFile):
        """Opens a file.

        Raises:
            TfeffError: LiteRT refuses it, or dies of it.
        """
        self._runner = Runner(file.path, part=file.part)
        self._inputs, self._outputs = tuple(file.inputs), tuple(file.outputs)

    def __call__(self, batch: Any, training: bool = False) -> list[np.ndarray]:
        values: Sequence[Any] = batch if isinstance(batch, list | tuple) else [batch]
        arrays = [np.asarray(value) for value in values]
        feeds = [dict(zip(self._inputs, each, strict=True)) for each in zip(*arrays, strict=True)]
        made = self._runner.many(feeds)
        return [np.stack([each[name] for each in made]) for name in self._outputs]
