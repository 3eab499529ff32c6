"""The moving average of a network's weights over the steps of its training, which is what is judged and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


class Average:
    """Exponential moving average of all weights of a Keras model, BN statistics among them.

    It keeps `decay` of itself at each step, less at first, (1 + step) / (10 + step), so that the first weights do not
    stay in it. With a decay of 0 there is none: the weights themselves are what is kept.

    Attributes:
        variables: its values, in the order of the model's; empty without.
    """

    def __init__(self, model: Any, decay: float):
        self._decay = decay
        pairs = [each for each in model.variables if tf.as_dtype(each.dtype).is_floating] if decay else []
        self._of = [each.value for each in pairs]
        self.variables = [tf.Variable(value, trainable=False) for value in self._of]
        self._update = tf.function(self._averaged)

    def start(self) -> None:
        """Takes over the weights as they are."""
        for mine, theirs in zip(self.variables, self._of, strict=True):
            mine.assign(theirs)

    def step(self, number: int) -> None:
        """After the step of that number, counted from 0 over the whole training."""
        if self.variables:
            self._update(tf.constant(min(self._decay, (1 + number) / (10 + number)), tf.float32))

    def _averaged(self, decay):
        for mine, theirs in zip(self.variables, self._of, strict=True):
            mine.assign_sub((1 - decay) * (mine - theirs))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average as its weights."""
        own = [value.numpy() for value in self._of]
        for mine, theirs in zip(self.variables, self._of, strict=True):
            theirs.assign(mine)
        try:
            yield
        finally:
            for value, theirs in zip(own, self._of, strict=True):
                theirs.assign(value)
