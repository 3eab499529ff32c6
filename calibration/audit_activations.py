"""What the network's layers say: images far from the others, channels that are always the same, ranges that move."""

import math
from typing import Any

import numpy as np
from tfeff.calibration.collect import Calibration
from tfeff.calibration.findings import GRAVE, NOTE, Finding, finding
from tfeff.calibration.methods import Method, Statistics, parse_method
from tfeff.calibration.observe import Observation

_FAR = 2.0  # times what the largest of the other images reach
_SHARE = 0.1  # of the tensors: so many must say so
_TOP = 0.05  # of the images: as many may be odd and are not asked what is usual
_SHUFFLES = 8
_MOVES = 0.1  # of a range: more is said


def outlier_images(calibration: Calibration, seen: Observation, method: Method) -> list[Finding]:
    """Images that alone would stretch the ranges: in a tenth of the tensors twice as far as the other images reach.

    How far the others reach is the largest magnitude of any image when the top twentieth is left out.
    """
    count = seen.extremes.count
    if count < 3:
        return []
    top = math.ceil(_TOP * count)
    reach = (np.maximum(-lows, highs) for lows, highs in seen.extremes.columns())
    usual = np.array([np.partition(each, count - 1 - top)[count - 1 - top] for each in reach])
    alive = usual > 0
    if not alive.any():
        return []
    far, most = [], []
    for block in seen.extremes.blocks():
        ratio = np.maximum(-block[:, alive, 0], block[:, alive, 1]) / usual[alive]
        far.append((ratio > _FAR).mean(1))
        most.append(ratio.max(1))
    far, most = np.concatenate(far), np.concatenate(most)
    which = np.nonzero(far > _SHARE)[0]
    if not len(which):
        return []
    which = which[np.argsort(-far[which], kind="stable")]
    text = (
        f"{len(which)} of {count} images reach further than the others in up to {100 * far.max():.0f} % of the "
        f"tensors, up to {most[which].max():.3g} times as far"
    )
    borne = len(which) < method.clips_images * count
    text += f"; {method.name} leaves them out" if borne else f"; {method.name} would take its ranges from them"
    return [finding("outlier-images", NOTE if borne else GRAVE, text, calibration.names, which)]


def constant_channels(seen: Observation) -> list[Finding]:
    """Channels with one value in all images, by layer; an output that never changes is grave."""
    layers: dict[str, tuple[int, int]] = {}
    for tensor, lows, highs in zip(seen.tensors[1:], seen.channel_lows[1:], seen.channel_highs[1:], strict=True):
        same = int((lows == highs).sum())
        if same and same >= layers.get(tensor.label, (0, 0))[0]:
            layers[tensor.label] = same, len(lows)
    found = []
    if (seen.channel_lows[-1] == seen.channel_highs[-1]).all():
        found.append(finding("constant-output", GRAVE, "the network's output is the same for all images"))
    if layers:
        shown = ", ".join(f"{name} {same} of {all_}" for name, (same, all_) in list(layers.items())[:5])
        text = f"{len(layers)} layers have channels with one value in all images: {shown}"
        found.append(finding("constant-channels", NOTE, text + (", ..." if len(layers) > 5 else "")))
    return found


def stability(seen: Observation, method: Method, rng: np.random.Generator) -> dict[str, Any]:
    """How far ranges move when they are chosen by half of the images.

    The movement of a tensor is that of both bounds between two halves, over the range by all images. Of a method that
    counts all values `image-percentile` is taken in its place, for that can be said of halves after the fact.

    Returns:
        `method`; `halves`: movement between the first and the second half as the images came, `shuffles`: between
        random halves, the mean of 8; of each the `median` tensor and the `worst`, and which that is.
    """
    method = parse_method("image-percentile") if method.values else method
    count = seen.extremes.count
    if count < 2:
        return {"method": method.name, "halves": None, "shuffles": None}
    orders = [np.arange(count), *(rng.permutation(count) for _ in range(_SHUFFLES))]
    moved = np.array([[_movement(each, order, method) for order in orders] for each in seen.statistics()])
    return {
        "method": method.name,
        "halves": _summary(moved[:, 0], seen.tensors),
        "shuffles": _summary(moved[:, 1:].mean(1), seen.tensors),
    }


def _movement(statistics, order, method):
    def bounds(which):
        lows, highs = statistics.image_lows[which], statistics.image_highs[which]
        return np.array(method.range_of(Statistics(float(lows.min()), float(highs.max()), lows, highs)))

    half = len(order) // 2
    whole = bounds(order)
    width = max(whole[1], 0.0) - min(whole[0], 0.0)
    return float(np.abs(bounds(order[:half]) - bounds(order[half:])).sum() / width) if width > 0 else 0.0


def _summary(moved, tensors):
    worst = int(moved.argmax())
    return {"median": float(np.median(moved)), "worst": float(moved[worst]), "layer": tensors[worst].label}


def unstable(figures: dict[str, Any]) -> list[Finding]:
    """Says so where ranges move."""
    halves, shuffles = figures["halves"], figures["shuffles"]
    found = []
    if shuffles is None:
        return found
    if shuffles["median"] > _MOVES:
        text = (
            f"ranges move by {100 * shuffles['median']:.0f} % between random halves of the images "
            f"(most in {shuffles['layer']}): more images would settle them"
        )
        found.append(finding("unstable-ranges", NOTE, text))
    if halves["median"] > _MOVES and halves["median"] > 2 * shuffles["median"]:
        text = (
            f"ranges move by {100 * halves['median']:.0f} % between the first and the second half of the images, "
            f"{100 * shuffles['median']:.0f} % between random halves: their order means something"
        )
        found.append(finding("ordered-images", NOTE, text))
    return found
