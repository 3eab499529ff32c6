"""PP-LCNet: A Lightweight CPU Convolutional Neural Network (arXiv 2109.15099).

Depthwise-separable convolutions with h-swish and no shortcut anywhere; 5x5 kernels from the first 14x14 block on,
squeeze-and-excitation in the last two blocks only, and a 1280 wide layer after the pooling, where it costs little.
"""

import keras
from keras import Input, layers

from tfeff.layers.blocks import Taps, activate, conv_bn, finish, make_divisible, squeeze_excite
from tfeff.networks.registry import register_networks

PAPER = "PP-LCNet, arXiv 2109.15099"
# A row a stage: stride of its maps at full size, then of each block (depthwise kernel, channels, stride, SE).
_STAGES = {
    2: [(3, 32, 1, False)],
    4: [(3, 64, 2, False), (3, 64, 1, False)],
    8: [(3, 128, 2, False), (3, 128, 1, False)],
    16: [(3, 256, 2, False), *[(5, 256, 1, False)] * 5],
    32: [(5, 512, 2, True), (5, 512, 1, True)],
}
# width -> parameters and FLOPs as printed (M), top-1, top-5. The FLOPs are multiply-adds + 2 per value out of a BN.
_PUBLISHED = {
    0.25: (1.5, 18, 51.86, 75.65), 0.35: (1.6, 29, 58.09, 80.83), 0.5: (1.9, 47, 63.14, 84.66),
    0.75: (2.4, 99, 68.18, 88.30), 1.0: (3.0, 161, 71.32, 90.03), 1.5: (4.5, 342, 73.71, 91.53),
    2.0: (6.5, 590, 75.18, 92.27), 2.5: (9.0, 906, 76.60, 93.00),
}  # fmt: skip
_VARIANTS = {
    f"pp_lcnet_{round(100 * width):03d}": {
        "width": width,
        "published": {
            "parameters": round(parameters * 1e6), "madds_with_batch_norm": flops * 1_000_000, "top1": top1,
            "top5": top5, "source": "PaddleClas, docs/en/models/PP-LCNet_en.md",
        },
    }
    for width, (parameters, flops, top1, top5) in _PUBLISHED.items()
}  # fmt: skip


@register_networks("pp_lcnet", PAPER, _VARIANTS)
def pp_lcnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, head_bias: bool = False,
    symmetric_padding: bool = False, include_top: bool = True, features_only: Taps = False, small_image: bool = False,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """PP-LCNet: (n, h, w, 3) -> (n, classes) logits.

    Args:
        width: multiplies every channel number but the 1280 of the head; results are multiples of 8.
        head_bias: a bias in the 1280 wide layer; the authors have none, timm has one (1280 parameters more).
        symmetric_padding: stride-2 convolutions padded alike on every side, as in Paddle and PyTorch.
        include_top: without it, the last feature map (n, h/32, w/32, 512 width).
        features_only: {"stride4": ..., "stride8": ..., "stride16": ..., "stride32": ...}, the outputs of the stages.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    image = Input(input_shape, name="image")
    x = conv_bn(
        image, make_divisible(16 * width), 3, stride=1 if small_image else 2, symmetric=symmetric_padding,
        activation="hard_swish", name="stem",
    )  # (n, h, w, 3) -> (n, h/2, w/2, 16a), full size when small_image  # fmt: skip
    features = {}
    for number, (feature_stride, blocks) in enumerate(_STAGES.items(), start=1):
        for repeat, (kernel, channels, stride, excite) in enumerate(blocks, start=1):
            x = _separable(
                x, make_divisible(channels * width), kernel, stride=stride, excite=excite,
                symmetric=symmetric_padding, name=f"stage{number}_block{repeat}",
            )  # fmt: skip
        features[feature_stride // (2 if small_image else 1)] = x

    def top(x):
        x = layers.GlobalAveragePooling2D(name="pool")(x)  # (n, h, w, c) -> (n, c)
        x = layers.Dense(1280, use_bias=head_bias, name="head")(x)  # -> (n, 1280)
        x = activate(x, "hard_swish", "head_hard_swish")
        return layers.Dense(classes, name="logits")(layers.Dropout(0.2, name="dropout")(x))

    return finish(image, features, x, include_top=include_top, features_only=features_only, name=name, top=top)


def _separable(x, channels, kernel, *, stride, excite, symmetric, name):
    """DepthSepConv: (n, h, w, c) -> (n, h/stride, w/stride, channels)."""
    depthwise = {"stride": stride, "group": 1, "symmetric": symmetric, "activation": "hard_swish"}
    x = conv_bn(x, x.shape[-1], kernel, name=f"{name}_dw", **depthwise)
    if excite:
        x = squeeze_excite(x, x.shape[-1] // 4, name=f"{name}_se")
    return conv_bn(x, channels, 1, activation="hard_swish", name=f"{name}_pw")
