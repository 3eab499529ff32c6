"""SSDLite: SSD (arXiv 1512.02325) with separable convolutions in its extra layers and heads (arXiv 1801.04381, section
6.2), as torchvision has it.

Two maps of a backbone, at strides 16 and 32, and four smaller ones behind them each predict boxes for six anchors a
place, and scores of all classes and the background. On MobileNetV3-Large the first map is inside of a bottleneck, where
it is widest, and the end of the backbone is halved. The others are ours: their last maps are the stages' outputs.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import keras

from tfeff.layers.blocks import Taps, conv_bn
from tfeff.networks.detection.parts import backbone_maps, levels_of, prediction, stride_of, task_of
from tfeff.networks.registry import register_networks
from tfeff.record.schema import TaskSpec
from tfeff.tasks.detection_spec import DetectionSpec

PAPER = "SSDLite, arXiv 1801.04381"
_RATIOS = (2.0, 3.0)
_ANCHORS = 2 + 2 * len(_RATIOS)  # of a place
_SMALLEST, _LARGEST = 0.2, 0.95  # anchors of the first and the last level, of the image's side
_TORCHVISION = {
    "backbone": "mobilenet_v3_large_100", "taps": ("block13_expand_hard_swish", "last_hard_swish"),
    "backbone_options": {"reduced_tail": True, "width_rule": "torchvision"},
}  # fmt: skip
_STAGES = {"taps": ("stride16", "stride32")}
_VARIANTS: dict[str, dict[str, Any]] = {
    "ssdlite_mobilenet_v3_large": {
        **_TORCHVISION,
        "published": {
            "parameters": 3_440_060, "map": 21.3,
            "source": "torchvision, ssdlite320_mobilenet_v3_large weights COCO_V1",
        },
    },
    **{
        f"ssdlite_{backbone}": {"backbone": backbone, **_STAGES}
        for backbone in ("vargnet_v1_025_g8", "vargnet_v1_050_g8", "vargnet_v1_100_g8", "vovnet_27_slim")
    },
}  # fmt: skip


def anchor_sizes(levels: int) -> list[list[tuple[float, float]]]:
    """(width, height) of the anchors of each level, of the image's sides: a square, one between this level's and the
    next's, and for each ratio a wide and a tall one; cut off at the image's size."""
    scales = [_SMALLEST + (_LARGEST - _SMALLEST) * k / max(levels - 1, 1) for k in range(levels)] + [1.0]
    found = []
    for scale, larger in pairwise(scales):
        between = math.sqrt(scale * larger)
        sizes = [(scale, scale), (between, between)]
        for ratio in _RATIOS:
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            sizes += [(long, short), (short, long)]
        found.append([(min(width, 1.0), min(height, 1.0)) for width, height in sizes])
    return found


def describe(model: Any, **options: Any) -> TaskSpec:
    """What the outputs of a built SSDLite mean."""
    height, width = model.input.shape[1:3]
    levels = levels_of(model, exact=True)
    for number, sizes in enumerate(anchor_sizes(len(levels))):
        anchors = tuple((wide * width, high * height) for wide, high in sizes)
        levels[number] = levels[number].with_anchors(anchors)
    spec = DetectionSpec(
        kind="anchors", size=(height, width), levels=tuple(levels), variances=(0.1, 0.1, 0.2, 0.2),
        max_log_size=math.log(1000 / 16), classes=model.output[levels[0].scores].shape[-1] // _ANCHORS - 1,
        score="softmax", clip=True, score_threshold=0.001, iou_threshold=0.55, per_class=300, keep=300,
    )  # fmt: skip
    return task_of(spec)


@register_networks("ssdlite", PAPER, _VARIANTS, task="detection", describe=describe)
def ssdlite(
    input_shape: tuple[int, int, int] = (320, 320, 3), classes: int = 90, *, backbone: str, taps: Taps,
    backbone_options: Mapping[str, Any] | None = None, extras: Sequence[int] = (512, 256, 256, 128),
    symmetric_padding: bool = False, bn_epsilon: float = 1e-3, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """SSDLite: (n, h, w, 3) -> maps (n, h/16, w/16, ...) and so on, each half as large as the one before.

    {"boxes_16": 6 * 4 values a place, "scores_16": 6 * (classes + 1), ...}

    Args:
        classes: without the background; 90 are the numbers that COCO gives its 80 kinds.
        backbone, taps: a network of the zoo, and the maps of it that are taken.
        backbone_options: what the backbone is built with besides.
        extras: channels of the further maps, each half as large as the one before.
        symmetric_padding: pad where the stride is 2 on every side, as PyTorch does, in the backbone too.
        bn_epsilon: of the layers behind the backbone, and of MobileNetV3.
        small_image: stride 1 in the backbone's stem, for images of 96x96 and the like; all levels are twice as fine.
    """
    if small_image and not isinstance(taps, bool):  # the same maps, which have other strides then
        taps = [f"stride{int(tap[6:]) // 2}" if tap.startswith("stride") else tap for tap in taps]
    image, maps = backbone_maps(
        backbone, input_shape, taps, backbone_options, symmetric_padding=symmetric_padding, small_image=small_image
    )
    options: dict[str, Any] = {"epsilon": bn_epsilon, "momentum": 0.97, "activation": "relu6"}
    for number, channels in enumerate(extras, start=1):
        x = conv_bn(maps[-1], channels // 2, 1, name=f"extra{number}_reduce", **options)
        x = conv_bn(
            x, channels // 2, 3, stride=2, group=1, symmetric=symmetric_padding, name=f"extra{number}_dw", **options
        )  # (n, h, w, c) -> (n, h/2, w/2, channels/2)
        maps.append(conv_bn(x, channels, 1, name=f"extra{number}_expand", **options))
    outputs, finest = {}, stride_of(image, maps[0])
    for number, x in enumerate(maps):
        stride = finest * 2**number
        for kind, values in (("boxes", 4), ("scores", classes + 1)):
            y = conv_bn(x, x.shape[-1], 3, group=1, name=f"head{stride}_{kind}_dw", **options)
            outputs[f"{kind}_{stride}"] = prediction(y, _ANCHORS * values, 1, 0.0, f"{kind}_{stride}")
    return keras.Model(image, outputs, name=name)
