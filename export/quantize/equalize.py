"""Cross-layer equalization: channels get scales that int8 can hold, the network computes what it did.

After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv 1906.04721, section
4.1): a channel's factor is the root of what its reader has to spare over what it has to spare itself, found for all
channels in turn until none changes. What has to share a scale depends on the target:

- per-channel weights (the default): all channels of an activation share one range, and so do the weights with which one
  filter reads all its channels. A depthwise filter reads one channel, so in front of it activations are made equal;
- per-tensor weights: also all weights of a layer, which is the paper's case.

The paper equalizes weights alone. Here a channel counts as large when either its weights or its activations, measured
on calibration images, are: a channel whose weights are small and whose bias is large is left as it is.

ReLU6 is in the way, for it does not hand a factor on. It is not replaced by ReLU, as in the paper: that would change
the function.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfeff.export.quantize.channel_scales import ChannelScales, measure, some
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import Rewrite, apply_rewrites

SAMPLES = 256  # at most so many are looked at: memory does not grow with their number
OUTLIERS = 0.01  # share of the samples with the largest activations that has no say in a tensor's ranges
_PROOF = 16
_SWEEPS = 200
_STILL = 0.01  # steps in log2 below which nothing changes
_LARGEST = 12  # of the exponents


class Equalization(Rewrite):
    """The rewrite; after `apply`, `details` says what it did (see `equalize`)."""

    name = "equalize"

    def __init__(self, batch: Mapping[str, np.ndarray], *, per_tensor: bool = False):
        super().__init__()
        self._batch, self._per_tensor = batch, per_tensor
        self.details: dict[str, Any] = {"channels": 0, "largest_factor": 1.0, "left_out": {}}

    def apply(self, model: Any) -> tuple[Any, int]:
        scales = ChannelScales(model)
        self.details["left_out"] = dict(sorted(scales.refused.items()))
        problem = _Problem(scales, measure(scales, self._batch), self._per_tensor)
        exponents = problem.solve()
        if not exponents.any():
            return model, 0
        new, places = scales.rescaled(exponents)
        self.details |= {
            "channels": int(np.count_nonzero(exponents)),
            "largest_factor": float(2.0 ** np.abs(exponents).max()),
            "unused_bits": {
                "before": problem.unused_bits(np.zeros(scales.count)),
                "after": problem.unused_bits(exponents),
            },
        }
        return new, places


def equalize(
    model: Any, batch: Mapping[str, np.ndarray], *, per_tensor: bool = False
) -> tuple[keras.Model, dict[str, Any]]:
    """Scales channels so that those that share an int8 scale are of one size; the outputs stay the same bits.

    Args:
        model: a functional Keras model. Batch norm is folded first, where that is not done.
        batch: samples of the calibration, by input, in the model's order, (n, ...) each; up to 256, evenly spread, are
            used.
        per_tensor: whether weights get one int8 scale a layer, not one an output channel.

    Returns:
        The model (an inlined copy, batch norm folded), and a report: `places` (layers with other weights), `channels`
        (groups of channels that got a factor), `largest_factor` (or its inverse), `max_abs_error` and `relative_error`
        of the outputs on 16 samples, `left_out` (kinds of operations that kept channels from being scaled, and how
        often) and `unused_bits`: how many of the 8 a channel leaves unused, on average, of activations and of weights.

    Raises:
        TfeffError: an output changed by more than `core.TOLERANCE` of its range, or the model has no graph.
    """
    chosen = some(batch, SAMPLES)
    rewrite = Equalization(chosen, per_tensor=per_tensor)
    proof = {name: values[:_PROOF] for name, values in chosen.items()}
    model, applied = apply_rewrites(model, [load_rewrite("batch_norm:fold"), rewrite], proof)
    done = [each for each in applied if each.name == rewrite.name]
    return model, {
        "per_tensor": per_tensor,
        "images": len(next(iter(chosen.values()))),
        "places": done[0].places if done else 0,
        "max_abs_error": done[0].max_abs_error if done else 0.0,
        "relative_error": done[0].relative_error if done else 0.0,
        **rewrite.details,
    }


class _Problem:
    """Ranges of channels in log2, and which of them share a scale in the file."""

    def __init__(self, scales, measured, per_tensor):
        self._count, self._per_tensor = scales.count, per_tensor
        self._activations: dict[int, list] = {}  # by what has one range: (groups (c,), log2 of the largest value (c,))
        for tensor, values in zip(scales.tensors, measured, strict=True):
            part = scales.groups(tensor), _log2(_without_outliers(values))
            self._activations.setdefault(scales.range_of(tensor), []).append(part)
        self._activations = {
            key: [np.concatenate(column) for column in zip(*parts, strict=True)]
            for key, parts in self._activations.items()
        }
        self._weights = [(w, _log2(w.largest)) for w in scales.weights]

    def solve(self) -> np.ndarray:
        """The exponent of every group, whole numbers."""
        exponents = np.zeros(self._count)
        for _ in range(_SWEEPS):
            up, down = self._spare(exponents)
            step = np.zeros(self._count)
            known = np.isfinite(up) & np.isfinite(down)  # a channel that is always 0 or that none reads has no size
            step[known] = (down - up)[known] / 2
            step[0] = 0
            exponents += step
            if np.abs(step).max() < _STILL:
                break
        exponents = self._centred(exponents)
        # Less than a factor of 2 is not worth it: rounded to one, it can do as much harm as good.
        exponents = np.where(np.abs(exponents) < 1, 0, np.round(exponents))
        return np.clip(exponents, -_LARGEST, _LARGEST).astype(int)

    def unused_bits(self, exponents) -> dict[str, float]:
        """Mean over all channels of log2 of the largest value that its scale can hold over its own largest value."""
        activations = [_spread(large + exponents[groups]) for groups, large in self._activations.values()]
        weights = []
        for w, large in self._weights:
            sizes = large + exponents[w.writes] - exponents[w.reads]
            own = np.full(w.outputs.max() + 1, -np.inf)
            np.maximum.at(own, w.outputs, sizes)
            weights.append(_spread(own) if self._per_tensor else _spread((sizes - own[w.outputs]).max(axis=1)))
        return {
            name: round(float(np.mean(np.concatenate(values))), 3) if values else 0.0
            for name, values in (("activations", activations), ("weights", weights))
        }

    def _spare(self, exponents):
        """Of every group the log2 of its largest share of a range: of those that grow with it, of those that shrink."""
        up, down = np.full((2, self._count), -np.inf)
        for groups, large in self._activations.values():
            sizes = large + exponents[groups]
            np.maximum.at(up, groups, sizes - _largest(sizes))
        for w, large in self._weights:
            sizes = large + exponents[w.writes] - exponents[w.reads]
            if self._per_tensor:
                shares = sizes - _largest(sizes)
                np.maximum.at(up, w.writes, shares)
            else:
                own = np.full(w.outputs.max() + 1, -np.inf)
                np.maximum.at(own, w.outputs, sizes)
                own[np.isinf(own)] = 0  # a filter of zeros
                shares = sizes - own[w.outputs]
            np.maximum.at(down, w.reads, shares)
        return up, down

    def _centred(self, exponents):
        """As many channels of a tensor as can be have no factor: how large all of it is does not matter."""
        parent = list(range(self._count))

        def find(group):
            while parent[group] != group:
                parent[group] = parent[parent[group]]
                group = parent[group]
            return group

        for groups, _ in self._activations.values():
            for group in groups:
                first, second = sorted((find(int(group)), find(int(groups[0]))))
                parent[second] = first
        roots = np.array([find(group) for group in range(self._count)])
        centred = exponents.copy()
        for root in np.unique(roots):
            if root != 0:
                centred[roots == root] -= _commonest(exponents[roots == root])
        return centred


def _commonest(exponents):
    """A number with as many exponents as can be less than 1 from it."""
    ordered = np.sort(exponents)
    first, last = np.searchsorted(ordered, ordered - 1, "right"), np.searchsorted(ordered, ordered + 1, "left")
    best = np.argmax(last - first)
    return np.median(ordered[first[best] : last[best]])


def _without_outliers(values):
    """(n, c) -> (c,): the largest of each channel, but for the samples whose largest value of all is an outlier."""
    leave_out = int(OUTLIERS * len(values))
    order = np.argsort(values.max(axis=1), kind="stable")
    return values[order[: len(values) - leave_out]].max(axis=0)


def _log2(values):
    with np.errstate(divide="ignore"):
        return np.log2(values.astype(np.float64))


def _largest(sizes):
    largest = sizes.max()
    return largest if np.isfinite(largest) else 0.0


def _spread(sizes):
    """How far below the largest the others are, but for those that are 0."""
    live = sizes[np.isfinite(sizes)]
    return live.max() - live if len(live) else live
