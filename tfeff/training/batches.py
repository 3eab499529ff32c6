"""Batches of samples as a model takes them, shuffled and augmented, and the choice of those held out."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from tfeff.data import Dataset, InputPort, Preprocessing, Subset, feed
from tfeff.errors import TfeffError

_PRELOAD = 2**30  # values; more than that is read from its files batch by batch


class Batches(keras.utils.PyDataset):
    """Batches for `fit`: the inputs, float32 (n, h, w, c) where a model takes one image, and the dataset's labels.

    Order and noise come from the seed, the epoch and the batch's number; without a seed the order is the dataset's.

    Args:
        inputs: of the model; a batch is a tuple of arrays where it has several.
        move: images are mirrored and moved by up to this share of their size; None leaves them as they are. All images
            of a sample of one size move alike.
    """

    def __init__(
        self, dataset: Dataset, inputs: Sequence[InputPort], batch_size: int, *, move: float | None = None,
        seed: int | None = None,
    ):  # fmt: skip
        super().__init__()
        self.dataset, self.inputs, self.batch_size = dataset, tuple(inputs), batch_size
        self.move, self.seed, self.count = move, seed, len(dataset)
        self._image = _only_image(dataset, self.inputs)
        values = sum(int(np.prod(port.shape)) for port in inputs)
        keep = self.count * values <= _PRELOAD and dataset.renewed(1) is dataset  # what is made anew need not be kept
        self._stored = self._read_all(np.arange(self.count)) if keep else None
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draws the order of the samples for that epoch."""
        self._epoch = epoch
        self._order = np.arange(self.count)
        if self.seed is not None:
            np.random.default_rng([self.seed, epoch]).shuffle(self._order)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def numbers(self, batch: int) -> np.ndarray:
        """Which samples of the dataset a batch holds."""
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def __getitem__(self, batch: int):
        numbers = self.numbers(batch)
        values = self._given(batch)
        labels = None if self.dataset.labels is None else self.dataset.labels[numbers]
        return values[0] if len(values) == 1 else tuple(values), labels

    def _given(self, batch):
        """One array an input."""
        numbers = self.numbers(batch)
        stored = self._read_all(numbers) if self._stored is None else [each[numbers] for each in self._stored]
        if self._image is not None:
            stored = [self._image.normalize(stored[0])]  # (n, h, w, c)
        if self.move is None:
            return stored
        return [
            _augment(values, self.move, np.random.default_rng([self.seed, self._epoch, batch]))
            if port.preprocessing is not None
            else values
            for port, values in zip(self.inputs, stored, strict=True)
        ]

    def _read_all(self, numbers):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = list(pool.map(self._read, numbers))
        return [np.stack(values) for values in zip(*rows, strict=True)]

    def _read(self, number):
        number = int(number)
        if self._image is not None:  # kept in 8 bits
            return (self._image.pixels(self.dataset.image(number)),)
        where = f"dataset {self.dataset.name}, {self.dataset.names[number]}"
        return tuple(feed(self.dataset.sample(number), self.inputs, where).values())


def _only_image(dataset: Dataset, inputs: Sequence[InputPort]) -> Preprocessing | None:
    """How samples become the input, where they are 8-bit images and nothing else is taken."""
    if len(inputs) != 1 or inputs[0].preprocessing is None or not len(dataset):
        return None
    values = list(dataset.sample(0).values())
    return inputs[0].preprocessing if len(values) == 1 and np.asarray(values[0]).dtype == np.uint8 else None


def _augment(images, move, rng):
    n, height, width, _ = images.shape
    images = np.where(rng.random((n, 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
    reach_y, reach_x = int(height * move), int(width * move)
    # Padded with the darkest value of each image: the background of Fashion-MNIST, and no new value elsewhere.
    padded = np.empty((n, height + 2 * reach_y, width + 2 * reach_x, images.shape[3]), images.dtype)
    padded[:] = images.min((1, 2, 3), keepdims=True)
    padded[:, reach_y : reach_y + height, reach_x : reach_x + width] = images
    rows = rng.integers(0, 2 * reach_y + 1, n)[:, None] + np.arange(height)
    columns = rng.integers(0, 2 * reach_x + 1, n)[:, None] + np.arange(width)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Subset, Subset]:
    """(images to train with, images held out), a seeded choice.

    Raises:
        TfeffError: no image would be left to train with.
    """
    order = np.random.default_rng([seed, 1]).permutation(len(dataset))
    count = max(1, round(share * len(dataset)))
    if count >= len(dataset):
        raise TfeffError(f"{dataset.name}: {len(dataset)} training images are too few", "add images")
    return Subset(dataset, np.sort(order[count:])), Subset(dataset, np.sort(order[:count]))
