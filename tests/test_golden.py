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
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from tfeff import create
from tfeff.networks import get_network
from tfeff.weights.layouts import espnet_v2, get_layout
from tfeff.weights.torch_layout import import_state_dict

GOLDEN = Path(__file__).parent / "golden"
TORCH = {"symmetric_padding": True}
LCNET = {**TORCH, "head_bias": True}
VOVNET = {**TORCH, "stem_pool": False}
# file's stem -> network, options that make it the reference's, source of the layout
REFERENCES = {
    "espnetv2_s0_5": ("espnet_v2_050", {}, "espnetv2"),
    "espnetv2_s1_0": ("espnet_v2_100", {}, "espnetv2"),
    "espnetv2_s2_0": ("espnet_v2_200", {}, "espnetv2"),
    "timm_lcnet_050": ("pp_lcnet_050", LCNET, "timm"),
    "timm_lcnet_100": ("pp_lcnet_100", LCNET, "timm"),
    "timm_vovnet39a": ("vovnet_39", VOVNET, "timm"),
    "timm_vovnet57a": ("vovnet_57", VOVNET, "timm"),
    "shufflenet_v2_x0_5": ("shufflenet_v2_x050", TORCH, "torchvision"),
    "shufflenet_v2_x1_0": ("shufflenet_v2_x100", TORCH, "torchvision"),
    "shufflenet_v2_x1_5": ("shufflenet_v2_x150", TORCH, "torchvision"),
    "shufflenet_v2_x2_0": ("shufflenet_v2_x200", TORCH, "torchvision"),
    "timm_ghostnet_100": ("ghostnet_100", TORCH, "timm"),
    "timm_mobilenetv1_100": ("mobilenet_v1_100", {**TORCH, "bn_epsilon": 1e-5}, "timm"),
    "tv_mobilenet_v2": ("mobilenet_v2_100", {**TORCH, "bn_epsilon": 1e-5}, "torchvision"),
    "tv_mobilenet_v3_large": ("mobilenet_v3_large_100", TORCH, "torchvision"),
    "tv_mobilenet_v3_small": ("mobilenet_v3_small_100", TORCH, "torchvision"),
}
# network -> prefixes of weights that the reference has and never uses
UNUSED = {f"espnet_v2_{width}": espnet_v2.UNUSED for width in ("050", "100", "200")}


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


def test_every_golden_file_is_used():
    assert {path.stem for path in GOLDEN.glob("*.npz")} == {*REFERENCES} == {p.stem for p in GOLDEN.glob("*.json")}


@pytest.mark.parametrize("stem", REFERENCES)
def test_logits_are_the_references(stem):
    network, options, source = REFERENCES[stem]
    told = json.loads((GOLDEN / f"{stem}.json").read_text(encoding="utf-8"))
    model = create(network, **options)
    ignore = UNUSED.get(network, ())
    unused = sum(
        math.prod(shape)
        for entry, shape in told["state"].items()
        if entry.startswith(ignore) and entry.endswith((".weight", ".bias"))
    )
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == told["parameters"] - unused
    layout = get_layout(model, get_network(network).family, source)
    import_state_dict(model, recipe(told["state"], told["seed"]), layout, ignore=ignore)
    images = np.random.default_rng([told["seed"], 7]).standard_normal(told["input"]).astype(np.float32)
    logits = model(images.transpose(0, 2, 3, 1), training=False).numpy()
    expected = np.load(GOLDEN / f"{stem}.npz")["logits"]
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    print(f"{stem}: {error:.2e} of the largest logit")
    assert error < 1e-4
