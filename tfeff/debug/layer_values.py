"""What each layer does to its values: the int8 file's tensors against the float ones, sample by sample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfeff.debug.file import LayeredFile
from tfeff.debug.layers import Layer
from tfeff.debug.running import Running
from tfeff.debug.samples import Outputs, Sample, real_outputs, stored, values
from tfeff.debug.simulation import Alone
from tfeff.debug.twin import Twin
from tfeff.tflite.file import Grid
from tfeff.tflite.writer import with_outputs


class Figures:
    """Sums over the samples for one tensor.

    Attributes:
        signal: energy of the float values.
        noise: energy of (int8 file's values - float values).
        local: energy of (values of this layer alone quantized - float values), where its inputs are float.
        lowest, highest: codes that the int8 file gave.
        outside: float values beyond both ends of the grid by more than half a step, which rounding would take.
        count: of the values.
    """

    def __init__(self, grid: Grid):
        self.grid = grid
        self.signal = self.local_signal = self.noise = self.local = 0.0
        self.lowest, self.highest = np.iinfo(grid.dtype).max, np.iinfo(grid.dtype).min
        self.outside = self.count = 0

    def add(self, codes: np.ndarray, own: np.ndarray, real: np.ndarray, alone: np.ndarray) -> None:
        """Counts one sample: codes of the int8 file, and, as float32 of as many elements, the simulation's values, the
        float file's (or the simulation's), and those of this layer alone."""
        codes, own, real, alone = codes.reshape(-1), own.reshape(-1), real.reshape(-1), alone.reshape(-1)
        half = self.grid.scale / 2
        self.signal += _energy(real)
        self.noise += _energy(self.grid.values(codes) - real)
        self.local_signal += _energy(own)
        self.local += _energy(alone - own)
        self.lowest, self.highest = min(self.lowest, int(codes.min())), max(self.highest, int(codes.max()))
        self.outside += int(np.sum((own < self.grid.low - half) | (own > self.grid.high + half)))
        self.count += own.size

    @property
    def range_use(self) -> float:
        return (self.highest - self.lowest + 1) / self.grid.levels

    @property
    def clipped(self) -> float:
        return self.outside / self.count


@dataclass(frozen=True)
class Counterparts:
    """Tensors of the float file that are a layer's values.

    Attributes:
        tensors: of the float file, by those of the int8 file.
        twin: the float file.
        running: it, with these tensors as outputs.
    """

    tensors: Mapping[int, int] = field(default_factory=dict)
    twin: Twin | None = None
    running: Running | None = None

    def run(self, sample: Sample) -> dict[int, np.ndarray]:
        """The counterparts of a sample, by tensors of the int8 file that have one."""
        if not (self.tensors and self.running and self.twin):
            return {}
        found = self.running.run(self.twin.values(sample), list(self.tensors.values()))
        return {tensor: found[other] for tensor, other in self.tensors.items()}


def layer_figures(
    file: LayeredFile,
    alone: Alone,
    layers: Sequence[Layer],
    counterparts: Counterparts,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None],
) -> tuple[dict[int, Figures], list[Outputs]]:
    """Runs the int8 file with all its tensors kept, and the float ones beside it.

    Args:
        progress: called with (samples done, samples in all).

    Returns:
        Figures by tensor, and what the int8 file gives for each sample.
    """
    wanted = [tensor for layer in layers for tensor in layer.tensors]
    int8 = Running(with_outputs(file, list(dict.fromkeys([*file.outputs, *wanted]))), str(file.path))
    beside = Running(alone.data, f"{file.path} in float")
    figures: dict[int, Figures] = {}
    outputs: list[Outputs] = []
    for tensor in wanted:
        if grid := file.grid(tensor):
            figures[tensor] = Figures(grid)
    for done, sample in enumerate(samples, 1):
        given, real = dict(zip(file.inputs, stored(file, sample), strict=True)), values(file, sample)
        entered = dict(zip(file.inputs, real, strict=True))
        coded, others = int8.run(list(given.values())), counterparts.run(sample)
        floats = beside.run(real, [*alone.floats.values(), *alone.quantized.values()])
        outputs.append(real_outputs(file, [coded[port.index] for port in file.output_ports]))
        for tensor, found in figures.items():
            own = entered[tensor] if tensor in entered else floats[alone.floats[tensor]]
            codes = given[tensor] if tensor in given else coded[tensor]
            found.add(codes, own, others.get(tensor, own), floats[alone.quantized[tensor]])
        progress(done, len(samples))
    return figures, outputs


def _energy(values: np.ndarray) -> float:
    return float(np.sum(np.square(values, dtype=np.float64)))
