"""GhostNet: timm's `ghostnet_100` and its kin."""

from typing import Any

from tfeff.weights.layouts import Layout

_STAGES = (1, 1, 1, 1, 1, 1, 5, 1, 4)  # blocks in each
_PLACES = {
    "ghost1_primary": "ghost1.primary_conv.0", "ghost1_primary_bn": "ghost1.primary_conv.1",
    "ghost1_cheap": "ghost1.cheap_operation.0", "ghost1_cheap_bn": "ghost1.cheap_operation.1",
    "dw": "conv_dw", "dw_bn": "bn_dw", "se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand",
    "ghost2_primary": "ghost2.primary_conv.0", "ghost2_primary_bn": "ghost2.primary_conv.1",
    "ghost2_cheap": "ghost2.cheap_operation.0", "ghost2_cheap_bn": "ghost2.cheap_operation.1",
    "shortcut_dw": "shortcut.0", "shortcut_dw_bn": "shortcut.1",
    "shortcut_pw": "shortcut.2", "shortcut_pw_bn": "shortcut.3",
}  # fmt: skip


def timm(model: Any) -> dict[str, str]:
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "last": "blocks.9.0.conv", "last_bn": "blocks.9.0.bn1"}
    layout |= {"head": "conv_head", "logits": "classifier"}
    blocks = [(stage, unit) for stage, units in enumerate(_STAGES) for unit in range(units)]
    for number, (stage, unit) in enumerate(blocks, start=1):
        layout |= {f"block{number}_{ours}": f"blocks.{stage}.{unit}.{theirs}" for ours, theirs in _PLACES.items()}
    return layout


SOURCES = {"timm": Layout(timm, {"symmetric_padding": True})}
