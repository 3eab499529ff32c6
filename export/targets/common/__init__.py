"""What a target makes of a `.tflite` file, without running it: what the checks of several targets share.

A target's own `rules.py` has `check(graph) -> Verdict`, and `confirm` where a compiler can be asked.
"""

from collections.abc import Callable
from importlib import import_module

from tfeff.export.targets.common.verdict import OpVerdict, Problem, Verdict

__all__ = ["OpVerdict", "Problem", "Verdict", "find_confirm"]


def find_confirm(target: str) -> Callable[..., Verdict] | None:
    """What asks a target's own compiler about a file by its path; None for a target without one."""
    return getattr(import_module(f"tfeff.export.targets.{target.replace('-', '_')}.rules"), "confirm", None)
