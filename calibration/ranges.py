"""Which range each tensor gets: one method for the run, others for the layers that the user names."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfeff.calibration.activations import Tensor, find_layer
from tfeff.calibration.methods import Method, is_method, parse_method, with_zero
from tfeff.calibration.observe import Observation
from tfeff.errors import TfeffError


@dataclass(frozen=True)
class Rule:
    """What the user said of a layer: a method, or the range itself."""

    layer: str
    method: Method | None
    fixed: tuple[float, float] | None


@dataclass(frozen=True)
class Range:
    """The range of a tensor.

    Attributes:
        tensor: whose.
        low, high: it holds 0.
        method: how it was found; `given` by the user, or `preprocessing`, which knows an image input's.
    """

    tensor: Tensor
    low: float
    high: float
    method: str

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "layer": self.tensor.label, "tensor": self.tensor.name, "shape": list(self.tensor.shape),
            "low": self.low, "high": self.high, "method": self.method,
        }  # fmt: skip


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """Reads `LAYER=METHOD` and `LAYER=LOW:HIGH`.

    Raises:
        TfeffError: neither of the two, or a range without 0 in it.
    """
    return tuple(_rule(text) for text in texts)


def _rule(text):
    layer, equals, said = text.rpartition("=")
    if not (layer and equals and said):
        raise TfeffError(f"--range {text!r} is not understood", "give LAYER=METHOD, or LAYER=LOW:HIGH")
    low, colon, high = said.partition(":")
    try:
        fixed = (float(low), float(high)) if colon and not is_method(said) else None
    except ValueError:
        raise TfeffError(f"--range {text!r}: {said!r} is no range", "give LOW:HIGH, two numbers") from None
    if fixed is None:
        method = parse_method(said)
        if method.candidates:
            raise TfeffError(f"--range {text!r}: {said} is for all layers together", "give the layer another method")
        return Rule(layer, method, None)
    if not (all(map(math.isfinite, fixed)) and fixed[0] <= 0 <= fixed[1] and fixed[0] < fixed[1]):
        raise TfeffError(f"--range {text!r}: a range must hold 0", "give a LOW of 0 or less and a HIGH of 0 or more")
    return Rule(layer, None, fixed)


class Plan:
    """How the range of each tensor is found; the last rule for a tensor counts.

    Attributes:
        method: where nothing else says otherwise.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        method: Method,
        rules: Sequence[Rule],
        doors: Mapping[str, tuple[float, float]],
        whole: Collection[str] = (),
    ):
        """Matches the rules.

        Args:
            tensors: of the network.
            method: where no rule says otherwise.
            rules: by layer.
            doors: the ranges of inputs whose preprocessing knows them. Those of the other inputs go from their
                smallest to their largest value: what lies at the ends of an input is what the model is asked.
            whole: outputs whose ranges do so too.

        Raises:
            TfeffError: a rule for a layer that is not there.
        """
        self.method = method
        minmax = parse_method("minmax")
        self._by_tensor: list[Rule | _Door] = []
        for tensor in tensors:
            if tensor.input is not None and tensor.input in doors:
                self._by_tensor.append(_Door(*doors[tensor.input]))
            else:
                ends = tensor.input is not None or tensor.output in whole
                self._by_tensor.append(Rule("", minmax if ends else method, None))
        for rule in rules:
            for number in find_layer(tensors, rule.layer):
                self._by_tensor[number] = rule

    @property
    def histograms(self) -> list[int]:
        """Positions of the tensors whose values must all be counted."""
        return [
            number
            for number, rule in enumerate(self._by_tensor)
            if isinstance(rule, Rule) and rule.method is not None and rule.method.values
        ]

    def ranges(self, seen: Observation) -> list[Range]:
        """The ranges, one a tensor."""
        return [
            _range(tensor, rule, statistics)
            for tensor, rule, statistics in zip(seen.tensors, self._by_tensor, seen.statistics(), strict=True)
        ]


@dataclass(frozen=True)
class _Door:
    """The range of an input, by its preprocessing."""

    low: float
    high: float


def _range(tensor, rule, statistics):
    if isinstance(rule, _Door):
        return Range(tensor, *with_zero(rule.low, rule.high), "preprocessing")
    if rule.method is None:
        return Range(tensor, *with_zero(*rule.fixed), "given")
    return Range(tensor, *with_zero(*rule.method.range_of(statistics)), rule.method.name)
