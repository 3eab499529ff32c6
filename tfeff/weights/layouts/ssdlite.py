"""SSDLite: torchvision's detector on MobileNetV3-Large.

Its backbone is cut in two where the first map is taken, inside of bottleneck 13: up to the convolution that widens, and
from the depthwise one on.
"""

from typing import Any

from tfeff.weights.layouts import Layout, mobilenet_v3

_CUT = 13  # the bottleneck


def torchvision(model: Any) -> dict[str, str]:
    layout = {
        k: f"backbone.{_place(v)}" for k, v in mobilenet_v3.torchvision(model).items() if v.startswith("features")
    }
    extras = 0
    for layer in model.layers:
        extra, _, part = layer.name.partition("_")
        if extra.startswith("extra") and part == "reduce":
            extras += 1
            for number, ours in enumerate(("reduce", "dw", "expand")):
                place = f"backbone.extra.{extras - 1}.{number}"
                layout |= {f"{extra}_{ours}": f"{place}.0", f"{extra}_{ours}_bn": f"{place}.1"}
    strides = sorted(
        int(layer.name.removeprefix("boxes_")) for layer in model.layers if layer.name.startswith("boxes_")
    )
    for number, stride in enumerate(strides):
        for ours, theirs in (("boxes", "regression_head"), ("scores", "classification_head")):
            place = f"head.{theirs}.module_list.{number}"
            layout |= {f"{ours}_{stride}": f"{place}.1", f"head{stride}_{ours}_dw": f"{place}.0.0"}
            layout[f"head{stride}_{ours}_dw_bn"] = f"{place}.0.1"
    return layout


def _place(theirs):
    """`features.N...` of the classifier -> `features.0.N...` before the cut, `features.1...` behind it."""
    number, _, rest = theirs.removeprefix("features.").partition(".")
    if int(number) < _CUT:
        return f"features.0.{number}.{rest}"
    if int(number) > _CUT:
        return f"features.1.{int(number) - _CUT}.{rest}"
    part, _, word = rest.removeprefix("block.").partition(".")
    return f"features.0.{number}.{word}" if part == "0" else f"features.1.0.{part}.{word}"


SOURCES = {
    "torchvision": Layout(torchvision, {"symmetric_padding": True}, networks="ssdlite_mobilenet_v3_large"),
}  # fmt: skip
