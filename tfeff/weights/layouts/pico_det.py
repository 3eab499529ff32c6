"""PicoDet: PaddleDetection's detectors, both versions, on each of their backbones.

A state dict of version 2 may hold its last convolutions twice, under two names. Version 1 keeps scores and distances in
one convolution, which is cut in two. The hard sigmoid of MobileNetV3's gates there is clip(0.2 x + 0.5, 0, 1), here
clip(x / 6 + 0.5, 0, 1), so 1.2 goes into the convolution before it.
"""

import re
from typing import Any

import numpy as np

from tfeff.weights.layouts import Layout, esnet, pp_lcnet

_DISTANCES = 32  # values of `head_cls` that are the boxes'
_TWICE = re.compile(r"head\.head_(cls|reg)_list\.(\d)\.")
_GATE = re.compile(r"backbone\.conv\d+\.mid_se\.conv2\.")
_STRIDES = (8, 16, 32, 64)


def paddle(model: Any) -> dict[str, str]:
    names = {layer.name for layer in model.layers}
    return {**{k: f"backbone.{v}" for k, v in _backbone(model, names).items()}, **_neck(), **_head(names)}


def _backbone(model, names):
    if "stage1_block1_dw" in names:
        return pp_lcnet.paddle(model)
    return _mobilenet_v3(names) if "block1_dw" in names else esnet.paddle(model)  # or ShuffleNetV2


def _mobilenet_v3(names):
    layout = _conv_bn("stem", "conv1")
    parts = {"expand": "expand_conv", "dw": "bottleneck_conv", "project": "linear_conv"}
    for block in range(1, 1 + sum(name.startswith("block") and name.endswith("_dw") for name in names)):
        theirs = f"conv{block + 1}"
        for ours, part in parts.items():
            layout |= _conv_bn(f"block{block}_{ours}", f"{theirs}.{part}")
        layout |= {f"block{block}_se_reduce": f"{theirs}.mid_se.conv1"}
        layout |= {f"block{block}_se_expand": f"{theirs}.mid_se.conv2"}
    return layout


def _conv_bn(ours, theirs, bn="bn"):
    return {ours: f"{theirs}.conv", f"{ours}_bn": f"{theirs}.{bn}"}


def _separable(ours, theirs):
    layout = {f"{ours}_dw": f"{theirs}.dwconv", f"{ours}_dw_bn": f"{theirs}.bn1"}
    return {**layout, f"{ours}_pw": f"{theirs}.pwconv", f"{ours}_pw_bn": f"{theirs}.bn2"}


def _neck():
    fine, middle, coarse, _ = _STRIDES
    layout: dict[str, str] = {}
    for number, stride in enumerate((fine, middle, coarse)):
        layout |= _conv_bn(f"neck_reduce{stride}", f"neck.conv_t.convs.{number}")
    for number, stride in enumerate((middle, coarse)):
        layout |= _separable(f"neck_down{stride}", f"neck.downsamples.{number}")
    for ours, theirs in (("in", "first"), ("out", "second")):
        layout |= _separable(f"neck_extra_{ours}", f"neck.{theirs}_top_conv")
    blocks = {f"top_down{middle}": "top_down_blocks.0", f"top_down{fine}": "top_down_blocks.1"}
    blocks |= {f"bottom_up{middle}": "bottom_up_blocks.0", f"bottom_up{coarse}": "bottom_up_blocks.1"}
    for ours, theirs in blocks.items():
        ours, theirs = f"neck_{ours}", f"neck.{theirs}"
        for part, place in {"main": "main_conv", "short": "short_conv", "out": "final_conv"}.items():
            layout |= _conv_bn(f"{ours}_{part}", f"{theirs}.{place}")
        layout |= _conv_bn(f"{ours}_inner", f"{theirs}.blocks.0.conv1")
        layout |= _separable(f"{ours}_inner", f"{theirs}.blocks.0.conv2")
        for number in (1, 2):  # version 2
            for part in ("dw", "pw"):
                layout |= _conv_bn(f"{ours}_{number}_{part}", f"{theirs}.{number - 1}.{part}_conv")
    return layout


def _head(names):
    layout: dict[str, str] = {}
    for level, stride in enumerate(_STRIDES):
        layout |= {f"scores_{stride}": f"head.head_cls{level}", f"boxes_{stride}": f"head.head_reg{level}"}
        for number in range(1, 1 + sum(f"head{stride}_{n}_dw" in names for n in range(1, 10))):
            for part in ("dw", "pw"):
                place = f"head.conv_feat.cls_conv_{part}{level}.{number - 1}"
                layout |= _conv_bn(f"head{stride}_{number}_{part}", place, "norm")
        layout[f"head{stride}_se_fc"] = f"head.conv_feat.se.{level}.fc"
        layout |= _conv_bn(f"head{stride}_se_conv", f"head.conv_feat.se.{level}.conv", "norm")
        for number, part in enumerate(("dwconv", "pwconv"), start=1):
            layout[f"head{stride}_align_{number}"] = f"head.cls_align.{level}.{part}"
            layout[f"head{stride}_align_{number}_bn"] = f"head.cls_align.{level}.bn{number}"
    return layout


def _paddle_values(state):
    found = {}
    for entry, value in state.items():
        entry = _TWICE.sub(r"head.head_\1\2.", entry)
        value = np.float32(1.2) * value if _GATE.match(entry) else value
        kind, _, word = entry.removeprefix("head.head_cls").partition(".")
        both = entry.startswith("head.head_cls") and f"head.head_reg{kind}.{word}" not in state
        if both and f"head.head_reg_list.{kind}.{word}" not in state and len(value) > _DISTANCES:
            found[f"head.head_reg{kind}.{word}"] = value[-_DISTANCES:]
            value = value[:-_DISTANCES]
        found[entry] = value
    return found


SOURCES = {
    "paddle": Layout(
        paddle, {"symmetric_padding": True}, adapt=_paddle_values, entries=esnet.ENTRIES,
        unused=("head.distribution_project", *(f"head.p{level}_feat.scale_reg" for level in (3, 4, 5, 6))),
    ),
}  # fmt: skip
