"""VarGNet: Variable Group Convolutional Neural Network for Efficient Embedded Computing (arXiv 1907.05653).

A variable group convolution (VG) fixes the channels per group, so that a layer's computational intensity does not
depend on its width, and every block hands on few channels: it widens inside and is narrow at both ends.

Where the paper is silent the reference implementations decide: no convolution has a bias, BN follows each one, ReLU
follows each BN but the last of a path, and a merge is followed by ReLU. The first row of Table 1 prints "repeat 3";
only 1 meets the published multiply-adds of all eight rows of Table 3.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import Input, layers

from tfeff.layers import BatchNorm, GroupConv2D
from tfeff.layers.blocks import activate, classifier, finish
from tfeff.networks.registry import register_networks

PAPER = "VarGNet, arXiv 1907.05653"
# Kind of the stride-2 block, its channels at width 1, normal blocks after it, one a stage.
V1_ROWS = [("down", 64, 0), ("down", 128, 0), ("down", 256, 2), ("down", 512, 1)]  # Table 1
V2_ROWS = [("head", 32, 0), ("down", 64, 2), ("down", 128, 6), ("down", 256, 3)]  # Table 2
# Tables 3 and 4: (G, width) -> model size (x 2^20), MAdds (x 2^20), top-1 float, top-1 int8, percent
_TABLE_3 = {
    (4, 0.25): (1.44, 55, 64.57, 65.02), (4, 0.5): (2.23, 157, 69.67, 70.33),
    (4, 0.75): (3.43, 309, 72.36, 72.56), (4, 1.0): (5.02, 509, 74.04, 74.11),
    (8, 0.25): (1.5, 75, 65.44, 65.61), (8, 0.5): (2.37, 198, 70.67, 70.84),
    (8, 0.75): (3.66, 370, 73.28, 73.35), (8, 1.0): (5.33, 590, 74.87, 74.90),
}  # fmt: skip
_TABLE_4 = {
    (4, 0.25): (1.27, 35, 60.53, 61.33), (4, 0.5): (1.72, 92, 67.52, 68.60),
    (4, 0.75): (2.35, 173, 70.97, 71.84), (4, 1.0): (3.19, 278, 73.18, 73.55),
    (8, 0.25): (1.35, 51, 61.74, 62.46), (8, 0.5): (1.87, 124, 68.40, 68.83),
    (8, 0.75): (2.58, 222, 71.48, 72.07), (8, 1.0): (3.49, 343, 73.76, 73.76),
}  # fmt: skip


def _variants(version, widths, table, number):
    def published(group, width):
        if (group, width) not in table:
            return {}
        size, madds, top1, int8_top1 = table[group, width]
        return {
            "madds": madds << 20, "values": round(size * 2**20), "top1": top1, "int8_top1": int8_top1,
            "source": f"arXiv 1907.05653 Table {number}",
        }  # fmt: skip

    return {
        f"vargnet_{version}_{round(100 * width):03d}_g{group}": {
            "width": width, "channels_per_group": group, "published": published(group, width),
        }
        for group in (4, 8) for width in widths
    }  # fmt: skip


@register_networks("vargnet", PAPER, _variants("v1", (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75), _TABLE_3, 3))
def vargnet_v1(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, **options: Any
) -> keras.Model:
    """VarGNet v1 (Table 1): (n, h, w, 3) -> (n, classes) logits. `options` as for `_vargnet`."""
    return _vargnet(input_shape, classes, width, V1_ROWS, **options)


@register_networks("vargnet", PAPER, _variants("v2", (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), _TABLE_4, 4))
def vargnet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, **options: Any
) -> keras.Model:
    """VarGNet v2 (Table 2), as ShuffleNetV2: (n, h, w, 3) -> (n, classes) logits. `options` as for `_vargnet`."""
    return _vargnet(input_shape, classes, width, V2_ROWS, **options)


def _vargnet(
    input_shape, classes, width, rows, *, channels_per_group, include_top=True, features_only=False,
    small_image=False, stem_activation=True, symmetric_padding=False, name=None,
):  # fmt: skip
    """Builds either version.

    Args:
        rows: V1_ROWS or V2_ROWS.
        channels_per_group: G.
        include_top: without it, the last feature map (n, h/32, w/32, 1024 max(1, width)).
        features_only: {"stride4": ..., "stride8": ..., "stride16": ..., "stride32": ...}, the outputs of the stages.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
        stem_activation: ReLU after the first convolution (the references disagree; no count depends on it).
        symmetric_padding: pad stride-2 convolutions by 1 on every side, as PyTorch and MXNet do, instead of
            TensorFlow's "same", which needs no PAD operation in the file.
    """
    block = Blocks(channels_per_group, symmetric_padding)
    image = Input(input_shape, name="image")
    maps = block.stages(image, width, rows, stem_stride=1 if small_image else 2, stem_activation=stem_activation)
    x = block.conv_bn(maps[-1], conv5_channels(width), 1, name="conv5")  # -> (n, h/32, w/32, 1024 max(1, a))
    strides = (2, 4, 8, 16) if small_image else (4, 8, 16, 32)
    return finish(
        image, dict(zip(strides, maps, strict=True)), x, include_top=include_top, features_only=features_only,
        name=name, top=lambda x: classifier(x, classes),
    )  # fmt: skip


def conv5_channels(width: float) -> int:
    """Channels of the last convolution, which narrow networks keep."""
    return round(1024 * max(1.0, width))


class Blocks:
    """The blocks of Figure 1. A pair is VG 3x3 (widens by `factor`), then a pointwise convolution."""

    activation = "relu"
    epsilon = 1e-5

    def __init__(self, group: int, symmetric_padding: bool):
        self.group = group
        self.symmetric_padding = symmetric_padding

    def stages(
        self,
        image: Any,
        width: float,
        rows: Sequence[tuple[str, int, int]],
        *,
        stem_stride: int,
        stem_activation: bool = True,
    ) -> list[Any]:
        """The stem and the stages: (n, h, w, 3) -> the last map of each stage, each half as large as the one before."""
        x = self.conv_bn(
            image, round(32 * width), 3, stride=stem_stride, relu=stem_activation, name="stem"
        )  # (n, h, w, 3) -> (n, h/2, w/2, 32a), full size at stride 1
        maps = []
        for number, (kind, channels, repeats) in enumerate(rows, start=1):
            channels = round(channels * width)
            x = getattr(self, kind)(x, channels, name=f"stage{number}_{kind}")  # -> (n, h/2, w/2, channels)
            for repeat in range(1, repeats + 1):
                x = self.normal(x, name=f"stage{number}_normal{repeat}")
            maps.append(x)
        return maps

    def conv_bn(
        self,
        x: Any,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        group: int | None = None,
        padding: Any = "same",
        relu: bool = True,
        name: str,
    ) -> Any:
        """Convolution, BN and, with `relu`, the activation of the family; `group` channels a group, None is dense."""
        if stride > 1 and self.symmetric_padding:
            x, padding = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"
        options = {
            "strides": stride, "padding": padding, "use_bias": False, "kernel_initializer": "he_normal", "name": name,
        }  # fmt: skip
        if group:
            x = GroupConv2D(channels, kernel, group, **options)(x)
        else:
            x = layers.Conv2D(channels, kernel, **options)(x)
        x = BatchNorm(momentum=0.9, epsilon=self.epsilon, name=f"{name}_bn")(x)
        return activate(x, self.activation, f"{name}_{self.activation}") if relu else x

    def excite(self, x: Any, name: str) -> Any:
        """What the end of a residual path is passed through before the merge; nothing here."""
        return x

    def pair(self, x: Any, middle: int, channels: int, *, stride: int = 1, relu: bool = False, name: str) -> Any:
        x = self.conv_bn(x, middle, 3, stride=stride, group=self.group, name=f"{name}_vg")
        return self.conv_bn(x, channels, 1, relu=relu, name=f"{name}_pw")

    def merge(self, paths: Sequence[Any], name: str) -> Any:
        return activate(layers.Add(name=f"{name}_add")(paths), self.activation, f"{name}_{self.activation}")

    def normal(self, x: Any, name: str) -> Any:
        """(n, h, w, c) -> (n, h, w, c), two pairs of factor 2 around an identity."""
        channels = x.shape[-1]
        y = self.pair(x, 2 * channels, channels, relu=True, name=f"{name}_1")
        y = self.pair(y, 2 * channels, channels, name=f"{name}_2")
        return self.merge([self.excite(y, name), x], name)

    def down(self, x: Any, channels: int, name: str) -> Any:
        """(n, h, w, channels/2) -> (n, h/2, w/2, channels): two parallel pairs, a third pair behind them, and a fourth
        as the shortcut. Stride 2 is on the VG."""
        a, b, shortcut = (
            self.pair(x, channels, channels, stride=2, name=f"{name}_{path}") for path in ("a", "b", "shortcut")
        )
        y = self.merge([a, b], f"{name}_ab")
        y = self.pair(y, 2 * channels, channels, name=f"{name}_tail")
        return self.merge([y, shortcut], name)

    def head(self, x: Any, channels: int, name: str) -> Any:
        """(n, h, w, channels) -> (n, h/2, w/2, channels): the first block of v2, factor 1 (Table 2, caption)."""
        y = self.pair(x, channels, channels, stride=2, relu=True, name=f"{name}_1")
        y = self.pair(y, channels, channels, name=f"{name}_2")
        shortcut = self.pair(x, channels, channels, stride=2, name=f"{name}_shortcut")
        return self.merge([self.excite(y, name), shortcut], name)
