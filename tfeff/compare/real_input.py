"""One real sample as a file takes it, for timing and comparing devices on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfeff.compare.runner import Runner
from tfeff.data import open_dataset
from tfeff.data.feeds import InputPort


def real_input(path: Path, inputs: Sequence[InputPort], seed: int) -> dict[str, np.ndarray] | None:
    """A bundled photograph (Fashion-MNIST test image number `seed`), preprocessed and stored as a file takes it.

    Args:
        path: of the `.tflite`.
        inputs: as its record tells.

    Returns:
        {input: shape (1, h, w, c), dtype of the file's input}; None where the model takes anything but one image, or
        the preprocessing gives another shape.

    Raises:
        TfeffError: the runtime cannot open the file.
    """
    if len(inputs) != 1 or inputs[0].preprocessing is None:
        return None
    images, runner = open_dataset("fashion_mnist_sample", "test"), Runner(path)
    image = inputs[0].preprocessing(images.image(seed % len(images)))
    if len(runner.inputs) != 1 or image.shape != runner.inputs[0].sample:
        return None
    return {runner.inputs[0].name: runner.inputs[0].store(image)[None]}
