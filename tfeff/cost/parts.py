"""The parts of a network: stages by the size of the maps, blocks by the layers' names, and what runs side by side."""

import math
from collections.abc import Sequence

import numpy as np
from keras import layers

from tfeff.cost.graph import Call

_GLOBAL = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten)
HEAD = "head"


def stays_a_map(calls: Sequence[Call]) -> list[bool]:
    """Whether each call puts out a map (n, h, w, c), no summary of the whole image: not behind a global pooling,
    flattening, or a kernel without padding that covers the map; but again where the two meet, as in a
    squeeze-and-excitation's product."""
    maps: list[bool] = []
    for call in calls:
        behind = any(maps[producer] for producer in call.producers) or not call.producers
        maps.append(behind and len(call.outputs[0]) == 4 and not _covers(call))
    return maps


def _covers(call):
    if isinstance(call.operation, _GLOBAL):
        return True
    layer, size = call.operation, call.inputs[0][1:-1]
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    return kernel is not None and getattr(layer, "padding", None) == "valid" and tuple(kernel) == size != (1, 1)


def stages(calls: Sequence[Call], maps: Sequence[bool], image: Sequence[int | None]) -> list[str]:
    """The stage of each call: `stride4` where its map is a quarter as high and wide as the image (to the nearest power
    of 2). What is no map belongs to the stage that it is led back into, else to the head.

    Args:
        maps: of `stays_a_map`.
        image: shape of the model's input.
    """
    found = [HEAD] * len(calls)
    for number, (call, is_map) in enumerate(zip(calls, maps, strict=True)):
        height, width = call.outputs[0][1:3] if is_map else (None, None)
        if height and width and image[1] and image[2]:
            found[number] = f"stride{2 ** max(0, round(math.log2(image[1] * image[2] / (height * width)) / 2))}"
    for number in reversed(range(len(calls))):  # consumers come later, so theirs are settled
        if found[number] != HEAD:
            for producer in calls[number].producers:
                if not maps[producer]:
                    found[producer] = found[number]
    return found


def widest(numbers: Sequence[int], ancestors: Sequence[int]) -> int:
    """The largest number of calls of which none waits for another.

    By Dilworth's theorem as many as the fewest chains that hold all of them, which a bipartite matching gives.

    Args:
        numbers: places of the calls.
        ancestors: for each call of the network, the places of all calls it waits for, as the bits of an int.
    """
    if len(numbers) < 2:
        return len(numbers)
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    waits = np.array([[ancestors[late] >> early & 1 for late in numbers] for early in numbers], dtype=np.int8)
    matched = maximum_bipartite_matching(csr_matrix(waits), perm_type="column")
    return len(numbers) - int((matched >= 0).sum())
