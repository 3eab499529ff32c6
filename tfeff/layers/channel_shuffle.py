"""Channel shuffle and channel split (ShuffleNet, arXiv 1707.01083; ShuffleNetV2, arXiv 1807.11164)."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class ChannelShuffle(keras.layers.Layer):
    """Deals the channels of each group out in turn, so that the next grouped operation sees all groups.

    With g groups of c/g channels, output channel i * g + j is input channel j * c/g + i. No weights; a reshape, a
    transpose and a reshape of four dimensions, which every runtime has, int8 included.

    Shapes: (n, h, w, c) -> (n, h, w, c).

    Args:
        groups: g; divides c.

    Raises:
        ValueError: channels that do not divide.
    """

    def __init__(self, groups: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = _positive(groups, self)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        _check_divides(self, self.groups, input_shape[-1])
        self.built = True

    def call(self, inputs: Any) -> Any:
        batch, height, width, channels = ops.shape(inputs)
        batch = batch if isinstance(batch, int) else -1  # -1: open
        pixels = height * width
        x = ops.reshape(inputs, (batch, pixels, self.groups, channels // self.groups))  # -> (n, h*w, g, c/g)
        x = ops.transpose(x, (0, 1, 3, 2))  # -> (n, h*w, c/g, g)
        return ops.reshape(x, (batch, height, width, channels))  # -> (n, h, w, c)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups}


@keras.saving.register_keras_serializable(package="tfeff")
class ChannelSplit(keras.layers.Layer):
    """Cuts the channels into equal parts, first to last: (n, h, w, c) -> [(n, h, w, c/parts)] * parts.

    Args:
        parts: divides c.

    Raises:
        ValueError: channels that do not divide.
    """

    def __init__(self, parts: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.parts = _positive(parts, self)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        _check_divides(self, self.parts, input_shape[-1])
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.split(inputs, self.parts, axis=-1)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        *rest, channels = input_shape
        return [(*rest, channels // self.parts)] * self.parts

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "parts": self.parts}


def _positive(value, layer):
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(layer).__name__} {layer.name!r}: needs a positive int, not {value!r}")
    return value


def _check_divides(layer, count, channels):
    if channels is None or channels % count:
        raise ValueError(f"{type(layer).__name__} {layer.name!r}: {channels} channels are not a multiple of {count}")
