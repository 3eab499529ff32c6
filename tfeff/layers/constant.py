"""A tensor that depends on no input: a class token, coordinates that are put beside a map."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class Constant(keras.layers.Layer):
    """The same values for each sample of a batch, held as a weight that is not trained.

    Shapes: (n, ...) -> (n, *shape); of what it is called on, only n is read.

    Args:
        shape: of the values.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.shape = tuple(int(size) for size in shape)

    def build(self, input_shape: Any) -> None:
        self.value = self.add_weight(name="value", shape=self.shape, initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs: Any) -> Any:
        value = ops.cast(self.value, self.compute_dtype)
        return ops.broadcast_to(value[None], (ops.shape(inputs)[0], *self.shape))

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((inputs.shape[0], *self.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shape": self.shape}
