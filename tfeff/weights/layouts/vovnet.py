"""VoVNet: timm's `vovnet39a` and `vovnet57a`, and the authors' PyTorch (stigma0617/VoVNet.pytorch).

The authors' second and later modules of a stage add their input, timm's "a" models do not: the same entries and shapes,
another network.
"""

from typing import Any

from tfeff.weights.layouts import Layout


def _conv_bn(ours, theirs):
    return {ours: f"{theirs}.conv", f"{ours}_bn": f"{theirs}.bn"}


def timm(model: Any) -> dict[str, str]:
    layout = {"logits": "head.fc"}
    for number in range(3):
        layout |= _conv_bn(f"stem{number + 1}", f"stem.{number}")
    for ours, stage, module in _modules(model):
        theirs = f"stages.{stage - 2}.blocks.{module - 1}"
        for number in range(5):
            layout |= _conv_bn(f"{ours}_conv{number + 1}", f"{theirs}.conv_mid.{number}")
        layout |= _conv_bn(f"{ours}_out", f"{theirs}.conv_concat")
    return layout


def authors(model: Any) -> dict[str, str]:
    def conv_norm(ours, theirs):
        return {ours: f"{theirs}/conv", f"{ours}_bn": f"{theirs}/norm"}

    layout = {"logits": "classifier"}
    for number in range(1, 4):
        layout |= conv_norm(f"stem{number}", f"stem.stem_{number}")
    for ours, stage, module in _modules(model):
        osa = f"OSA{stage}_{module}"
        for number in range(5):
            place = f"stage{stage}.{osa}.layers.{number}.{osa}_{number}"
            layout |= conv_norm(f"{ours}_conv{number + 1}", place)
        layout |= conv_norm(f"{ours}_out", f"stage{stage}.{osa}.concat.{osa}_concat")
    return layout


def _modules(model):
    """(our name, stage, module) of every OSA module: ("stage2_osa1", 2, 1), ..."""
    for layer in model.layers:
        if layer.name.endswith("_concat"):
            ours = layer.name.removesuffix("_concat")
            stage, module = (int(part.lstrip("stageo")) for part in ours.split("_"))
            yield ours, stage, module


_OPTIONS = {"symmetric_padding": True, "stem_pool": False}
SOURCES = {"timm": Layout(timm, _OPTIONS), "authors": Layout(authors, {**_OPTIONS, "identity": True})}
