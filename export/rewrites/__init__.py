"""Rewrites, one file each; a target names the ones it needs. `tfeff.export.rewrites.core` holds the machinery.

Nothing is imported here: rewrites need Keras, and targets, which name them, are listed without it.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfeff.export.rewrites.core import Rewrite


def load_rewrite(spec: str, choices: Mapping[str, str] | None = None) -> "Rewrite":
    """The rewrite of a spec: `group_conv:split` is the class of that `name` in `group_conv.py`, in its form `split`.

    Args:
        choices: forms of single places, see `core.Rewrite`.
    """
    from tfeff.export.rewrites.core import Rewrite

    name, _, form = spec.partition(":")
    module = import_module(f"{__name__}.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Rewrite) and getattr(value, "name", None) == name:
            return value(form or None, choices)
    raise LookupError(f"{module.__file__} defines no Rewrite named {name!r}")
