"""Constants as they were before quantization: found in the float file by their values, whatever they are called."""

from collections import defaultdict
from fractions import Fraction

import numpy as np

from tfeff.debug.file import LayeredFile

# Rounding to the nearest step leaves 0.29 of a step (rms); weights that were trained or corrected afterwards, more.
_RMS_STEPS, _WORST_STEPS = 0.5, 1.5
_MANY, _SIMPLE = 16, 2e-3  # values from which a factor may be told; how near a fraction must be to be taken for it
_FLOATS = ("FLOAT32", "FLOAT16", "FLOAT64")
_FOLDING = 1e-5  # of the largest value: batch norm folded in another order


def quantized_constants(file: LayeredFile) -> list[int]:
    """Numbers of the constants that hold rounded real numbers."""
    return [i for i in file.constants() if file.dtype(i) not in _FLOATS and file.real(i) is not None]


def find_exact(file: LayeredFile, twin: LayeredFile) -> dict[int, np.ndarray]:
    """The float constants that were rounded to those of `file`: float32 in the latter's shapes, by tensor.

    A constant is one of the float file's (`twin`), or a slice of one along its first axis (a group of a grouped
    convolution), when every value lies within a step or so of it; or that times one number, where a rewrite has moved a
    factor (a hard-swish's 1/6) into the layer that reads it. Those without such a counterpart are left out.
    """
    known = defaultdict(list)
    for number in twin.constants():
        values = twin.real(number)
        if values is not None:
            known[_plain(values).shape[1:]].append(_plain(values))
    exact = {}
    for number in quantized_constants(file):
        rounded, step = file.real(number), file.steps(number)
        if rounded is None or step is None or not (step > 0).all():
            continue
        plain = _plain(rounded)
        steps = np.broadcast_to(step, rounded.shape).reshape(plain.shape)
        steps = steps + _FOLDING * np.abs(rounded).max(initial=0)
        candidates = [part for whole in known[plain.shape[1:]] for part in _parts(whole, plain.shape)]
        found = _nearest(candidates, plain, steps)
        if found is None and plain.size >= _MANY:
            found = _nearest([part * _factor(part, plain, steps) for part in candidates], plain, steps)
        if found is not None:
            exact[number] = found.reshape(rounded.shape).astype(np.float32)
    return exact


def _nearest(candidates: list[np.ndarray], rounded: np.ndarray, steps: np.ndarray) -> np.ndarray | None:
    """The candidate that rounds to `rounded`; None when none does."""
    errors = [np.abs(part - rounded) / steps for part in candidates]
    rms = [float(np.sqrt(np.mean(error**2))) for error in errors]
    best = int(np.argmin(rms)) if rms else 0
    return candidates[best] if rms and rms[best] <= _RMS_STEPS and errors[best].max() <= _WORST_STEPS else None


def _factor(part: np.ndarray, rounded: np.ndarray, steps: np.ndarray) -> float:
    """The number by which `part` comes nearest to `rounded`; a simple fraction where one is near."""
    weighted = part / steps**2
    energy = float(np.sum(weighted * part))
    factor = float(np.sum(weighted * rounded)) / energy if energy > 0 else 1.0
    simple = float(Fraction(factor).limit_denominator(12))
    return simple if abs(simple - factor) < _SIMPLE * abs(factor) else factor


def _plain(values: np.ndarray) -> np.ndarray:
    return values.reshape([size for size in values.shape if size > 1])


def _parts(whole: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    if not shape or not whole.ndim:
        return [whole] if whole.shape == shape else []
    return np.split(whole, len(whole) // shape[0]) if len(whole) % shape[0] == 0 else []
