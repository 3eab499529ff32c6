"""Magnitude pruning by tfmot: the smallest weights become 0, a share of each kernel, while the rest is fine-tuned."""

from pathlib import Path

from tfeff.compress.tfmot.compress import Compressed, Kind, compress
from tfeff.compress.tfmot.samples import Training
from tfeff.errors import TfeffError
from tfeff.export.context import Progress, no_progress
from tfeff.export.model import Model


def prune(
    model: Model,
    training: Training,
    *,
    sparsity: float,
    folder: Path,
    skip: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> Compressed:
    """Sets a share of the weights of every convolution and fully connected layer to 0.

    By magnitude, as in Zhu and Gupta, arXiv 1710.01878. The share rises over the first half of the training by tfmot's
    polynomial schedule. Depthwise kernels, biases and
    batch normalization are fine-tuned, not pruned.

    Args:
        model: the network; is not changed.
        training: how it is fine-tuned.
        sparsity: the share of zeros in each kernel, above 0 and below 1.
        folder: for what is only needed meanwhile.
        skip: names of layers that are not pruned.
        progress: called with (step, done, total).

    Raises:
        TfeffError: tfmot is not installed, bad input, layers that cannot be rebuilt in tf_keras, or a loss that is no
        number.
    """
    if not 0 < sparsity < 1:
        raise TfeffError(f"--sparsity {sparsity}: must be above 0 and below 1", "0.5 makes half of the weights 0")
    kind = Kind("prune", lambda kernel: True, {"sparsity": sparsity})
    return compress(kind, model, training, skip=skip, folder=folder, progress=progress)
