"""Is the int8 file what was simulated? Its scales are those that were planned, and every unit gives the same values.

A unit is a computing operation with what is fused into it and what only hands values on in front of it. Each is given
the file's own int8 values, so that a difference is the unit's and nothing is carried from one to the next. Promised is
one step of the output's scale: kernels and simulation may round a tie differently.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tfeff.export.quantize.graph import INPUT
from tfeff.export.quantize.points_file import Scale, with_outputs
from tfeff.export.quantize.simulation import get_ranges, run_points, set_ranges, step_by_step

PROMISED = 1  # steps of int8
_SAME = 1e-5  # of a scale: float32 against float64


@dataclass(frozen=True)
class Proof:
    """How file and simulation agree.

    Attributes:
        images: on how many images.
        units: what was compared: {"unit", "max_lsb", "differing"}, the share of values that differ, in the graph's order.
        rescaled: points whose scale in the file is not the one that was planned.
        missing: points that the file does not hold as int8.
    """

    images: int
    units: tuple[dict[str, Any], ...]
    rescaled: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def beyond(self) -> list[str]:
        """Units that differ by more than is promised."""
        return [unit["unit"] for unit in self.units if unit["max_lsb"] > PROMISED]

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        worst = max((unit["max_lsb"] for unit in self.units), default=0)
        return {
            "images": self.images, "units": len(self.units), "max_lsb": worst, "beyond": self.beyond,
            "rescaled": list(self.rescaled), "missing": list(self.missing),
            "differing": [unit for unit in self.units if unit["max_lsb"]],
        }  # fmt: skip


def prove_units(graph, file: bytes, scales: dict[str, Scale], images: np.ndarray) -> Proof:
    """Compares the file, in LiteRT with its default kernels (XNNPACK), with the simulation, unit by unit.

    The graph's ranges are set to the file's.

    Args:
        graph: the fake-quant graph that the file was made of.
        file: int8 inside and at its doors.
        scales: of its points.
        images: float32 (n, h, w, c), preprocessed.
    """
    planned = get_ranges(graph)
    missing = tuple(point for point in planned if point not in scales)
    rescaled = tuple(point for point, held in scales.items() if _differs(planned[point], held))
    set_ranges(graph, {point: held.bounds for point, held in scales.items()})
    values, given = _run(file, scales, images)
    if missing:  # nothing to give the units behind them: the simulation's own stand in
        given |= _simulated(graph, given, missing)
    made = step_by_step(graph, given[INPUT], given)
    units = []
    for point, held in scales.items():
        if point != INPUT:
            steps = np.round(made[point] / held.scale) + held.zero_point - values[point].reshape(made[point].shape)
            units.append(
                {"unit": point, "max_lsb": int(np.abs(steps).max()), "differing": round(float((steps != 0).mean()), 6)}
            )
    return Proof(len(images), tuple(units), rescaled, missing)


def _differs(bounds, held):
    low, high = bounds
    return abs((high - low) / 255 - held.scale) > _SAME * held.scale or abs(low - held.bounds[0]) > held.scale


def _run(file, scales, images):
    """Every point's int8 values and what they stand for, float32."""
    from ai_edge_litert.interpreter import Interpreter

    points = [point for point in scales if point != INPUT]
    tensors = list(dict.fromkeys(scales[point].tensor for point in points))
    interpreter = Interpreter(model_content=with_outputs(file, tensors), num_threads=1)
    interpreter.allocate_tensors()
    (door,) = interpreter.get_input_details()
    outputs = {tensor: each["index"] for tensor, each in zip(tensors, interpreter.get_output_details(), strict=True)}
    entrance = scales[INPUT]
    held = np.clip(np.round(images / entrance.scale) + entrance.zero_point, -128, 127).astype(np.int8)
    rows = {tensor: [] for tensor in tensors}
    for image in held:
        interpreter.set_tensor(door["index"], image[None])
        interpreter.invoke()
        for tensor, index in outputs.items():
            rows[tensor].append(interpreter.get_tensor(index))
    values = {INPUT: held, **{point: np.concatenate(rows[scales[point].tensor]) for point in points}}
    given = {
        point: ((held.astype(np.int32) - scales[point].zero_point) * scales[point].scale).astype(np.float32)
        for point, held in values.items()
    }
    return values, given


def _simulated(graph, given, missing):
    """Values of points that the file does not hold, as the graph alone gives them."""
    simulated = run_points(graph, given[INPUT])
    return {point: simulated[point] for point in missing}
