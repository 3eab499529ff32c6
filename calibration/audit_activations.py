"""What the network's layers say: samples far from the others, channels that are always the same, ranges that move."""

import numpy as np

from tfeff.calibration.collect import Calibration
from tfeff.calibration.findings import GRAVE, NOTE, finding
from tfeff.calibration.left_out import MOST
from tfeff.calibration.methods import Method, Statistics, parse_method
from tfeff.calibration.observe import Observation
from tfeff.record.schema import Details, Finding

_SHUFFLES = 8
_MOVES = 0.1  # of a range: more is said


def outlier_images(calibration: Calibration, far: np.ndarray, shares: np.ndarray, most: np.ndarray) -> list[Finding]:
    """Images unlike the others that alone would stretch the ranges; a note when they are left out, grave when they are
    too many for that.

    Args:
        far, shares, most: of `left_out.far_images` and `left_out.distances`.
    """
    if not len(far):
        return []
    few = len(far) <= MOST * calibration.used
    text = _reach(calibration, far, shares, most)
    text += "; they have no say in the ranges" if few else "; they are too many to leave out"
    return [finding("outlier-images", NOTE if few else GRAVE, text, calibration.names, far)]


def far_images(calibration: Calibration, far: np.ndarray, shares: np.ndarray, most: np.ndarray) -> list[Finding]:
    """Images that the network makes more of than of the others, though they are like them.

    Args:
        far, shares, most: as above.
    """
    if not len(far):
        return []
    text = _reach(calibration, far, shares, most) + "; as inputs they are like the others, so their values count"
    return [finding("far-images", NOTE, text, calibration.names, far)]


def _reach(calibration, far, shares, most):
    return (
        f"{len(far)} of {calibration.used} {calibration.noun}s reach further than the others in up to "
        f"{100 * shares[far].max():.0f} % of the tensors, up to {most[far].max():.3g} times as far"
    )


def constant_channels(seen: Observation, noun: str = "image") -> list[Finding]:
    """Channels with one value in all samples, by layer; an output that never changes is grave."""
    layers: dict[str, tuple[int, int]] = {}
    found = []
    for tensor, lows, highs in zip(seen.tensors, seen.channel_lows, seen.channel_highs, strict=True):
        same = int((lows == highs).sum())
        if tensor.output is not None and same == len(lows):
            which = "the network's output" if _one_output(seen) else f"output {tensor.output}"
            found.append(finding("constant-output", GRAVE, f"{which} is the same for all {noun}s"))
        if tensor.input is None and same and same >= layers.get(tensor.label, (0, 0))[0]:
            layers[tensor.label] = same, len(lows)
    if layers:
        shown = ", ".join(f"{name} {same} of {all_}" for name, (same, all_) in list(layers.items())[:5])
        have = "layer has" if len(layers) == 1 else "layers have"
        text = f"{len(layers)} {have} channels with one value in all {noun}s: {shown}"
        found.append(finding("constant-channels", NOTE, text + (", ..." if len(layers) > 5 else "")))
    return found


def _one_output(seen):
    return sum(tensor.output is not None for tensor in seen.tensors) == 1


def stability(seen: Observation, method: Method, rng: np.random.Generator) -> Details:
    """How far ranges move when they are chosen by half of the images.

    The movement of a tensor is that of both bounds between two halves, over the range by all images. Of a method that
    counts all values `image-percentile` is taken in its place, for that can be said of halves after the fact. Images
    that are left out have no say.

    Returns:
        `method`; `halves`: movement between the first and the second half as the images came, `shuffles`: between
        random halves, the mean of 8; of each the `median` tensor and the `worst`, and which that is.
    """
    method = parse_method("image-percentile") if method.values else method
    count = seen.extremes.count if seen.kept is None else int(seen.kept.sum())
    if count < 2 or not seen.tensors:
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


def unstable(figures: Details, noun: str = "image") -> list[Finding]:
    """Says so where ranges move."""
    halves, shuffles = figures["halves"], figures["shuffles"]
    found: list[Finding] = []
    if shuffles is None:
        return found
    if shuffles["median"] > _MOVES:
        text = (
            f"ranges move by {100 * shuffles['median']:.0f} % between random halves of the {noun}s "
            f"(most in {shuffles['layer']}): more {noun}s would settle them"
        )
        found.append(finding("unstable-ranges", NOTE, text))
    if halves["median"] > _MOVES and halves["median"] > 2 * shuffles["median"]:
        text = (
            f"ranges move by {100 * halves['median']:.0f} % between the first and the second half of the {noun}s, "
            f"{100 * shuffles['median']:.0f} % between random halves: their order means something"
        )
        found.append(finding("ordered-images", NOTE, text))
    return found
