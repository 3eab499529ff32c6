"""How far an output port is from a reference, over many samples, in constant memory."""

import math
from typing import Any

import numpy as np

from tfeff.record.schema import PortAgreement


class PortDistance:
    """Energies of signal and error, the largest error, the cosine; of integers the share of equal values."""

    def __init__(self, name: str):
        self.name = name
        self._samples, self._signal, self._noise, self._given, self._product = 0, 0.0, 0.0, 0.0, 0.0
        self._largest, self._equal, self._values, self._integers = 0.0, 0, 0, False

    def add(self, wanted: np.ndarray, given: np.ndarray) -> None:
        """One sample: of the reference, and of the file."""
        self._samples += 1
        self._integers = not np.issubdtype(wanted.dtype, np.floating)
        self._equal += int(np.sum(wanted.reshape(-1) == given.reshape(-1)))
        self._values += wanted.size
        one, other = wanted.astype(np.float64).reshape(-1), given.astype(np.float64).reshape(-1)
        error = one - other
        self._signal += float(one @ one)
        self._noise += float(error @ error)
        self._given += float(other @ other)
        self._product += float(one @ other)
        self._largest = max(self._largest, float(np.abs(error).max(initial=0.0)))

    def agreement(self, reference: str, source: str) -> PortAgreement:
        """For the record.

        Args:
            reference: what `wanted` came from.
            source: what the samples came from.
        """
        figures: dict[str, Any] = {}
        if self._integers:
            figures["equal_share"] = self._equal / max(self._values, 1)
        else:
            figures["sqnr_db"] = decibels(self._signal, self._noise)
            size = math.sqrt(self._signal * self._given)
            figures["cosine"] = min(1.0, max(-1.0, self._product / size)) if size > 0 else None
        return PortAgreement(name=self.name, reference=reference, samples=self._samples, source=source,
                             max_abs_error=self._largest, **figures)  # fmt: skip


def decibels(signal: float, noise: float) -> float | None:
    """10 log10 signal / noise; None when it is infinite (JSON has no infinity)."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
