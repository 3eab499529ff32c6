"""How far an int8 file's outputs are from the float network's, on samples that had no say in how it was made.

What fits the samples it was found on need not fit others: a bias that is moved by the mean error of a few images, a
range that ends where they end. So ranges and biases are found on one part of the samples and judged on another.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration, Feed
from tfeff.tasks.criteria import Criterion, port_error

SAMPLES = 512  # at most so many are run
_PART = 4  # one in so many is held out,
_LEAST = 16  # but so many at least, where that leaves as many to find ranges on
_KEPT_BYTES = 2**26  # of the float network's outputs
_EQUAL_DB = 0.1  # SQNRs that differ by less are equal
_LARGEST = 0.1  # share of the samples whose errors may hide the others
_BEYOND = 1.5  # standard errors
_NOTHING = 1e-9  # of an output's energy: errors below are none

Run = Callable[[Feed], dict[str, np.ndarray]]  # inputs -> outputs by name, as real numbers


@dataclass(frozen=True)
class Verdict:
    """What came of one int8 file.

    Attributes:
        losses: against the float network, one a criterion.
        errors: by output: float64 (n,), the energy of each sample's error (of integers, how many values differ).
        signals: by output: energy of the float network's values (of integers, how many there are).
    """

    losses: tuple[float, ...]
    errors: Mapping[str, np.ndarray]
    signals: Mapping[str, float]

    def sqnr_db(self) -> dict[str, float]:
        """By output; at most 200."""
        least = 1e-20  # of the output's energy: an error of none has no logarithm
        found = {}
        for port, errors in self.errors.items():
            signal = max(self.signals[port], 1e-30)
            found[port] = round(10 * math.log10(signal / max(math.fsum(errors), least * signal)), 2)
        return found

    def is_no_worse(self, other: "Verdict") -> bool:
        """Whether no output is farther from float than the other's, by more than 0.1 dB and beyond chance: the summed
        difference of errors, plus its standard error over the samples, is within that. Of all samples, and of those
        without the tenth with the largest errors: a few that lie beyond all ranges would hide the others."""
        return all(self._is_as_near(other, port) for port in self.errors)

    def is_nearer(self, other: "Verdict") -> bool:
        """Whether an output is nearer to float than the other's, beyond chance: the summed difference of errors is more
        than one and a half times its standard error over the samples."""
        return any(_is_less(self.errors[port], other.errors[port]) for port in self.errors)

    def _is_as_near(self, other, port):
        ours, theirs = self.errors[port], other.errors[port]
        usual = np.argsort(np.maximum(ours, theirs), kind="stable")[: len(ours) - int(_LARGEST * len(ours))]
        nothing = _NOTHING * self.signals[port]
        return all(_is_no_more(ours[some], theirs[some], nothing) for some in (slice(None), usual))


def _chance(differences):
    """The standard error of their sum."""
    return math.sqrt(len(differences) * float(differences.var(ddof=1))) if len(differences) > 1 else 0.0


def _is_less(ours, theirs):
    differences = ours - theirs
    return math.fsum(differences) + _BEYOND * _chance(differences) < 0


def _is_no_more(ours, theirs, nothing):
    differences = ours - theirs
    chance = _chance(differences)
    allowed = (10 ** (_EQUAL_DB / 10) - 1) * math.fsum(theirs) + nothing
    return math.fsum(differences) + chance <= allowed


class Judge:
    """Runs int8 files on some of the samples."""

    def __init__(
        self, network: Activations, calibration: Calibration, samples: np.ndarray, criteria: Sequence[Criterion]
    ):
        """`samples` are the numbers of those to judge by; `network` is the float one."""
        self.criteria, self.count = tuple(criteria), len(samples)
        self._network, self._calibration, self._samples = network, calibration, samples
        self._kept: list[dict[str, np.ndarray]] | None = None

    @property
    def named(self) -> str:
        """What is compared, with its unit; of several tasks the largest loss, relative to another's."""
        names = "; ".join(dict.fromkeys(each.name for each in self.criteria))
        return (
            names if len(self.criteria) == 1 else f"largest loss of a task, relative to that of plain ranges: {names}"
        )

    def __call__(self, run: Run) -> Verdict:
        """Judges what `run` gives."""
        terms: list[list[np.ndarray]] = [[] for _ in self.criteria]
        pairs: dict[str, list[tuple[float, float]]] = {port: [] for port in self._network.outputs}
        for wanted, feed in zip(self._wanted(), self._calibration.feeds(self._samples), strict=True):
            given = run(feed)
            for column, each in zip(terms, self.criteria, strict=True):
                column.append(each.terms(wanted, given))
            for port, found in pairs.items():
                found.append(port_error(wanted[port], given[port]))
        return Verdict(
            tuple(each.loss(column) for each, column in zip(self.criteria, terms, strict=True)),
            {port: np.array([error for _, error in found]) for port, found in pairs.items()},
            {port: math.fsum(signal for signal, _ in found) for port, found in pairs.items()},
        )

    def _wanted(self) -> Iterator[dict[str, np.ndarray]]:
        """What the float network gives: kept where it is small, computed anew for each file where it is not."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, size = [], 0
        for feed in self._calibration.feeds(self._samples):
            outputs = self._network.run(feed)
            size += sum(each.nbytes for each in outputs.values())
            if size <= _KEPT_BYTES:
                kept.append(outputs)
            yield outputs
        self._kept = kept if len(kept) == len(self._samples) else None


def held_out(calibration: Calibration) -> np.ndarray:
    """Numbers of the samples to judge by, of those that are not left out.

    A quarter, but 16 at least, half of them at most, and no more than 512; none of a single sample. They are those
    whose inputs have the smallest digests: the same in whatever order they came, and whatever the seed.
    """
    there = calibration.used - len(calibration.left_out)
    return calibration.typical(min(max(there // _PART, min(_LEAST, there // 2)), SAMPLES))
