"""VoVNet: An Energy and GPU-Computation Efficient Backbone Network (arXiv 1904.09730).

One-shot aggregation (OSA): five 3x3 convolutions in a row, whose input and outputs are concatenated once, at the end,
instead of in every layer as DenseNet does. The default is Table 1 of the paper; two options give the layout of the
authors' PyTorch code, which has the same weights but other results.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import Input, layers

from tfeff.layers.blocks import Taps, classifier, conv_bn, finish
from tfeff.networks.registry import register_networks

PAPER = "VoVNet, arXiv 1904.09730"
# Table 1, stages 2 to 5: channels of the 3x3 convolutions, channels out, modules.
_SLIM_27 = [(64, 128, 1), (80, 256, 1), (96, 384, 1), (112, 512, 1)]
_WIDE_39 = [(128, 256, 1), (160, 512, 1), (192, 768, 2), (224, 1024, 2)]
_WIDE_57 = [(128, 256, 1), (160, 512, 1), (192, 768, 4), (224, 1024, 3)]
# Of the code's layout (stem_pool=False, identity=True); the paper prints whole detectors only.
_README = "stigma0617/VoVNet.pytorch, README; trained with stem_pool=False, identity=True"
_VARIANTS: dict[str, dict[str, Any]] = {
    "vovnet_27_slim": {"stages": _SLIM_27},
    "vovnet_39": {"stages": _WIDE_39, "published": {"top1": 76.77, "top5": 93.43, "source": _README}},
    "vovnet_57": {"stages": _WIDE_57, "published": {"top1": 77.73, "top5": 93.72, "source": _README}},
}


@register_networks("vovnet", PAPER, _VARIANTS)
def vovnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, stages: Sequence[tuple[int, int, int]],
    stem_pool: bool = True, identity: bool = False, symmetric_padding: bool = False, include_top: bool = True,
    features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """VoVNet: (n, h, w, 3) -> (n, classes) logits.

    Args:
        stages: (channels of the 3x3 convolutions, channels out, modules), one a stage.
        stem_pool: the stem ends in a max-pooling (paper); False: its third convolution has stride 2 instead (code).
        identity: the second and later modules of a stage add their input (code).
        symmetric_padding: pad convolutions alike on every side and pool only inside the image, as Caffe and PyTorch do.
        include_top: without it, the last feature map (n, h/32, w/32, c).
        features_only: {"stride4": ..., "stride8": ..., "stride16": ..., "stride32": ...}, the outputs of the stages.
        small_image: stride 1 in the stem's first convolution, for inputs of 32x32 and the like.
    """
    options: dict[str, Any] = {"symmetric": symmetric_padding, "activation": "relu"}
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    # (n, h, w, 3) -> (n, h/2, w/2, 64), full size when small_image
    x = conv_bn(image, 64, 3, stride=reduction, name="stem1", **options)
    x = conv_bn(x, 64, 3, name="stem2", **options)
    # -> (n, h/2, w/2, 128), or (n, h/4, w/4, 128) without stem_pool
    x = conv_bn(x, 128, 3, stride=1 if stem_pool else 2, name="stem3", **options)
    features = {}
    for number, (middle, channels, modules) in enumerate(stages, start=2):
        if number > 2 or stem_pool:
            x = _max_pool(x, symmetric_padding, f"stage{number}_pool")  # -> (n, h/2, w/2, c)
        for module in range(1, modules + 1):
            x = _osa(x, middle, channels, identity and module > 1, f"stage{number}_osa{module}")
        features[reduction * 2 ** (number - 1)] = x
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes),
    )  # fmt: skip


def _osa(x, middle, channels, identity, name):
    """One-shot aggregation of the input and five 3x3 convolutions: (n, h, w, c) -> (n, h, w, channels)."""
    maps = [x]
    for number in range(1, 6):
        maps.append(conv_bn(maps[-1], middle, 3, activation="relu", name=f"{name}_conv{number}"))
    y = layers.Concatenate(name=f"{name}_concat")(maps)  # (n, h, w, c + 5 middle)
    y = conv_bn(y, channels, 1, activation="relu", name=f"{name}_out")
    return layers.Add(name=f"{name}_add")([y, x]) if identity else y


def _max_pool(x, symmetric, name):
    """3x3 at stride 2. Caffe's and PyTorch's (`ceil_mode`) starts at the first pixel and rounds the size up, which is
    "same" when h and w are even; zeros outside do not matter after ReLU."""
    padding, odd = "same", [size % 2 for size in x.shape[1:3]]
    if symmetric and any(odd):
        padding = "valid"
        if not all(odd):
            x = layers.ZeroPadding2D([(0, 1 - o) for o in odd], name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, padding, name=name)(x)
