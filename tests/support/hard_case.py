"""A network that int8 is bad at, made of one that it is good at, with the same outputs in float.

A few channels of every tensor that allows it are made up to 2^k times as large, and what reads them takes them so much
smaller. One int8 scale must then hold these and the others, which are left with k bits less. Shared by the tests and
`benchmarks/hard_case.py`.
"""

import keras
import numpy as np

from tfeff.export.quantize.channel_scales import ChannelScales
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites

SHARE = 0.1  # of a tensor's channels that are made large


def unbalanced(model, images, bits: int = 6, seed: int = 0) -> tuple[keras.Model, int]:
    """The unbalanced network, batch norm folded and functional, and the number of channels that were made large.

    Args:
        model: a trained functional network.
        images: a few inputs, on which folding is proven.
        bits: k; factors are drawn from 2^(k-2) to 2^k.
        seed: chooses channels and factors.
    """
    model, _ = apply_rewrites(model, [load_rewrite("batch_norm:fold")], {"image": images})
    scales, rng = ChannelScales(model), np.random.default_rng(seed)
    exponents = np.zeros(scales.count, int)
    decided = {0}
    for tensor in scales.tensors:
        free = sorted(set(scales.groups(tensor).tolist()) - decided)
        if free:
            chosen = rng.choice(free, max(1, round(SHARE * len(free))), replace=False)
            exponents[chosen] = rng.integers(bits - 2, bits + 1, len(chosen))
            decided.update(free)
    new, _ = scales.rescaled(exponents)
    return new, int(np.count_nonzero(exponents))
