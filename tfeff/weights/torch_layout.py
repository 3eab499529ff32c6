"""Imports weights that PyTorch trained: reads a state dict, turns its arrays into Keras' layout, fills a model.

Which entry belongs to which layer is told by {our layer's name: prefix in the state dict}; `layouts/` has that by
family and source. PyTorch itself is not needed.
"""

import json
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.files import check_unpacked
from tfeff.weights.torch_file import read_torch_file

_SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_SHOWN = 10  # faults in one message


def import_state_dict(
    model: Any,
    state: Mapping[str, np.ndarray],
    layout: Mapping[str, str],
    *,
    ignore: Collection[str] = (),
    names: Mapping[str, str] = MappingProxyType({}),
    source: str = "the state dict",
) -> None:
    """Fills every layer of a Keras model from PyTorch's arrays; all of them or, on an error, none.

    Args:
        state: entry -> array. Convolution [out, in/g, h, w], depthwise [c * m, 1, h, w], linear [out, in], BN `weight`,
            `bias`, `running_mean`, `running_var`, PReLU [c], a learned shift `shift` [2, c] (rows, columns).
            `num_batches_tracked` is passed over. A 1x1 convolution may stand for a linear layer and the other way
            round.
        layout: the model's layer -> prefix of its entries; it may name layers that the model lacks.
        ignore: prefixes of entries that the model need not have, as those of a classifier it was built without.
        names: PyTorch's word -> the state dict's, where it has another (`running_mean`: `_mean`).
        source: named in errors.

    Raises:
        TfeffError: entries that are missing, left over, of another shape or not finite, all in one message.
    """
    faults, values, used = [], [], set()
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name not in layout:
            faults.append(f"the layout has no place for layer {layer.name}")
            continue
        for variable, word, shape, convert in _entries(layer):
            entry = f"{layout[layer.name]}.{names.get(word, word)}"
            used.add(entry)
            if entry not in state:
                faults.append(f"lacks {entry}")
                continue
            value = np.asarray(state[entry])
            if value.dtype.kind not in "fiu":
                faults.append(f"{entry} is of type {value.dtype}")
            elif shape not in (value.shape, (*value.shape, 1, 1)) and (*shape, 1, 1) != value.shape:
                faults.append(f"{entry} is {list(value.shape)}, the network has {list(shape)}")
            elif not np.isfinite(value).all():
                faults.append(f"{entry} holds NaN or infinity")
            else:
                values.append((variable, convert(value.reshape(shape).astype(np.float32))))
    faults += [
        f"has {entry}, unknown to the network"
        for entry in state
        if entry not in used and not entry.endswith("num_batches_tracked") and not entry.startswith(tuple(ignore))
    ]
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise TfeffError(
            f"weights {source} do not fit network {model.name}: {'; '.join(faults[:_SHOWN])}{more}",
            "name the network, its classes and the layout that the weights were made with",
        )
    for variable, value in values:
        variable.assign(value)


def _entries(layer):
    """(variable, PyTorch's word for it, shape there, conversion to Keras' layout) of every weight of a layer."""
    import keras

    from tfeff.layers import ActiveShift2D, GroupConv2D, SparseShift2D

    def vector(variable, word):
        return variable, word, (math.prod(variable.shape),), lambda v: v.reshape(variable.shape)

    if isinstance(layer, keras.layers.BatchNormalization):
        found: tuple[tuple[Any, str], ...] = ((layer.gamma, "weight"), (layer.beta, "bias"))
        found += ((layer.moving_mean, "running_mean"), (layer.moving_variance, "running_var"))
        return [vector(variable, word) for variable, word in found if variable is not None]
    if isinstance(layer, keras.layers.PReLU):
        return [vector(layer.alpha, "weight")]
    if isinstance(layer, (ActiveShift2D, SparseShift2D)):
        return [(layer.shift, "shift", tuple(layer.shift.shape), lambda v: v)]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        height, width, channels, multiplier = layer.kernel.shape
        shape = (channels * multiplier, 1, height, width)

        def convert(value):  # [c * m, 1, h, w] -> (h, w, c, m)
            return value.reshape(channels, multiplier, height, width).transpose(2, 3, 0, 1)

    elif isinstance(layer, (keras.layers.Conv2D, GroupConv2D)):
        height, width, channels, filters = layer.kernel.shape
        shape = (filters, channels, height, width)

        def convert(value):  # [out, in/g, h, w] -> (h, w, in/g, out)
            return value.transpose(2, 3, 1, 0)

    elif isinstance(layer, keras.layers.Dense):
        shape = tuple(reversed(layer.kernel.shape))
        convert = np.transpose  # [out, in] -> (in, out)
    else:
        raise TfeffError(
            f"layer {layer.name} ({type(layer).__name__}): importing its weights from PyTorch is not known"
        )
    kernel = (layer.kernel, "weight", shape, convert)
    return [kernel] if layer.bias is None else [kernel, vector(layer.bias, "bias")]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads `.safetensors`, `.npz` or `.pth` / `.pt` / `.bin`: entry -> array, in PyTorch's layout.

    The wrappings that training scripts leave are taken off: {"state_dict": ...} and the like, `module.` prefixes.
    Nothing in the file is ever run, and PyTorch is not needed.

    Raises:
        TfeffError: no such file, another format, a damaged file, or a `.pth` that holds more than tensors.
    """
    path = Path(path)
    readers = {
        ".safetensors": _read_safetensors,
        ".npz": _read_npz,
        **dict.fromkeys((".pth", ".pt", ".bin"), read_torch_file),
    }
    if path.suffix not in readers:
        raise TfeffError(f"weights {path}: unknown format {path.suffix!r}", f"one of {', '.join(readers)}")
    if not path.is_file():
        raise TfeffError(f"weights {path}: no such file", "check the path")
    check_unpacked(path)
    try:
        state = readers[path.suffix](path)
    except TfeffError:
        raise
    except Exception as error:  # zipfile, numpy, json, pickle and torch each raise their own on a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TfeffError(f"weights {path}: damaged, or not a {path.suffix} file ({reason})", "get it anew") from None
    if state and all(entry.startswith("module.") for entry in state):
        state = {entry.removeprefix("module."): value for entry, value in state.items()}
    return state


def _read_npz(path):
    with np.load(path, allow_pickle=False) as archive:
        return {entry: archive[entry] for entry in archive.files}


def _read_safetensors(path):
    """The format: length of the header (8 bytes, little endian), the header (JSON), the values.

    Header: entry -> {"dtype", "shape", "data_offsets": [begin, end] after the header}, and `__metadata__`.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError("cut short" if size < 8 else "the header is longer than the file")
        header, data = json.loads(file.read(length)), file.read()
    state, taken = {}, 0
    for entry, told in header.items():
        if entry == "__metadata__":
            continue
        if told["dtype"] not in _SAFETENSORS_TYPES:
            raise ValueError(f"{entry} is of type {told['dtype']}, which is not read here")
        dtype, (begin, end) = np.dtype(_SAFETENSORS_TYPES[told["dtype"]]), told["data_offsets"]
        if not 0 <= begin <= end <= len(data) or end - begin != math.prod(told["shape"]) * dtype.itemsize:
            raise ValueError(f"{entry} reaches beyond the file, or its size is not that of its shape")
        taken += end - begin
        if taken > len(data):  # who copies them would take more than the file has
            raise ValueError(f"{entry} lies where others do")
        value = np.frombuffer(data[begin:end], dtype)
        if told["dtype"] == "BF16":  # the upper half of a float32
            value = (value.astype(np.uint32) << 16).view(np.float32)
        state[entry] = value.reshape(told["shape"])
    return state
