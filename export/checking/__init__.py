"""What a target makes of a `.tflite` file, without running it: one file a target with `check(graph) -> Verdict`."""

from collections.abc import Callable
from importlib import import_module

from tfeff.export.checking.verdict import OpVerdict, Problem, Verdict

__all__ = ["OpVerdict", "Problem", "Verdict", "find_confirm"]


def find_confirm(target: str) -> Callable[..., Verdict] | None:
    """What asks a target's own compiler about a file by its path; None for a target without one."""
    return getattr(import_module(f"{__name__}.{target.replace('-', '_')}"), "confirm", None)
