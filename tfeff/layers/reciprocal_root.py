"""1 / sqrt(x), with a limit to what of it counts in int8."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class ReciprocalRoot(keras.layers.Layer):
    """1 / sqrt(x), any shape, the same shape; x above 0.

    Args:
        highest: what lies above it need not be told apart in int8, where it is cut off; in float it is not. None is no
            limit.
    """

    def __init__(self, highest: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.highest = highest

    def call(self, inputs: Any) -> Any:
        return ops.rsqrt(inputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "highest": self.highest}
