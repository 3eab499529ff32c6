"""MobileNetV2: torchvision, and timm's `mobilenetv2_100` and its kin (not the deeper `110d` and `120d`)."""

from collections.abc import Sequence
from typing import Any

from tfeff.weights.layouts import Layout

_STAGES = (1, 2, 3, 4, 3, 3, 1)  # blocks in each


def torchvision(model: Any) -> dict[str, str]:
    layout = {"stem": "features.0.0", "stem_bn": "features.0.1", "last": "features.18.0", "last_bn": "features.18.1"}
    layout["logits"] = "classifier.1"
    for block in range(1, 18):
        ours, theirs = f"block{block}", f"features.{block}.conv"
        place = 0
        if block > 1:
            layout |= {f"{ours}_expand": f"{theirs}.0.0", f"{ours}_expand_bn": f"{theirs}.0.1"}
            place = 1
        layout |= {f"{ours}_dw": f"{theirs}.{place}.0", f"{ours}_dw_bn": f"{theirs}.{place}.1"}
        layout |= {f"{ours}_project": f"{theirs}.{place + 1}", f"{ours}_project_bn": f"{theirs}.{place + 2}"}
    return layout


def timm(model: Any) -> dict[str, str]:
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "last": "conv_head", "last_bn": "bn2", "logits": "classifier"}
    return layout | timm_blocks(model, _STAGES)


def timm_blocks(model: Any, stages: Sequence[int]) -> dict[str, str]:
    """The inverted residuals of `stages`, blocks in each, as timm's EfficientNets and MobileNets name them."""
    names = {layer.name for layer in model.layers}
    layout: dict[str, str] = {}
    blocks = [f"blocks.{stage}.{unit}" for stage, units in enumerate(stages) for unit in range(units)]
    for number, theirs in enumerate(blocks, start=1):
        ours = f"block{number}"
        widens = f"{ours}_expand" in names
        convs = {"expand": "conv_pw", "dw": "conv_dw", "project": "conv_pwl"}
        if not widens:
            convs = {"dw": "conv_dw", "project": "conv_pw"}
        for number_of_bn, (part, conv) in enumerate(convs.items(), start=1):
            layout |= {f"{ours}_{part}": f"{theirs}.{conv}", f"{ours}_{part}_bn": f"{theirs}.bn{number_of_bn}"}
        layout |= {f"{ours}_se_reduce": f"{theirs}.se.conv_reduce", f"{ours}_se_expand": f"{theirs}.se.conv_expand"}
    return layout


_OPTIONS = {"symmetric_padding": True, "bn_epsilon": 1e-5}
SOURCES = {"torchvision": Layout(torchvision, _OPTIONS), "timm": Layout(timm, _OPTIONS)}
