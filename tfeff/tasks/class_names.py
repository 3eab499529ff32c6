"""A dataset's classes as numbers of a model's outputs: by name where both have names, else by number or order."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfeff.errors import TfeffError

_SHOWN = 4  # names in a message


def output_numbers(dataset: Any, labels: Sequence[str]) -> tuple[np.ndarray, bool]:
    """Which output each of the dataset's classes is.

    Args:
        dataset: with `classes`, as many as there are outputs, and `guessed`.
        labels: the model's own names of its outputs; empty when unknown.

    Returns:
        int64 (classes,), and whether that is a guess.

    Raises:
        TfeffError: both have names, and they are not the same.
    """
    classes = tuple(dataset.classes)
    in_turn = np.arange(len(classes))
    if not labels or not classes:
        return in_turn, bool(dataset.guessed) and not _counts(classes)
    for form in (str, _plain, _number):
        found = _matched(classes, labels, form)
        if found is not None:
            return found, False
    if _counts(classes) or (_decimals(classes) and not dataset.guessed):
        return in_turn, False  # numbers of the outputs, whatever these are called
    if not (_decimals(classes) or _decimals(labels)):
        known = set(labels)
        unknown = next((name for name in classes if name not in known), classes[0])
        raise TfeffError(
            f"dataset {dataset.name}: its class {unknown!r} is none of the record's labels "
            f"({', '.join(labels[:3])}, ...)",
            "give the dataset that the network was trained for, or rename its classes",
        )
    return in_turn, True


def order_notes(dataset: Any, labels: Sequence[str]) -> list[str]:
    """A line where the classes' order is a guess."""
    classes = list(dataset.classes)
    if not classes or not output_numbers(dataset, labels)[1]:
        return []
    as_text = sorted(classes)
    other = f" (sorted as text it would be {_listed(as_text)})" if as_text != classes else ""
    why = "the model does not name its classes" if not labels else "the model's classes have other names"
    return [
        f"dataset {dataset.name}: {why}, so their order is a guess: {_listed(classes)}{other}; a file classes.txt in "
        "the folder, one name a line in the model's order, or a CSV with class numbers says it"
    ]


def _matched(classes: Sequence[str], labels: Sequence[str], form: Callable[[str], Any]) -> np.ndarray | None:
    """The labels' numbers by name, where all names are found and each is one class; None otherwise."""
    position = {form(name): number for number, name in enumerate(labels)}
    wanted = [form(name) for name in classes]
    if None in position or len(position) != len(labels) or len(set(wanted)) != len(wanted):
        return None
    if not set(wanted) <= position.keys():
        return None
    return np.array([position[name] for name in wanted], np.int64)


def _plain(name: str) -> str | None:
    """As a folder may be called: `T-shirt/top` is `t_shirt top`; None for what has no letter or digit."""
    return re.sub(r"[\W_]+", " ", name).strip().casefold() or None


def _number(name: str) -> int | None:
    """The only number in a name: 10 of `class_10`; None for other names."""
    found = re.findall(r"[0-9]+", name)
    return int(found[0]) if len(found) == 1 else None


def _decimals(names: Sequence[str]) -> bool:
    return all(name.isdecimal() for name in names)


def _counts(names: Sequence[str]) -> bool:
    """Whether the names are 0, 1, 2 ... (or c0, c1, c2 ...) and every way to sort them gives that."""
    in_turn = [_number(name) for name in names] == list(range(len(names)))
    alike = len({re.sub(r"[0-9]+", "", name) for name in names}) == 1
    return in_turn and alike and list(names) == sorted(names)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, ... {names[-1]}" if len(names) > _SHOWN else shown
