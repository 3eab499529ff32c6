"""ESNet: PaddleDetection's backbone of PicoDet. ShuffleNetV2's units have these names there too."""

from typing import Any

from tfeff.weights.layouts import Layout

ENTRIES = {"running_mean": "_mean", "running_var": "_variance"}
_PLACES = {
    "pw1": "_conv_pw", "dw": "_conv_dw", "pw2": "_conv_linear",
    "branch1_dw": "_conv_dw_1", "branch1_pw": "_conv_linear_1",
    "branch2_pw1": "_conv_pw_2", "branch2_dw": "_conv_dw_2", "branch2_pw2": "_conv_linear_2",
    "mix_dw": "_conv_dw_mv1", "mix_pw": "_conv_pw_mv1",
}  # fmt: skip
# Of ShuffleNetV2's units of stride 1 ours have one branch with its number, Paddle's one without.
_SHUFFLENET = {"branch2_pw1": "pw1", "branch2_dw": "dw", "branch2_pw2": "pw2"}


def paddle(model: Any) -> dict[str, str]:
    layout = {"stem": "_conv1._conv", "stem_bn": "_conv1._batch_norm"}
    for layer in model.layers:
        stage, _, rest = layer.name.partition("_unit")
        unit, _, part = rest.partition("_")
        theirs = f"{stage.removeprefix('stage')}_{unit}"
        part = _SHUFFLENET.get(part, part) if unit != "1" else part
        if part in _PLACES:
            layout[layer.name] = f"{theirs}.{_PLACES[part]}._conv"
            layout[f"{layer.name}_bn"] = f"{theirs}.{_PLACES[part]}._batch_norm"
        elif part.endswith(("se_reduce", "se_expand")):
            layout[layer.name] = f"{theirs}._se.conv{1 if part.endswith('reduce') else 2}"
    return layout


SOURCES = {"paddle": Layout(paddle, {"symmetric_padding": True}, entries=ENTRIES)}
