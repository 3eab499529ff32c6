"""ShiftResNet: alvinwan/shiftresnet-cifar. Of the ImageNet ShiftNets no weights are public."""

from typing import Any

from tfeff.weights.layouts import Layout


def shiftresnet(model: Any) -> dict[str, str]:
    layout = {"stem": "conv1", "stem_bn": "bn1", "logits": "linear"}
    for layer in model.layers:
        if not layer.name.endswith("_shift"):
            continue
        ours = layer.name.removesuffix("_shift")  # stage1_block1
        stage, block = (int(part.lstrip("stageblock")) for part in ours.split("_"))
        theirs = f"layer{stage}.{block - 1}"
        for number in (1, 2):
            layout |= {
                f"{ours}_conv{number}": f"{theirs}.conv{number}",
                f"{ours}_conv{number}_bn": f"{theirs}.bn{number}",
            }
        layout |= {f"{ours}_shortcut": f"{theirs}.shortcut.0", f"{ours}_shortcut_bn": f"{theirs}.shortcut.1"}
    return layout


SOURCES = {"shiftresnet": Layout(shiftresnet, {"assignment": "interleaved"}, networks="shiftresnet_*")}
