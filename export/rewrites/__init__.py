"""Rewrites, one file each; a target names the ones it needs. `tfeff.export.rewrites.core` holds the machinery.

Nothing is imported here: rewrites need Keras, and targets, which name them, are listed without it.
"""

from importlib import import_module


def load_rewrite(name: str):
    """The rewrite `split_group_conv` is the class in `split_group_conv.py` that bears that `name`."""
    from tfeff.export.rewrites.core import Rewrite

    module = import_module(f"{__name__}.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Rewrite) and getattr(value, "name", None) == name:
            return value()
    raise LookupError(f"{module.__file__} defines no Rewrite named {name!r}")
