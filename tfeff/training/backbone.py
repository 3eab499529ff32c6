"""The weights that a network begins with: of layers that have the same names in a preset or in a weight file."""

from pathlib import Path
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.presets import aliases, list_presets, load_preset
from tfeff.weights import read_weights

_LEAST = 0.5  # share of the source's weights that must be found, or it is another network


def load_backbone(model: Any, source: str) -> str:
    """Gives layers the weights that layers of the same names have in `source`, and tells how many.

    What `source` has besides, its classifier for example, is left out. A kernel that takes one channel there is
    repeated for three, and divided by three.

    Args:
        source: a bundled preset or its alias, the JSON of a preset, or a weight file.

    Raises:
        TfeffError: it cannot be read, or is of another network than the backbone.
    """
    is_preset = source.endswith(".json") or source in list_presets() or source in aliases()
    path = load_preset(source).weights if is_preset else Path(source)
    arrays, taken = read_weights(path), []
    for variable in model.variables:
        value = arrays.get(variable.path)
        if value is None:
            continue
        value = _with_channels(value, tuple(variable.shape))
        if value.shape != tuple(variable.shape):
            raise TfeffError(
                f"--backbone {source}: {variable.path} is {value.shape}, {model.name} has {tuple(variable.shape)}",
                "give weights of the network's own backbone, in its width",
            )
        taken.append((variable, value))
    if len(taken) < _LEAST * len(arrays):
        raise TfeffError(
            f"--backbone {source}: {model.name} has {len(taken)} of its {len(arrays)} weights",
            "give weights of the network's own backbone",
        )
    for variable, value in taken:
        variable.assign(value.astype(np.float32))
    return f"{len(taken)} of the {len(arrays)} weights of {source} are where the network begins"


def _with_channels(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel (k, k, 1, f) as (k, k, 3, f) where that is the shape: of an image of equal channels it says the same."""
    if value.ndim == 4 and value.shape[2] == 1 and shape == (*value.shape[:2], 3, value.shape[3]):
        return np.repeat(value, 3, axis=2) / 3
    return value
