"""MobileNetV3: torchvision (built with `symmetric_padding=True`; `width_rule="torchvision"` at widths other than 1)."""


def torchvision(model):
    names = {layer.name for layer in model.layers}
    blocks = sum(name.startswith("block") and name.endswith("_dw") for name in names)
    layout = {"stem": "features.0.0", "stem_bn": "features.0.1", "head": "classifier.0", "logits": "classifier.3"}
    layout |= {"last": f"features.{blocks + 1}.0", "last_bn": f"features.{blocks + 1}.1"}
    for block in range(1, blocks + 1):
        ours, place = f"block{block}", 0
        for part in ("expand", "dw", "se", "project"):
            theirs = f"features.{block}.block.{place}"
            if part == "se" and f"{ours}_se_reduce" in names:
                layout |= {f"{ours}_se_reduce": f"{theirs}.fc1", f"{ours}_se_expand": f"{theirs}.fc2"}
            elif f"{ours}_{part}" in names:
                layout |= {f"{ours}_{part}": f"{theirs}.0", f"{ours}_{part}_bn": f"{theirs}.1"}
            else:
                continue  # a part that this block lacks takes no place
            place += 1
    return layout


SOURCES = {"torchvision": torchvision}
