"""How far two networks' outputs are from each other, and how far rounding alone takes a network's.

The floor of a network is what 2e-7 of its input, the last bit of float32, does to its outputs: no two orders of the
same sums agree better than that, and some networks (untrained ones, most of all) make much of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Float32 sums in another order differ by some 1e-7 a layer; a wrong rewrite is off by far more.
TOLERANCE = 1e-5
INTEGER_TOLERANCE = 0.01  # of an output of whole numbers, the share that may differ: classes whose scores are equal
NOISE = 2e-7  # of the input
FLOORS = 10  # so many times its floor is a difference that says nothing
MOST = 1e-4  # what a rewrite may do to a network that magnifies rounding: no more than the float file may differ by

Outputs = Sequence[np.ndarray]


_VALUES = 2**18  # of all inputs, that are run at once


def batch_size(inputs: Mapping[str, np.ndarray]) -> int:
    """How many samples are run at once: of large ones two, for all that a model computes lies in memory until it ends;
    of small ones many, for each run by hand costs as much as a layer's call does.

    Args:
        inputs: by name, (n, ...) each.
    """
    return max(2, _VALUES // max(1, sum(value[0].size for value in inputs.values())))


@dataclass(frozen=True)
class Distance:
    """How far outputs are from what was expected.

    Attributes:
        largest: the largest difference.
        relative: over the largest absolute value expected; of whole numbers the share that differs.
        is_rounding: whether that is no more than float32 sums in another order give.
    """

    largest: float
    relative: float
    is_rounding: bool


def distance(outputs: Outputs, expected: Outputs, tolerance: float = TOLERANCE) -> Distance:
    """Of several outputs the one that is farthest by what it allows."""
    # NaN is further than anything
    return max(
        distances(outputs, expected, tolerance),
        key=lambda each: (not each.is_rounding, np.nan_to_num(each.relative, nan=np.inf)),
    )


def distances(outputs: Outputs, expected: Outputs, tolerance: float = TOLERANCE) -> list[Distance]:
    """Of each output."""
    return [_distance(one, other, tolerance) for one, other in zip(outputs, expected, strict=True)]


def _distance(outputs, expected, tolerance):
    if not np.issubdtype(expected.dtype, np.floating):
        share = float(np.mean(outputs != expected))
        largest = float(np.abs(outputs.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
        return Distance(largest, share, share <= INTEGER_TOLERANCE)
    error = float(np.abs(outputs - expected).max())
    relative = error / max(float(np.abs(expected).max()), 1e-12)
    return Distance(error, relative, relative <= tolerance)


def floors(
    run: Callable[[Mapping[str, np.ndarray]], Outputs],
    inputs: Mapping[str, np.ndarray],
    outputs: Outputs,
    noise: float = NOISE,
) -> list[float]:
    """What so much more, or that much to and fro, of its input does to each output of a network.

    Args:
        run: the network, by input (n, ...) each -> its outputs.
        inputs: by input; whole numbers stay as they are.
        outputs: what it gives for them.
        noise: relative.

    Returns:
        Of each output, relative to its largest value; of whole numbers the share that differs.
    """
    signs = np.random.default_rng(0)

    def moved(factor):
        return {
            name: (value * factor(value.shape)).astype(value.dtype)
            if np.issubdtype(value.dtype, np.floating)
            else value
            for name, value in inputs.items()
        }

    more = run(moved(lambda shape: 1 + noise))
    to_and_fro = run(moved(lambda shape: 1 + noise * signs.choice([-1.0, 1.0], shape)))
    pairs = zip(distances(more, outputs), distances(to_and_fro, outputs), strict=True)
    return [max(one.relative, other.relative) for one, other in pairs]
