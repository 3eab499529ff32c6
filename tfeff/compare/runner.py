"""One .tflite file, run by LiteRT one sample at a time: real numbers in and out by port, whatever its types."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tfeff.edgetpu import needs_edgetpu, open_delegate
from tfeff.errors import TfeffError
from tfeff.tflite.check import check_model

RUNTIME = "litert"
SIGNATURE = "serving_default"
_QUANTIZED = tuple(np.dtype(name) for name in ("int8", "uint8", "int16"))


def quantize(values: np.ndarray, scale: float, zero_point: int, dtype: DTypeLike) -> np.ndarray:
    """float32 -> `dtype`, same shape: round(values / scale) + zero_point, clipped to the range of `dtype`.

    Exact halves go to the even neighbour (`numpy.round`). C's `round`, which some kernels use, takes them away from
    zero: a difference of one step, there only. float32 passes unchanged.
    """
    dtype = np.dtype(dtype)
    if dtype == np.float32:
        return np.asarray(values, np.float32)
    steps = np.round(np.asarray(values, np.float32) / np.float32(scale)) + np.float32(zero_point)
    limits = np.iinfo(dtype)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantize(values: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """Any of a file's types -> float32, same shape: (values - zero_point) * scale. float32 passes unchanged."""
    if values.dtype == np.float32:
        return values
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


@dataclass(frozen=True)
class FilePort:
    """An input or output of a file: its tensor, and what turns its numbers into real ones.

    Attributes:
        name: in the signature `serving_default`, else of the tensor.
        index: of the tensor, for the interpreter.
        shape: as the file has it.
        sample: shape of one sample, without the batch of 1.
        dtype: of its numbers.
        scale, zero_point: real = (stored - zero_point) * scale; 0.0 and 0 where the numbers are not quantized.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    sample: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero_point: int

    @property
    def quantized(self) -> bool:
        return self.scale > 0

    def store(self, values: np.ndarray) -> np.ndarray:
        """Real numbers -> the file's own, same shape."""
        if self.quantized:
            return quantize(values, self.scale, self.zero_point, self.dtype)
        return np.asarray(values).astype(self.dtype, copy=False)

    def real(self, stored: np.ndarray) -> np.ndarray:
        """The file's own numbers -> float32, same shape; integers that are not quantized pass unchanged."""
        return dequantize(stored, self.scale, self.zero_point) if self.quantized else stored

    def as_dict(self) -> dict[str, Any]:
        """The record's form, without preprocessing; a batch that the file drops is in its shape."""
        return {"name": self.name, "shape": [1, *self.sample], "dtype": self.dtype.name, "scale": self.scale,
                "zero_point": self.zero_point}  # fmt: skip


