"""Shift: A Zero FLOP, Zero Parameter Alternative to Spatial Convolutions (arXiv 1711.08141).

CSC module: pointwise convolution, shift, pointwise convolution. In a ShiftNet each convolution follows BN and ReLU, and
a stride-2 module halves the image in its second convolution (only so do the multiply-adds of B come out) and appends
the pooled input. In a ShiftResNet, as released (alvinwan/shiftresnet-cifar), BN and ReLU follow each convolution, and
nothing follows the addition.

The expansions of ShiftNet-C are not known: those of A give 0.90 million parameters, (4, 4, 1, 1) the printed 0.78. The
parameters of A and B (counted 4.19 and 1.18 million) meet the printed 4.1 and 1.1 only when those are cut off.
"""

from collections.abc import Sequence

import keras
from keras import Input, layers

from tfeff.layers import GroupShift2D
from tfeff.layers.blocks import Taps, activate, batch_norm, classifier, conv, conv_bn, finish
from tfeff.networks.registry import register_networks

PAPER = "Shift, arXiv 1711.08141"
# Kernel, expansion of the stride-2 module and of the others, number of modules; one row a group.
_GROUPS_A = ((5, 4, 4, 5), (5, 4, 3, 6), (3, 3, 2, 7), (3, 2, 1, 3))
_GROUPS_C = ((5, 4, 4, 1), (5, 4, 4, 4), (3, 1, 1, 4), (3, 1, 1, 3))
_SOURCE = "arXiv 1711.08141; multiply-adds: Active-Shift supplement/presentation_rev2.pdf p. 17"
_SHIFTNETS = {
    "shiftnet_a": {
        "width": 32, "groups": _GROUPS_A,
        "published": {"parameters": 4_100_000, "madds": 1_400_000_000, "top1": 70.1, "top5": 89.7, "source": _SOURCE},
    },
    "shiftnet_b": {
        "width": 16, "groups": _GROUPS_A,
        "published": {"parameters": 1_100_000, "madds": 371_000_000, "top1": 61.2, "top5": 83.6, "source": _SOURCE},
    },
    "shiftnet_c": {
        "width": 16, "groups": _GROUPS_C,
        "published": {"parameters": 780_000, "top1": 58.8, "top5": 82.0, "source": _SOURCE},
    },
}  # fmt: skip
# shiftresnet-cifar, README: (depth, expansion) -> parameters (millions), top-1 percent on CIFAR-10 and CIFAR-100
_README = {
    (20, 1): (0.03, 85.78, 55.05), (20, 3): (0.10, 89.56, 65.83), (20, 6): (0.19, 91.07, 69.73),
    (20, 9): (0.28, 91.79, 70.77), (56, 1): (0.10, 89.69, 63.20), (56, 3): (0.29, 92.48, 69.77),
    (56, 6): (0.58, 93.49, 72.33), (56, 9): (0.87, 93.17, 73.43), (110, 1): (0.20, 90.67, 68.01),
    (110, 3): (0.59, 92.42, 72.10), (110, 6): (1.18, 93.03, 73.17), (110, 9): (1.76, 93.36, 73.71),
}  # fmt: skip
_SHIFTRESNETS = {
    f"shiftresnet_{depth}_e{expansion}": {
        "depth": depth, "expansion": expansion,
        "published": {
            "parameters": round(parameters * 1e6), "cifar10_top1": cifar10, "cifar100_top1": cifar100,
            "source": "github.com/alvinwan/shiftresnet-cifar README",
        },
    }
    for (depth, expansion), (parameters, cifar10, cifar100) in _README.items()
}  # fmt: skip


