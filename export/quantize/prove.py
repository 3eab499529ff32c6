"""Is the int8 file what was simulated? Its scales are those that were planned, and every unit gives the same values.

A unit is a computing operation with what is fused into it and what only hands values on in front of it. Each is given
the file's own int8 values, so that a difference is the unit's and nothing is carried from one to the next. Promised is
one step of the output's scale: kernels and simulation may round a tie differently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.export.quantize.fake_quant import scale_of
from tfeff.export.quantize.points_file import Scale
from tfeff.export.quantize.simulation import get_ranges, set_ranges, step_by_step
from tfeff.record.schema import Simulation, UnitDifference
from tfeff.tflite.file import read_only
from tfeff.tflite.writer import with_outputs

PROMISED = 1  # steps of int8
_SAME = 1e-5  # of a scale: float32 against float64
_VALUES = 2**16  # of the inputs of the samples that are compared at once


@dataclass(frozen=True)
class Proof:
    """How file and simulation agree.

    Attributes:
        images: on how many samples.
        units: what was compared, in order.
        rescaled: points whose scale in the file is not the one that was planned.
        missing: points that the file does not hold.
        floats: points that it holds in float.
    """

    images: int
    units: tuple[UnitDifference, ...]
    rescaled: tuple[str, ...]
    missing: tuple[str, ...]
    floats: tuple[str, ...] = ()

    @property
    def beyond(self) -> list[str]:
        """Units that differ by more than is promised."""
        return [each.unit for each in self.units if each.max_lsb > PROMISED]

    def record(self) -> Simulation:
        """The record's `quantization.simulation`."""
        return Simulation(
            images=self.images, units=len(self.units), max_lsb=max((each.max_lsb for each in self.units), default=0),
            beyond=self.beyond, rescaled=list(self.rescaled), missing=list(self.missing), float_=list(self.floats),
            differing=[each for each in self.units if each.max_lsb],
        )  # fmt: skip


def prove_units(
    graph: Any,
    file: bytes,
    scales: Mapping[str, Scale],
    floats: Mapping[str, int],
    batch: Mapping[str, np.ndarray],
) -> Proof:
    """Compares the file, in LiteRT with its default kernels (XNNPACK), with the simulation, unit by unit.

    The graph's ranges are set to the file's. Of points that were left in float, what their QUANTIZE makes of them is
    handed on, and they are not compared.

    Args:
        graph: the fake-quant graph that the file was made of.
        file: int8 inside and at its doors.
        scales, floats: of its points, as `points_file.read_scales` gives them.
        batch: by input, in the graph's order, (n, ...) each.
    """
    planned = get_ranges(graph)
    missing = [point for point in planned if point not in scales and point not in floats]
    rescaled = tuple(point for point, held in scales.items() if _differs(planned[point], held))
    set_ranges(graph, {point: held.bounds for point, held in scales.items()})
    run, tallies = _FilePoints(file, scales, floats, batch), {point: _Tally() for point in scales if point not in batch}
    for part in _parts(batch):
        values, given = run(part)
        for point in floats:
            given[point] = _rounded(given[point], planned[point])
        held_inputs = {name: given.get(name, value) for name, value in part.items()}
        made = step_by_step(graph, held_inputs, given)
        for point, tally in tallies.items():
            held = scales[point]
            tally.add(np.round(made[point] / held.scale) + held.zero_point - values[point].reshape(made[point].shape))
    units = tuple(tally.told(point) for point, tally in tallies.items())
    return Proof(len(next(iter(batch.values()))), units, rescaled, tuple(missing), tuple(floats))


class _Tally:
    """Of the steps that a unit was off."""

    def __init__(self):
        self._largest, self._differing, self._count = 0, 0, 0

    def add(self, steps: np.ndarray) -> None:
        self._largest = max(self._largest, int(np.abs(steps).max(initial=0)))
        self._differing += int(np.count_nonzero(steps))
        self._count += steps.size

    def told(self, point: str) -> UnitDifference:
        differing = round(self._differing / max(1, self._count), 6)
        return UnitDifference(unit=point, max_lsb=self._largest, differing=differing)


def _parts(batch):
    """A few samples at a time: the values of all units lie in memory at once."""
    size = max(2, _VALUES // max(1, sum(value[0].size for value in batch.values())))
    for start in range(0, len(next(iter(batch.values()))), size):
        yield {name: value[start : start + size] for name, value in batch.items()}


def _differs(bounds, held):
    low, high = bounds
    return abs((high - low) / 255 - held.scale) > _SAME * held.scale or abs(low - held.bounds[0]) > held.scale


def _rounded(values, bounds):
    """Float values as int8 of that range holds them."""
    scale, zero_point = scale_of(*bounds)
    return ((np.clip(np.round(values / scale) + zero_point, -128, 127) - zero_point) * scale).astype(np.float32)


class _FilePoints:
    """A file in LiteRT that gives every point."""

    def __init__(self, file, scales, floats, batch):
        from ai_edge_litert.interpreter import Interpreter

        read = read_only(file)
        self._doors, _ = read.signature()
        self._scales = scales
        self._tensors = {point: scale.tensor for point, scale in scales.items() if point not in batch} | dict(floats)
        wanted = list(dict.fromkeys(self._tensors.values()))
        self._interpreter = Interpreter(model_content=bytes(with_outputs(read, wanted)), num_threads=1)
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_output_details()
        self._outputs = {tensor: each["index"] for tensor, each in zip(wanted, details, strict=True)}

    def __call__(self, batch):
        """Every point's int8 values, and what they stand for, float32."""
        scales = self._scales
        held = {name: _held(value, scales[name]) if name in scales else value for name, value in batch.items()}
        rows: dict[int, list[np.ndarray]] = {tensor: [] for tensor in self._outputs}
        for number in range(len(next(iter(held.values())))):
            for name, value in held.items():
                self._interpreter.set_tensor(self._doors[name], value[number][None])
            self._interpreter.invoke()
            for tensor, index in self._outputs.items():
                rows[tensor].append(self._interpreter.get_tensor(index))
        values = {name: value for name, value in held.items() if name in scales}
        values |= {point: np.concatenate(rows[tensor]) for point, tensor in self._tensors.items()}
        given = {}
        for point, value in values.items():
            if point in scales:
                value = (value.astype(np.int32) - scales[point].zero_point) * scales[point].scale
            given[point] = value.astype(np.float32)
        return values, given


def _held(values, scale):
    """Real numbers as int8 of that scale."""
    return np.clip(np.round(values / scale.scale) + scale.zero_point, -128, 127).astype(np.int8)
