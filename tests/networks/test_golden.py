"""Networks here against the reference implementations: logits under weights that both sides build from a recipe."""

import math

import pytest
from golden_recipe import GOLDEN, as_named_there, golden, images
from rounding import assert_same

from tfeff import create
from tfeff.networks import get_network
from tfeff.weights.layouts import get_layout
from tfeff.weights.torch_layout import import_state_dict

# file's stem -> network, source; the source's layout has the options that make the network the reference's
REFERENCES = {
    "authors_vovnet39": ("vovnet_39", "authors"),
    "espnetv2_s0_5": ("espnet_v2_050", "espnetv2"),
    "espnetv2_s1_0": ("espnet_v2_100", "espnetv2"),
    "espnetv2_s2_0": ("espnet_v2_200", "espnetv2"),
    "megvii_shufflenet_v2_x1_0": ("shufflenet_v2_x100", "megvii"),
    "paddle_pplcnet_x0_5": ("pp_lcnet_050", "paddle"),
    "shiftresnet20_e3": ("shiftresnet_20_e3", "shiftresnet"),
    "timm_efficientnet_lite0": ("efficientnet_lite0", "timm"),
    "timm_mobilenetv2_050": ("mobilenet_v2_050", "timm"),
    "timm_mobilenetv3_large_075": ("mobilenet_v3_large_075", "timm"),
    "timm_lcnet_050": ("pp_lcnet_050", "timm"),
    "timm_lcnet_100": ("pp_lcnet_100", "timm"),
    "timm_vovnet39a": ("vovnet_39", "timm"),
    "timm_vovnet57a": ("vovnet_57", "timm"),
    "shufflenet_v2_x0_5": ("shufflenet_v2_x050", "torchvision"),
    "shufflenet_v2_x1_0": ("shufflenet_v2_x100", "torchvision"),
    "shufflenet_v2_x1_5": ("shufflenet_v2_x150", "torchvision"),
    "shufflenet_v2_x2_0": ("shufflenet_v2_x200", "torchvision"),
    "timm_ghostnet_100": ("ghostnet_100", "timm"),
    "timm_mobilenetv1_100": ("mobilenet_v1_100", "timm"),
    "tv_mobilenet_v2": ("mobilenet_v2_100", "torchvision"),
    "tv_mobilenet_v3_large": ("mobilenet_v3_large_100", "torchvision"),
    "tv_mobilenet_v3_small": ("mobilenet_v3_small_100", "torchvision"),
}


def test_every_golden_file_is_used():
    assert {path.stem for path in GOLDEN.glob("*.npz")} == {*REFERENCES} == {p.stem for p in GOLDEN.glob("*.json")}


@pytest.mark.parametrize("stem", REFERENCES)
def test_logits_are_the_references(stem):
    network, source = REFERENCES[stem]
    told, state, expected = golden(stem)
    layout = get_layout(get_network(network).family, source, network)
    model = create(network, **layout.options)
    unused = sum(
        math.prod(shape)
        for entry, shape in told["state"].items()
        if entry.startswith(layout.unused) and entry.endswith((".weight", ".bias"))
    )
    theirs = as_named_there(state, layout.entries)
    state = layout.adapt(theirs)
    added = sum(value.size for entry, value in state.items() if entry not in theirs)  # a bias of zeros
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == told["parameters"] - unused + added
    import_state_dict(model, state, layout.places(model), ignore=layout.unused, names=layout.entries)
    assert_same(model(images(told), training=False), expected, model, images(told))
