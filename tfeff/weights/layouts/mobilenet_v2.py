"""MobileNetV2: torchvision (built with `symmetric_padding=True, bn_epsilon=1e-5`)."""


def torchvision(model):
    layout = {"stem": "features.0.0", "stem_bn": "features.0.1", "last": "features.18.0", "last_bn": "features.18.1"}
    layout["logits"] = "classifier.1"
    for block in range(1, 18):
        ours, theirs = f"block{block}", f"features.{block}.conv"
        place = 0
        if block > 1:
            layout |= {f"{ours}_expand": f"{theirs}.0.0", f"{ours}_expand_bn": f"{theirs}.0.1"}
            place = 1
        layout |= {f"{ours}_dw": f"{theirs}.{place}.0", f"{ours}_dw_bn": f"{theirs}.{place}.1"}
        layout |= {f"{ours}_project": f"{theirs}.{place + 1}", f"{ours}_project_bn": f"{theirs}.{place + 2}"}
    return layout


SOURCES = {"torchvision": torchvision}
