"""EfficientNet-Lite: timm's `efficientnet_lite0` (its own training, symmetric padding) and `tf_efficientnet_lite0` to
`lite4` (the authors' weights), and the authors' weights as the package `efficientnet_lite_pytorch` has them."""

import math
from typing import Any

from tfeff.weights.layouts import Layout
from tfeff.weights.layouts.mobilenet_v2 import timm_blocks

_REPEATS = (1, 2, 2, 3, 3, 4, 1)


def timm(model: Any) -> dict[str, str]:
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "last": "conv_head", "last_bn": "bn2", "logits": "classifier"}
    return layout | timm_blocks(model, _stages(model))


def _stages(model: Any) -> list[int]:
    """Blocks in each stage: the depth, of the authors' five, that gives the model its number of blocks."""
    blocks = sum(layer.name.endswith("_dw") for layer in model.layers)
    for depth in (1.0, 1.1, 1.2, 1.4, 1.8):
        stages = [1, *(math.ceil(repeats * depth) for repeats in _REPEATS[1:-1]), 1]
        if sum(stages) == blocks:
            return stages
    return list(_REPEATS)


def efficientnet_lite_pytorch(model: Any) -> dict[str, str]:
    layout = {"stem": "_conv_stem", "stem_bn": "_bn0", "last": "_conv_head", "last_bn": "_bn1", "logits": "_fc"}
    parts = {
        "expand": ("_expand_conv", "_bn0"),
        "dw": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    for number in range(1, 1 + sum(_stages(model))):
        for part, (conv, norm) in parts.items():
            ours, theirs = f"block{number}_{part}", f"_blocks.{number - 1}"
            layout |= {ours: f"{theirs}.{conv}", f"{ours}_bn": f"{theirs}.{norm}"}
    return layout


SOURCES = {
    "timm": Layout(timm, {"symmetric_padding": True, "bn_epsilon": 1e-5}, networks="efficientnet_lite0"),
    "timm-tf": Layout(timm),
    "efficientnet_lite_pytorch": Layout(efficientnet_lite_pytorch),
}
