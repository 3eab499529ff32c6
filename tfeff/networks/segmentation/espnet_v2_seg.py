"""ESPNetV2 for segmentation (arXiv 1811.11431, section 4.3), the authors' final network (their repository EdgeNets).

The classification network up to stride 16, and a decoder in which each step up is a pyramid: the map is narrowed to ten
channels or so, each is seen at five sizes by a depthwise convolution of its own, and what is seen is merged channel by
channel. Maps of the encoder are added on the way, weighed by a gate. Every resize has its corners aligned.
"""

import math

import keras
from keras import layers

from tfeff.layers import ChannelShuffle
from tfeff.layers.adaptive_pool import adaptive_average_pool, scaled
from tfeff.layers.blocks import activate, batch_norm, conv, conv_bn
from tfeff.networks.detection.parts import backbone_maps
from tfeff.networks.registry import register_networks
from tfeff.networks.segmentation.parts import check_classes, describe_with_corners, finish, gate, resized

PAPER = "ESPNetV2, arXiv 1811.11431"
_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)  # of the map, in a pyramid
# The encoder's maps at strides 2, 4, 8 and 16.
_TAPS = ("level1_prelu", "level2_down_prelu", "level3_unit3_prelu", "level4_unit7_prelu")
_LEAST = 5  # pixels of a side of a scaled map
_SOURCE = "sacmehta/EdgeNets, model/segmentation/model_zoo/README.md: mIoU of VOC 2012 val at 256x256"
# width -> mIoU, percent, as printed
_PUBLISHED = {0.5: 39.82, 1.0: 54.14, 1.5: 59.39, 2.0: 63.36}
_VARIANTS = {
    f"espnet_v2_seg_{round(100 * width):03d}": {
        "backbone": f"espnet_v2_{round(100 * width):03d}", "published": {"miou": miou, "source": _SOURCE},
    }
    for width, miou in _PUBLISHED.items()
}  # fmt: skip


@register_networks("espnet_v2_seg", PAPER, _VARIANTS, task="segmentation", describe=describe_with_corners)
def espnet_v2_seg(
    input_shape: tuple[int, int, int] = (256, 256, 3), classes: int = 21, *, backbone: str,
    small_image: bool = False, planes: tuple[int, int, int] = (64, 48, 32), upsample: bool = False,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """ESPNetV2 with EdgeNets' decoder: (n, h, w, 3) -> (n, h/2, w/2, classes), logits.

    Args:
        input_shape: h and w multiples of 16, of 8 with `small_image`, and at least 32.
        classes: the background among them; VOC's 21 by default. Cityscapes has 20 there, the background last.
        backbone: an ESPNetV2 of the zoo.
        small_image: stride 1 in the stem, for images of 96x96 and the like; logits are at the image's size then.
        planes: channels of the decoder's steps at strides 16, 8 and 4.
        upsample: the logits are resized to the image in the file, bilinear, corners aligned.

    Raises:
        ValueError: fewer than two classes, or sides that are no multiples.
    """
    check_classes(classes)
    finest = 1 if small_image else 2
    if any(side % (8 * finest) for side in input_shape[:2]):
        height, width = input_shape[:2]
        raise ValueError(f"an image of {height}x{width}: its sides must be multiples of {8 * finest}")
    image, (level1, level2, level3, x) = backbone_maps(backbone, input_shape, _TAPS, None, small_image=small_image)
    narrow = max(1, min(classes // 2, 16))
    # (n, h/16, w/16, c) -> (n, h/8, w/8, 64) -> (n, h/4, w/4, 48) -> (n, h/2, w/2, 32)
    for number, (channels, skip) in enumerate(zip(planes, (level3, level2, level1), strict=True), start=1):
        x = _pyramid(x, narrow, f"decoder{number}")
        x = conv_bn(x, channels, 1, activation="prelu", name=f"decoder{number}_expand")
        x = resized(x, skip.shape[1:3], f"decoder{number}_up", align_corners=True)
        x = layers.Add(name=f"skip{number}_add")([_weighed(skip, channels, f"skip{number}"), x])
        x = activate(batch_norm(x, f"skip{number}_bn"), "prelu", f"skip{number}_prelu")
    x = _pyramid(x, narrow, "decoder4")
    x = layers.Conv2D(classes, 1, name="logits")(x)  # (n, h/2, w/2, narrow) -> (n, h/2, w/2, classes)
    return finish(image, x, upsample=upsample, align_corners=True, name=name)


def _weighed(x, channels, name):
    """EfficientPWConv: (n, h, w, c) -> (n, h, w, channels), grouped 3x3 times a gate."""
    group = x.shape[-1] // math.gcd(x.shape[-1], channels)
    y = conv_bn(x, channels, 3, group=group, activation="prelu", name=f"{name}_expand")
    return layers.Multiply(name=f"{name}_gated")([gate(x, channels, f"{name}_gate"), y])


def _pyramid(x, narrow, name):
    """EfficientPyrPool without its last convolution: (n, h, w, c) -> (n, h, w, narrow)."""
    x = conv_bn(x, narrow, 1, activation="prelu", name=f"{name}_narrow")
    branches = []
    for number, scale in enumerate(_SCALES, start=1):
        branch = f"{name}_branch{number}"
        size = scaled(x.shape[1:3], scale, _LEAST) if scale != 1 else tuple(x.shape[1:3])
        # The map at another size, convolved, and back at its own; pooling makes it smaller.
        if scale < 1:
            y = adaptive_average_pool(x, size, f"{branch}_pool")
            y = conv(y, narrow, 3, group=1, name=branch)
            y = resized(y, x.shape[1:3], f"{branch}_up", align_corners=True)
        else:
            y = resized(x, size, f"{branch}_up", align_corners=True)
            y = conv(y, narrow, 3, group=1, name=branch)
            y = adaptive_average_pool(y, x.shape[1:3], f"{branch}_pool")
        branches.append(y)
    y = batch_norm(layers.Concatenate(name=f"{name}_concat")(branches), f"{name}_concat_bn")
    y = activate(y, "prelu", f"{name}_concat_prelu")
    y = ChannelShuffle(len(_SCALES), name=f"{name}_shuffle")(y)  # the five of each channel side by side
    return conv_bn(y, narrow, 3, group=len(_SCALES), activation="prelu", name=f"{name}_merge")
