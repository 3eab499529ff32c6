"""Enlarging a map by whole factors, each value repeated, in one operation."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class NearestUpSampling2D(keras.layers.UpSampling2D):
    """`keras.layers.UpSampling2D` to the nearest value, as a resize.

    Keras repeats rows and columns, which becomes two TILE operations: XNNPACK has none, and the Edge TPU's compiler
    refuses them. This becomes RESIZE_NEAREST_NEIGHBOR, with the same values. No weights.

    Shapes: (n, h, w, c) -> (n, h * size, w * size, c).

    Args:
        size: by how much rows and columns are repeated, one number or (rows, columns).
    """

    def __init__(self, size: int | tuple[int, int] = 2, **kwargs: Any):
        kwargs = {"interpolation": "nearest", "data_format": "channels_last", **kwargs}
        if (kwargs["interpolation"], kwargs["data_format"]) != ("nearest", "channels_last"):
            raise ValueError(f"{type(self).__name__}: interpolates to the nearest, channels last; not {kwargs}")
        super().__init__(size, **kwargs)

    def call(self, inputs: Any) -> Any:
        height, width = (side * factor for side, factor in zip(ops.shape(inputs)[1:3], self.size, strict=True))
        return ops.image.resize(inputs, (height, width), interpolation="nearest", data_format="channels_last")
