"""Training: `loop` from scratch, `qat` with the rounding of the int8 file. Importing it loads no TensorFlow."""

from importlib import import_module

_PUBLIC = {
    "Batches": ("batches", "Batches"),
    "Recipe": ("recipe", "Recipe"),
    "recipe_for": ("base", "recipe_for"),
    "hold_out": ("batches", "hold_out"),
    "top1": ("classification", "top1"),
    "train": ("loop", "train"),
    "QatRecipe": ("qat", "Recipe"),
    "Teacher": ("qat", "Teacher"),
    "train_quantized": ("qat", "train_quantized"),
}
__all__ = [*_PUBLIC]


def __getattr__(name):
    if name in _PUBLIC:
        module, attribute = _PUBLIC[name]
        return getattr(import_module(f"{__name__}.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PUBLIC])
