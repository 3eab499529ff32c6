"""What pruning and clustering left in a finished `.tflite`: zeros and values of its int8 kernels, and its size."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.tensor_names import find_scope, layer_names
from tfeff.tflite.file import TfliteFile

_PART = re.compile(r"_group\d+$")  # of a group convolution that was taken apart
# Where an operation's kernel stands among its inputs; filters are its first axis in all of them.
_KERNEL = {"CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
_LEVEL = 9  # of DEFLATE, what `gzip -9` and a zip archive of an app use


@dataclass(frozen=True)
class FileKernel:
    """A layer's int8 kernel in a file.

    Attributes:
        layer: the Keras layer.
        values: int8 (filters, weights of one); of a layer taken apart the parts' filters one after the other.
    """

    layer: str
    values: np.ndarray

    @property
    def zeros(self) -> int:
        return int(np.count_nonzero(self.values == 0))

    @property
    def most_values(self) -> int:
        """Different values of the output channel that has most; channels have scales of their own."""
        return max(len(np.unique(channel)) for channel in self.values)


def read_kernels(path: Path, layers: Mapping[str, Any]) -> dict[str, FileKernel]:
    """The int8 kernels of convolutions and fully connected layers, those of `layers` that the file's names tell.

    Args:
        path: a `.tflite` that `export_model` wrote.
        layers: names of Keras layers.
    """
    file = TfliteFile(path.read_bytes(), path)
    scope = find_scope(map(file.name, file.producers))
    parts: dict[str, list[np.ndarray]] = {}
    for op in file.operators:
        if op.name not in _KERNEL:
            continue
        number = op.inputs[_KERNEL[op.name]]
        values = file.stored(number)
        if values is None or values.dtype != np.int8:
            continue
        told = [name for tensor in (op.outputs[0], number) for name in layer_names(file.name(tensor), scope)]
        layer = next((name for each in told for name in (each, _PART.sub("", each)) if name in layers), None)
        if layer is not None:
            parts.setdefault(layer, []).append(values.reshape(len(values), -1))
    return {
        layer: FileKernel(layer, values[0] if len(values) == 1 else _stacked(values)) for layer, values in parts.items()
    }


def _stacked(parts):
    """(filters, weights) of every part -> one; parts of one layer have filters of one size."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def packed_bytes(path: Path) -> int:
    """The size of a file after DEFLATE, what it takes in an app's package."""
    return len(zlib.compress(path.read_bytes(), _LEVEL))
