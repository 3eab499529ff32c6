"""Networks to export: the smallest of each family, in the small-image form, and every option that changes the graph."""

from functools import cache

import keras
import numpy as np
from classifiers import classifiers

from tfeff import create
from tfeff.networks import get_network, index

SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype("float32")
SYMMETRIC = {"symmetric_padding": True}
# The smallest network of each builder is there without options; further ones: name of the case -> network, options.
FURTHER = {
    "vargnet-g8": ("vargnet_v1_025_g8", {**SYMMETRIC, "stem_activation": False}),
    "shufflenet-original": (
        "shufflenet_v2_x050", {**SYMMETRIC, "stride2_unit": "original", "activation": "leaky_relu"},
    ),
    "lcnet-bias": ("pp_lcnet_025", {**SYMMETRIC, "head_bias": True}),
    "mobilenet-v1-relu": ("mobilenet_v1_025", {**SYMMETRIC, "activation": "relu"}),
    "mobilenet-v2-relu": ("mobilenet_v2_035", {**SYMMETRIC, "activation": "relu"}),
    # The smallest ones of MobileNetV3 are minimalistic: these have h-swish, squeeze and excitation, 5x5 kernels.
    "mobilenet-v3-small": ("mobilenet_v3_small_075", {**SYMMETRIC, "squeeze_divisor": 1}),
    "mobilenet-v3-torchvision": (
        "mobilenet_v3_small_075", {"width_rule": "torchvision", "always_expand": True, "reduced_tail": True},
    ),
    "shiftnet-contiguous": ("shiftnet_c", {**SYMMETRIC, "assignment": "contiguous"}),
    "as-resnet-far": (
        "as_resnet_w32", {**SYMMETRIC, "shift_before_bn": True, "initial_radius": 5.0, "expansion": 2},
    ),
    "fe-net-ramp": ("fe_net_060", {**SYMMETRIC, "expansion_on": "output", "initial_shifts": "ramp"}),
    # Two modules in a stage, for the identity begins with the second; the others are cut short.
    "vovnet-code": (
        "vovnet_27_slim",
        {**SYMMETRIC, "stem_pool": False, "identity": True, "stages": [(16, 32, 1), (16, 32, 2), (16, 48, 1)]},
    ),
    "ghostnet-symmetric": ("ghostnet_050", SYMMETRIC),
    # A tenth of its smallest: the blocks are MobileNetV2's.
    "efficientnet-lite": (
        "efficientnet_lite0", {**SYMMETRIC, "activation": "relu", "width": 0.25, "depth": 1.0},
    ),
    "vargfacenet-g4": ("vargfacenet", {**SYMMETRIC, "channels_per_group": 4}),
}  # fmt: skip


@cache
def cases():
    """Name of the case -> network, options."""
    found, builders = {}, set()
    for name in sorted(classifiers(), key=lambda name: index()[name]["counted"]["parameters"]):
        if get_network(name).builder not in builders and index()[name]["family"] != "efficientnet_lite":
            builders.add(get_network(name).builder)
            found[name] = (name, {})
    return found | FURTHER


def build(case):
    """The network with weights as training leaves them: no BN statistic, bias or slope at its neutral value."""
    name, options = cases()[case]
    keras.utils.set_random_seed(1)
    model = create(name, input_shape=SHAPE, classes=10, small_image=True, **options)
    rng = np.random.default_rng(2)
    for variable in model.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))
        elif kind in ("beta", "bias", "moving_mean"):
            variable.assign(0.1 * rng.standard_normal(variable.shape))
        elif kind == "alpha":
            variable.assign(rng.uniform(-0.1, 0.5, variable.shape))
    return model
