"""PyTorch's own weight files (`.pth`, `.pt`, `.bin`), read without PyTorch.

`torch.save` writes a pickle that names storages, and the storages' bytes: since 1.6 as a zip archive
(`NAME/data.pkl`, `NAME/data/KEY`), before that one behind the other in a plain file. A pickle is a program. The reader
here knows the few names that a dictionary of tensors needs and refuses every other by name, so nothing of the file
runs (torch/serialization.py, `_legacy_save` and `_save`; torch/_utils.py, `_rebuild_tensor_v2`).
"""

import io
import math
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfeff.errors import TfeffError
from tfeff.files import check_held, check_unpacked

WRAPPINGS = ("state_dict", "model_state_dict", "model", "net")  # where training scripts put the state dict
_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file of the older kind
_PROTOCOL = 1001
_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?", "BFloat16Storage": "<u2",
}  # fmt: skip


class _MoreThanTensors(Exception):
    """The pickle names something that is no part of a tensor."""


class _Storage:
    """Values in one row; those of the older format come after the pickle that names them.

    Attributes:
        kind: PyTorch's name of the type, "FloatStorage".
        size: number of elements.
        values: the row; None until it is read.
    """

    def __init__(self, kind: str, size: int):
        if kind not in _DTYPES:
            raise _MoreThanTensors(f"torch.{kind}")
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"a storage of {size!r} elements")
        self.kind, self.size = kind, size
        self.values: np.ndarray | None = None

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(_DTYPES[self.kind])

    def fill(self, data: bytes) -> None:
        if len(data) != self.size * self.dtype.itemsize:
            raise ValueError(f"a storage of {self.size:,} elements has {len(data):,} bytes")
        self.values = np.frombuffer(data, self.dtype)


class _Tensor:
    """A tensor that is not read yet: a view of a storage."""

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any):
        numbers = (offset, *shape, *strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else (None,)
        fits = all(isinstance(number, int) and number >= 0 for number in numbers)
        if not isinstance(storage, _Storage) or not fits or len(shape) != len(strides):
            raise ValueError("a tensor without storage, shape or strides")
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and last >= storage.size:
            raise ValueError("a tensor reaches beyond its storage")
        if math.prod(shape) > max(storage.size, 1):  # strides of 0: as large as the file's writer likes
            raise ValueError("a tensor repeats its storage")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def read(self) -> np.ndarray:
        """The values: numbers as float32, as `tensor.float()` gives them."""
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor whose storage is missing")
        if self.storage.kind == "BFloat16Storage":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if not math.prod(self.shape):
            return np.zeros(self.shape, np.float32)
        step = values.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, tuple(step * stride for stride in self.strides), writeable=False
        )
        with np.errstate(over="ignore"):  # a double beyond float32 is infinite, as in PyTorch
            return view.astype(np.float32)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor, *_):
    return tensor


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


class _Kind(str):
    """A storage type that the pickle names; it cannot be called."""


class _Unpickler(pickle._Unpickler):  # the one in C makes a list as long as the file says
    """Reads dictionaries of tensors, and nothing else."""

    def __init__(self, file: BinaryIO, storage_of: Callable[[tuple], _Storage]):
        super().__init__(file, encoding="utf-8")
        self._storage_of = storage_of

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _Kind(name)
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _MoreThanTensors(f"{module}.{name}") from None

    def persistent_load(self, identity: Any) -> _Storage:
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise ValueError("an unknown kind of reference")
        return self._storage_of(identity)


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The state dict in a file of `torch.save`: entry -> float32 array.

    {"state_dict": ...} and the like are taken off. Needs the memory of the file and of the arrays.

    Raises:
        TfeffError: it holds more than tensors, or no dictionary of them.
        Exception: whatever a damaged file leads to.
    """
    read = _read_archive if zipfile.is_zipfile(path) else _read_plain
    try:
        state = read(path)
    except _MoreThanTensors as found:
        raise TfeffError(
            f"weights {path}: holds more than tensors ({str(found)[:80]}), which is never run here",
            "load it where you trust it and save its state dict: torch.save(model.state_dict(), 'w.pth')",
        ) from None
    for key in WRAPPINGS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping) or not all(isinstance(value, _Tensor) for value in state.values()):
        raise TfeffError(
            f"weights {path}: no state dict, which is a dictionary of tensors",
            f"save model.state_dict(), alone or under {', '.join(WRAPPINGS)}",
        )
    check_held(path, sum(4 * math.prod(tensor.shape) for tensor in state.values()))  # tensors may share storages
    return {str(entry): tensor.read() for entry, tensor in state.items()}


def _read_archive(path):
    check_unpacked(path)
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("written on a machine whose bytes are in the other order")
        storages: dict[str, _Storage] = {}

        def storage_of(identity):
            _, kind, key, _, size, *_ = identity
            if key not in storages:
                storages[key] = _Storage(kind, size)
                storages[key].fill(archive.read(f"{folder}data/{key}"))
            return storages[key]

        return _Unpickler(io.BytesIO(archive.read(pickled)), storage_of).load()


def _read_plain(path):
    """The format before PyTorch 1.6: magic number, version, the machine, the pickle, keys of storages, storages."""
    storages: dict[str, _Storage] = {}

    def storage_of(identity):
        _, kind, key, _, size, *view = identity
        if view and view[0] is not None:
            raise ValueError("a view of a storage")
        return storages.setdefault(key, _Storage(kind, size))

    def load(file):
        return _Unpickler(file, storage_of).load()

    size = path.stat().st_size
    with path.open("rb") as file:
        if load(file) != _MAGIC or load(file) != _PROTOCOL:
            raise ValueError("no file of torch.save")
        machine = load(file)
        if not isinstance(machine, Mapping) or not machine.get("little_endian", sys.byteorder == "little"):
            raise ValueError("written on a machine whose bytes are in the other order")
        state = load(file)
        keys = load(file)
        for key in keys if isinstance(keys, list) else ():
            count = int.from_bytes(file.read(8), "little")
            if key not in storages or count != storages[key].size:
                raise ValueError("a storage that no tensor names, or of another size")
            length = count * storages[key].dtype.itemsize
            if length > size:
                raise ValueError("a storage is longer than the file")
            storages[key].fill(file.read(length))
    return state
