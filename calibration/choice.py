"""`auto`: several methods are tried in the runtime, and the one that costs least is kept.

How much a range costs a network cannot be told from its values: ranges of PP-LCNet that differ by three thousandths
cost 0.3 and 0.9 points, for its images' constant background falls onto a step or between two. What can be told is how
far an int8 file's outputs are from the float network's on the calibration images themselves; labels are not needed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration
from tfeff.calibration.methods import Method
from tfeff.calibration.observe import Observation
from tfeff.calibration.ranges import Plan, Range, Rule

IMAGES = 512  # at most so many are run
ENOUGH = 0.002  # nats: what is as near as that is kept without trying others; it costs a bundled preset 0.1 points

Run = Callable[[np.ndarray], np.ndarray]  # an image (h, w, c), preprocessed -> the output, float32


@dataclass(frozen=True)
class Trial:
    """What came of one method.

    Attributes:
        method: which.
        divergence: of its int8 file from the float network, nats an image.
        ranges: of every tensor.
    """

    method: str
    divergence: float
    ranges: list[Range]


def choose(
    method: Method,
    rules: Sequence[Rule],
    door: tuple[float, float],
    network: Activations,
    seen: Observation,
    calibration: Calibration,
    quantized: Callable[[list[Range]], Run],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Trial, ...]:
    """Tries the candidates of a method, on images that are not left out, until one is near enough.

    Args:
        rules, door: see `ranges.Plan`.
        network: the float network.
        seen: what `observe` saw of the images, without those that are left out.
        calibration: as the audit gave it.
        quantized: makes an int8 file with these ranges, and gives what runs it.
        progress: called with (done, total).

    Returns:
        The trials, the best first; among equals the one that was tried first.
    """
    images = calibration.typical(IMAGES)
    wanted = [_log_probabilities(network.run(image)) for image in calibration.images(images)]
    trials = []
    for number, candidate in enumerate(method.candidates):
        progress(number, len(method.candidates))
        found = Plan(network.tensors, candidate, rules, door).ranges(seen)
        run = quantized(found)
        given = (_log_probabilities(np.asarray(run(image)).reshape(-1)) for image in calibration.images(images))
        trials.append(Trial(candidate.name, divergence(wanted, given), found))
        if trials[-1].divergence <= ENOUGH:
            break
    return tuple(sorted(trials, key=lambda trial: trial.divergence))


def divergence(wanted, given) -> float:
    """Kullback-Leibler divergence of `given` from `wanted`, log probabilities of each image, mean over images, nats.

    The sum is exact, so that the order of the images has no say in it. Below 0 by rounding alone.
    """
    terms = [float(np.exp(one) @ (one - other)) for one, other in zip(wanted, given, strict=True)]
    return max(0.0, math.fsum(terms) / len(terms))


def _log_probabilities(outputs):
    """Of a network's outputs, as if they were logits; of one output alone, of it against 0."""
    values = outputs.astype(np.float64)
    values = np.array([values[0], 0.0]) if len(values) == 1 else values
    values -= values.max()
    return values - np.log(np.exp(values).sum())
