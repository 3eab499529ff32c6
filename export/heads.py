"""What the outputs of a user's Keras model tell of themselves: the last activation, and the loss of training."""

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tfeff.export.rewrites.graph import as_functional
from tfeff.layers.keras_private import origin
from tfeff.tasks import Head

_KNOWN = ("softmax", "sigmoid")
# Layers and operations that move values and change none.
_MOVES = ("Reshape", "Flatten", "Permute", "Dropout", "Identity", "Squeeze", "ExpandDims")
# Other names of a loss that Keras takes.
_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "logcosh": "log_cosh",
          "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error"}  # fmt: skip


def heads_of(model: keras.Model, names: Sequence[str], path: Path | None = None) -> list[Head]:
    """The heads of a functional model.

    Args:
        names: of its outputs.
        path: the `.keras` file that it came from, which may say how it was compiled.
    """
    losses = _losses(path, names) if path is not None else {}
    return [
        Head(name, tuple(tensor.shape[1:]), str(tensor.dtype), _activation(tensor), losses.get(name))
        for name, tensor in zip(names, model.outputs, strict=True)
    ]


def _activation(tensor: Any) -> str:
    """Of the operation that made a tensor: a name of `_KNOWN`, else `linear` (of what is known to give any number)."""
    operation, index = origin(tensor)
    inner = as_functional(operation)
    if inner is not None:
        return _activation(inner.outputs[index])
    kind = type(operation).__name__
    if kind in _MOVES:
        return _activation(keras.tree.flatten(operation.input)[0])
    given = getattr(operation, "activation", None)
    name = getattr(given, "__name__", kind).lower()
    return name if name in _KNOWN else "linear" if given is None or name == "linear" else name


def _losses(path: Path, names: Sequence[str]) -> dict[str, str]:
    """The loss of each output, as far as the file says it."""
    try:
        with zipfile.ZipFile(path) as archive:
            compiled = json.loads(archive.read("config.json")).get("compile_config") or {}
        loss = compiled.get("loss")
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile):
        return {}
    if isinstance(loss, list):
        found = dict(zip(names, loss, strict=False))
    elif isinstance(loss, dict) and "class_name" not in loss:
        found = {name: loss[name] for name in names if name in loss}
    else:
        found = dict.fromkeys(names, loss)
    return {name: known for name, each in found.items() if (known := _loss_name(each)) is not None}


def _loss_name(loss: Any) -> str | None:
    """The name of Keras' function: of a string, or of a serialized loss."""
    if isinstance(loss, dict):
        loss = loss.get("config" if loss.get("class_name") == "function" else "class_name")
    if not isinstance(loss, str):
        return None
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", loss).lower()
    return _SHORT.get(snake, snake)
