"""GhostNet: More Features from Cheap Operations (arXiv 1911.11907).

A ghost module makes half of its channels by a pointwise convolution and the other half from those by a depthwise one,
which is cheaper. Two of them, the first widening and the second narrowing, make a bottleneck in the shape of
MobileNetV3-Large's; with stride 2 there is a depthwise convolution between them. Channels are multiples of 4.
"""

import keras
from keras import Input, layers

from tfeff.layers.blocks import Taps, classifier, conv_bn, finish, make_divisible, squeeze_excite
from tfeff.networks.registry import register_networks

PAPER = "GhostNet, arXiv 1911.11907"
# Table 1: kernel, channels inside, channels out, squeeze and excitation, stride.
_BLOCKS = (
    (3, 16, 16, False, 1), (3, 48, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2), (5, 120, 40, True, 1),
    (3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1), (3, 184, 80, False, 1),
    (3, 480, 112, True, 1), (3, 672, 112, True, 1), (5, 672, 160, True, 2), (5, 960, 160, False, 1),
    (5, 960, 160, True, 1), (5, 960, 160, False, 1), (5, 960, 160, True, 1),
)  # fmt: skip
# Width -> MAdds (millions), parameters (millions), top-1 and top-5 percent
_PUBLISHED = {0.5: (42, 2.6, 66.2, 86.6), 1.0: (141, 5.2, 73.9, 91.4), 1.3: (226, 7.3, 75.7, 92.7)}
_VARIANTS = {
    f"ghostnet_{round(100 * width):03d}": {
        "width": width,
        "published": {
            "madds": madds * 10**6, "parameters": round(parameters * 1e6), "top1": top1, "top5": top5,
            "source": "arXiv 1911.11907",
        },
    }
    for width, (madds, parameters, top1, top5) in _PUBLISHED.items()
}  # fmt: skip


@register_networks("ghostnet", PAPER, _VARIANTS)
def ghostnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float,
    symmetric_padding: bool = False, bn_epsilon: float = 1e-5, dropout: float = 0.2, include_top: bool = True,
    features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """GhostNet: (n, h, w, c) -> (n, classes) logits.

    Args:
        symmetric_padding: pad stride-2 convolutions on every side, as PyTorch does.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the features are the bottlenecks' outputs.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    block = _Blocks({"symmetric": symmetric_padding, "epsilon": bn_epsilon})
    image = Input(input_shape, name="image")
    stride = reduction = 1 if small_image else 2
    x = block.conv(
        image, make_divisible(16 * width, 4), 3, stride=stride, activation="relu", name="stem"
    )  # (n, h, w, 3) -> (n, h/2, w/2, 16a)
    features = {}
    for number, (kernel, inside, channels, attended, stride) in enumerate(_BLOCKS, start=1):
        reduction *= stride
        inside, channels = make_divisible(inside * width, 4), make_divisible(channels * width, 4)
        x = block.bottleneck(x, kernel, inside, channels, attended, stride, name=f"block{number}")
        features[reduction] = x
    x = block.conv(x, make_divisible(960 * width, 4), 1, activation="relu", name="last")  # -> (n, h/32, w/32, 960a)
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, hidden=1280, dropout=dropout),
    )  # fmt: skip


class _Blocks:
    """Figures 2 and 3; every convolution is followed by BN."""

    def __init__(self, options):
        self.options = options

    def conv(self, x, filters, kernel, *, name, **options):
        return conv_bn(x, filters, kernel, name=name, **options, **self.options)

    def ghost(self, x, channels, activation, name):
        """(n, h, w, c) -> (n, h, w, channels), even; the second half of the channels comes from the first."""
        first = self.conv(
            x, channels // 2, 1, activation=activation, name=f"{name}_primary"
        )  # -> (n, h, w, channels/2)
        second = self.conv(first, channels // 2, 3, group=1, activation=activation, name=f"{name}_cheap")
        return layers.Concatenate(name=f"{name}_concat")([first, second])  # -> (n, h, w, channels)

    def bottleneck(self, x, kernel, inside, channels, attended, stride, name):
        """(n, h, w, c) -> (n, h/stride, w/stride, channels)"""
        y = self.ghost(x, inside, "relu", f"{name}_ghost1")  # -> (n, h, w, inside)
        if stride > 1:
            y = self.conv(y, inside, kernel, stride=stride, group=1, name=f"{name}_dw")  # -> (n, h/2, w/2, inside)
        if attended:
            y = squeeze_excite(y, make_divisible(inside / 4, 4), name=f"{name}_se")
        y = self.ghost(y, channels, None, f"{name}_ghost2")  # -> (n, h/stride, w/stride, channels)
        if stride > 1 or x.shape[-1] != channels:
            x = self.conv(x, x.shape[-1], kernel, stride=stride, group=1, name=f"{name}_shortcut_dw")
            x = self.conv(x, channels, 1, name=f"{name}_shortcut_pw")  # -> (n, h/stride, w/stride, channels)
        return layers.Add(name=f"{name}_add")([y, x])
