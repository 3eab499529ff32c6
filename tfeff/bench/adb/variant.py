"""What has been seen of one artifact on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.adb.answer import Reference
from tfeff.bench.answer import Answer
from tfeff.bench.outcome import Block
from tfeff.record.schema import Kernels

STEP_MS = 0.001  # tools tell medians in whole us
COARSE = 5  # medians of fewer steps say too little


@dataclass
class Variant:
    """One artifact at one number of threads, and what has been seen of it.

    Attributes:
        there: the file on the phone.
        given: its inputs there, in the order of the file; empty where it is given none.
        cores: to stay on, of class `core_class`; None for any.
        answer: whether it is right; None until it was compared, or for good where it cannot be, because of `unchecked`.
        memory_mb: `init`, `overall`, `peak` in the run that was compared; None where it is not told.
        step_ms: in which medians come.
        runs: of the next block in the demo app.
        blocks: one for each round, the throttled ones as well.
    """

    artifact: Artifact
    threads: int
    there: str
    given: tuple[str, ...]
    reference: Reference | None
    cores: list[int] | None
    core_class: str
    answer: Answer | None = None
    unchecked: str = ""
    kernels: Kernels = field(default_factory=Kernels)
    memory_mb: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(("init", "overall", "peak")))
    step_ms: float = STEP_MS
    runs: int = 0
    blocks: list[Block] = field(default_factory=list)

    @property
    def wrong(self) -> str:
        """Why its times count for nothing; empty when they count."""
        return self.answer.why if self.answer is not None else ""


def good_rounds(variants: Sequence[Variant]) -> list[int]:
    """Numbers of the rounds in which no block of these was throttled."""
    count = min(len(one.blocks) for one in variants)
    return [number for number in range(count) if not any(one.blocks[number].throttled for one in variants)]


def figures(variant: Variant, rounds: Sequence[int]) -> np.ndarray:
    """Each round's figure in ms: the tool's median where `has_medians`, else its mean."""
    blocks, medians = [variant.blocks[number] for number in rounds], has_medians(variant)
    return np.array([one.median_ms if medians else one.mean_ms for one in blocks], np.float64)


def has_medians(variant: Variant) -> bool:
    """Whether all blocks have a median that is worth more than the mean, which one interruption spoils."""
    medians = [block.median_ms for block in variant.blocks]
    return all(one is not None and one >= COARSE * variant.step_ms for one in medians)
