"""MobileNetV3: torchvision, and timm's `mobilenetv3_*` (the `tf_mobilenetv3_*` pad as TensorFlow does)."""

from typing import Any

from tfeff.weights.layouts import Layout
from tfeff.weights.layouts.mobilenet_v2 import timm_blocks

_STAGES = {15: (1, 2, 3, 4, 2, 3), 11: (1, 2, 3, 2, 3)}  # blocks of large and small -> blocks in each stage


def torchvision(model: Any) -> dict[str, str]:
    names, blocks = {layer.name for layer in model.layers}, _blocks(model)
    layout = {"stem": "features.0.0", "stem_bn": "features.0.1", "head": "classifier.0", "logits": "classifier.3"}
    layout |= {"last": f"features.{blocks + 1}.0", "last_bn": f"features.{blocks + 1}.1"}
    for block in range(1, blocks + 1):
        ours, place = f"block{block}", 0
        for part in ("expand", "dw", "se", "project"):
            theirs = f"features.{block}.block.{place}"
            if part == "se" and f"{ours}_se_reduce" in names:
                layout |= {f"{ours}_se_reduce": f"{theirs}.fc1", f"{ours}_se_expand": f"{theirs}.fc2"}
            elif f"{ours}_{part}" in names:
                layout |= {f"{ours}_{part}": f"{theirs}.0", f"{ours}_{part}_bn": f"{theirs}.1"}
            else:
                continue  # a part that this block lacks takes no place
            place += 1
    return layout


def timm(model: Any) -> dict[str, str]:
    stages = _STAGES[_blocks(model)]
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "head": "conv_head", "logits": "classifier"}
    layout |= {"last": f"blocks.{len(stages)}.0.conv", "last_bn": f"blocks.{len(stages)}.0.bn1"}
    return layout | timm_blocks(model, stages)


def _blocks(model):
    names = [layer.name for layer in model.layers]
    return sum(name.startswith("block") and name.endswith("_dw") for name in names)


SOURCES = {
    "torchvision": Layout(torchvision, {"symmetric_padding": True, "width_rule": "torchvision"}),
    "timm": Layout(timm, {"symmetric_padding": True, "bn_epsilon": 1e-5}, networks="mobilenet_v3_*[le]_[01]*"),
}
