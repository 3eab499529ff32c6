"""ESPNetV2 for segmentation: the authors' EdgeNets repository.

Its encoder is the classification network's, under `base_net`, with the weights there that no forward pass touches.
"""

from typing import Any

from tfeff.weights.layouts import Layout, espnet_v2

_BRANCHES = 5


def edgenets(model: Any) -> dict[str, str]:
    layout = {ours: f"base_net.{theirs}" for ours, theirs in espnet_v2.espnetv2(model).items() if ours != "logits"}
    for step in range(1, 5):
        ours, theirs = f"decoder{step}", f"bu_dec_l{step}"
        layout |= _conv_bn_prelu(f"{ours}_narrow", f"{theirs}.projection_layer.cbr")
        layout |= {f"{ours}_branch{branch + 1}": f"{theirs}.stages.{branch}" for branch in range(_BRANCHES)}
        layout |= _bn_prelu(f"{ours}_concat", f"{theirs}.merge_layer.0.br")
        layout |= _conv_bn_prelu(f"{ours}_merge", f"{theirs}.merge_layer.2.cbr")
        layout |= {f"{ours}_expand" if step < 4 else "logits": f"{theirs}.merge_layer.3"}
        layout |= _bn_prelu(f"{ours}_expand", f"{theirs}.br.br")
    for skip in range(1, 4):
        theirs = f"merge_enc_dec_l{skip + 1}"
        layout |= _conv_bn_prelu(f"skip{skip}_expand", f"{theirs}.expansion_layer.cbr")
        layout |= {f"skip{skip}_gate": f"{theirs}.wt_layer.1"} | _bn_prelu(f"skip{skip}", f"bu_br_l{skip + 1}")
    return layout


def _conv_bn_prelu(ours, theirs):
    return {ours: f"{theirs}.0", f"{ours}_bn": f"{theirs}.1", f"{ours}_prelu": f"{theirs}.2"}


def _bn_prelu(ours, theirs):
    return {f"{ours}_bn": f"{theirs}.0", f"{ours}_prelu": f"{theirs}.1"}


SOURCES = {
    "edgenets": Layout(edgenets, unused=tuple(f"base_net.level{level}_0.eesp.module_act." for level in (2, 3, 4)))
}
