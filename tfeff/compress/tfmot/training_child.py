"""Fine-tuning in tf_keras: `fit` on images that lie in files. For the child's process only."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras


class Batches(tf_keras.utils.Sequence):
    """Shuffled batches for a number of steps, as many epochs as that takes: float32 (n, h, w, c), int64 (n,).

    The order comes from the seed and the epoch. What is left over at the end of an epoch is left out of it.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, steps: int, seed: int):
        self._images, self._labels = images, labels
        self._batch = min(batch_size, len(images))
        self._steps, self._seed, self._epoch = steps, seed, None

    def __len__(self):
        return self._steps

    def __getitem__(self, step):
        epoch, number = divmod(step, len(self._images) // self._batch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._images))
        chosen = np.sort(self._order[number * self._batch : (number + 1) * self._batch])
        return np.asarray(self._images[chosen], np.float32), self._labels[chosen]


def set_seed(seed: int) -> None:
    """The same request gives the same weights."""
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit(
    model: Any,
    request: Mapping[str, Any],
    tell: Callable[..., None],
    callbacks: Sequence[Any] = (),
    optimizer: Any = None,
) -> list[float]:
    """Trains a network on a request's images for its `steps`: Adam, the learning rate on a cosine down to 0.

    Returns:
        The mean loss of every tenth of the steps.
    """
    images = np.load(request["train_images"], mmap_mode="r")
    labels = np.load(request["train_labels"])
    steps = request["steps"]
    batches = Batches(images, labels, request["batch_size"], steps, request["seed"])
    if optimizer is None:
        schedule = tf_keras.optimizers.schedules.CosineDecay(request["learning_rate"], steps)
        optimizer = tf_keras.optimizers.Adam(schedule)
    logits = request["plan"]["nodes"][-1]["config"].get("function") != "softmax"
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(optimizer, loss=loss, jit_compile=False)
    watch = _Watch(steps, tell)
    model.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[*callbacks, watch])
    if not np.isfinite(watch.losses).all():
        raise ValueError(f"the loss is no number any more: choose a learning rate below {request['learning_rate']}")
    return [float(np.mean(part)) for part in np.array_split(watch.losses, min(10, steps))]


class _Watch(tf_keras.callbacks.Callback):
    """The loss of every step by itself (Keras gives the mean so far), and how far it is."""

    def __init__(self, steps, tell):
        super().__init__()
        self._steps, self._tell, self._mean, self.losses = steps, tell, 0.0, []

    def on_train_batch_end(self, batch, logs=None):
        mean = logs["loss"]
        self.losses.append(mean * (batch + 1) - self._mean * batch)
        self._mean = mean
        self._tell("training", batch + 1, self._steps)
