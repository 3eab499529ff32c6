"""What the segmentation networks share: the gate, the end, and what their output means."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from tfeff.layers import Resize2D
from tfeff.record.schema import TaskSpec
from tfeff.tasks.pixels import ALIGN_CORNERS, HALF_PIXEL

LOGITS = "logits"


def check_classes(classes: int) -> None:
    """Refuses a single class, which every pixel would have.

    Raises:
        ValueError: fewer than two.
    """
    if classes < 2:
        raise ValueError(f"classes must be at least 2, the background is one of them; not {classes}")


def gate(x: Any, channels: int, name: str) -> Any:
    """How much of each channel passes, 0 to 1: mean, 1x1 without a bias, sigmoid.

    Shapes: (n, h, w, c) -> (n, 1, 1, channels).
    """
    x = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, name=name)(x)
    return layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)


def resized(x: Any, size: Sequence[int], name: str, *, align_corners: bool = False) -> Any:
    """Bilinear to a size: (n, h, w, c) -> (n, h', w', c); `x` itself where it has it.

    Args:
        size: (h', w'), as a map's `shape[1:3]`.
    """
    if tuple(x.shape[1:3]) == tuple(size):
        return x
    return Resize2D(size, align_corners=align_corners, half_pixel_centers=not align_corners, name=name)(x)


def finish(image: Any, x: Any, *, upsample: bool, align_corners: bool = False, name: str | None) -> keras.Model:
    """The model from an image to its logits.

    Args:
        x: logits at the head's stride.
        upsample: the file resizes them to the image; otherwise who reads them does.
    """
    if upsample:
        x = resized(x, image.shape[1:3], "upsampled", align_corners=align_corners)
    return keras.Model(image, x, name=name)


def describe(model: Any, **options: Any) -> TaskSpec:
    """What the output of a built network means; of a network whose resizes lie half a pixel off the corners."""
    return _describe(model, HALF_PIXEL)


def describe_with_corners(model: Any, **options: Any) -> TaskSpec:
    """The same of a network whose resizes align the corners."""
    return _describe(model, ALIGN_CORNERS)


def _describe(model, resize):
    return TaskSpec(
        name="segmentation", outputs=[LOGITS], decode={"size": list(model.input_shape[1:3]), "resize": resize}
    )