@register_networks("shiftnet", PAPER, _SHIFTNETS)
def shiftnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int,
    groups: Sequence[tuple[int, int, int, int]], assignment: str = "interleaved", symmetric_padding: bool = False,
    include_top: bool = True, features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """ShiftNet: (n, h, w, c) -> (n, classes) logits.

    Args:
        width: channels of the stem; the groups have 2, 4, 8 and 16 times as many.
        groups: (kernel of the shift, expansion of the stride-2 module, of the others, number of modules), one each.
        assignment: see `GroupShift2D`.
        symmetric_padding: pad the stem on every side, as PyTorch does.
        include_top, features_only: see `tfeff.layers.blocks.finish`.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = conv(image, width, 7, stride=reduction, symmetric=symmetric_padding, name="stem")  # -> (n, h/2, w/2, width)
    features = {}
    for number, (kernel, first, others, repeats) in enumerate(groups, start=1):
        shift = {"kernel_size": kernel, "assignment": assignment}
        x = _down(x, first, shift, f"group{number}_down")  # (n, h, w, c) -> (n, h/2, w/2, 2c)
        for repeat in range(1, repeats):
            label = f"group{number}_module{repeat}"
            y = _csc(x, others * x.shape[-1], x.shape[-1], 1, shift, label)
            x = layers.Add(name=f"{label}_add")([y, x])
        reduction *= 2
        features[reduction] = x
    x = activate(batch_norm(x, "bn"), "relu", "relu")
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes),
    )  # fmt: skip


def _csc(x, middle, channels, stride, shift, name):
    """(n, h, w, c) -> (n, h/stride, w/stride, channels)."""
    x = activate(batch_norm(x, f"{name}_bn1"), "relu", f"{name}_relu1")
    x = conv(x, middle, 1, name=f"{name}_conv1")  # -> (n, h, w, middle)
    x = GroupShift2D(**shift, name=f"{name}_shift")(x)
    x = activate(batch_norm(x, f"{name}_bn2"), "relu", f"{name}_relu2")
    return conv(x, channels, 1, stride=stride, name=f"{name}_conv2")  # -> (n, h/stride, w/stride, channels)


def _down(x, expansion, shift, name):
    """(n, h, w, c) -> (n, h/2, w/2, 2c): a module of c channels, then the pooled input.

    Padded by hand, for the mean must be centred on the pixel that the strided convolution takes, and count the zeros.
    """
    y = _csc(x, expansion * x.shape[-1], x.shape[-1], 2, shift, name)
    x = layers.ZeroPadding2D(1, name=f"{name}_pool_pad")(x)
    x = layers.AveragePooling2D(3, 2, name=f"{name}_pool")(x)
    return layers.Concatenate(name=f"{name}_concat")([y, x])


@register_networks("shiftnet", PAPER, _SHIFTRESNETS)
def shiftresnet(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, depth: int, expansion: int,
    assignment: str = "interleaved", include_top: bool = True, features_only: Taps = False, small_image: bool = True,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """ShiftResNet for CIFAR: (n, h, w, c) -> (n, classes) logits.

    Args:
        depth: 6n + 2, with n blocks in each of the three stages of 16, 32 and 64 channels.
        expansion: of the channels between the two convolutions of a block.
        assignment: see `GroupShift2D`.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the network reaches stride 4.
        small_image: without it the stem has stride 2; the network is made for 32x32.

    Raises:
        ValueError: a depth that is not 6n + 2.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth must be 6n + 2, not {depth}")
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = conv_bn(image, 16, 3, stride=reduction, activation="relu", name="stem")  # (n, h, w, 3) -> (n, h, w, 16)
    features = {}
    for stage, (channels, first) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
        for block in range(1, depth // 6 + 1):
            label, stride = f"stage{stage}_block{block}", first if block == 1 else 1
            y = conv_bn(x, expansion * channels, 1, activation="relu", name=f"{label}_conv1")  # -> (n, h, w, e c)
            y = GroupShift2D(3, assignment=assignment, name=f"{label}_shift")(y)
            y = conv_bn(y, channels, 1, stride=stride, activation="relu", name=f"{label}_conv2")  # -> (.., channels)
            if x.shape[-1] != channels:
                x = conv_bn(x, channels, 1, stride=stride, name=f"{label}_shortcut")  # -> (n, h/2, w/2, channels)
            x = layers.Add(name=f"{label}_add")([y, x])
        reduction *= first
        features[reduction] = x
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes),
    )  # fmt: skip
