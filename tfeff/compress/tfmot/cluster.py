"""Weight clustering by tfmot: the weights of a kernel take few values, which are fine-tuned."""

from pathlib import Path

from tfeff.compress.tfmot.compress import Compressed, Kind, compress
from tfeff.compress.tfmot.samples import Training
from tfeff.errors import TfeffError
from tfeff.export.context import Progress, no_progress
from tfeff.export.model import Model


def cluster(
    model: Model,
    training: Training,
    *,
    clusters: int,
    folder: Path,
    skip: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> Compressed:
    """Gives each kernel of a convolution or fully connected layer at most `clusters` values, begun by k-means++.

    Depthwise kernels, biases and batch normalization are fine-tuned, not clustered, and kernels of so few weights that
    they have no more values than that are left as they are. In the int8 file, whose channels have scales of their own,
    each output channel has at most that many values.

    Args:
        model: the network; is not changed.
        training: how it is fine-tuned. Its seed also chooses where the clusters begin.
        clusters: values of a kernel, at least 2.
        folder: for what is only needed meanwhile.
        skip: names of layers that are not clustered.
        progress: called with (step, done, total).

    Raises:
        TfeffError: tfmot is not installed, bad input, layers that cannot be rebuilt in tf_keras, or a loss that is no
        number.
    """
    if clusters < 2:
        raise TfeffError(f"--clusters {clusters}: at least 2 are needed", "16 make 4 bits of each weight")
    kind = Kind("cluster", lambda kernel: kernel.size > clusters, {"clusters": clusters})
    return compress(kind, model, training, skip=skip, folder=folder, progress=progress)
