"""ESNet, the enhanced ShuffleNet of PP-PicoDet (arXiv 2111.00902, section 3.1).

ShuffleNetV2's units with h-swish and squeeze and excitation. In a unit of stride 1 the depthwise convolution sees half
of the inner channels, and the other half are what it was given (a ghost block). A unit of stride 2 is not shuffled: a
depthwise and a pointwise convolution mix its two branches. A search chose how many inner channels each unit has.

It is a detector's backbone and has no classifier here: its outputs are the stages'.
"""

from collections.abc import Sequence
from functools import partial

import keras
from keras import Input, layers

from tfeff.layers import ChannelShuffle, ChannelSplit
from tfeff.layers.blocks import Taps, conv_bn, finish, make_divisible, max_pool, squeeze_excite
from tfeff.networks.registry import register_networks

PAPER = "PP-PicoDet, arXiv 2111.00902"
_STAGES = ((128, 3), (256, 7), (512, 3))  # channels at width 1, units
# Inner channels of each unit, as a share of its channels.
_SMALL = (0.875, 0.5, 0.5, 0.5, 0.625, 0.5, 0.625, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
_LARGE = (0.875, 0.5, 1.0, 0.625, 0.5, 0.75, 0.625, 0.625, 0.5, 0.625, 1.0, 0.625, 0.75)
_VARIANTS = {
    "esnet_s": {"width": 0.75, "ratios": _SMALL},
    "esnet_m": {"width": 1.0, "ratios": _LARGE},
    "esnet_l": {"width": 1.25, "ratios": _LARGE},
}


@register_networks("esnet", PAPER, _VARIANTS, task="tensors")
def esnet(
    input_shape: tuple[int, int, int] = (320, 320, 3), *, width: float, ratios: Sequence[float],
    symmetric_padding: bool = False, features_only: Taps = True, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """ESNet: (n, h, w, 3) -> {"stride8": (n, h/8, w/8, 128 width), "stride16": ..., "stride32": ...}.

    Args:
        ratios: inner channels of each of the 13 units, as a share of its channels.
        symmetric_padding: pad where the stride is 2 on every side, as Paddle does.
        features_only: see `tfeff.layers.blocks.finish`; False: the last map alone.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = _conv(image, 24, 3, stride=reduction, symmetric=symmetric_padding, name="stem")  # -> (n, h/2, w/2, 24)
    x = max_pool(x, symmetric=symmetric_padding, name="pool1")  # -> (n, h/4, w/4, 24)
    features, inner = {}, iter(ratios)
    for number, (channels, units) in enumerate(_STAGES, start=2):
        channels = make_divisible(channels * width, 16)
        for unit in range(1, units + 1):
            middle = make_divisible(int(channels * next(inner)))
            block = partial(_keep, x) if unit > 1 else partial(_down, x, channels, symmetric_padding)
            x = block(middle // 2, f"stage{number}_unit{unit}")  # the first: (n, h, w, c) -> (n, h/2, w/2, channels)
        features[reduction * 2**number] = x
    return finish(image, features, x, include_top=False, features_only=features_only, name=name, top=lambda x: x)


def _conv(x, filters, kernel, *, activation="hard_swish", name, **options):
    return conv_bn(x, filters, kernel, activation=activation, name=name, **options)


def _depthwise(x, *, name, **options):
    return _conv(x, x.shape[-1], 3, group=1, name=name, **options)


def _excite(x, name):
    return squeeze_excite(x, x.shape[-1] // 4, name=name)


def _keep(x, half_middle, name):
    """Stride 1: (n, h, w, c) -> (n, h, w, c)."""
    passed, y = ChannelSplit(2, name=f"{name}_split")(x)  # -> 2 of (n, h, w, c/2)
    y = _conv(y, half_middle, 1, name=f"{name}_pw1")
    z = _depthwise(y, activation=None, name=f"{name}_dw")
    y = _excite(layers.Concatenate(name=f"{name}_ghost")([y, z]), f"{name}_se")  # -> (n, h, w, 2 half_middle)
    y = _conv(y, x.shape[-1] // 2, 1, name=f"{name}_pw2")
    y = layers.Concatenate(name=f"{name}_concat")([passed, y])
    return ChannelShuffle(2, name=f"{name}_shuffle")(y)


def _down(x, channels, symmetric, half_middle, name):
    """Stride 2: (n, h, w, c) -> (n, h/2, w/2, channels)."""
    strided = {"stride": 2, "symmetric": symmetric, "activation": None}
    y = _depthwise(x, name=f"{name}_branch1_dw", **strided)
    y = _conv(y, channels // 2, 1, name=f"{name}_branch1_pw")
    z = _conv(x, half_middle, 1, name=f"{name}_branch2_pw1")
    z = _excite(_depthwise(z, name=f"{name}_branch2_dw", **strided), f"{name}_branch2_se")
    z = _conv(z, channels // 2, 1, name=f"{name}_branch2_pw2")
    y = layers.Concatenate(name=f"{name}_concat")([y, z])  # -> (n, h/2, w/2, channels)
    y = _depthwise(y, name=f"{name}_mix_dw")
    return _conv(y, channels, 1, name=f"{name}_mix_pw")
