"""PP-PicoDet: a detector without anchors for mobile devices (arXiv 2111.00902), and version 2 (PaddleDetection).

Three maps of a backbone are brought to one width, go down and up a pyramid of cross-stage partial blocks (CSP-PAN), and
a fourth map is made at stride 64. Each level has a head of its own: depthwise-separable convolutions, then scores and
the four distances to a box's sides as distributions. Version 2 has plain separable blocks in the pyramid (LC-PAN), and
in the head squeeze and excitation and a map that tells how well a point is aligned with its object.

Paddle keeps scores and distances of version 1 in one convolution. Here they are two, of its parts: the same values, and
each has its own range in int8.
"""

import math
from typing import Any

import keras
from keras import layers

from tfeff.layers import NearestUpSampling2D
from tfeff.layers.blocks import activate, conv_bn
from tfeff.networks.detection.parts import backbone_maps, levels_of, prediction, stride_of, task_of
from tfeff.networks.registry import register_networks
from tfeff.record.schema import TaskSpec
from tfeff.tasks.detection_spec import DetectionSpec

PAPER = "PP-PicoDet, arXiv 2111.00902"
BINS = 8  # distances are 0 .. 7 strides
_PRIOR = 0.01  # what scores begin with
_SOURCE = "PaddleDetection, configs/picodet"
_COUNTED = f"{_SOURCE}: mAP as printed, counts of its graph"
_MOBILENET = {"bn_epsilon": 1e-5, "squeeze_divisor": 1, "always_expand": True}


def _variant(backbone, channels, convolutions, size, published, **options):
    return {
        "backbone": backbone, "channels": channels, "convolutions": convolutions, "input_shape": (size, size, 3),
        **options, "published": published,
    }  # fmt: skip


def _printed(parameters, **known):
    return {"parameters": round(parameters * 1e6), **known, "source": _SOURCE}


def _counted(parameters, madds, **known):
    return {"parameters_with_level_scales": parameters, "madds": madds, **known, "source": _COUNTED}


# Public name -> backbone, channels of neck and head, convolutions of a head, default size, figures at that size.
_VARIANTS = {
    "pico_det_esnet_s": _variant("esnet_s", 96, 2, 320, _counted(992_719, 350_963_528, map=27.1)),
    "pico_det_esnet_m": _variant("esnet_m", 128, 4, 320, _printed(2.15, map=30.9)),
    "pico_det_esnet_l": _variant("esnet_l", 160, 4, 320, _printed(3.30, map=32.9)),
    "pico_det_pp_lcnet_025": _variant("pp_lcnet_025", 64, 1, 320, {}),  # ours, as the next, which has widths of S
    "pico_det_pp_lcnet_050": _variant("pp_lcnet_050", 96, 2, 320, {}),
    "pico_det_pp_lcnet_100": _variant("pp_lcnet_100", 128, 4, 416, _counted(1_830_692, 1_208_300_000)),
    "pico_det_pp_lcnet_150": _variant("pp_lcnet_150", 128, 4, 416, _counted(3_107_668, 1_861_134_656, map=36.3)),
    "pico_det_shufflenet_v2_x100": _variant(
        "shufflenet_v2_x100", 96, 2, 416, _counted(1_178_920, 743_230_440, map=30.0),
        backbone_options={"activation": "leaky_relu"},
    ),
    "pico_det_mobilenet_v3_large": _variant(
        "mobilenet_v3_large_100", 128, 4, 416, _counted(3_554_666, 1_347_721_824, map=35.6),
        backbone_options=_MOBILENET,
    ),
}  # fmt: skip
_VARIANTS_V2 = {
    "pico_det_v2_pp_lcnet_035": _variant("pp_lcnet_035", 96, 2, 320, _printed(0.70, map=23.5)),
    "pico_det_v2_pp_lcnet_075": _variant("pp_lcnet_075", 96, 2, 320, _counted(1_186_496, 481_103_149, map=29.1)),
    "pico_det_v2_pp_lcnet_150": _variant("pp_lcnet_150", 128, 4, 320, _printed(3.46, map=34.4)),
    "pico_det_v2_pp_lcnet_200": _variant("pp_lcnet_200", 160, 4, 320, _printed(5.80, map=36.1)),
}  # fmt: skip


def describe(model: Any, **options: Any) -> TaskSpec:
    """What the outputs of a built PicoDet mean."""
    aligned = any(name.startswith("alignment_") for name in model.output)
    levels = levels_of(model, exact=False, further=("alignment",) if aligned else ())
    spec = DetectionSpec(
        kind="distances", size=tuple(model.input.shape[1:3]), levels=tuple(levels), bins=BINS,
        classes=model.output[levels[0].scores].shape[-1], score="aligned" if aligned else "sigmoid",
        score_threshold=0.025, iou_threshold=0.6, per_class=1000, keep=100,
    )  # fmt: skip
    return task_of(spec)


@register_networks("pico_det", PAPER, _VARIANTS, task="detection", describe=describe)
def pico_det(input_shape: tuple[int, int, int] = (320, 320, 3), classes: int = 80, **options: Any) -> keras.Model:
    """PicoDet (2021): (n, h, w, 3) -> {"boxes_8": (n, h/8, w/8, 32), "scores_8": (n, h/8, w/8, classes), ...}.

    Levels are at strides 8, 16, 32 and 64. `options` as for `_pico_det`.
    """
    return _pico_det(input_shape, classes, block=_cross_stage, head=_head, **options)


