"""DeepLabV3: torchvision's, on MobileNetV3. Its second head, which is for training, is left out."""

from typing import Any

from tfeff.weights.layouts import Layout
from tfeff.weights.layouts.lraspp import of_backbone


def torchvision(model: Any) -> dict[str, str]:
    layout = of_backbone(model) | {"logits": "classifier.4"}
    branches = sum(layer.name[4:].isdigit() for layer in model.layers if layer.name.startswith("aspp"))
    for number in range(branches):
        layout |= _conv_bn(f"aspp{number + 1}", f"classifier.0.convs.{number}", 0)
    layout |= _conv_bn("aspp_pool", f"classifier.0.convs.{branches}", 1)  # behind the mean, which takes a place
    return layout | _conv_bn("project", "classifier.0.project", 0) | _conv_bn("head", "classifier", 1)


def _conv_bn(ours, theirs, place):
    return {ours: f"{theirs}.{place}", f"{ours}_bn": f"{theirs}.{place + 1}"}


SOURCES = {"torchvision": Layout(torchvision, {"symmetric_padding": True}, unused=("aux_classifier.",))}
