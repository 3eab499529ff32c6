"""DeepLabV3+: Encoder-Decoder with Atrous Separable Convolution (arXiv 1802.02611), as PaddleSeg has it.

DeepLabV3's parallel convolutions, separable ones, behind the last map of a backbone; what they give goes up to stride 4
and is convolved there, side by side with an early map of the backbone.

PP-LCNet's paper (arXiv 2109.15099) has it on Cityscapes with the backbones here. Its dilations, and whether its
backbones end at stride 32, are not published with its figures: stride 32 and PaddleSeg's default rates are our reading.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from tfeff.layers.blocks import conv_bn
from tfeff.networks.detection.parts import backbone_maps
from tfeff.networks.registry import register_networks
from tfeff.networks.segmentation.parts import check_classes, describe, finish, resized

PAPER = "DeepLabV3+, arXiv 1802.02611"
_SOURCE = "PaddleClas, docs/en/models/PP-LCNet_en.md, section 4.3: mIoU of Cityscapes"
# backbone -> mIoU, percent, as printed
_PUBLISHED = {"pp_lcnet_050": 58.36, "pp_lcnet_100": 66.03, "mobilenet_v3_large_075": 64.53}
_VARIANTS = {
    f"deeplab_v3_plus_{backbone}": {"backbone": backbone, "published": {"miou": miou, "source": _SOURCE}}
    for backbone, miou in _PUBLISHED.items()
}


@register_networks("deeplab_v3_plus", PAPER, _VARIANTS, task="segmentation", describe=describe)
def deeplab_v3_plus(
    input_shape: tuple[int, int, int] = (512, 1024, 3), classes: int = 19, *, backbone: str,
    taps: tuple[str, str] = ("stride4", "stride32"), backbone_options: Mapping[str, Any] | None = None,
    channels: int = 256, low_channels: int = 48, rates: Sequence[int] = (6, 12, 18), symmetric_padding: bool = False,
    upsample: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """DeepLabV3+: (n, h, w, 3) -> (n, h/4, w/4, classes), logits.

    Args:
        input_shape: h and w multiples of the last map's stride.
        classes: Cityscapes' 19 by default.
        backbone: a network of the zoo with maps at strides 4 and 32.
        taps: of the backbone, the early map and the last one; ("stride4", "stride16") of a MobileNetV3 that is built
            with `output_stride=16`.
        backbone_options: what the backbone is built with besides.
        channels: of each branch and behind them.
        low_channels: that the early map is narrowed to.
        rates: dilations of the separable branches.
        symmetric_padding: pad where the stride is 2 on every side, as Paddle and PyTorch do.
        upsample: the logits are resized to the image in the file, bilinear, half-pixel.

    Raises:
        ValueError: fewer than two classes, or sides that are no multiples.
    """
    check_classes(classes)
    image, (low, x) = backbone_maps(
        backbone, input_shape, taps, backbone_options, symmetric_padding=symmetric_padding
    )  # (n, h/4, w/4, c), (n, h/32, w/32, c')
    # Convolutions have a bias beside their BN, as Paddle's do by default, all but the one behind the mean.
    branches = [conv_bn(x, channels, 1, activation="relu", name="aspp1", bias=True)]
    branches += [
        _separable(x, channels, f"aspp{number}", dilation=rate) for number, rate in enumerate(rates, start=2)
    ]  # (n, h/32, w/32, c') -> (n, h/32, w/32, channels)
    y = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    y = conv_bn(y, channels, 1, activation="relu", name="aspp_pool")
    branches.append(resized(y, x.shape[1:3], "aspp_spread"))
    y = layers.Concatenate(name="aspp_concat")(branches)
    y = conv_bn(y, channels, 1, activation="relu", name="project", bias=True)
    y = resized(layers.Dropout(0.1, name="dropout")(y), low.shape[1:3], "resized")  # -> (n, h/4, w/4, channels)
    low = conv_bn(low, low_channels, 1, activation="relu", name="low", bias=True)
    y = layers.Concatenate(name="decoder_concat")([y, low])
    for number in (1, 2):
        y = _separable(y, channels, f"decoder{number}")
    return finish(image, layers.Conv2D(classes, 1, name="logits")(y), upsample=upsample, name=name)


def _separable(x, channels, name, dilation=1):
    """(n, h, w, c) -> (n, h, w, channels), with no activation between its two convolutions."""
    x = conv_bn(x, x.shape[-1], 3, group=1, dilation=dilation, name=f"{name}_dw", bias=True)
    return conv_bn(x, channels, 1, activation="relu", name=name, bias=True)
