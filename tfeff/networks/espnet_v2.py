"""ESPNetV2: A Light-weight, Power Efficient, and General Purpose Convolutional Neural Network (arXiv 1811.11431).

The EESP unit narrows its input to a quarter, looks at it through four dilated depthwise convolutions, sums their
results step by step (hierarchical feature fusion, which removes the gridding of large dilations) and widens again. The
down-sampling units also see the image itself, pooled to their size (input reinforcement).

Two sorts of weights in the authors' code never take part in a forward pass and are left out here: the reinforcement of
the last down-sampling unit, and the closing PReLU inside the strided EESP units. Padding is PyTorch's throughout, for
the branches that are summed must be centred on the same pixel.
"""

from typing import Any

import keras
from keras import Input, layers

from tfeff.layers.blocks import Taps, activate, batch_norm, classifier, conv, conv_bn, finish
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D
from tfeff.networks.registry import register_networks

PAPER = "ESPNetV2, arXiv 1811.11431"
BRANCHES = 4  # K of the paper: parallel convolutions, and groups of the 1x1 ones
# Levels 2 to 5: channels in units of the base, receptive-field limit of the down-sampling unit (pixels), units after
# it, their limit, input reinforcement.
_LEVELS = [(2, 13, 0, None, True), (4, 11, 3, 9, True), (8, 9, 7, 7, True), (16, 7, 3, 5, False)]
# width -> parameters and FLOPs as printed (M), top-1, top-5. The FLOPs are multiply-adds without the classifier.
_PUBLISHED = {
    0.5: (1.24, 28.38, 57.68, 79.85), 1.0: (1.67, 85.72, 66.09, 86.54), 1.25: (1.96, 123.40, 67.95, 87.82),
    1.5: (2.31, 168.6, 69.17, 88.71), 1.75: None, 2.0: (3.49, 284.81, 72.06, 90.39),
}  # fmt: skip


def _variant(width, figures):
    if figures is None:
        return {"width": width}
    parameters, flops, top1, top5 = figures
    return {
        "width": width,
        "published": {
            "parameters": round(parameters * 1e6), "madds_without_classifier": round(flops * 1e6), "top1": top1,
            "top5": top5, "source": "sacmehta/EdgeNets, model/classification/model_zoo/README.md",
        },
    }  # fmt: skip


_VARIANTS = {f"espnet_v2_{round(100 * width):03d}": _variant(width, row) for width, row in _PUBLISHED.items()}


@register_networks("espnet_v2", PAPER, _VARIANTS)
def espnet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, include_top: bool = True,
    features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """ESPNetV2: (n, h, w, 3) -> (n, classes) logits.

    Args:
        width: 32 * width is 16, or from 32 on a multiple of 8; else the 4 groups do not divide the channels (the
            authors' code fails there too).
        include_top: without it, the last feature map (n, h/32, w/32, 1024 or 1280).
        features_only: {"stride4": ..., "stride8": ..., "stride16": ..., "stride32": ...}, the outputs of the levels.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    base = -(-int(32 * width) // 4) * 4
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = conv_bn(
        image, min(base, 32), 3, stride=reduction, symmetric=True, activation="prelu", name="level1"
    )  # (n, h, w, 3) -> (n, h/2, w/2, min(b, 32)), full size when small_image
    # (n, h, w, 3) -> (n, h/2, w/2, 3): the image at the size of x
    pooled = image if small_image else _average_pool(image, "level1_image")
    features = {}
    for number, (factor, limit, units, unit_limit, reinforced) in enumerate(_LEVELS, start=2):
        level = f"level{number}"
        if reinforced:
            pooled = _average_pool(pooled, f"{level}_image")
        x = _down(x, factor * base, limit, pooled if reinforced else None, f"{level}_down")
        for unit in range(1, units + 1):
            x = _unit(x, unit_limit, f"{level}_unit{unit}")
        features[reduction * 2 ** (number - 1)] = x
    channels = x.shape[-1]
    x = conv_bn(x, channels, 3, group=1, activation="prelu", name="level5_dw")
    x = conv_bn(
        x, 1024 if width <= 1.5 else 1280, 1, group=channels // BRANCHES, activation="prelu", name="level5_expand"
    )  # (n, h/32, w/32, 16b) -> (n, h/32, w/32, 1024 or 1280)
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, dropout=0.2),
    )  # fmt: skip


def dilations(limit: int) -> list[int]:
    """Dilations of the four branches: receptive fields 3, 5, 7, 9, those above the limit back to 3, in order."""
    fields = sorted(field if field <= limit else 3 for field in range(3, 3 + 2 * BRANCHES, 2))
    return [(field - 1) // 2 for field in fields]


def _unit(x, limit, name):
    """(n, h, w, c) -> (n, h, w, c): EESP around an identity."""
    y = _eesp(x, x.shape[-1], limit, 1, name)
    return activate(layers.Add(name=f"{name}_add")([y, x]), "prelu", f"{name}_prelu")


def _down(x, channels, limit, image, name):
    """(n, h, w, c) -> (n, h/2, w/2, channels): the input averaged beside EESP at stride 2, plus the reinforcement."""
    y = _eesp(x, channels - x.shape[-1], limit, 2, f"{name}_eesp")
    y = layers.Concatenate(name=f"{name}_concat")([_average_pool(x, f"{name}_average"), y])
    if image is not None:  # already at the size of y
        colours = image.shape[-1]
        z = conv_bn(image, colours, 3, activation="prelu", name=f"{name}_image1")
        z = conv_bn(z, channels, 1, name=f"{name}_image2")  # (n, h/2, w/2, 3) -> (n, h/2, w/2, channels)
        y = layers.Add(name=f"{name}_add")([y, z])
    return activate(y, "prelu", f"{name}_prelu")


def _eesp(x, channels, limit, stride, name):
    """The EESP transform, without its shortcut: (n, h, w, c) -> (n, h/stride, w/stride, channels)."""
    narrow = channels // BRANCHES
    x = conv_bn(x, narrow, 1, group=x.shape[-1] // BRANCHES, activation="prelu", name=f"{name}_project")
    maps: list[Any] = []
    for branch, dilation in enumerate(dilations(limit), start=1):
        y = _depthwise(x, stride, dilation, f"{name}_dw{branch}")  # (n, h/stride, w/stride, channels/4)
        maps.append(layers.Add(name=f"{name}_fuse{branch}")([y, maps[-1]]) if maps else y)
    y = batch_norm(layers.Concatenate(name=f"{name}_concat")(maps), f"{name}_fused_bn")
    y = activate(y, "prelu", f"{name}_fused_prelu")
    return conv_bn(y, channels, 1, group=narrow, name=f"{name}_expand")


def _depthwise(x, stride, dilation, name):
    if stride > 1 and dilation > 1:
        return StridedDilatedDepthwiseConv2D(3, stride, dilation, depthwise_initializer="he_normal", name=name)(x)
    return conv(x, x.shape[-1], 3, stride=stride, dilation=dilation, group=1, symmetric=True, name=name)


def _average_pool(x, name):
    """3x3 at stride 2, the zeros outside counted as PyTorch does: (n, h, w, c) -> (n, h/2, w/2, c)."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, 2, name=name)(x)
