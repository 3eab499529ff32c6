"""VoVNet: timm's `vovnet39a` and `vovnet57a` (built with `symmetric_padding=True, stem_pool=False`)."""


def _conv_bn(ours, theirs):
    return {ours: f"{theirs}.conv", f"{ours}_bn": f"{theirs}.bn"}


def timm(model):
    layout = {"logits": "head.fc"}
    for number in range(3):
        layout |= _conv_bn(f"stem{number + 1}", f"stem.{number}")
    for layer in model.layers:
        if not layer.name.endswith("_concat"):
            continue
        ours = layer.name.removesuffix("_concat")  # stage2_osa1
        stage, module = (int(part.lstrip("stageo")) for part in ours.split("_"))
        theirs = f"stages.{stage - 2}.blocks.{module - 1}"
        for number in range(5):
            layout |= _conv_bn(f"{ours}_conv{number + 1}", f"{theirs}.conv_mid.{number}")
        layout |= _conv_bn(f"{ours}_out", f"{theirs}.conv_concat")
    return layout


SOURCES = {"timm": timm}
