"""MobileNetV1: timm's `mobilenetv1_100` and its kin."""

from typing import Any

from tfeff.weights.layouts import Layout

_STAGES = (1, 2, 2, 6, 2)  # blocks in each


def timm(model: Any) -> dict[str, str]:
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "logits": "classifier"}
    places = [(stage, unit) for stage, units in enumerate(_STAGES) for unit in range(units)]
    for number, (stage, unit) in enumerate(places, start=1):
        ours, theirs = f"block{number}", f"blocks.{stage}.{unit}"
        layout |= {f"{ours}_dw": f"{theirs}.conv_dw", f"{ours}_dw_bn": f"{theirs}.bn1"}
        layout |= {f"{ours}_pw": f"{theirs}.conv_pw", f"{ours}_pw_bn": f"{theirs}.bn2"}
    return layout


SOURCES = {"timm": Layout(timm, {"symmetric_padding": True, "bn_epsilon": 1e-5})}
