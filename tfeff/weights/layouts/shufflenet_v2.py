"""ShuffleNetV2: torchvision (built with `symmetric_padding=True`)."""

_PLACES = {  # of the convolution; its BN is the next
    "branch1_dw": "branch1.0", "branch1_pw": "branch1.2",
    "branch2_pw1": "branch2.0", "branch2_dw": "branch2.3", "branch2_pw2": "branch2.5",
}  # fmt: skip


def torchvision(model):
    layout = {"stem": "conv1.0", "stem_bn": "conv1.1", "conv5": "conv5.0", "conv5_bn": "conv5.1", "logits": "fc"}
    for stage, units in ((2, 4), (3, 8), (4, 4)):
        for unit in range(units):
            for ours, place in _PLACES.items():
                branch, number = place.split(".")
                for suffix, index in (("", int(number)), ("_bn", int(number) + 1)):
                    layout[f"stage{stage}_unit{unit + 1}_{ours}{suffix}"] = f"stage{stage}.{unit}.{branch}.{index}"
    return layout


SOURCES = {"torchvision": torchvision}
