"""One walk over the images: what every tensor holds, in memory that does not grow with their number."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tfeff.calibration.activations import Activations, Tensor
from tfeff.calibration.histogram import Histogram
from tfeff.calibration.methods import Statistics

from tfeff.errors import TfeffError

_BLOCK = 256  # images whose extremes are read from the file at a time
_COLUMNS = 100_000  # pairs of extremes that are held in memory for the columns


class Extremes:
    """The smallest and the largest value of every tensor in every image, in a file: float32 (images, tensors, 2)."""

    def __init__(self, path: Path, tensors: int):
        self._path, self._row = path, 2 * tensors
        self.count = 0
        path.write_bytes(b"")

    def append(self, file, lows: np.ndarray, highs: np.ndarray) -> None:
        """Writes an image's row behind the others; `file` is this path, opened by the caller."""
        file.write(np.stack([lows, highs], 1).astype(np.float32).tobytes())
        self.count += 1

    def columns(self) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """The lows and the highs of each tensor in turn, (images,) each, in the images' order."""
        tensors = self._row // 2
        together = max(1, _COLUMNS // max(1, self.count))
        for first in range(0, tensors, together):
            some = np.concatenate([block[:, first : first + together] for block in self.blocks()])
            for tensor in range(some.shape[1]):
                yield some[:, tensor, 0], some[:, tensor, 1]

    def blocks(self) -> Iterable[np.ndarray]:
        """The rows, some at a time: float32 (n, tensors, 2)."""
        with self._path.open("rb") as file:
            while len(block := np.fromfile(file, np.float32, _BLOCK * self._row)):
                yield block.reshape(-1, self._row // 2, 2)


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Attributes:
        tensors: of the network.
        channel_lows, channel_highs: of each tensor over all images, by its last axis.
        histograms: of the tensors that were to have one, by position.
        extremes: by image.
    """

    tensors: tuple[Tensor, ...]
    channel_lows: list[np.ndarray]
    channel_highs: list[np.ndarray]
    histograms: dict[int, Histogram]
    extremes: Extremes

    def statistics(self) -> Iterable[Statistics]:
        """What a method needs to know, of each tensor in turn."""
        for number, (lows, highs) in enumerate(self.extremes.columns()):
            low, high = float(self.channel_lows[number].min()), float(self.channel_highs[number].max())
            yield Statistics(low, high, lows, highs, self.histograms.get(number))


def observe(
    network: Activations,
    images: Iterable[np.ndarray],
    names: Sequence[str],
    folder: Path,
    *,
    histograms: Iterable[int] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> Observation:
    """Runs every image through the network.

    Args:
        images: preprocessed, float32 (h, w, c) each.
        names: of the images, for messages.
        folder: a scratch folder.
        histograms: positions of the tensors whose values are all to be counted.
        progress: called with the number of images done.

    Raises:
        TfeffError: a layer gives NaN or infinity; it and the image are named.
    """
    tensors = network.tensors
    extremes = Extremes(folder / "extremes.f32", len(tensors))
    channel_lows = [np.full(tensor.shape[-1] if tensor.shape else 1, np.inf, np.float32) for tensor in tensors]
    channel_highs = [-low for low in channel_lows]
    counted = {number: Histogram() for number in histograms}
    lows, highs = np.empty((2, len(tensors)), np.float32)
    with (folder / "extremes.f32").open("ab") as file:
        for number, image in enumerate(images):
            network.run(image)
            for position, tensor in enumerate(tensors):
                value = network.value(tensor)
                flat = value.reshape(-1, len(channel_lows[position]))  # (1, ..., c) -> (positions, c)
                low, high = flat.min(0), flat.max(0)
                lows[position], highs[position] = low.min(), high.max()
                if not (np.isfinite(lows[position]) and np.isfinite(highs[position])):
                    raise TfeffError(
                        f"calibration, {names[number]}: {tensor.label} gives NaN or infinity",
                        "see whether the image is what the network was trained on, and the network's weights",
                    )
                np.minimum(channel_lows[position], low, out=channel_lows[position])
                np.maximum(channel_highs[position], high, out=channel_highs[position])
                if position in counted:
                    counted[position].add(value)
            extremes.append(file, lows, highs)
            progress(number + 1)
    return Observation(tensors, channel_lows, channel_highs, counted, extremes)
