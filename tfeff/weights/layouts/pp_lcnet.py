"""PP-LCNet: timm's `lcnet_*` (built with `symmetric_padding=True, head_bias=True`)."""

_BLOCKS = {  # (stage, block) -> timm's, which splits the stage of 256 channels in two
    (1, 1): "0.0", (2, 1): "1.0", (2, 2): "1.1", (3, 1): "2.0", (3, 2): "2.1",
    (4, 1): "3.0", (4, 2): "3.1", (4, 3): "4.0", (4, 4): "4.1", (4, 5): "4.2", (4, 6): "4.3",
    (5, 1): "5.0", (5, 2): "5.1",
}  # fmt: skip


def timm(model):
    layout = {"stem": "conv_stem", "stem_bn": "bn1", "head": "conv_head", "logits": "classifier"}
    for (stage, block), place in _BLOCKS.items():
        ours, theirs = f"stage{stage}_block{block}", f"blocks.{place}"
        layout |= {f"{ours}_dw": f"{theirs}.conv_dw", f"{ours}_dw_bn": f"{theirs}.bn1"}
        layout |= {f"{ours}_se_reduce": f"{theirs}.se.conv_reduce", f"{ours}_se_expand": f"{theirs}.se.conv_expand"}
        layout |= {f"{ours}_pw": f"{theirs}.conv_pw", f"{ours}_pw_bn": f"{theirs}.bn2"}
    return layout


SOURCES = {"timm": timm}
