"""PP-LCNet: timm's `lcnet_*`, and the authors' PaddleClas.

Paddle keeps a fully connected layer as [in, out]. Its dropout of 0.2 does nothing in training but leave values out, and
multiplies by 0.8 afterwards; here, as everywhere else, it is the other way round, so 0.8 goes into `fc.weight`.
"""

from typing import Any

import numpy as np

from tfeff.weights.layouts import Layout

_KEEP = 0.8  # of the values that the dropout before `fc` leaves in

_BLOCKS = {  # (stage, block) -> timm's, which splits the stage of 256 channels in two
    (1, 1): "0.0", (2, 1): "1.0", (2, 2): "1.1", (3, 1): "2.0", (3, 2): "2.1",
    (4, 1): "3.0", (4, 2): "3.1", (4, 3): "4.0", (4, 4): "4.1", (4, 5): "4.2", (4, 6): "4.3",
    (5, 1): "5.0", (5, 2): "5.1",
}  # fmt: skip


def timm(model: Any) -> dict[str, str]:
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "head": "conv_head", "logits": "classifier"}
    for (stage, block), place in _BLOCKS.items():
        ours, theirs = f"stage{stage}_block{block}", f"blocks.{place}"
        layout |= {f"{ours}_dw": f"{theirs}.conv_dw", f"{ours}_dw_bn": f"{theirs}.bn1"}
        layout |= {f"{ours}_se_reduce": f"{theirs}.se.conv_reduce", f"{ours}_se_expand": f"{theirs}.se.conv_expand"}
        layout |= {f"{ours}_pw": f"{theirs}.conv_pw", f"{ours}_pw_bn": f"{theirs}.bn2"}
    return layout


def paddle(model: Any) -> dict[str, str]:
    layout = {"stem": "conv1.conv", "stem_bn": "conv1.bn", "head": "last_conv", "logits": "fc"}
    for stage, block in _BLOCKS:
        ours, theirs = f"stage{stage}_block{block}", f"blocks{stage + 1}.{block - 1}"
        for part in ("dw", "pw"):
            layout |= {f"{ours}_{part}": f"{theirs}.{part}_conv.conv", f"{ours}_{part}_bn": f"{theirs}.{part}_conv.bn"}
        layout |= {f"{ours}_se_reduce": f"{theirs}.se.conv1", f"{ours}_se_expand": f"{theirs}.se.conv2"}
    return layout


def _paddle_values(state):
    weight = state.get("fc.weight")
    if weight is None or np.ndim(weight) != 2:
        return state
    return {**state, "fc.weight": np.float32(_KEEP) * np.transpose(weight)}  # [in, out] -> [out, in]


SOURCES = {
    "timm": Layout(timm, {"symmetric_padding": True, "head_bias": True}),
    "paddle": Layout(
        paddle, {"symmetric_padding": True}, adapt=_paddle_values,
        entries={"running_mean": "_mean", "running_var": "_variance"},
    ),
}  # fmt: skip
