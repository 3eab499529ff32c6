"""Searching for MobileNetV3 (arXiv 1905.02244).

MobileNetV2's bottleneck with h-swish, 5x5 kernels and squeeze and excitation where a search wanted them, a narrower
stem and a cheaper end: the widest layer comes after the global mean. The "minimalistic" models, from the authors' code,
have none of the three, only ReLU and 3x3.

The paper's table ticks squeeze and excitation for the last 1x1 convolution of the small model; no implementation has it
there, and the published counts need none.
"""

from functools import partial
from typing import Any

import keras
from keras import Input

from tfeff.layers.blocks import classifier, conv_bn, finish, make_divisible, squeeze_excite
from tfeff.networks.mobilenet_v2 import bottleneck
from tfeff.networks.registry import register_networks

PAPER = "MobileNetV3, arXiv 1905.02244"
# Tables 1 and 2: kernel, expanded channels, channels, squeeze and excitation, activation, stride.
_RE, _HS = "relu", "hard_swish"
_LARGE = (
    (3, 16, 16, False, _RE, 1), (3, 64, 24, False, _RE, 2), (3, 72, 24, False, _RE, 1), (5, 72, 40, True, _RE, 2),
    (5, 120, 40, True, _RE, 1), (5, 120, 40, True, _RE, 1), (3, 240, 80, False, _HS, 2), (3, 200, 80, False, _HS, 1),
    (3, 184, 80, False, _HS, 1), (3, 184, 80, False, _HS, 1), (3, 480, 112, True, _HS, 1), (3, 672, 112, True, _HS, 1),
    (5, 672, 160, True, _HS, 2), (5, 960, 160, True, _HS, 1), (5, 960, 160, True, _HS, 1),
)  # fmt: skip
_SMALL = (
    (3, 16, 16, True, _RE, 2), (3, 72, 24, False, _RE, 2), (3, 88, 24, False, _RE, 1), (5, 96, 40, True, _HS, 2),
    (5, 240, 40, True, _HS, 1), (5, 240, 40, True, _HS, 1), (5, 120, 48, True, _HS, 1), (5, 144, 48, True, _HS, 1),
    (5, 288, 96, True, _HS, 2), (5, 576, 96, True, _HS, 1), (5, 576, 96, True, _HS, 1),
)  # fmt: skip
_KERAS = "keras-applications, table of mobilenet_v3.py"
# Size, width, minimalistic -> MAdds (millions), parameters (millions), top-1 percent, source. The authors' table has
# 66M MAdds and 2.9M parameters for the small model, 44M and 2.4M at width 0.75, and 65M for the minimalistic one: not
# those of the final architecture (56.5M and 2.54M, 43.4M and 2.04M, 52.3M by count).
_PUBLISHED = {
    ("large", 1.0, False): (217, 5.4, 75.6, _KERAS),
    ("large", 0.75, False): (155, 4.0, 73.3, _KERAS),
    ("large", 1.0, True): (209, 3.9, 72.3, _KERAS),
    ("small", 1.0, False): (57, 2.542856, 67.668, "torchvision, mobilenet_v3_small weights IMAGENET1K_V1"),
    ("small", 0.75, False): (43.4, 2.042, 65.4, f"d-li14/mobilenetv3.pytorch; top-1: {_KERAS}"),
    ("small", 1.0, True): (None, 2.0, 61.9, _KERAS),
}


def _variants(size):
    return {
        f"mobilenet_v3_{size}{'_minimalistic' if minimalistic else ''}_{round(100 * width):03d}": {
            "width": width, "minimalistic": minimalistic,
            "published": {
                **({"madds": round(madds * 1e6)} if madds else {}), "parameters": round(parameters * 1e6),
                "top1": top1, "source": source,
            },
        }
        for (of, width, minimalistic), (madds, parameters, top1, source) in _PUBLISHED.items() if of == size
    }  # fmt: skip


@register_networks("mobilenet_v3", PAPER, _variants("large"))
def mobilenet_v3_large(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, **options: Any
) -> keras.Model:
    """MobileNetV3-Large (Table 1): (n, h, w, c) -> (n, classes) logits. `options` as for `_mobilenet_v3`."""
    return _mobilenet_v3(input_shape, classes, width, _LARGE, 1280, **options)


