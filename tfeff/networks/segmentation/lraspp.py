"""LR-ASPP: the light segmentation head of Searching for MobileNetV3 (arXiv 1905.02244, section 6.4), as torchvision has
it.

The last map of the backbone, at stride 16, is narrowed and weighed channel by channel with what its mean says, goes up
to stride 8, and what one 1x1 convolution makes of it is added to what another makes of an early map there.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from tfeff.layers.blocks import conv_bn
from tfeff.networks.detection.parts import backbone_maps
from tfeff.networks.registry import register_networks
from tfeff.networks.segmentation.parts import check_classes, describe, finish, gate, resized

PAPER = "LR-ASPP, arXiv 1905.02244"
# The first block at stride 8 of each size, and the convolution behind the last block.
_LARGE = {"backbone": "mobilenet_v3_large_100", "low": "block4_project_bn"}
_VARIANTS: dict[str, dict[str, Any]] = {
    "lraspp_mobilenet_v3_large": {
        **_LARGE,
        "published": {
            "parameters": 3_221_538, "miou": 57.9,
            "source": "torchvision, lraspp_mobilenet_v3_large weights COCO_WITH_VOC_LABELS_V1",
        },
    },
    # The rule of torchvision's builder for the other size; no weights of it are public.
    "lraspp_mobilenet_v3_small": {"backbone": "mobilenet_v3_small_100", "low": "block2_project_bn"},
}  # fmt: skip


@register_networks("lraspp", PAPER, _VARIANTS, task="segmentation", describe=describe)
def lraspp(
    input_shape: tuple[int, int, int] = (512, 512, 3), classes: int = 21, *, backbone: str, low: str,
    backbone_options: Mapping[str, Any] | None = None, channels: int = 128, symmetric_padding: bool = False,
    small_image: bool = False, upsample: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """LR-ASPP: (n, h, w, 3) -> (n, h/8, w/8, classes), logits.

    Args:
        classes: the background among them; VOC's 21 by default.
        backbone: a MobileNetV3 of the zoo; its strides end at 16, and its last blocks are dilated.
        low: the backbone's layer whose map is added at stride 8.
        backbone_options: what the backbone is built with besides.
        channels: of the narrowed map.
        symmetric_padding: pad where the stride is 2 on every side, as PyTorch does.
        small_image: stride 1 in the backbone's stem, for images of 96x96 and the like; logits are at stride 4 then.
        upsample: the logits are resized to the image in the file, bilinear, half-pixel.

    Raises:
        ValueError: fewer than two classes.
    """
    check_classes(classes)
    image, (fine, x) = backbone_maps(
        backbone, input_shape, (low, "last_hard_swish"),
        {"output_stride": 8 if small_image else 16, **(backbone_options or {})},
        symmetric_padding=symmetric_padding, small_image=small_image,
    )  # fmt: skip
    y = conv_bn(x, channels, 1, activation="relu", name="narrow")  # (n, h/16, w/16, c) -> (n, h/16, w/16, channels)
    y = layers.Multiply(name="gated")([y, gate(x, channels, "gate")])
    y = resized(y, fine.shape[1:3], "resized")  # -> (n, h/8, w/8, channels)
    both = [layers.Conv2D(classes, 1, name="logits_low")(fine), layers.Conv2D(classes, 1, name="logits_high")(y)]
    return finish(image, layers.Add(name="logits")(both), upsample=upsample, name=name)
