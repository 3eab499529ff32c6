"""DeepLabV3: Rethinking Atrous Convolution for Semantic Image Segmentation (arXiv 1706.05587), as torchvision has it.

The last map of a dilated backbone goes through parallel convolutions that look at it from near and far, and through its
mean (ASPP); all five are put side by side, narrowed and convolved once more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from tfeff.layers.blocks import conv_bn
from tfeff.networks.detection.parts import backbone_maps
from tfeff.networks.registry import register_networks
from tfeff.networks.segmentation.parts import check_classes, describe, finish, resized

PAPER = "DeepLabV3, arXiv 1706.05587"
_VARIANTS: dict[str, dict[str, Any]] = {
    "deeplab_v3_mobilenet_v3_large": {
        "backbone": "mobilenet_v3_large_100",
        "published": {
            "miou": 60.3, "source": "torchvision, deeplabv3_mobilenet_v3_large weights COCO_WITH_VOC_LABELS_V1",
        },
    },
}  # fmt: skip


@register_networks("deeplab_v3", PAPER, _VARIANTS, task="segmentation", describe=describe)
def deeplab_v3(
    input_shape: tuple[int, int, int] = (512, 512, 3), classes: int = 21, *, backbone: str,
    backbone_options: Mapping[str, Any] | None = None, channels: int = 256, rates: Sequence[int] = (12, 24, 36),
    symmetric_padding: bool = False, small_image: bool = False, upsample: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """DeepLabV3: (n, h, w, 3) -> (n, h/16, w/16, classes), logits.

    torchvision's network has a second head for training, of 3,851 parameters, which is not built.

    Args:
        classes: the background among them; VOC's 21 by default.
        backbone: a MobileNetV3 of the zoo; its strides end at 16, and its last blocks are dilated.
        backbone_options: what the backbone is built with besides.
        channels: of each branch and behind them.
        rates: dilations of the 3x3 branches.
        symmetric_padding: pad where the stride is 2 on every side, as PyTorch does.
        small_image: stride 1 in the backbone's stem, for images of 96x96 and the like; logits are at stride 8 then.
        upsample: the logits are resized to the image in the file, bilinear, half-pixel.

    Raises:
        ValueError: fewer than two classes.
    """
    check_classes(classes)
    image, (x,) = backbone_maps(
        backbone, input_shape, ("last_hard_swish",),
        {"output_stride": 8 if small_image else 16, **(backbone_options or {})},
        symmetric_padding=symmetric_padding, small_image=small_image,
    )  # fmt: skip
    branches = [conv_bn(x, channels, 1, activation="relu", name="aspp1")]  # (n, h/16, w/16, c) -> (..., channels)
    for number, rate in enumerate(rates, start=2):
        branches.append(conv_bn(x, channels, 3, dilation=rate, activation="relu", name=f"aspp{number}"))
    y = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)  # (n, h/16, w/16, c) -> (n, 1, 1, c)
    y = conv_bn(y, channels, 1, activation="relu", name="aspp_pool")
    branches.append(resized(y, x.shape[1:3], "aspp_spread"))
    y = layers.Concatenate(name="aspp_concat")(branches)  # -> (n, h/16, w/16, 5 channels)
    y = conv_bn(y, channels, 1, activation="relu", name="project")
    y = layers.Dropout(0.5, name="dropout")(y)
    y = conv_bn(y, channels, 3, activation="relu", name="head")
    return finish(image, layers.Conv2D(classes, 1, name="logits")(y), upsample=upsample, name=name)
