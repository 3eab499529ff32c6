"""Targets, one file each: what the file must run on, and which rewrites make it so. Found by their file's name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tfeff.errors import TfeffError


@dataclass(frozen=True)
class Target:
    """What a device can run.

    Attributes:
        name: as `--target` takes it.
        summary: one line for users.
        rewrites: names of the rewrites it needs, in order.
        problems: given the graph read from the finished file, what that target would not run, one line each.
    """

    name: str
    summary: str
    rewrites: tuple[str, ...] = ()
    problems: Callable[..., list[str]] = lambda graph: []


def list_targets() -> dict[str, Target]:
    """All targets by name."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules([str(Path(__file__).parent)]))
    targets = [module.TARGET for module in modules]
    return {target.name: target for target in targets}


def get_target(name: str) -> Target:
    """The target of that name; TfeffError, with the nearest names, when there is none."""
    targets = list_targets()
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=2) or sorted(targets)
        raise TfeffError(f"unknown target {name!r}", f"choose {' or '.join(near)}")
    return targets[name]


def older_runtime(graph, limit: tuple[int, ...], runtime: str) -> list[str]:
    """The problem of a file that asks for a newer runtime than the target has (`min_runtime_version` in the file)."""
    needed = tuple(int(part) for part in graph.min_runtime_version.split(".") if part.isdigit())
    return [f"needs runtime {graph.min_runtime_version}, {runtime} is older"] if needed > limit else []
