"""One .tflite file, run by LiteRT one sample at a time: real numbers in and out by port, whatever its types."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tfeff.edgetpu import needs_edgetpu
from tfeff.errors import TfeffError
from tfeff.runtime import Opened, Port, open_here, open_isolated, runtime_version
from tfeff.tflite.check import check_file
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.part import WHOLE, PartOptions, refuse_open, take_part

__all__ = ["RUNTIME", "FilePort", "Runner", "dequantize", "quantize", "runtime_version"]
RUNTIME = "litert"
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

    def __init__(self, path: str | Path, *, threads: int = 1, isolated: bool = True, part: PartOptions = WHOLE):
        """Opens a file.

        Args:
            path: a .tflite file. A batch that it leaves open is run as 1. One that was compiled for the Edge TPU runs
                on it (`tfeff.edgetpu`).
            threads: of the interpreter.
            isolated: whether it runs in a process of its own, which it may kill. False is for files that this process
                has made.
            part: the signature that is run, and the sizes that the file leaves open.

        Raises:
            TfeffError: missing, not TFLite, cut short, not to be run by LiteRT or deadly for it, or with a port that
                has another batch than 1 or an open shape; compiled for an accelerator that is not there.
        """
        self.path = Path(path)
        whole = check_file(self.path)
        self.sha256 = whole.sha256
        chosen = take_part(whole.data, self.path, part)
        file = TfliteFile(chosen.data, self.path) if chosen.changed else whole.file
        refuse_open(file, self.path)
        if not part.shapes:
            self._check_outputs(file)
        self._opened = self._open(chosen.data, threads, isolated)
        self._fresh = file.keeps_resources
        names = file.signature()
        self.inputs, self.outputs = (
            tuple(self._ports(side, ports, named))
            for side, ports, named in zip(
                ("input", "output"), (self._opened.inputs, self._opened.outputs), names, strict=True
            )
        )

    def __call__(self, feed: Mapping[str, np.ndarray] | np.ndarray) -> dict[str, np.ndarray]:
        """Runs one sample; what the file keeps from run to run (an LSTM's state) is as at its first run.

        Args:
            feed: real numbers by input port, without the batch; of a file with one input the array alone will do.

        Returns:
            By output port what `FilePort.real` makes of it, without the batch.

        Raises:
            TfeffError: an input that is missing or of another shape, the file fails while it runs, or LiteRT dies of
                it.
        """
        return self.many([feed])[0]

    def many(self, feeds: Sequence[Mapping[str, np.ndarray] | np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Runs samples one after the other, with less to and fro than one by one; what `__call__` gives of each."""
        samples = [self._stored(feed) for feed in feeds]
        try:
            found = self._opened.run(samples, [port.index for port in self.outputs], fresh=self._fresh)
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"{self.path}: failed while running ({_first_line(error)})", "export it anew") from None
        return [
            {port.name: self._real(port, value) for port, value in zip(self.outputs, values, strict=True)}
            for values in found
        ]

    def _real(self, port: FilePort, value: np.ndarray) -> np.ndarray:
        if value.size != np.prod(port.sample, dtype=np.int64):
            raise TfeffError(
                f"{self.path}: its output {port.name} has the shape {value.shape} now, {port.shape} was allocated",
                "give a file whose outputs have fixed sizes",
            )
        return port.real(value.reshape(port.sample))

    def _stored(self, feed: Mapping[str, np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """A sample as the file takes it."""
        if not isinstance(feed, Mapping):
            feed = {self.inputs[0].name: feed} if len(self.inputs) == 1 else {}
        stored = []
        for port in self.inputs:
            if port.name not in feed:
                given = ", ".join(feed) or "one array"
                raise TfeffError(
                    f"{self.path}: its input {port.name!r} is not among {given}", "give every input by name"
                )
            value = np.asarray(feed[port.name])
            if value.shape != port.sample:
                raise TfeffError(f"{self.path}: {port.name} takes shape {port.sample}, not {value.shape}")
            stored.append(port.store(value).reshape(port.shape))
        return stored

    def _open(self, data: bytes, threads: int, isolated: bool) -> Opened:
        edgetpu = needs_edgetpu(self.path)
        try:
            if isolated:
                return open_isolated(data, str(self.path), threads=threads, edgetpu=edgetpu)
            return open_here(data, threads=threads, edgetpu=edgetpu)
        except ImportError as error:
            raise TfeffError(f"LiteRT cannot be imported ({error})", "pip install ai-edge-litert") from None
        except (RuntimeError, ValueError) as error:
            raise TfeffError(
                f"{self.path}: LiteRT cannot run it ({_first_line(error)})",
                "give a file for LiteRT's own operators, or for the Edge TPU's library and LiteRT of the same version",
            ) from None
        except TfeffError as error:
            if not edgetpu or error.what.startswith(str(self.path)):
                raise
            raise TfeffError(f"{self.path}: is compiled for the Edge TPU, and {error.what}", error.mend) from None

    def _check_outputs(self, file: TfliteFile) -> None:
        for tensor in file.outputs:
            if -1 in (signature := file.shape_signature(tensor))[1:]:
                raise TfeffError(
                    f"{self.path}: its output {file.name(tensor)[:80]} has the open shape {signature}",
                    "export it with a fixed shape",
                )

    def _ports(self, side: str, ports: Sequence[Port], named: Mapping[str, int]) -> Iterator[FilePort]:
        names: dict[int, list[str]] = {}  # more than one where outputs share a tensor
        for name in sorted(named):
            names.setdefault(named[name], []).append(name)
        for port in ports:
            own = names.get(port.index)
            yield self._port(port, side, own.pop(0) if own else port.name)

    def _port(self, port: Port, side: str, name: str) -> FilePort:
        shape, dtype = port.shape, port.dtype
        if dtype.kind not in "biufc":
            raise TfeffError(f"{self.path}: its {side} {name} is {dtype}", "give a file whose ports are numbers")
        if side == "input" and shape and shape[0] != 1:
            raise TfeffError(f"{self.path}: its {side} {name} has shape {shape}", "export it with a batch of 1")
        # Bytes without a scale, of a float file that casts them itself, are the numbers that they are.
        quantized = dtype in _QUANTIZED and not (dtype == np.uint8 and not port.scales)
        if quantized and (len(port.scales) != 1 or not 0 < port.scales[0] < np.inf):
            raise TfeffError(
                f"{self.path}: its {side} {name} is {dtype} without one scale, so its numbers mean nothing",
                "export it anew",
            )
        return FilePort(
            name=name,
            index=port.index,
            shape=shape,
            sample=shape[1:] if shape[:1] == (1,) else shape,  # some drop the batch of a list of logits
            dtype=dtype,
            scale=port.scales[0] if quantized else 0.0,
            zero_point=port.zero_points[0] if quantized else 0,
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
