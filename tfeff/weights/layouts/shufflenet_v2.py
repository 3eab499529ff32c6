"""ShuffleNetV2: torchvision, and the authors' (megvii-model/ShuffleNet-Series)."""

from typing import Any

import numpy as np

from tfeff.weights.layouts import Layout

_UNITS = {2: 4, 3: 8, 4: 4}  # stage -> units

_PLACES = {  # of the convolution; its BN is the next
    "branch1_dw": "branch1.0", "branch1_pw": "branch1.2",
    "branch2_pw1": "branch2.0", "branch2_dw": "branch2.3", "branch2_pw2": "branch2.5",
}  # fmt: skip


def torchvision(model: Any) -> dict[str, str]:
    layout = {"stem": "conv1.0", "stem_bn": "conv1.1", "conv5": "conv5.0", "conv5_bn": "conv5.1", "logits": "fc"}
    for stage, units in _UNITS.items():
        for unit in range(units):
            for ours, place in _PLACES.items():
                branch, number = place.split(".")
                for suffix, index in (("", int(number)), ("_bn", int(number) + 1)):
                    layout[f"stage{stage}_unit{unit + 1}_{ours}{suffix}"] = f"stage{stage}.{unit}.{branch}.{index}"
    return layout


def megvii(model: Any) -> dict[str, str]:
    layout = {"stem": "first_conv.0", "stem_bn": "first_conv.1", "conv5": "conv_last.0", "conv5_bn": "conv_last.1"}
    layout["logits"] = "classifier.0"
    feature = 0
    for stage, units in _UNITS.items():
        for unit in range(1, units + 1):
            for ours, place in _PLACES.items():
                branch, number = place.split(".")
                theirs = f"features.{feature}.{'branch_proj' if branch == 'branch1' else 'branch_main'}"
                layout[f"stage{stage}_unit{unit}_{ours}"] = f"{theirs}.{number}"
                layout[f"stage{stage}_unit{unit}_{ours}_bn"] = f"{theirs}.{int(number) + 1}"
            feature += 1
    return layout


def _megvii_values(state):
    """A bias of zero, for the authors' classifier has none."""
    weight = state.get("classifier.0.weight")
    if np.ndim(weight) != 2 or "classifier.0.bias" in state:
        return state
    return {**state, "classifier.0.bias": np.zeros(len(weight), np.float32)}


SOURCES = {
    "torchvision": Layout(torchvision, {"symmetric_padding": True}),
    "megvii": Layout(megvii, {"symmetric_padding": True, "stride2_unit": "original"}, adapt=_megvii_values),
}
