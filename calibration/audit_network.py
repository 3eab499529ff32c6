"""What a trained network thinks of the images when their channels are turned round."""

import math
from collections.abc import Sequence

import numpy as np

from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration
from tfeff.calibration.findings import GRAVE, NOTE, Finding, finding
from tfeff.data import Preprocessing

_IMAGES = 256  # run both ways
_COLOURED = 0.02  # of the input's range: how far the channels of an image must be apart to say anything


def channel_order(
    calibration: Calibration, preprocessing: Preprocessing, network: Activations, labels: Sequence[str]
) -> list[Finding]:
    """BGR images for an RGB network, or the reverse: whether it does better when the channels are turned round.

    Where the images' classes are known, by the images that only one order gets right (exact two-sided binomial test,
    p < 0.01): grave. Else by the images that it is surer of (p < 0.0001 and two thirds of them): a note.
    """
    if preprocessing.channels != 3:
        return []
    mean, std = np.float32(preprocessing.mean), np.float32(preprocessing.std)
    truth = _truth(calibration, labels)
    step = max(1, calibration.used // _IMAGES)
    right, surer = np.zeros(2, int), np.zeros(2, int)
    for number, image in enumerate(calibration.images()):
        if number % step:
            continue
        pixels = image * std + mean
        if np.abs(pixels[..., 0] - pixels[..., 2]).mean() < _COLOURED * 255:
            continue
        given = network.run(image)
        turned = network.run(np.ascontiguousarray((pixels[..., ::-1] - mean) / std))
        if len(given) < 2:
            return []
        first, second = _log_probability(given), _log_probability(turned)
        surer += [first > second, second > first]
        if truth is not None and (given.argmax() == truth[number]) != (turned.argmax() == truth[number]):
            right[int(turned.argmax() == truth[number])] += 1
    order, other = ("RGB", "BGR") if preprocessing.colour == "rgb" else ("BGR", "RGB")
    if truth is not None:
        if right[1] > right[0] and coin_p(int(right[1]), int(right.sum())) < 0.01:
            text = (
                f"{other} images for a network that wants {order}: turned round, {right[1]} more images are classified "
                f"rightly and {right[0]} fewer"
            )
            return [finding("channel-order", GRAVE, text)]
        return []
    total = int(surer.sum())
    if total and surer[1] > 2 / 3 * total and coin_p(int(surer[1]), total) < 1e-4:
        text = f"{other} images for {order}? Turned round, the network is surer of {surer[1]} of {total} images"
        return [finding("channel-order", NOTE, text)]
    return []


def coin_p(heads: int, tosses: int) -> float:
    """Exact two-sided p of so many heads of a fair coin. (scipy.stats has it, and takes a second to import.)"""
    tail = sum(math.comb(tosses, k) for k in range(max(heads, tosses - heads), tosses + 1))
    return min(1.0, 2 * tail / 2**tosses)


def _log_probability(logits):
    """Of the class that is thought likeliest."""
    logits = logits.astype(np.float64)
    return float(-np.log(np.exp(logits - logits.max()).sum()))


def _truth(calibration, labels):
    """The number of the output that is right for each image; None where classes and outputs cannot be matched."""
    if calibration.labels is None or not labels or len(labels) != len(calibration.classes):
        return None
    if set(labels) == set(calibration.classes):
        position = {name: number for number, name in enumerate(labels)}
        return np.array([position[calibration.classes[label]] for label in calibration.labels])
    numbered = all(name.isdigit() for name in labels) or all(name.isdigit() for name in calibration.classes)
    return calibration.labels if numbered else None
