"""Whose code runs: modules that the user names may come from the working folder, others never do."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class _Named:
    """Finds the modules that were named, in one folder, before all others."""

    def __init__(self, names: Sequence[str], folder: str):
        self._names, self._folder = {name.partition(".")[0] for name in names}, folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self._folder]) if path is None and name in self._names else None


def import_named(*names: str) -> list[ModuleType]:
    """Imports modules that the user named; they may lie in the working folder, as may what they import themselves.

    What is installed goes before what these import: a file of the folder takes no package's place.

    Raises:
        whatever a module raises.
    """
    finder, folder, before = _Named(names, os.getcwd()), os.getcwd(), list(sys.path)
    sys.meta_path.insert(0, finder)
    sys.path[:] = [*_elsewhere(), folder]
    try:
        return [import_module(name) for name in names]
    finally:
        sys.meta_path.remove(finder)
        sys.path[:] = before


@contextmanager
def nothing_from_here() -> Iterator[None]:
    """No module is found in the working folder while a stranger's file is loaded: Keras imports modules that a file
    names."""
    before = list(sys.path)
    sys.path[:] = _elsewhere()
    try:
        yield
    finally:
        sys.path[:] = before


def _elsewhere() -> list[str]:
    """`sys.path` without the working folder, under any name."""
    here = os.path.realpath(os.getcwd())
    return [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
