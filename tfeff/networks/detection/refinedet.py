"""RefineDet (arXiv 1711.06897) on VoVNet, as the authors of VoVNet built it (arXiv 1904.09730, Tables 2 and 4).

A first stage moves the anchors and drops those without an object, a second one tells the class and moves them again.
Maps go from the first to the second through transfer connection blocks, from the coarsest to the finest. Before each
stage's predictions is a bottleneck of ResNet, which is where most of the parameters behind the backbone are. It is a
detector for desktop GPUs: 56 to 70 million parameters, 33 to 36 G multiply-adds. Here is its structure, no preset.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from tfeff.layers.blocks import activate, batch_norm, conv_bn
from tfeff.networks.detection.parts import backbone_maps, levels_of, prediction, stride_of, task_of
from tfeff.networks.registry import register_networks
from tfeff.record.schema import TaskSpec
from tfeff.tasks.detection_spec import DetectionSpec

PAPER = "RefineDet, arXiv 1711.06897; on VoVNet, arXiv 1904.09730"
_RATIOS = (1.0, 2.0, 0.5)  # width over height of a place's anchors
_SIZE = 4  # an anchor's side, of the level's stride
_WIDTH = 256
_VARIANTS = {
    f"refinedet_{backbone}": {
        "backbone": backbone,
        "published": {
            "parameters": round(parameters * 1e6), "madds": round(madds * 1e9), "map": mean_average_precision,
            "source": "arXiv 1904.09730, Table 4",
        },
    }
    for backbone, parameters, madds, mean_average_precision in (
        ("vovnet_39", 56.28, 32.6, 33.5), ("vovnet_57", 70.32, 36.45, 33.9),
    )
}  # fmt: skip


def describe(model: Any, **options: Any) -> TaskSpec:
    """What the outputs of a built RefineDet mean."""
    levels = []
    for level in levels_of(model, exact=False, further=("first_boxes", "first_scores")):
        side = _SIZE * level.stride
        sizes = [(side * math.sqrt(ratio), side / math.sqrt(ratio)) for ratio in _RATIOS]
        levels.append(level.with_anchors(sizes))
    spec = DetectionSpec(
        kind="refined", size=tuple(model.input.shape[1:3]), levels=tuple(levels), variances=(0.1, 0.1, 0.2, 0.2),
        objectness=0.01, classes=model.output[levels[0].scores].shape[-1] // len(_RATIOS) - 1, score="softmax",
        score_threshold=0.01, iou_threshold=0.45, per_class=1000, keep=500,
    )  # fmt: skip
    return task_of(spec)


@register_networks("refinedet", PAPER, _VARIANTS, task="detection", describe=describe)
def refinedet(
    input_shape: tuple[int, int, int] = (320, 320, 3), classes: int = 80, *, backbone: str,
    backbone_options: Mapping[str, Any] | None = None, symmetric_padding: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """RefineDet: (n, h, w, 3) -> maps (n, h/8, w/8, ...) and so on, at strides 8, 16, 32 and 64.

    {"first_boxes_8": 3 * 4 values a place, "first_scores_8": 3 * 2, "boxes_8": 3 * 4, "scores_8": 3 * (classes + 1)}

    Args:
        classes: without the background.
        backbone: a network of the zoo that has maps at strides 8, 16 and 32.
        backbone_options: what the backbone is built with besides.
        symmetric_padding: pad as Caffe does, in the backbone.

    Raises:
        ValueError: an image whose sides are not multiples of 64, so that maps would not fit on each other.
    """
    if input_shape[0] % 64 or input_shape[1] % 64:
        raise ValueError(f"an image of {input_shape[0]}x{input_shape[1]}: its sides must be multiples of 64")
    taps = ("stride8", "stride16", "stride32")
    image, maps = backbone_maps(backbone, input_shape, taps, backbone_options, symmetric_padding=symmetric_padding)
    maps.append(_bottleneck(maps[-1], 128, 512, stride=2, name="extra"))  # -> (n, h/64, w/64, 512)
    outputs: dict[str, Any] = {}
    above = None
    for x in reversed(maps):
        stride = stride_of(image, x)
        outputs |= _predict(x, f"first_{{}}_{stride}", 2)
        above = _transfer(x, above, f"transfer{stride}")
        outputs |= _predict(above, f"{{}}_{stride}", classes + 1)
    return keras.Model(image, outputs, name=name)


def _bottleneck(x, middle, channels, *, stride=1, name):
    """ResNet's, with a projection, the stride in its first convolution: (n, h, w, c) -> (n, h/s, w/s, channels)."""
    y = conv_bn(x, middle, 1, stride=stride, activation="relu", name=f"{name}_1")
    y = conv_bn(y, middle, 3, activation="relu", name=f"{name}_2")
    y = conv_bn(y, channels, 1, name=f"{name}_3")
    x = conv_bn(x, channels, 1, stride=stride, name=f"{name}_projection")
    return activate(layers.Add(name=f"{name}_add")([x, y]), "relu", f"{name}_relu")


def _transfer(x, above, name):
    """Transfer connection block: (n, h, w, c) and, but for the coarsest, (n, h/2, w/2, 256) -> (n, h, w, 256)."""
    x = conv_bn(x, _WIDTH, 3, activation="relu", name=f"{name}_1")
    x = conv_bn(x, _WIDTH, 3, activation=None if above is not None else "relu", name=f"{name}_2")
    if above is not None:
        up = layers.Conv2DTranspose(_WIDTH, 2, 2, use_bias=False, kernel_initializer="he_normal", name=f"{name}_up")
        y = batch_norm(up(above), f"{name}_up_bn")  # -> (n, h, w, 256)
        x = activate(layers.Add(name=f"{name}_add")([x, y]), "relu", f"{name}_relu")
    return conv_bn(x, _WIDTH, 3, activation="relu", name=f"{name}_3")


def _predict(x, names, channels):
    """Of both kinds, by name; `channels` values for the scores of an anchor."""
    x = _bottleneck(x, 256, 1024, name=f"head_{names.format('in')}")
    values = {names.format("boxes"): 4, names.format("scores"): channels}
    return {name: prediction(x, len(_RATIOS) * each, 3, 0.0, name) for name, each in values.items()}
