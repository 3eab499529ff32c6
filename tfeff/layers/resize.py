"""Resizing as TensorFlow Lite computes it: the three ways in which pixels of one size lie on those of another."""

from collections.abc import Sequence
from typing import Any

import keras

_BILINEAR, _NEAREST = "bilinear", "nearest"


@keras.saving.register_keras_serializable(package="tfeff")
class Resize2D(keras.layers.Layer):
    """Resizes maps to a size, by the rule of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.

    Where an output pixel `i` of `n` lies in an axis of `m` pixels: (i + 0.5) m / n - 0.5 with `half_pixel_centers`
    (what `UpSampling2D` and `tf.image.resize` do), i (m - 1) / (n - 1) with `align_corners`, i m / n with neither.

    Shapes: (n, h, w, c) -> (n, h', w', c).

    Args:
        size: (h', w'), pixels.
        interpolation: "bilinear" or "nearest".
        align_corners, half_pixel_centers: see above; not both.

    Raises:
        ValueError: both, or another interpolation.
    """

    def __init__(
        self,
        size: Sequence[int],
        interpolation: str = _BILINEAR,
        align_corners: bool = False,
        half_pixel_centers: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.size = (int(size[0]), int(size[1]))
        self.interpolation, self.align_corners = interpolation, bool(align_corners)
        self.half_pixel_centers = bool(half_pixel_centers)
        if self.align_corners and self.half_pixel_centers:
            raise ValueError(f"Resize2D {self.name!r}: align_corners and half_pixel_centers exclude each other")
        if interpolation not in (_BILINEAR, _NEAREST):
            raise ValueError(f"Resize2D {self.name!r}: interpolation must be bilinear or nearest")
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf

        raw = tf.raw_ops.ResizeBilinear if self.interpolation == _BILINEAR else tf.raw_ops.ResizeNearestNeighbor
        return raw(images=inputs, size=self.size, align_corners=self.align_corners,
                   half_pixel_centers=self.half_pixel_centers)  # fmt: skip

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((inputs.shape[0], *self.size, inputs.shape[3]), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "interpolation": self.interpolation,
            "align_corners": self.align_corners,
            "half_pixel_centers": self.half_pixel_centers,
        }
