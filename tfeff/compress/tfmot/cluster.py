"""Weight clustering by tfmot: the weights of a kernel take few values, which are fine-tuned."""

from pathlib import Path

import numpy as np

from tfeff.compress.tfmot.compress import Compressed, compress
from tfeff.errors import TfeffError
from tfeff.export.context import Progress, no_progress
from tfeff.export.model import Model


def cluster(
    model: Model,
    train_images: np.ndarray,
    train_labels: np.ndarray,
    *,
    clusters: int,
    folder: Path,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    seed: int = 0,
    skip: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> Compressed:
    """Gives each kernel of a convolution or fully connected layer at most `clusters` values, begun by k-means++.

    Depthwise kernels, biases and batch normalization are fine-tuned, not clustered, and kernels of so few weights that
    they have no more values than that are left as they are. In the int8 file, whose channels have scales of their own,
    each output channel has at most that many values.

    Args:
        model: the network; is not changed.
        train_images: float32 (n, h, w, c), preprocessed.
        train_labels: integers (n,), from 0.
        clusters: values of a kernel, at least 2.
        folder: for what is only needed meanwhile.
        epochs, steps: how long, one of the two.
        batch_size, learning_rate: Adam's, on a cosine down to 0.
        seed: order of the images, and where the clusters begin.
        skip: names of layers that are not clustered.
        progress: called with (step, done, total).

    Raises:
        TfeffError: tfmot is not installed, bad input, layers that cannot be rebuilt in tf_keras, or a loss that is no
        number.
    """
    if clusters < 2:
        raise TfeffError(f"--clusters {clusters}: at least 2 are needed", "16 make 4 bits of each weight")
    return compress(
        "cluster",
        model,
        train_images,
        train_labels,
        choose=lambda kernel: kernel.size > clusters,
        settings={"clusters": clusters},
        epochs=epochs,
        steps_=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        skip=skip,
        folder=folder,
        progress=progress,
    )
