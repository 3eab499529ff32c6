"""Running a `.tflite` that lies in memory, with any of its tensors read afterwards."""

from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

import numpy as np

from tfeff.compare.runner import native_stderr_muted
from tfeff.errors import TfeffError

_OPENING = Lock()  # stderr is the process's: muted by two threads in turn, it would stay mute


class Running:
    """A file that is run one sample at a time, on one thread, with the runtime's usual kernels (XNNPACK)."""

    def __init__(self, data: bytes | bytearray, what: str):
        """Opens a file.

        Args:
            data: its bytes.
            what: what messages call it.

        Raises:
            TfeffError: LiteRT has no kernel for one of its operations, or refuses it for another reason.
        """
        from ai_edge_litert.interpreter import Interpreter

        self._what = what
        try:
            with _OPENING, native_stderr_muted():
                self._interpreter = Interpreter(model_content=bytes(data), num_threads=1)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise TfeffError(
                f"{what}: LiteRT cannot run it ({_first_line(error)})", "give a file of LiteRT's own operators"
            ) from None
        self._inputs = [(entry["index"], entry["shape"]) for entry in self._interpreter.get_input_details()]
        self._outputs = [entry["index"] for entry in self._interpreter.get_output_details()]

    def run(self, values: Sequence[np.ndarray]) -> None:
        """Runs a sample: an array an input, in the file's order and dtypes, with or without the batch.

        What the file keeps from run to run (an LSTM's state) is as at its first run.

        Raises:
            TfeffError: the file fails while it runs.
        """
        try:
            self._interpreter.reset_all_variables()
            for (tensor, shape), value in zip(self._inputs, values, strict=True):
                self._interpreter.set_tensor(tensor, value.reshape(shape))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"{self._what}: failed while running ({_first_line(error)})") from None

    def outputs(self) -> list[np.ndarray]:
        """What the last run gave, in the file's order; copies."""
        return [self.value(tensor) for tensor in self._outputs]

    def value(self, tensor: int) -> np.ndarray:
        """A tensor, which must be an output of the file, after the last run; a copy."""
        return self._interpreter.get_tensor(tensor)


def _first_line(error: Exception) -> str:
    with suppress(IndexError):
        return str(error).strip().splitlines()[0]
    return type(error).__name__
