"""One walk over the samples: what every tensor holds, in memory that does not grow with their number."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfeff.calibration.activations import Activations, Tensor
from tfeff.calibration.collect import Feed
from tfeff.calibration.extremes import Extremes
from tfeff.calibration.histogram import Histogram
from tfeff.calibration.methods import Statistics
from tfeff.errors import TfeffError


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Attributes:
        tensors: of the network.
        channel_lows, channel_highs: of each tensor over all samples, by its last axis.
        histograms: of the tensors that were to have one, by position.
        extremes: by sample.
        kept: (n,), the samples that `statistics` are of; None is all.
    """

    tensors: tuple[Tensor, ...]
    channel_lows: list[np.ndarray]
    channel_highs: list[np.ndarray]
    histograms: dict[int, Histogram]
    extremes: Extremes
    kept: np.ndarray | None = None

    def statistics(self) -> Iterator[Statistics]:
        """What a method needs to know, of each tensor in turn."""
        for number, (lows, highs) in enumerate(self.extremes.columns()):
            if self.kept is not None:
                lows, highs = lows[self.kept], highs[self.kept]
            yield Statistics(float(lows.min()), float(highs.max()), lows, highs, self.histograms.get(number))

    def without(self, network: Activations, feeds: Iterable[Feed], which: np.ndarray) -> "Observation":
        """The same of the other samples; what these gave is taken off the histograms, which is exact.

        Args:
            feeds: those to leave out.
            which: their numbers; none that are left out already.
        """
        if not len(which):
            return self
        kept = np.ones(self.extremes.count, bool) if self.kept is None else self.kept.copy()
        kept[which] = False
        histograms = copy.deepcopy(self.histograms)
        if histograms:
            for feed in feeds:
                network.run(feed)
                for position, histogram in histograms.items():
                    histogram.remove(network.value(self.tensors[position]))
        return replace(self, kept=kept, histograms=histograms)


def observe(
    network: Activations,
    feeds: Iterable[Feed],
    names: Sequence[str],
    folder: Path,
    *,
    histograms: Iterable[int] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> Observation:
    """Runs every sample through the network.

    Args:
        feeds: by input, without the batch.
        names: of the samples, for messages.
        folder: a scratch folder.
        histograms: positions of the tensors whose values are all to be counted.
        progress: called with the number of samples done.

    Raises:
        TfeffError: a layer gives NaN or infinity; it and the sample are named.
    """
    tensors = network.tensors
    extremes = Extremes(folder / "extremes.f32", len(tensors))
    channel_lows = [np.full(tensor.shape[-1] if tensor.shape else 1, np.inf, np.float32) for tensor in tensors]
    channel_highs = [-low for low in channel_lows]
    counted = {number: Histogram() for number in histograms}
    lows, highs = np.empty((2, len(tensors)), np.float32)
    with (folder / "extremes.f32").open("ab") as file:
        for number, feed in enumerate(feeds):
            network.run(feed)
            for position, tensor in enumerate(tensors):
                value = network.value(tensor)
                flat = value.reshape(-1, len(channel_lows[position]))  # (1, ..., c) -> (positions, c)
                low, high = flat.min(0), flat.max(0)
                lows[position], highs[position] = low.min(), high.max()
                if not (np.isfinite(lows[position]) and np.isfinite(highs[position])):
                    raise TfeffError(
                        f"calibration, {names[number]}: {tensor.label} gives NaN or infinity",
                        "see whether the sample is what the network was trained on, and the network's weights",
                    )
                np.minimum(channel_lows[position], low, out=channel_lows[position])
                np.maximum(channel_highs[position], high, out=channel_highs[position])
                if position in counted:
                    counted[position].add(value)
            extremes.append(file, lows, highs)
            progress(number + 1)
    return Observation(tensors, channel_lows, channel_highs, counted, extremes)
