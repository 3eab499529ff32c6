"""EfficientNet-Lite: EfficientNet (arXiv 1905.11946) for integer hardware.

The authors' variant for phones (tensorflow/tpu, models/official/efficientnet/lite): ReLU6 in place of swish, no
squeeze-excitation, stem and last convolution of one width, and the first and last stage of one depth, whatever the
scale. Blocks are MobileNetV2's.
"""

import math
from typing import Any

import keras
from keras import Input

from tfeff.layers.blocks import Taps, classifier, conv_bn, finish, make_divisible
from tfeff.networks.mobilenet_v2 import bottleneck
from tfeff.networks.registry import register_networks

PAPER = "EfficientNet, arXiv 1905.11946; Lite: tensorflow/tpu"
# EfficientNet's Table 1: expansion, channels, repeats, kernel, stride of the first.
_ROWS = (
    (1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2), (6, 112, 3, 5, 1), (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)  # fmt: skip
# Width, depth, image size; parameters (millions), top-1 percent of the authors' table. Its MAdds (407, 631, 899, 1440,
# 2640 million) are 3 to 6 % above what the layers' own multiply-adds sum up to.
_TABLE = (
    (1.0, 1.0, 224, 4.7, 75.1), (1.0, 1.1, 240, 5.4, 76.7), (1.1, 1.2, 260, 6.1, 77.6), (1.2, 1.4, 280, 8.2, 79.8),
    (1.4, 1.8, 300, 13.0, 81.5),
)  # fmt: skip
_VARIANTS = {
    f"efficientnet_lite{number}": {
        "width": width,
        "depth": depth,
        "input_shape": (size, size, 3),
        "published": {
            "parameters": round(parameters * 1e6), "top1": top1,
            "source": "tensorflow/tpu, table of efficientnet/lite",
        },
    }
    for number, (width, depth, size, parameters, top1) in enumerate(_TABLE)
}  # fmt: skip


@register_networks("efficientnet_lite", PAPER, _VARIANTS)
def efficientnet_lite(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, depth: float,
    activation: str | None = "relu6", symmetric_padding: bool = False, bn_epsilon: float = 1e-3, dropout: float = 0.2,
    include_top: bool = True, features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """EfficientNet-Lite: (n, h, w, c) -> (n, classes) logits.

    Args:
        width: multiplies the channels of all stages, rounded to multiples of 8.
        depth: multiplies the blocks of all stages but the first and the last, rounded up.
        activation: after every BN but that of the narrow ends; "relu6" or "relu".
        symmetric_padding: pad stride-2 convolutions on every side, as PyTorch does.
        bn_epsilon: 1e-3 in the TensorFlow models, 1e-5 in timm's own training.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the features are the blocks' outputs.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    options: dict[str, Any] = {"activation": activation, "symmetric": symmetric_padding, "epsilon": bn_epsilon}
    image = Input(input_shape, name="image")
    stride = reduction = 1 if small_image else 2
    x = conv_bn(image, 32, 3, stride=stride, name="stem", **options)  # (n, h, w, 3) -> (n, h/2, w/2, 32)
    features, number = {}, 0
    for row, (expansion, channels, repeats, kernel, first_stride) in enumerate(_ROWS):
        fixed = row in (0, len(_ROWS) - 1)
        for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
            number += 1
            stride = first_stride if repeat == 0 else 1
            reduction *= stride
            x = bottleneck(
                x, expansion * x.shape[-1], make_divisible(channels * width), kernel=kernel, stride=stride,
                name=f"block{number}", **options,
            )  # (n, h, w, c) -> (n, h/stride, w/stride, channels)  # fmt: skip
            features[reduction] = x
    x = conv_bn(x, 1280, 1, name="last", **options)  # -> (n, h/32, w/32, 1280)
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, dropout=dropout),
    )  # fmt: skip
