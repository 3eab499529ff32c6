"""Networks here against the reference implementations: logits under weights that both sides build from a recipe.

`golden/<stem>.json` has the state dict's entries and shapes, `golden/<stem>.npz` the logits of the reference for the
seed. The recipe, for an entry `name` of shape `shape`: a generator of its own, seeded with crc32(name) and the seed;
then, first rule that fits,

    ends with running_mean      standard normal * 0.1
    ends with running_var       uniform in [0.5, 1.5)
    two or more dimensions      standard normal * sqrt(2 / fan_in), fan_in = prod(shape[1:])
    ends with weight            uniform in [0.5, 1.5)
    anything else               standard normal * 0.1

all as float32. The images are standard normal, NCHW, from a generator seeded with [seed, 7].

`timm_*`, torchvision's (`shufflenet_v2_*`, `tv_*`) and `espnetv2_*` ran in those projects' own code, `paddle_*` in Paddle,
`megvii_*`, `authors_*` and `shiftresnet*` in PyTorch after the authors' code.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from tfeff import create
from tfeff.networks import get_network
from tfeff.weights.layouts import get_layout
from tfeff.weights.torch_layout import import_state_dict

GOLDEN = Path(__file__).parent / "golden"
# file's stem -> network, source; the source's layout has the options that make the network the reference's
REFERENCES = {
    "authors_vovnet39": ("vovnet_39", "authors"),
    "espnetv2_s0_5": ("espnet_v2_050", "espnetv2"),
    "espnetv2_s1_0": ("espnet_v2_100", "espnetv2"),
    "espnetv2_s2_0": ("espnet_v2_200", "espnetv2"),
    "megvii_shufflenet_v2_x1_0": ("shufflenet_v2_x100", "megvii"),
    "paddle_pplcnet_x0_5": ("pp_lcnet_050", "paddle"),
    "shiftresnet20_e3": ("shiftresnet_20_e3", "shiftresnet"),
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


def recipe(shapes, seed):
    state = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
        if name.endswith("running_mean"):
            value = rng.standard_normal(shape) * 0.1
        elif name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) >= 2:
            value = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith("weight"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.standard_normal(shape) * 0.1
        state[name] = value.astype(np.float32)
    return state


def as_named_there(state, words):
    """The recipe goes by PyTorch's words; a source may have others (Paddle: `_mean` for `running_mean`)."""
    renamed = {}
    for entry, value in state.items():
        head, _, word = entry.rpartition(".")
        renamed[f"{head}.{words.get(word, word)}"] = value
    return renamed


def test_every_golden_file_is_used():
    assert {path.stem for path in GOLDEN.glob("*.npz")} == {*REFERENCES} == {p.stem for p in GOLDEN.glob("*.json")}


@pytest.mark.parametrize("stem", REFERENCES)
def test_logits_are_the_references(stem):
    network, source = REFERENCES[stem]
    told = json.loads((GOLDEN / f"{stem}.json").read_text(encoding="utf-8"))
    layout = get_layout(get_network(network).family, source, network)
    model = create(network, **layout.options)
    unused = sum(
        math.prod(shape)
        for entry, shape in told["state"].items()
        if entry.startswith(layout.unused) and entry.endswith((".weight", ".bias"))
    )
    theirs = as_named_there(recipe(told["state"], told["seed"]), layout.entries)
    state = layout.adapt(theirs)
    added = sum(value.size for entry, value in state.items() if entry not in theirs)  # a bias of zeros
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == told["parameters"] - unused + added
    import_state_dict(model, state, layout.places(model), ignore=layout.unused, names=layout.entries)
    images = np.random.default_rng([told["seed"], 7]).standard_normal(told["input"]).astype(np.float32)
    logits = model(images.transpose(0, 2, 3, 1), training=False).numpy()
    expected = np.load(GOLDEN / f"{stem}.npz")["logits"]
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    print(f"{stem}: {error:.2e} of the largest logit")
    assert error < 1e-4