class Runner:
    """Runs a network on one sample at a time.

    Attributes:
        path: the file.
        sha256: of the file.
        inputs, outputs: its ports, in the order of the file.
    """

    def __init__(self, path: str | Path, *, threads: int = 1):
        """Opens a file.

        Args:
            path: a .tflite file. A batch that it leaves open is run as 1. One that was compiled for the Edge TPU runs
                on it (`tfeff.edgetpu`).
            threads: of the interpreter.

        Raises:
            TfeffError: missing, not TFLite, cut short, not to be run by LiteRT, or with a port that has another batch
                than 1 or an open shape; compiled for an accelerator that is not there.
        """
        self.path = Path(path)
        self.sha256 = check_model(self.path)
        self._interpreter = _open(self.path, threads)
        self.inputs = tuple(self._ports("inputs"))
        self.outputs = tuple(self._ports("outputs"))

    def __call__(self, feed: Mapping[str, np.ndarray] | np.ndarray) -> dict[str, np.ndarray]:
        """Runs one sample; what the file keeps from run to run (an LSTM's state) is as at its first run.

        Args:
            feed: real numbers by input port, without the batch; of a file with one input the array alone will do.

        Returns:
            By output port what `FilePort.real` makes of it, without the batch.

        Raises:
            TfeffError: an input that is missing or of another shape, or the file fails while it runs.
        """
        if not isinstance(feed, Mapping):
            feed = {self.inputs[0].name: feed} if len(self.inputs) == 1 else {}
        self._interpreter.reset_all_variables()
        for port in self.inputs:
            if port.name not in feed:
                given = ", ".join(feed) or "one array"
                raise TfeffError(
                    f"{self.path}: its input {port.name!r} is not among {given}", "give every input by name"
                )
            value = np.asarray(feed[port.name])
            if value.shape != port.sample:
                raise TfeffError(f"{self.path}: {port.name} takes shape {port.sample}, not {value.shape}")
            self._interpreter.set_tensor(port.index, port.store(value).reshape(port.shape))
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"{self.path}: failed while running ({_first_line(error)})", "export it anew") from None
        return {
            port.name: port.real(self._interpreter.get_tensor(port.index).reshape(port.sample)) for port in self.outputs
        }

    def _ports(self, side):
        details = getattr(self._interpreter, f"get_{side[:-1]}_details")()
        names = self._names(side)
        for entry in details:
            own = names.get(entry["index"])
            yield self._port(entry, side[:-1], own.pop(0) if own else entry["name"])

    def _names(self, side):
        """Tensor -> its names in the signature, more than one where outputs share it; none without one."""
        names: dict[int, list[str]] = {}
        if SIGNATURE in self._interpreter.get_signature_list():
            runner = self._interpreter.get_signature_runner(SIGNATURE)
            for name, entry in getattr(runner, f"get_{side[:-1]}_details")().items():
                names.setdefault(entry["index"], []).append(name)
        return names

    def _port(self, details, side, name):
        dtype, signature = np.dtype(details["dtype"]), list(details["shape_signature"])
        shape = tuple(int(v) for v in details["shape"])
        if -1 in signature[1:]:
            raise TfeffError(
                f"{self.path}: its {side} {name} has the open shape {tuple(map(int, signature))}",
                "export it with a fixed shape",
            )
        if side == "input" and shape and shape[0] != 1:
            raise TfeffError(f"{self.path}: its {side} {name} has shape {shape}", "export it with a batch of 1")
        scales, zero_points = (details["quantization_parameters"][key] for key in ("scales", "zero_points"))
        quantized = dtype in _QUANTIZED
        if quantized and (len(scales) != 1 or not 0 < scales[0] < np.inf):
            raise TfeffError(
                f"{self.path}: its {side} {name} is {dtype} without one scale, so its numbers mean nothing",
                "export it anew",
            )
        return FilePort(
            name=name,
            index=details["index"],
            shape=shape,
            sample=shape[1:] if shape[:1] == (1,) else shape,  # some drop the batch of a list of logits
            dtype=dtype,
            scale=float(scales[0]) if quantized else 0.0,
            zero_point=int(zero_points[0]) if quantized else 0,
        )


def runtime_version() -> str:
    """The version of LiteRT that runs the files."""
    from importlib.metadata import version

    return version("ai-edge-litert")


def _open(path, threads):
    try:
        from ai_edge_litert.interpreter import Interpreter, load_delegate
    except ImportError as error:
        raise TfeffError(f"LiteRT cannot be imported ({error})", "pip install ai-edge-litert") from None
    options = {"experimental_delegates": [_edgetpu(path, load_delegate)]} if needs_edgetpu(path) else {}
    try:
        with native_stderr_muted():
            interpreter = Interpreter(model_path=str(path), num_threads=threads, **options)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise TfeffError(
            f"{path}: LiteRT cannot run it ({_first_line(error)})",
            "give a file for LiteRT's own operators, or for the Edge TPU's library and LiteRT of the same version",
        ) from None
    return interpreter


def _edgetpu(path, load_delegate):
    try:
        return open_delegate(load_delegate)
    except TfeffError as error:
        raise TfeffError(f"{path}: is compiled for the Edge TPU, and {error.what}", error.mend) from None


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def native_stderr_muted() -> Iterator[None]:
    """LiteRT announces its XNNPACK delegate on file descriptor 2, with no way to stop it; its errors are raised."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
