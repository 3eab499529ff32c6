"""What each layer does to its values: the int8 file's tensors against the float ones, image by image."""

from collections.abc import Callable

import numpy as np

from tfeff.compare.runner import quantize
from tfeff.debug.layers import Layer
from tfeff.debug.network import Network
from tfeff.debug.running import Running
from tfeff.debug.simulation import Alone
from tfeff.tflite.writer import with_outputs


class Figures:
    """Sums over the images for one tensor.

    Attributes:
        signal: energy of the float values.
        noise: energy of (int8 file's values - float values).
        local: energy of (values of this layer alone quantized - float values), where its inputs are float.
        lowest, highest: codes that the int8 file gave.
        outside: float values beyond both ends of the grid by more than half a step, which rounding would take.
        values: how many were counted.
    """

    def __init__(self, grid):
        self.grid = grid
        self.signal = self.local_signal = self.noise = self.local = 0.0
        self.lowest, self.highest = np.iinfo(grid.dtype).max, np.iinfo(grid.dtype).min
        self.outside = self.values = 0

    def add(self, codes, own, real, alone):
        """Counts one image: codes of the int8 file, and, as float32 of as many elements, the float file's values (or
        the simulation's), the simulation's, and those of this layer alone."""
        codes, own, real, alone = codes.reshape(-1), own.reshape(-1), real.reshape(-1), alone.reshape(-1)
        half = self.grid.scale / 2
        self.signal += _energy(real)
        self.noise += _energy(self.grid.values(codes) - real)
        self.local_signal += _energy(own)
        self.local += _energy(alone - own)
        self.lowest, self.highest = min(self.lowest, int(codes.min())), max(self.highest, int(codes.max()))
        self.outside += int(np.sum((own < self.grid.low - half) | (own > self.grid.high + half)))
        self.values += own.size

    @property
    def range_use(self) -> float:
        return (self.highest - self.lowest + 1) / self.grid.levels

    @property
    def clipped(self) -> float:
        return self.outside / self.values


def measure(
    network: Network,
    alone: Alone,
    layers: list[Layer],
    counterparts: dict[int, int],
    floats: Running | None,
    inputs: np.ndarray,
    progress: Callable[[int, int], None],
) -> tuple[dict[int, Figures], np.ndarray]:
    """Runs the int8 file with all its tensors kept, and the float ones beside it.

    Args:
        counterparts: tensors of the float file by those of the int8 file; `floats` is that file, with them as outputs.
        inputs: float32 (n, h, w, c).
        progress: called with (images done, images in all).

    Returns:
        Figures by tensor, and the int8 file's real outputs, float32 (n, elements).
    """
    wanted = [tensor for layer in layers for tensor in layer.tensors]
    file = Running(with_outputs(network, list(dict.fromkeys([network.output, *wanted]))), str(network.path))
    beside = Running(alone.file, f"{network.path} in float")
    door, end = network.grid(network.input), network.grid(network.output)
    figures = {tensor: Figures(network.grid(tensor)) for tensor in wanted}
    outputs = []
    for number, value in enumerate(inputs):
        stored = value if door is None else quantize(value, door.scale, door.zero_point, door.dtype)
        output = file.run(stored)
        outputs.append(output.astype(np.float32) if end is None else end.values(output))
        beside.run(value)
        if counterparts:
            floats.run(value)
        for tensor in wanted:
            own = value if tensor == network.input else beside.value(alone.floats[tensor])
            real = floats.value(counterparts[tensor]) if tensor in counterparts else own
            codes = stored if tensor == network.input else file.value(tensor)
            figures[tensor].add(codes, own, real, beside.value(alone.quantized[tensor]))
        progress(number + 1, len(inputs))
    return figures, np.stack(outputs)


def _energy(values):
    return float(np.sum(np.square(values, dtype=np.float64)))
