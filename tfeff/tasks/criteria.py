"""What calibration makes small: how far an int8 file's outputs are from the float network's, without annotations."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Outputs = Mapping[str, np.ndarray]


class Criterion(ABC):
    """A loss over samples; smaller is nearer.

    Attributes:
        name: with its unit, for the record.
        enough: a loss that costs nothing anybody could measure; what is below it counts as equal. None: there is none.
    """

    name: str
    enough: float | None = None

    @abstractmethod
    def terms(self, wanted: Outputs, given: Outputs) -> np.ndarray:
        """What one sample adds, float64 (k,)."""

    @abstractmethod
    def loss(self, terms: Sequence[np.ndarray]) -> float:
        """The loss of all samples; their order has no say in it (sums are exact)."""


def port_error(wanted: np.ndarray, given: np.ndarray) -> tuple[float, float]:
    """Of one sample's output: its energy and that of its error; of integers the number of values and of those that
    differ."""
    if not np.issubdtype(wanted.dtype, np.floating):
        return float(wanted.size), float(np.sum(wanted.reshape(-1) != given.reshape(-1)))
    one, other = wanted.astype(np.float64).reshape(-1), given.astype(np.float64).reshape(-1)
    return float(one @ one), float((one - other) @ (one - other))


@dataclass(frozen=True)
class OutputError(Criterion):
    """Energy of the error over energy of the output (10^(-SQNR/10)), mean over ports, of float ports; of integer
    ports the share of values that differ.
    """

    outputs: tuple[str, ...]
    name = "energy of the output's error over that of the output"
    enough = None

    def terms(self, wanted: Outputs, given: Outputs) -> np.ndarray:
        return np.array([part for port in self.outputs for part in port_error(wanted[port], given[port])])

    def loss(self, terms: Sequence[np.ndarray]) -> float:
        sums = [math.fsum(term[k] for term in terms) for k in range(len(terms[0]))]
        ratios = [noise / max(signal, 1e-30) for signal, noise in zip(sums[::2], sums[1::2], strict=True)]
        return math.fsum(ratios) / len(ratios)


@dataclass(frozen=True)
class Divergence(Criterion):
    """Kullback-Leibler divergence of the int8 file's class probabilities from the float network's, nats an image.

    Attributes:
        output: the port.
        scores: "logits", which a softmax makes probabilities of, or "probabilities".
        independent: whether each value is a probability of its own (sigmoid) rather than one of a distribution.
        enough: 0.002 nats cost a bundled preset 0.1 points.
    """

    output: str
    scores: str = "logits"
    independent: bool = False
    name = "divergence of the class scores, nats an image"
    enough = 0.002

    def terms(self, wanted: Outputs, given: Outputs) -> np.ndarray:
        one, other = (self._log_probabilities(side[self.output]) for side in (wanted, given))
        # `@` on one row, as ever: the sum's rounding is part of which method wins
        return np.array([sum(float(np.exp(p) @ (p - q)) for p, q in zip(one, other, strict=True))])

    def loss(self, terms: Sequence[np.ndarray]) -> float:
        # Below 0 by rounding alone.
        return max(0.0, math.fsum(float(term[0]) for term in terms) / len(terms))

    def _log_probabilities(self, outputs):
        """Rows that each are a distribution: one of all classes, or (p, 1 - p) of each independent value."""
        values = outputs.astype(np.float64).reshape(-1)
        if self.scores == "probabilities":
            tiny = 1e-6  # a step of int8 is 1/256: what is below it is told apart by nobody
            if self.independent or len(values) == 1:
                p = np.clip(values, tiny, 1 - tiny)
                return np.log(np.stack([p, 1 - p], axis=1))
            p = np.clip(values, tiny, None)
            return np.log(p / p.sum())[None]
        if self.independent or len(values) == 1:
            return np.stack([_log_softmax(np.array([value, 0.0])) for value in values])
        return _log_softmax(values)[None]


def _log_softmax(values):
    values = values - values.max()
    return values - np.log(np.exp(values).sum())
