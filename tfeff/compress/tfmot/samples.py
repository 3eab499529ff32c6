"""What tfmot is trained on, checked before a process is started for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.data import Dataset, InputPort, feed
from tfeff.errors import TfeffError
from tfeff.export.model import Model


def check_model(model: Model) -> None:
    """Raises TfeffError for a model that tfmot cannot train here: anything but one image in, scores of classes out."""
    if not model.is_keras:
        raise TfeffError(f"{model.network}: tfmot takes Keras networks only", "give a .keras file")
    kinds = [spec.decode.get("kind") for spec in model.tasks]
    if model.image is None or len(model.inputs) != 1 or len(model.outputs) != 1 or kinds != ["classes"]:
        raise TfeffError(
            f"{model.network}: tfmot takes networks of one image and one output, the scores of classes",
            "`tfeff qat --engine tfeff` trains any",
        )


@dataclass(frozen=True)
class Training:
    """What a network is trained on in tf_keras, and how.

    Attributes:
        images: float32 (n, h, w, c), preprocessed; a memory map of an `.npy` is not loaded whole.
        labels: integers (n,), from 0.
        epochs, steps: how long, one of the two; a step is one batch.
        batch_size: images a step.
        learning_rate: Adam's, at the start; then a cosine down to 0.
        seed: order of the images.
    """

    images: np.ndarray
    labels: np.ndarray
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 64
    learning_rate: float = 5e-4
    seed: int = 0

    def count(self) -> int:
        """How many batches; raises TfeffError for numbers that mean nothing."""
        if (self.epochs is None) == (self.steps is None):
            raise TfeffError("training: give either epochs or steps")
        if self.batch_size < 1 or not self.learning_rate > 0 or (self.epochs or 1) < 1 or (self.steps or 0) < 0:
            raise TfeffError(
                f"training: epochs {self.epochs}, steps {self.steps}, batch size {self.batch_size}, learning rate "
                f"{self.learning_rate}: all must be above 0"
            )
        if self.epochs is None:
            return self.steps or 0
        return self.epochs * max(1, len(self.images) // min(self.batch_size, len(self.images)))

    def check(self, model: Model) -> None:
        """Raises TfeffError unless images and labels fit each other and the model, and tfmot can train it."""
        check_model(model)
        images, labels = self.images, np.asarray(self.labels)
        shape, classes = model.inputs[0].shape, model.keras.output_shape[-1]
        if len(images) == 0 or tuple(images.shape[1:]) != tuple(shape):
            raise TfeffError(
                f"training images: {images.shape}, {model.network} takes (n, {', '.join(map(str, shape))})"
            )
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise TfeffError(
                f"training labels: {labels.dtype} {labels.shape}, one whole number for each image is needed"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise TfeffError(
                f"training labels: {labels.min()} to {labels.max()}, {model.network} has {classes} classes"
            )

    def request(self) -> dict[str, Any]:
        """For the child."""
        return {
            "train_images": self.images, "train_labels": np.asarray(self.labels, np.int64), **self.settings(),
        }  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """For the child and the record."""
        return {
            "batch_size": self.batch_size, "learning_rate": self.learning_rate, "seed": self.seed,
            "steps": self.count(),
        }  # fmt: skip


def tfmot_versions() -> dict[str, str]:
    """Versions of what trained."""
    return {name: version(name) for name in ("tensorflow-model-optimization", "tf-keras")}


def read_samples(
    dataset: Dataset,
    inputs: Sequence[InputPort],
    path: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Preprocesses a labelled dataset into a file, so that no process has to hold it.

    Args:
        dataset: images with labels.
        inputs: of the model, which is one image.
        path: the `.npy` to write.
        limit: how many images at most, drawn at random.
        seed: of the draw.
        progress: called with (done, total).

    Returns:
        A memory map, float32 (n, h, w, c), and the labels, int64 (n,).

    Raises:
        TfeffError: no labels, or a disk that is full.
    """
    if dataset.labels is None:
        raise TfeffError(f"{dataset.name}: has no labels", "give a labelled dataset")
    numbers = np.arange(len(dataset))
    if limit is not None and limit < len(numbers):
        numbers = np.sort(np.random.default_rng(seed).permutation(numbers)[:limit])
    try:
        images = np.lib.format.open_memmap(path, "w+", np.float32, (len(numbers), *inputs[0].shape))
        for done, number in enumerate(map(int, numbers)):
            where = f"dataset {dataset.name}, {dataset.names[number]}"
            (images[done],) = feed(dataset.sample(number), inputs, where).values()
            if done % 256 == 0:
                progress(done, len(numbers))
        images.flush()
    except OSError as error:
        raise TfeffError(f"{path.parent}: cannot be written ({error.strerror})", "make room") from None
    return images, np.asarray(dataset.labels)[numbers].astype(np.int64)
