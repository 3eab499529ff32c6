"""Magnitude pruning by tfmot: the smallest weights become 0, a share of each kernel, while the rest is fine-tuned."""

from pathlib import Path

import numpy as np

from tfeff.compress.tfmot.compress import Compressed, compress
from tfeff.errors import TfeffError
from tfeff.export.context import Progress, no_progress
from tfeff.export.model import Model


def prune(
    model: Model,
    train_images: np.ndarray,
    train_labels: np.ndarray,
    *,
    sparsity: float,
    folder: Path,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    seed: int = 0,
    skip: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> Compressed:
    """Sets a share of the weights of every convolution and fully connected layer to 0.

    By magnitude, as in Zhu and Gupta, arXiv 1710.01878. The share rises over the first half of the training by tfmot's
    polynomial schedule. Depthwise kernels, biases and
    batch normalization are fine-tuned, not pruned.

    Args:
        model: the network; is not changed.
        train_images: float32 (n, h, w, c), preprocessed.
        train_labels: integers (n,), from 0.
        sparsity: the share of zeros in each kernel, above 0 and below 1.
        folder: for what is only needed meanwhile.
        epochs, steps: how long, one of the two.
        batch_size, learning_rate: Adam's, on a cosine down to 0.
        seed: order of the images.
        skip: names of layers that are not pruned.
        progress: called with (step, done, total).

    Raises:
        TfeffError: tfmot is not installed, bad input, layers that cannot be rebuilt in tf_keras, or a loss that is no
        number.
    """
    if not 0 < sparsity < 1:
        raise TfeffError(f"--sparsity {sparsity}: must be above 0 and below 1", "0.5 makes half of the weights 0")
    return compress(
        "prune",
        model,
        train_images,
        train_labels,
        choose=lambda kernel: True,
        settings={"sparsity": sparsity},
        epochs=epochs,
        steps_=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        skip=skip,
        folder=folder,
        progress=progress,
    )
