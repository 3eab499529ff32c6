"""One .tflite file, run by LiteRT one image at a time: float32 image in, float32 logits out, whatever its types."""

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.artifact import check_tflite
from tfeff.edgetpu import needs_edgetpu, open_delegate
from tfeff.errors import TfeffError

RUNTIME = "litert"
SIGNATURE, LOGITS = "serving_default", "logits"
_DTYPES = tuple(np.dtype(name) for name in ("int8", "uint8", "int16", "float32"))


def quantize(values: np.ndarray, scale: float, zero_point: int, dtype) -> np.ndarray:
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
class Door:
    """The input or output of a file: its tensor, and what turns its numbers into real ones.

    Attributes:
        name: of the tensor.
        index: of the tensor, for the interpreter.
        shape: with the batch, which is 1.
        dtype: int8, uint8, int16 or float32.
        scale, zero_point: real = (stored - zero_point) * scale; 0.0 and 0 for float32.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero_point: int


class Runner:
    """Runs a network on one image at a time.

    Attributes:
        path: the file.
        sha256: of the file.
        input, output: its doors.
        outputs: how many the file has.
        shape: (h, w, c) of an image.
        classes: the last dimension of what it gives; a classifier gives (classes,) logits.
    """

    def __init__(self, path: str | Path, *, threads: int = 1):
        """Opens a file.

        Args:
            path: a .tflite file with one input (1, h, w, c); of several outputs the one that the signature
                `serving_default` calls `logits` is taken. A batch that the file leaves open is run as 1. One that was
                compiled for the Edge TPU runs on it (`tfeff.edgetpu`).
            threads: of the interpreter.

        Raises:
            TfeffError: missing, not TFLite, cut short, not to be run by LiteRT, or not a network of one image; compiled
                for an accelerator that is not there.
        """
        self.path = Path(path)
        self.sha256 = check_tflite(self.path)
        self._interpreter = _open(self.path, threads)
        self.input, self.output = self._find_input(), self._find_output()
        self.shape = self.input.shape[1:]
        self.classes = self.output.shape[-1]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Runs one preprocessed image: float32 (h, w, c) -> the output without its batch, float32.

        Raises:
            TfeffError: an image of another shape, or the file fails while it runs.
        """
        if image.shape != self.shape:
            raise TfeffError(f"{self.path}: takes images of shape {self.shape}, not {image.shape}")
        stored = quantize(image, self.input.scale, self.input.zero_point, self.input.dtype)
        try:
            self._interpreter.set_tensor(self.input.index, stored[None])
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"{self.path}: failed while running ({_first_line(error)})", "export it anew") from None
        output = self._interpreter.get_tensor(self.output.index).reshape(self.output.shape[1:])
        return dequantize(output, self.output.scale, self.output.zero_point)

    def _find_input(self):
        details = self._interpreter.get_input_details()
        if len(details) != 1:
            raise TfeffError(
                f"{self.path}: has {len(details)} inputs ({', '.join(d['name'] for d in details)})",
                "compare files that take one image",
            )
        door = self._door(details[0], "input")
        if len(door.shape) != 4 or door.shape[0] != 1:
            raise TfeffError(
                f"{self.path}: its input has shape {door.shape}",
                "export it with the shape (1, height, width, channels)",
            )
        return door

    def _find_output(self):
        details = self._interpreter.get_output_details()
        self.outputs = len(details)
        if len(details) > 1:
            names = ", ".join(d["name"] for d in details)
            outputs = self._interpreter.get_signature_list().get(SIGNATURE, {}).get("outputs", [])
            if LOGITS not in outputs:
                raise TfeffError(
                    f"{self.path}: has {len(details)} outputs ({names}), and no signature {SIGNATURE!r} says which are "
                    f"the logits",
                    f"compare files with one output, or name it {LOGITS!r} in the signature",
                )
            index = self._interpreter.get_signature_runner(SIGNATURE).get_output_details()[LOGITS]["index"]
            details = [d for d in details if d["index"] == index]
        return self._door(details[0], "output")

    def _door(self, details, side):
        dtype, signature = np.dtype(details["dtype"]), list(details["shape_signature"])
        shape = tuple(int(v) for v in details["shape"])
        if -1 in signature[1:]:
            raise TfeffError(
                f"{self.path}: its {side} has the open shape {tuple(map(int, signature))}",
                "export it with a fixed shape",
            )
        if dtype not in _DTYPES:
            raise TfeffError(
                f"{self.path}: its {side} is {dtype}", f"compare files with {', '.join(map(str, _DTYPES))} at the door"
            )
        scales, zero_points = (details["quantization_parameters"][key] for key in ("scales", "zero_points"))
        if dtype != np.float32 and (len(scales) != 1 or not scales[0] > 0):
            raise TfeffError(
                f"{self.path}: its {side} is {dtype} without one scale, so its numbers mean nothing", "export it anew"
            )
        quantized = dtype != np.float32
        return Door(
            name=details["name"],
            index=details["index"],
            shape=shape if len(shape) > 1 else (1, *shape),  # some files drop the batch of a list of logits
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
def native_stderr_muted():
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
