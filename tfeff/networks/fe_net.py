"""FE-Net: All You Need is a Few Shifts (arXiv 1903.05285).

Sparse shifts between pointwise convolutions, in FE-Blocks that process a slice of the channels first, then twice as
many, and all of them in the last unit. No convolution has a bias, BN follows each one, ReLU the first of a unit and the
last of the network. Only average pooling halves the image.

The expansion t multiplies the input channels of a unit: so the published multiply-adds come out (301 and 563 million).
The released code (hikvision-research/SparseShiftLayer) multiplies the output channels, which makes 418 and 773 million;
the accuracies of its logs (73.6 and 75.7) belong to those larger nets. At width 1 the channels of the last convolution
are not known: 1380 (one of the logs) counts 3.54 million parameters, 1504 would give the printed 3.7.
"""

from typing import Any

import keras
from keras import Input, layers

from tfeff.layers import ChannelSplit, SparseShift2D
from tfeff.layers.blocks import Taps, classifier, conv_bn, finish
from tfeff.networks.registry import register_networks

PAPER = "All You Need is a Few Shifts, arXiv 1903.05285"
# Channels / base, units of an FE-Block (1: a single unit outside of one), expansion, stride.
_ROWS = (
    (1, 1, 4, 1), (2, 1, 5, 2), (4, 3, 6, 2), (8, 4, 6, 2), (8, 4, 6, 1), (16, 4, 6, 2), (16, 3, 6, 1),
)  # fmt: skip
_VARIANTS: dict[str, dict[str, Any]] = {
    "fe_net_060": {"base": 10, "last": 1380},  # 0.6 x 16 = 9.6, which the slices do not take; no figures were found
    "fe_net_100": {
        "base": 16, "last": 1380,
        "published": {
            "madds": 301_000_000, "parameters": 3_700_000, "top1": 72.9,
            "source": "arXiv 1903.05285, as cited in surveys",
        },
    },
    "fe_net_137": {
        "base": 22, "last": 1932,
        "published": {
            "madds": 563_000_000, "parameters": 5_900_000, "top1": 75.0, "source": "arXiv 1903.05285 abstract",
        },
    },
}  # fmt: skip


@register_networks("fe_net", PAPER, _VARIANTS)
def fe_net(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, base: int, last: int,
    expansion_on: str = "input", penalty: float = 5e-4, initial_shifts: str = "grid", dropout: float = 0.2,
    symmetric_padding: bool = False, include_top: bool = True, features_only: Taps = False, small_image: bool = False,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """FE-Net: (n, h, w, c) -> (n, classes) logits.

    Args:
        base: channels of the stem, 16 at width 1; even.
        last: channels of the last convolution.
        expansion_on: what t multiplies: "input" channels, as published, or "output" channels, as released.
        penalty, initial_shifts: see `SparseShift2D`.
        symmetric_padding: pad the stem on every side, as PyTorch does.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the last convolution is no feature map.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.

    Raises:
        ValueError: an odd base, or an unknown `expansion_on`.
    """
    if base < 2 or base % 2:
        raise ValueError(f"base must be even, for a block slices 4 times as many channels by 8, not {base}")
    if expansion_on not in ("input", "output"):
        raise ValueError(f"expansion_on must be 'input' or 'output', not {expansion_on!r}")
    unit = _Unit(expansion_on, {"penalty": penalty, "initial": initial_shifts})
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = conv_bn(image, base, 3, stride=reduction, symmetric=symmetric_padding, name="stem")  # -> (n, h/2, w/2, base)
    features = {}
    for number, (factor, units, expansion, stride) in enumerate(_ROWS, start=1):
        x = _fe_block(x, factor * base, units, expansion, stride, unit, f"block{number}")  # -> (n, h/s, w/s, factor b)
        reduction *= stride
        features[reduction] = x
    x = conv_bn(x, last, 1, activation="relu", name="last")  # -> (n, h/32, w/32, last)
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, dropout=dropout),
    )  # fmt: skip


def _fe_block(x, channels, units, expansion, stride, unit, name):
    """(n, h, w, c) -> (n, h/stride, w/stride, channels): the last of the units works on all channels."""
    x = _slices(x, units - 1, expansion, unit, name)
    return unit(x, channels, expansion, stride, f"{name}_unit{units}")


def _slices(x, number, expansion, unit, name):
    """(n, h, w, c) -> the same shape: units 1 to `number`, of which the last works on the second half of the channels,
    the one before on the second half of that half, and so on."""
    if not number:
        return x
    label = f"{name}_unit{number}"
    first, second = ChannelSplit(2, name=f"{label}_split")(x)  # (n, h, w, c) -> 2 x (n, h, w, c/2)
    second = _slices(second, number - 1, expansion, unit, name)
    y = unit(second, second.shape[-1], expansion, 1, label)
    second = layers.Add(name=f"{label}_add")([y, second])
    return layers.Concatenate(name=f"{label}_concat")([first, second])  # -> (n, h, w, c)


class _Unit:
    """Pointwise convolution, sparse shift (average pool where the image is halved), pointwise convolution."""

    def __init__(self, expansion_on, shift):
        self.expansion_on = expansion_on
        self.shift = shift

    def __call__(self, x, channels, expansion, stride, name):
        """(n, h, w, c) -> (n, h/stride, w/stride, channels)."""
        middle = expansion * (x.shape[-1] if self.expansion_on == "input" else channels)
        x = conv_bn(x, middle, 1, activation="relu", name=f"{name}_conv1")  # -> (n, h, w, middle)
        if stride > 1:
            x = layers.AveragePooling2D(stride, padding="same", name=f"{name}_pool")(x)  # -> (n, h/2, w/2, middle)
        else:
            x = SparseShift2D(**self.shift, name=f"{name}_shift")(x)
        return conv_bn(x, channels, 1, name=f"{name}_conv2")  # -> (n, h/stride, w/stride, channels)
