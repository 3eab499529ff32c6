"""Images that have no say in the ranges: so far from the others that they alone would stretch them.

Far in the network's layers is not enough: a network may make much of a few images that are as sound as the others, and
will be given their like; cut off, they would come out wrong. So something must be odd about the image itself: it is
noise, of one colour, holds what its preprocessing cannot give, or reaches further than the others as it is given.
"""

from collections.abc import Sequence

import numpy as np

from tfeff.calibration.extremes import Extremes

# (percentile, times): an image's largest magnitude in a tensor is far when it is so many times what the percentile of
# the images reaches. The first sees a twentieth of damaged images at most, the second a quarter. On 512 training images
# of Fashion-MNIST no bundled preset has one that is far in more than 1 % and 5 % of its tensors.
_RULES = ((95, 2.0), (75, 3.0))
_SHARE = 0.1  # of the tensors: so many must say so
MOST = 0.05  # of the images: more are no accident, and none is left out


def distances(extremes: Extremes, tensors: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """How far each image is from the others.

    Args:
        extremes: of every tensor.
        tensors: numbers of those that count; all without.

    Returns:
        (n,) the share of the tensors in which it is far, by the rule that says more; (n,) the most that it reaches
        beyond what 95 % of the images reach, in any tensor, as a factor. Zeros for fewer than three images.
    """
    count = extremes.count
    if count < 3:
        return np.zeros(count), np.zeros(count)
    usual = np.array(
        [
            np.percentile(np.maximum(-lows, highs), [percentile for percentile, _ in _RULES], method="lower")
            for lows, highs in extremes.columns()
        ]
    ).reshape(-1, len(_RULES))  # of a network that computes nothing there is no tensor
    counted = np.ones(len(usual), bool)
    if tensors is not None:
        counted = np.isin(np.arange(len(usual)), tensors)
    alive = (usual > 0).all(1) & counted
    if not alive.any():
        return np.zeros(count), np.zeros(count)
    shares, most = [], []
    for block in extremes.blocks():
        reach = np.maximum(-block[:, alive, 0], block[:, alive, 1])
        found = [(reach > times * usual[alive, rule]).mean(1) for rule, (_, times) in enumerate(_RULES)]
        shares.append(np.maximum(*found))
        most.append((reach / usual[alive, 0]).max(1))
    return np.concatenate(shares), np.concatenate(most)


def far_images(shares: np.ndarray) -> np.ndarray:
    """Numbers of the images that are far in enough tensors, the farthest first."""
    (which,) = np.nonzero(shares > _SHARE)
    return which[np.argsort(-shares[which], kind="stable")]


def left_out(far: np.ndarray, outside: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the images to leave out, ascending: those that are far, and those that hold values which the
    preprocessing cannot give. None when they are more than a twentieth: then the images are like that.

    Args:
        far, outside: numbers of these.
        count: of all images.
    """
    which = np.union1d(far, outside).astype(int)
    return which if len(which) <= MOST * count else which[:0]