@register_networks("pico_det", PAPER, _VARIANTS_V2, task="detection", describe=describe)
def pico_det_v2(input_shape: tuple[int, int, int] = (320, 320, 3), classes: int = 80, **options: Any) -> keras.Model:
    """PicoDet (2022): as `pico_det`, and {"alignment_8": (n, h/8, w/8, 1), ...}. `options` as for `_pico_det`."""
    return _pico_det(input_shape, classes, block=_separable_pair, head=_head_v2, **options)


def _pico_det(
    input_shape, classes, *, block, head, backbone, channels, convolutions, backbone_options=None,
    symmetric_padding=False, small_image=False, name=None,
):  # fmt: skip
    """Builds either version.

    Args:
        block, head: what the versions differ in.
        backbone: a network of the zoo that has maps at strides 8, 16 and 32; its three coarsest are taken.
        channels: of the pyramid and the heads.
        convolutions: of a head, before the last.
        backbone_options: what the backbone is built with besides.
        symmetric_padding: pad where the stride is 2 on every side, as Paddle does, in the backbone too.
        small_image: stride 1 in the backbone's stem: levels are at strides 4, 8, 16 and 32.

    Raises:
        ValueError: a backbone of less than three maps.
    """
    image, maps = backbone_maps(
        backbone, input_shape, True, backbone_options, symmetric_padding=symmetric_padding, small_image=small_image
    )
    if len(maps) < 3:
        raise ValueError(f"backbone {backbone} has feature maps at {len(maps)} strides, PicoDet takes three")
    strides = [stride_of(image, maps[-3]) * 2**level for level in range(4)]
    outputs: dict[str, Any] = {}
    for stride, x in zip(strides, _pyramid(maps[-3:], strides, channels, symmetric_padding, block), strict=True):
        outputs |= head(x, classes, convolutions, stride)
    return keras.Model(image, outputs, name=name)


def _conv(x, filters, kernel, *, activation="hard_swish", name, **options):
    return conv_bn(x, filters, kernel, activation=activation, name=name, **options)


def _separable(x, filters, *, name, activation="hard_swish", **options):
    """5x5 depthwise, 1x1: (n, h, w, c) -> (n, h/stride, w/stride, filters)."""
    x = _conv(x, x.shape[-1], 5, group=1, name=f"{name}_dw", **options)
    return _conv(x, filters, 1, name=f"{name}_pw", activation=activation)


def _cross_stage(x, channels, name):
    """Cross-stage partial block: (n, h, w, c) -> (n, h, w, channels)."""
    y, short = (_conv(x, channels // 2, 1, name=f"{name}_{path}") for path in ("main", "short"))
    y = _separable(_conv(y, channels // 2, 1, name=f"{name}_inner"), channels // 2, name=f"{name}_inner")
    return _conv(layers.Concatenate(name=f"{name}_merge")([y, short]), channels, 1, name=f"{name}_out")


def _separable_pair(x, channels, name):
    """Two blocks of PP-LCNet: (n, h, w, c) -> (n, h, w, channels)."""
    return _separable(_separable(x, x.shape[-1], name=f"{name}_1"), channels, name=f"{name}_2")


def _pyramid(maps, strides, channels, symmetric, block):
    """Three maps, each half as large as the one before -> four of `channels`."""
    fine, middle, coarse = (
        _conv(x, channels, 1, name=f"neck_reduce{stride}") for x, stride in zip(maps, strides, strict=False)
    )
    down = {"stride": 2, "symmetric": symmetric}

    def merge(x, y, name):
        return block(layers.Concatenate(name=f"{name}_concat")([x, y]), channels, name)

    def up(x, stride):
        return NearestUpSampling2D(2, name=f"neck_up{stride}")(x)

    middle = merge(up(coarse, strides[2]), middle, f"neck_top_down{strides[1]}")
    fine = merge(up(middle, strides[1]), fine, f"neck_top_down{strides[0]}")
    found = [fine]
    for stride, x in zip(strides[1:3], (middle, coarse), strict=True):
        y = _separable(found[-1], channels, name=f"neck_down{stride}", **down)  # -> (n, h/2, w/2, channels)
        found.append(merge(y, x, f"neck_bottom_up{stride}"))
    last = (_separable(x, channels, name=f"neck_extra_{of}", **down) for of, x in (("in", coarse), ("out", found[-1])))
    return [*found, layers.Add(name="neck_extra_add")(list(last))]


def _tower(x, convolutions, stride):
    for number in range(1, convolutions + 1):
        x = _separable(x, x.shape[-1], name=f"head{stride}_{number}")
    return x


def _predictions(x, classes, stride):
    scores = prediction(x, classes, 1, -math.log(1 / _PRIOR - 1), f"scores_{stride}")
    return {f"boxes_{stride}": prediction(x, 4 * BINS, 1, 0.0, f"boxes_{stride}"), f"scores_{stride}": scores}


def _head(x, classes, convolutions, stride):
    return _predictions(_tower(x, convolutions, stride), classes, stride)


def _head_v2(x, classes, convolutions, stride):
    x = _tower(x, convolutions, stride)
    name = f"head{stride}_se"
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)  # (n, h, w, c) -> (n, 1, 1, c)
    gate = activate(layers.Conv2D(x.shape[-1], 1, name=f"{name}_fc")(gate), "sigmoid", f"{name}_gate")
    y = _conv(layers.Multiply(name=f"{name}_scale")([x, gate]), x.shape[-1], 1, name=f"{name}_conv")
    # One 5x5 filter over all channels, then one value for another.
    aligned = _conv(_conv(x, 1, 5, name=f"head{stride}_align_1"), 1, 1, activation=None, name=f"head{stride}_align_2")
    return {**_predictions(y, classes, stride), f"alignment_{stride}": aligned}
