"""Is the int8 file what was simulated? Its scales are those that were planned, and every unit gives the same values.

A unit is a computing operation with what is fused into it and what only hands values on in front of it. Each is given
the file's own int8 values, so that a difference is the unit's and nothing is carried from one to the next. Promised is
one step of the output's scale: kernels and simulation may round a tie differently.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfeff.export.quantize.fake_quant import scale_of
from tfeff.export.quantize.graph import INPUT
from tfeff.export.quantize.points_file import Scale
from tfeff.export.quantize.simulation import get_ranges, run_points, set_ranges, step_by_step
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.writer import with_outputs

PROMISED = 1  # steps of int8
_SAME = 1e-5  # of a scale: float32 against float64


@dataclass(frozen=True)
class Proof:
    """How file and simulation agree.

    Attributes:
        images: on how many images.
        units: what was compared, in order: {"unit", "max_lsb", "differing"}, the share of values that differ.
        rescaled: points whose scale in the file is not the one that was planned.
        missing: points that the file does not hold.
        floats: points that it holds in float.
    """

    images: int
    units: tuple[dict[str, Any], ...]
    rescaled: tuple[str, ...]
    missing: tuple[str, ...]
    floats: tuple[str, ...] = ()

    @property
    def beyond(self) -> list[str]:
        """Units that differ by more than is promised."""
        return [unit["unit"] for unit in self.units if unit["max_lsb"] > PROMISED]

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        worst = max((unit["max_lsb"] for unit in self.units), default=0)
        return {
            "images": self.images, "units": len(self.units), "max_lsb": worst, "beyond": self.beyond,
            "rescaled": list(self.rescaled), "missing": list(self.missing), "float": list(self.floats),
            "differing": [unit for unit in self.units if unit["max_lsb"]],
        }  # fmt: skip


def prove_units(graph, file: bytes, scales: dict[str, Scale], floats: dict[str, int], images: np.ndarray) -> Proof:
    """Compares the file, in LiteRT with its default kernels (XNNPACK), with the simulation, unit by unit.

    The graph's ranges are set to the file's. Of points that were left in float, what their QUANTIZE makes of them is
    handed on, and they are not compared.

    Args:
        graph: the fake-quant graph that the file was made of.
        file: int8 inside and at its doors.
        scales, floats: of its points, as `points_file.read_scales` gives them.
        images: float32 (n, h, w, c), preprocessed.
    """
    planned = get_ranges(graph)
    missing = [point for point in planned if point not in scales and point not in floats]
    rescaled = tuple(point for point, held in scales.items() if _differs(planned[point], held))
    set_ranges(graph, {point: held.bounds for point, held in scales.items()})
    values, given = _run(file, scales, floats, images)
    for point in floats:
        given[point] = _rounded(given[point], planned[point])
    if missing:  # nothing to give the units behind them: the simulation's own stand in
        simulated = run_points(graph, given[INPUT])
        given |= {point: simulated[point] for point in missing}
    made = step_by_step(graph, given[INPUT], given)
    units = []
    for point, held in scales.items():
        if point != INPUT:
            steps = np.round(made[point] / held.scale) + held.zero_point - values[point].reshape(made[point].shape)
            differing = round(float((steps != 0).mean()), 6)
            units.append({"unit": point, "max_lsb": int(np.abs(steps).max()), "differing": differing})
    return Proof(len(images), tuple(units), rescaled, tuple(missing), tuple(floats))


def _differs(bounds, held):
    low, high = bounds
    return abs((high - low) / 255 - held.scale) > _SAME * held.scale or abs(low - held.bounds[0]) > held.scale


def _rounded(values, bounds):
    """Float values as int8 of that range holds them."""
    scale, zero_point = scale_of(*bounds)
    return ((np.clip(np.round(values / scale) + zero_point, -128, 127) - zero_point) * scale).astype(np.float32)


def _run(file, scales, floats, images):
    """Every point's int8 values, and what they stand for, float32."""
    from ai_edge_litert.interpreter import Interpreter

    tensors = {point: held.tensor for point, held in scales.items() if point != INPUT} | floats
    wanted = list(dict.fromkeys(tensors.values()))
    interpreter = Interpreter(model_content=bytes(with_outputs(TfliteFile(file), wanted)), num_threads=1)
    interpreter.allocate_tensors()
    (door,) = interpreter.get_input_details()
    outputs = {tensor: each["index"] for tensor, each in zip(wanted, interpreter.get_output_details(), strict=True)}
    entrance = scales[INPUT]
    held = np.clip(np.round(images / entrance.scale) + entrance.zero_point, -128, 127).astype(np.int8)
    rows = {tensor: [] for tensor in wanted}
    for image in held:
        interpreter.set_tensor(door["index"], image[None])
        interpreter.invoke()
        for tensor, index in outputs.items():
            rows[tensor].append(interpreter.get_tensor(index))
    values = {INPUT: held, **{point: np.concatenate(rows[tensor]) for point, tensor in tensors.items()}}
    given = {}
    for point, value in values.items():
        if point in scales:
            value = (value.astype(np.int32) - scales[point].zero_point) * scales[point].scale
        given[point] = value.astype(np.float32)
    return values, given
