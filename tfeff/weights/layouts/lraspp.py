"""LR-ASPP: torchvision's, on MobileNetV3."""

from typing import Any

from tfeff.weights.layouts import Layout, mobilenet_v3


def of_backbone(model: Any) -> dict[str, str]:
    """torchvision's backbone of its segmentation networks: the classifier's `features`, by number alone."""
    return {
        ours: theirs.replace("features.", "backbone.", 1)
        for ours, theirs in mobilenet_v3.torchvision(model).items()
        if theirs.startswith("features.")
    }


def torchvision(model: Any) -> dict[str, str]:
    # The logits are a sum; their classes are those of its second part.
    return of_backbone(model) | {
        "narrow": "classifier.cbr.0", "narrow_bn": "classifier.cbr.1", "gate": "classifier.scale.1",
        "logits_low": "classifier.low_classifier", "logits_high": "classifier.high_classifier",
        "logits": "classifier.high_classifier",
    }  # fmt: skip


SOURCES = {"torchvision": Layout(torchvision, {"symmetric_padding": True})}
