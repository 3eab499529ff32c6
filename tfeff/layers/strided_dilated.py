"""Depthwise convolution with a stride and a dilation at once (ESPNetV2, arXiv 1811.11431, section 3)."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class StridedDilatedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` that takes `stride` and `dilation` together, which TensorFlow and Keras refuse.

    Zero padding of `dilation * (kernel - 1) / 2` on every side, as PyTorch's: the output at (i, j) is centred on the
    input at (i * stride, j * stride). Where the stride divides the dilation, every stride-th pixel is taken first and
    the rest convolved; else the convolution is computed at every pixel and most of it dropped, at a cost of stride^2.

    Shapes: (n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c); kernel (kh, kw, c, 1), no bias.

    Args:
        kernel_size: odd, pixels.
        stride, dilation: pixels.
    """

    def __init__(self, kernel_size: Any, stride: int, dilation: int, **kwargs: Any):
        super().__init__(kernel_size, padding="same", use_bias=False, **kwargs)
        if any(size % 2 == 0 for size in self.kernel_size):
            raise ValueError(f"StridedDilatedDepthwiseConv2D {self.name!r}: kernel_size must be odd, not {kernel_size}")
        self.stride = int(stride)
        self.dilation = int(dilation)

    def call(self, inputs: Any) -> Any:
        divides = self.dilation % self.stride == 0
        if divides:
            inputs = self._every_nth(inputs)
        dilation = self.dilation // self.stride if divides else self.dilation
        kernel = ops.cast(self.kernel, inputs.dtype)
        x = ops.depthwise_conv(inputs, kernel, 1, "same", "channels_last", dilation)
        return self.activation(x if divides else self._every_nth(x))

    def _every_nth(self, x):
        return x[:, :: self.stride, :: self.stride, :]  # (n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), c)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, *space, channels = input_shape
        return (batch, *(size if size is None else -(-size // self.stride) for size in space), channels)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("strides", "dilation_rate", "padding", "use_bias"):
            del config[key]
        return {**config, "stride": self.stride, "dilation": self.dilation}
