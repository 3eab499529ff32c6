"""One real image as a file takes it, for timing and comparing devices on."""

from pathlib import Path

import numpy as np

from tfeff.compare.runner import Runner, quantize
from tfeff.data import Preprocessing, open_dataset


def real_input(path: Path, preprocessing: Preprocessing, seed: int) -> np.ndarray | None:
    """A bundled photograph (Fashion-MNIST test image number `seed`), preprocessed and quantized for a file.

    Args:
        path: of the `.tflite`.
        preprocessing: as its record tells.

    Returns:
        Shape (1, h, w, c), dtype of the file's input; None where the preprocessing gives another shape.

    Raises:
        TfeffError: the runtime cannot open the file.
    """
    images, runner = open_dataset("fashion_mnist_sample", "test"), Runner(path)
    image = preprocessing(images.image(seed % len(images)))
    if image.shape != runner.shape:
        return None
    door = runner.input
    return quantize(image, door.scale, door.zero_point, door.dtype)[None]
