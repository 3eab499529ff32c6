"""MobileNetV2: Inverted Residuals and Linear Bottlenecks (arXiv 1801.04381).

A bottleneck (Table 2) widens by t, filters depthwise and narrows without an activation; its ends are added where
stride and channels allow. Channels are rounded to multiples of 8; the last convolution never has fewer than 1280.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import Input, layers

from tfeff.layers.blocks import Taps, classifier, conv_bn, finish, make_divisible
from tfeff.networks.registry import register_networks

PAPER = "MobileNetV2, arXiv 1801.04381"
# Table 2: expansion t, channels, repeats, stride of the first.
_ROWS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# Width -> MAdds (millions), parameters without those of BN (millions), top-1 and top-5 percent. Of width 1.4 the paper
# prints 6.9M parameters, which no count explains.
_PUBLISHED = {
    1.4: (582, 6.06, 75.0, 92.5), 1.3: (509, 5.34, 74.4, 92.1), 1.0: (300, 3.47, 71.8, 91.0),
    0.75: (209, 2.61, 69.8, 89.6), 0.5: (97, 1.95, 65.4, 86.4), 0.35: (59, 1.66, 60.3, 82.9),
}  # fmt: skip
_VARIANTS = {
    f"mobilenet_v2_{round(100 * width):03d}": {
        "width": width,
        "published": {
            "madds": madds * 10**6, "parameters_without_bn": round(parameters * 1e6), "top1": top1, "top5": top5,
            "source": "keras-applications, table of mobilenet_v2.py",
        },
    }
    for width, (madds, parameters, top1, top5) in _PUBLISHED.items()
}  # fmt: skip


@register_networks("mobilenet_v2", PAPER, _VARIANTS)
def mobilenet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float,
    activation: str | None = "relu6", symmetric_padding: bool = False, bn_epsilon: float = 1e-3, dropout: float = 0.2,
    include_top: bool = True, features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """MobileNetV2: (n, h, w, c) -> (n, classes) logits.

    Args:
        activation: after every BN but that of the narrow ends; "relu6" or "relu".
        symmetric_padding: pad stride-2 convolutions on every side, as PyTorch does.
        bn_epsilon: 1e-3 in the TensorFlow models, 1e-5 in torchvision's.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the features are the bottlenecks' outputs.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    options: dict[str, Any] = {"symmetric": symmetric_padding, "epsilon": bn_epsilon}
    image = Input(input_shape, name="image")
    stride = reduction = 1 if small_image else 2
    x = conv_bn(
        image, make_divisible(32 * width), 3, stride=stride, activation=activation, name="stem", **options
    )  # (n, h, w, 3) -> (n, h/2, w/2, 32a)
    features, number = {}, 0
    for expansion, channels, repeats, first_stride in _ROWS:
        for repeat in range(repeats):
            number += 1
            stride = first_stride if repeat == 0 else 1
            reduction *= stride
            x = bottleneck(
                x, expansion * x.shape[-1], make_divisible(channels * width), stride=stride, activation=activation,
                name=f"block{number}", **options,
            )  # (n, h, w, c) -> (n, h/stride, w/stride, channels)  # fmt: skip
            features[reduction] = x
    last = make_divisible(1280 * max(1.0, width))
    x = conv_bn(x, last, 1, activation=activation, name="last", **options)  # -> (n, h/32, w/32, last)
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, dropout=dropout),
    )  # fmt: skip


def bottleneck(
    x: Any,
    expanded: int,
    channels: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    activation: str | None,
    attend: Callable[..., Any] | None = None,
    always_expand: bool = False,
    dilation: int = 1,
    name: str,
    **options: Any,
) -> Any:
    """Widens to `expanded`, filters depthwise, narrows: (n, h, w, c) -> (n, h/stride, w/stride, channels).

    Args:
        expanded: where it is c, the convolution that widens is left out, but for `always_expand`.
        attend: `attend(x, name)`, applied to the depthwise convolution's output (MobileNetV3's squeeze and excitation).
        dilation: of the depthwise convolution.
    """
    y = x
    if expanded != x.shape[-1] or always_expand:
        y = conv_bn(y, expanded, 1, activation=activation, name=f"{name}_expand", **options)  # -> (n, h, w, expanded)
    y = conv_bn(
        y, expanded, kernel, stride=stride, dilation=dilation, group=1, activation=activation, name=f"{name}_dw",
        **options,
    )  # -> (n, h/stride, w/stride, expanded)  # fmt: skip
    if attend:
        y = attend(y, f"{name}_se")
    y = conv_bn(y, channels, 1, name=f"{name}_project", **options)  # -> (n, h/stride, w/stride, channels)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == channels else y
