"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications (arXiv 1704.04861).

Table 1: a depthwise 3x3 and a pointwise convolution, thirteen times. The table prints stride 2 for the last depthwise
convolution, whose input and output are both 7x7; it is 1. The width scales every channel number, cut to an integer.
Activation: ReLU in the paper, ReLU6 in all released models, which is the default.
"""

from typing import Any

import keras
from keras import Input

from tfeff.layers.blocks import Taps, classifier, conv_bn, finish
from tfeff.networks.registry import register_networks

PAPER = "MobileNets, arXiv 1704.04861"
# Channels and stride of the thirteen blocks.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
# Table 6: width -> MAdds (millions), parameters (millions), top-1 percent
_TABLE_6 = {1.0: (569, 4.2, 70.6), 0.75: (325, 2.6, 68.4), 0.5: (149, 1.3, 63.7), 0.25: (41, 0.5, 50.6)}
_VARIANTS = {
    f"mobilenet_v1_{round(100 * width):03d}": {
        "width": width,
        "published": {
            "madds": madds * 10**6, "parameters": round(parameters * 1e6), "top1": top1,
            "source": "arXiv 1704.04861 Table 6",
        },
    }
    for width, (madds, parameters, top1) in _TABLE_6.items()
}  # fmt: skip


@register_networks("mobilenet_v1", PAPER, _VARIANTS)
def mobilenet_v1(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float,
    activation: str | None = "relu6", symmetric_padding: bool = False, bn_epsilon: float = 1e-3,
    dropout: float = 1e-3, include_top: bool = True, features_only: Taps = False, small_image: bool = False,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """MobileNetV1: (n, h, w, c) -> (n, classes) logits.

    Args:
        activation: after every BN; "relu6" or "relu".
        symmetric_padding: pad stride-2 convolutions on every side, as PyTorch does.
        bn_epsilon: 1e-3 in the TensorFlow models, 1e-5 in timm's.
        include_top, features_only: see `tfeff.layers.blocks.finish`.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    options: dict[str, Any] = {"activation": activation, "symmetric": symmetric_padding, "epsilon": bn_epsilon}
    image = Input(input_shape, name="image")
    stride = reduction = 1 if small_image else 2
    x = conv_bn(image, int(32 * width), 3, stride=stride, name="stem", **options)  # (n, h, w, 3) -> (n, h/2, w/2, 32a)
    features = {}
    for number, (channels, stride) in enumerate(_BLOCKS, start=1):
        reduction *= stride
        x = conv_bn(x, x.shape[-1], 3, stride=stride, group=1, name=f"block{number}_dw", **options)
        x = conv_bn(x, int(channels * width), 1, name=f"block{number}_pw", **options)  # -> (n, h/s, w/s, channels)
        features[reduction] = x
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, dropout=dropout),
    )  # fmt: skip
