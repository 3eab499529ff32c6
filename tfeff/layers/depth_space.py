"""Blocks of pixels as channels, and channels as blocks of pixels (sub-pixel convolution, arXiv 1609.05158)."""

from typing import Any

import keras


class _Blocks(keras.layers.Layer):
    def __init__(self, block: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.block = int(block)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block": self.block}


@keras.saving.register_keras_serializable(package="tfeff")
class DepthToSpace(_Blocks):
    """Each pixel's channels as a block of pixels: (n, h, w, c) -> (n, h b, w b, c / b^2), as `tf.nn.depth_to_space`.

    Args:
        block: b, pixels.
    """

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf

        return tf.nn.depth_to_space(inputs, self.block)

    def compute_output_spec(self, inputs: Any) -> Any:
        batch, height, width, channels = inputs.shape
        shape = (batch, height * self.block, width * self.block, channels // self.block**2)
        return keras.KerasTensor(shape, inputs.dtype)


@keras.saving.register_keras_serializable(package="tfeff")
class SpaceToDepth(_Blocks):
    """The way back: (n, h, w, c) -> (n, h / b, w / b, c b^2), as `tf.nn.space_to_depth`.

    Args:
        block: b, pixels.
    """

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf

        return tf.nn.space_to_depth(inputs, self.block)

    def compute_output_spec(self, inputs: Any) -> Any:
        batch, height, width, channels = inputs.shape
        shape = (batch, height // self.block, width // self.block, channels * self.block**2)
        return keras.KerasTensor(shape, inputs.dtype)
