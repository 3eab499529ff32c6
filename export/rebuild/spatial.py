"""Operations on maps: pooling, padding, resizing, blocks of pixels."""

import numpy as np
from keras import layers, ops

from tfeff.export.rebuild.values import Step, Value, handles, lifted, of_batch, of_lifted
from tfeff.layers import DepthToSpace, Resize2D, SpaceToDepth

_LOWEST = -1e30  # below it a constant stands for minus infinity


@handles("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool(step: Step) -> Value:
    x, options = step.value(0), step.options
    kind = layers.AveragePooling2D if step.op.startswith("AVERAGE") else layers.MaxPooling2D
    layer = kind((options["filter_height"], options["filter_width"]), (options["stride_h"], options["stride_w"]),
                 options["padding"].lower(), name=step.name)  # fmt: skip
    floor = x.floor if step.floor is None else step.floor
    return of_batch(step.activated(layer(x.tensor)), floor=floor)


@handles("PAD", "PADV2", "MIRROR_PAD")
def pad(step: Step) -> Value:
    """Zeros around a map are the layer that they are.

    Minus infinity is what stands around a map in front of a maximum. No scale holds it: where nothing is below zero,
    zeros do the same; else the map is mirrored, whose values the windows at its border read anyway.
    """
    x = step.value(0)
    pads: list[tuple[int, ...]] = [tuple(int(n) for n in row) for row in step.number(1)]
    mode, number = "constant", 0.0
    if step.op == "MIRROR_PAD":
        mode = "reflect" if step.options.get("mode") in ("REFLECT", 0) else "symmetric"
    elif step.has(2):
        number = float(np.reshape(step.number(2), ()))
    if number < _LOWEST:
        number, mode = 0.0, "constant" if x.floor is not None and x.floor >= 0 else "symmetric"
    if not any(any(row) for row in pads):
        return x
    floor = x.floor if mode != "constant" else None if x.floor is None else min(x.floor, number)
    if not x.has_batch or any(pads[0]):
        return of_lifted(_pad(lifted(x), [(0, 0), *pads], mode, number), floor=floor)
    if mode == "constant" and number == 0 and x.rank == 4 and not any(pads[3]):
        return of_batch(layers.ZeroPadding2D(tuple(pads[1:3]), name=step.name)(x.tensor), floor=floor)
    return of_batch(_pad(x.tensor, pads, mode, number), floor=floor)


def _pad(tensor, pads, mode, number):
    return ops.pad(tensor, pads, mode, number) if mode == "constant" else ops.pad(tensor, pads, mode)


@handles("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(step: Step) -> Value:
    x, how = step.value(0), "bilinear" if step.op == "RESIZE_BILINEAR" else "nearest"
    corners, half = bool(step.options.get("align_corners")), bool(step.options.get("half_pixel_centers"))
    layer = Resize2D(step.numbers(1), how, align_corners=corners, half_pixel_centers=half, name=step.name)
    return of_batch(layer(x.tensor), floor=x.floor)


@handles("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def blocks(step: Step) -> Value:
    x, kind = step.value(0), DepthToSpace if step.op == "DEPTH_TO_SPACE" else SpaceToDepth
    return of_batch(kind(step.options["block_size"], name=step.name)(x.tensor), floor=x.floor)
