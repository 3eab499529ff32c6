"""Which range each tensor gets: one method for the run, others for the layers that the user names."""

import math
from collections.abc import Sequence
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
        method: how it was found; `given` by the user, or `preprocessing`, which knows the input's.
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
    """How the range of each tensor is found; the last rule for a tensor counts."""

    def __init__(self, tensors: Sequence[Tensor], method: Method, rules: Sequence[Rule], door: tuple[float, float]):
        """Matches the rules.

        Args:
            tensors: of the network, the input first.
            method: where no rule says otherwise.
            rules: by layer.
            door: the input's range, which the preprocessing knows: it is not measured unless a rule says so.

        Raises:
            TfeffError: a rule for a layer that is not there.
        """
        self._by_tensor: list[Rule] = [Rule("", method, None) for _ in tensors]
        self._by_tensor[0] = Rule("", None, door)
        self._door = self._by_tensor[0]
        for rule in rules:
            for number in find_layer(tensors, rule.layer):
                self._by_tensor[number] = rule

    @property
    def histograms(self) -> list[int]:
        """Positions of the tensors whose values must all be counted."""
        return [n for n, rule in enumerate(self._by_tensor) if rule.method is not None and rule.method.values]

    def ranges(self, seen: Observation) -> list[Range]:
        """The ranges, one a tensor."""
        found = []
        for tensor, rule, statistics in zip(seen.tensors, self._by_tensor, seen.statistics(), strict=True):
            if rule.fixed is not None:
                word = "preprocessing" if rule is self._door else "given"
                found.append(Range(tensor, *with_zero(*rule.fixed), word))
            else:
                bounds = with_zero(*rule.method.range_of(statistics))
                found.append(Range(tensor, *bounds, rule.method.name))
        return found
