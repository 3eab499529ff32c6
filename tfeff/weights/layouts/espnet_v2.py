"""ESPNetV2: the authors' ESPNetv2 and EdgeNets repositories, which name alike.

Both keep weights that no forward pass touches: an activation behind each strided EESP unit, and the image's
reinforcement at level 5, where no image is passed.
"""

from typing import Any

from tfeff.weights.layouts import Layout

_UNUSED = ("level5_0.inp_reinf.", *(f"level{level}_0.eesp.module_act." for level in range(2, 6)))
_UNITS = {3: 3, 4: 7, 5: 3}  # level -> units after the down-sampling one


def _conv_bn_prelu(ours, theirs):
    return {ours: f"{theirs}.conv", f"{ours}_bn": f"{theirs}.bn", f"{ours}_prelu": f"{theirs}.act"}


def _eesp(ours, theirs):
    layout = _conv_bn_prelu(f"{ours}_project", f"{theirs}.proj_1x1")
    layout |= {f"{ours}_dw{branch + 1}": f"{theirs}.spp_dw.{branch}.conv" for branch in range(4)}
    layout |= {f"{ours}_fused_bn": f"{theirs}.br_after_cat.bn", f"{ours}_fused_prelu": f"{theirs}.br_after_cat.act"}
    return layout | _conv_bn_prelu(f"{ours}_expand", f"{theirs}.conv_1x1_exp")


def espnetv2(model: Any) -> dict[str, str]:
    layout = _conv_bn_prelu("level1", "level1") | {"logits": "classifier"}
    for level in range(2, 6):
        ours, theirs = f"level{level}_down", f"level{level}_0"
        layout |= _eesp(f"{ours}_eesp", f"{theirs}.eesp") | {f"{ours}_prelu": f"{theirs}.act"}
        for step in (0, 1):
            layout |= _conv_bn_prelu(f"{ours}_image{step + 1}", f"{theirs}.inp_reinf.{step}")
        for unit in range(_UNITS.get(level, 0)):
            ours, theirs = f"level{level}_unit{unit + 1}", f"level{level}.{unit}"
            layout |= _eesp(ours, theirs) | {f"{ours}_prelu": f"{theirs}.module_act"}
    return layout | _conv_bn_prelu("level5_dw", "level5.3") | _conv_bn_prelu("level5_expand", "level5.4")


SOURCES = {"espnetv2": Layout(espnetv2, unused=_UNUSED)}