@register_networks("mobilenet_v3", PAPER, _variants("small"))
def mobilenet_v3_small(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: float, **options: Any
) -> keras.Model:
    """MobileNetV3-Small (Table 2): (n, h, w, c) -> (n, classes) logits. `options` as for `_mobilenet_v3`."""
    return _mobilenet_v3(input_shape, classes, width, _SMALL, 1024, **options)


def _mobilenet_v3(
    input_shape, classes, width, rows, hidden, *, minimalistic, width_rule="keras", symmetric_padding=False,
    bn_epsilon=1e-3, dropout=0.2, squeeze_divisor=8, always_expand=False, reduced_tail=False, output_stride=32,
    include_top=True, features_only=False, small_image=False, name=None,
):  # fmt: skip
    """Builds either size.

    Args:
        rows: a bottleneck each.
        hidden: channels of the fully connected layer before the last.
        minimalistic: no squeeze and excitation, no h-swish, no 5x5.
        width_rule: what the width scales besides the bottlenecks' channels. "keras", as the authors: `hidden`, above
            width 1 only; expanded channels are a multiple of the rounded channels in. "torchvision": every number of
            the table. Equal at width 1.
        symmetric_padding: pad stride-2 convolutions on every side, as PyTorch does.
        squeeze_divisor: the hidden channels of squeeze and excitation are a multiple of it; 1 in Paddle.
        always_expand: the first bottleneck has a convolution that widens by 1 too, as in Paddle.
        reduced_tail: half of the channels behind stride 32, expanded ones (but for the first) and `hidden` included, as
            torchvision's SSDLite has it after section 6.3.
        output_stride: of the last map, 32, 16 or 8: blocks that would make it coarser keep their map and are dilated
            instead, the first of them too, as torchvision's segmentation networks have it.
        include_top, features_only: see `tfeff.layers.blocks.finish`; the features are the bottlenecks' outputs.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.

    Raises:
        ValueError: another `width_rule` or `output_stride`.
    """
    if width_rule not in ("keras", "torchvision"):
        raise ValueError(f"width_rule must be 'keras' or 'torchvision', not {width_rule!r}")
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride must be 8, 16 or 32, not {output_stride!r}")
    torchvision = width_rule == "torchvision"
    options = {"symmetric": symmetric_padding, "epsilon": bn_epsilon}
    last_activation = _RE if minimalistic else _HS
    image = Input(input_shape, name="image")
    stride = reduction = 1 if small_image else 2
    stem = make_divisible(16 * width) if torchvision else 16
    x = conv_bn(
        image, stem, 3, stride=stride, activation=last_activation, name="stem", **options
    )  # (n, h, w, 3) -> (n, h/2, w/2, 16)
    features, before, dilation = {}, 16, 1
    for number, (kernel, expanded, channels, attended, activation, stride) in enumerate(
        _halve_tail(rows) if reduced_tail else rows, start=1
    ):
        if reduction * stride > output_stride:
            stride, dilation = 1, dilation * stride
        reduction *= stride
        expanded = make_divisible(expanded * width if torchvision else x.shape[-1] * expanded / before)
        attend = partial(_squeeze_excite, hidden=make_divisible(expanded / 4, squeeze_divisor))
        x = bottleneck(
            x, expanded, make_divisible(channels * width), kernel=3 if minimalistic else kernel, stride=stride,
            activation=_RE if minimalistic else activation, attend=attend if attended and not minimalistic else None,
            always_expand=always_expand, dilation=dilation, name=f"block{number}", **options,
        )  # (n, h, w, c) -> (n, h/stride, w/stride, channels)  # fmt: skip
        features[reduction], before = x, channels
    x = conv_bn(
        x, make_divisible(6 * x.shape[-1]), 1, activation=last_activation, name="last", **options
    )  # -> (n, h/32, w/32, 6c), or at the output stride
    hidden = make_divisible(hidden * (width if torchvision else max(1.0, width)) / (2 if reduced_tail else 1))
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes, hidden=hidden, activation=last_activation, dropout=dropout),
    )  # fmt: skip


def _halve_tail(rows):
    """Rows with half of the channels from the last stride 2 on; what that one expands comes from before it."""
    last = max(number for number, row in enumerate(rows) if row[-1] == 2)
    for number, (kernel, expanded, channels, *rest) in enumerate(rows):
        expanded, channels = expanded // (2 if number > last else 1), channels // (2 if number >= last else 1)
        yield (kernel, expanded, channels, *rest)


def _squeeze_excite(x, name, hidden):
    return squeeze_excite(x, hidden, name=name)
