"""What a trained network thinks of the images when their channels are turned round."""

import math
from collections.abc import Sequence

import numpy as np

from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration
from tfeff.calibration.findings import GRAVE, NOTE, finding
from tfeff.data import InputPort
from tfeff.record.schema import Finding, TaskSpec
from tfeff.tasks import get_task

_IMAGES = 256  # run both ways
_COLOURED = 0.02  # of the input's range: how far the channels of an image must be apart to say anything


def channel_order(
    calibration: Calibration, port: InputPort, network: Activations, tasks: Sequence[TaskSpec]
) -> list[Finding]:
    """BGR images for an RGB network, or the reverse: whether it does better when the channels are turned round.

    Where the images' classes are known, by the images that only one order gets right (exact two-sided binomial test,
    p < 0.01): grave. Else by the images that it is surer of (p < 0.0001 and two thirds of them): a note. Nothing is
    said of tasks whose outputs do not tell how sure the network is.

    Args:
        port: an input; nothing is said of one that is no image of three channels.
    """
    preprocessing = port.preprocessing
    if preprocessing is None or preprocessing.channels != 3 or not tasks:
        return []
    spec = tasks[0]
    task, truth = get_task(spec.name), _truth(calibration, spec.labels)
    right, surer = np.zeros(2, int), np.zeros(2, int)
    for number, feed, turned in _both_ways(calibration, port):
        belief, turned_belief = (task.belief(network.run(each), spec) for each in (feed, turned))
        if belief is None or turned_belief is None:
            return []
        (answer, first), (turned_answer, second) = belief, turned_belief
        surer += [first > second, second > first]
        if truth is not None and (answer == truth[number]) != (turned_answer == truth[number]):
            right[int(turned_answer == truth[number])] += 1
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


def _both_ways(calibration, port):
    """(number, what the network is given, the same with the channels of one input turned round) of coloured images."""
    mean, std = np.float32(port.preprocessing.mean), np.float32(port.preprocessing.std)
    step = max(1, calibration.used // _IMAGES)
    for number, feed in enumerate(calibration.feeds()):
        if number % step:
            continue
        pixels = feed[port.name] * std + mean
        if np.abs(pixels[..., 0] - pixels[..., 2]).mean() < _COLOURED * 255:
            continue
        turned = np.ascontiguousarray((pixels[..., ::-1] - mean) / std)
        yield number, feed, {**feed, port.name: turned}


def coin_p(heads: int, tosses: int) -> float:
    """Exact two-sided p of so many heads of a fair coin. (scipy.stats has it, and takes a second to import.)"""
    tail = sum(math.comb(tosses, k) for k in range(max(heads, tosses - heads), tosses + 1))
    return min(1.0, 2 * tail / 2**tosses)


def _truth(calibration, labels):
    """The number of the output that is right for each image; None where classes and outputs cannot be matched."""
    if calibration.labels is None or not labels or len(labels) != len(calibration.classes):
        return None
    if set(labels) == set(calibration.classes):
        position = {name: number for number, name in enumerate(labels)}
        return np.array([position[calibration.classes[label]] for label in calibration.labels])
    numbered = all(name.isdigit() for name in labels) or all(name.isdigit() for name in calibration.classes)
    return calibration.labels if numbered else None
