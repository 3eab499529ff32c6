"""ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design (arXiv 1807.11164).

A unit of stride 1 works on half of the channels, hands the other half on, and shuffles. There are two forms. In
torchvision's both branches of the unit of stride 2 give half of the outputs, and every unit ends in a shuffle that
interleaves its halves. In the authors' code the projection keeps its input's channels and the other branch makes up
the rest, and the units of stride 1 begin with a shuffle: even channels are handed on, odd ones worked on. The paper's
MFLOPs (41, 146, 299, 591) are those of the authors' form. Where both branches give half, the forms are one network up
to the order of channels; in stage 2 they are two.
"""

from collections.abc import Sequence

import keras
from keras import Input, layers

from tfeff.layers import ChannelShuffle, ChannelSplit
from tfeff.layers.blocks import Taps, classifier, conv_bn, finish, max_pool
from tfeff.networks.registry import register_networks

PAPER = "ShuffleNet V2, arXiv 1807.11164"
_UNITS = (4, 8, 4)  # in stages 2, 3, 4; the first of each has stride 2
# Table 5: width in percent -> channels of stages 2, 3, 4 and of conv5. Of torchvision's weights: parameters, MAdds
# (millions), top-1 and top-5 percent. Its "0.04 GFLOPS" and the paper's "41M" of the smallest are too coarse to compare
# with 40.48M.
_TABLE = {
    50: ((48, 96, 192, 1024), 1_366_792, None, 60.552, 81.746),
    100: ((116, 232, 464, 1024), 2_278_604, 145, 69.362, 88.316),
    150: ((176, 352, 704, 1024), 3_503_624, 296, 72.996, 91.086),
    200: ((244, 488, 976, 2048), 7_393_996, 583, 76.230, 93.006),
}
_VARIANTS = {
    f"shufflenet_v2_x{width:03d}": {
        "channels": channels,
        "published": {
            "parameters": parameters, **({"madds": madds * 10**6} if madds else {}), "top1": top1, "top5": top5,
            "source": "torchvision, shufflenet_v2 weights IMAGENET1K_V1",
        },
    }
    for width, (channels, parameters, madds, top1, top5) in _TABLE.items()
}  # fmt: skip


@register_networks("shufflenet_v2", PAPER, _VARIANTS)
def shufflenet_v2(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, channels: Sequence[int],
    stride2_unit: str = "torchvision", activation: str = "relu", symmetric_padding: bool = False,
    bn_epsilon: float = 1e-5, dropout: float = 0.0, include_top: bool = True, features_only: Taps = False,
    small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """ShuffleNetV2: (n, h, w, c) -> (n, classes) logits.

    Args:
        channels: of stages 2, 3, 4 and of conv5.
        stride2_unit: "torchvision" or "original", see the top of this file.
        activation: behind every convolution that is not depthwise; "leaky_relu" in Paddle's detector.
        symmetric_padding: pad where the stride is 2 on every side, as PyTorch does.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the features are the stages' outputs.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.

    Raises:
        ValueError: another `stride2_unit`.
    """
    if stride2_unit not in ("torchvision", "original"):
        raise ValueError(f"stride2_unit must be 'torchvision' or 'original', not {stride2_unit!r}")
    *stages, last = channels
    unit = _Units(stride2_unit, activation, {"symmetric": symmetric_padding, "epsilon": bn_epsilon})
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = unit.conv(image, 24, 3, stride=reduction, name="stem")  # (n, h, w, 3) -> (n, h/2, w/2, 24)
    x = unit.pool(x)  # -> (n, h/4, w/4, 24)
    features = {2 * reduction: x}
    for number, (width, units) in enumerate(zip(stages, _UNITS, strict=True), start=2):
        x = unit.down(x, width, name=f"stage{number}_unit1")  # (n, h, w, c) -> (n, h/2, w/2, width)
        for repeat in range(2, units + 1):
            x = unit.keep(x, name=f"stage{number}_unit{repeat}")
        features[reduction * 2**number] = x
    x = unit.conv(x, last, 1, name="conv5")  # -> (n, h/32, w/32, last)
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, dropout=dropout),
    )  # fmt: skip


class _Units:
    """The units of Figure 3 (c) and (d); no activation follows a depthwise convolution."""

    def __init__(self, stride2_unit, activation, options):
        self.original = stride2_unit == "original"
        self.activation = activation
        self.options = options

    def conv(self, x, filters, kernel, *, name, **options):
        options = {"activation": self.activation, **options, **self.options}
        return conv_bn(x, filters, kernel, name=name, **options)

    def depthwise(self, x, *, stride=1, name):
        return self.conv(x, x.shape[-1], 3, stride=stride, group=1, activation=None, name=name)

    def pool(self, x):
        if self.activation != "relu":
            return max_pool(x, symmetric=self.options["symmetric"], name="pool1")
        padding = "same"
        if self.options["symmetric"]:  # zeros do no harm behind a ReLU
            x, padding = layers.ZeroPadding2D(1, name="pool1_pad")(x), "valid"
        return layers.MaxPooling2D(3, 2, padding=padding, name="pool1")(x)

    def keep(self, x, name):
        """(n, h, w, c) -> (n, h, w, c)"""
        half = x.shape[-1] // 2
        if self.original:
            x = ChannelShuffle(half, name=f"{name}_shuffle")(x)  # even channels first
        passed, y = ChannelSplit(2, name=f"{name}_split")(x)  # -> 2 of (n, h, w, c/2)
        y = self.conv(y, half, 1, name=f"{name}_branch2_pw1")
        y = self.depthwise(y, name=f"{name}_branch2_dw")
        y = self.conv(y, half, 1, name=f"{name}_branch2_pw2")
        return self.merge(passed, y, name)

    def down(self, x, channels, name):
        """(n, h, w, c) -> (n, h/2, w/2, channels)"""
        kept, half = x.shape[-1], channels // 2
        first = kept if self.original else half
        y = self.depthwise(x, stride=2, name=f"{name}_branch1_dw")
        y = self.conv(y, first, 1, name=f"{name}_branch1_pw")  # -> (n, h/2, w/2, first)
        z = self.conv(x, half, 1, name=f"{name}_branch2_pw1")
        z = self.depthwise(z, stride=2, name=f"{name}_branch2_dw")
        z = self.conv(z, channels - first, 1, name=f"{name}_branch2_pw2")  # -> (n, h/2, w/2, channels - first)
        return self.merge(y, z, name)

    def merge(self, a, b, name):
        x = layers.Concatenate(name=f"{name}_concat")([a, b])
        return x if self.original else ChannelShuffle(2, name=f"{name}_shuffle")(x)
