"""Running a `.tflite` that lies in memory, with any of its tensors read afterwards."""

from collections.abc import Iterable
from contextlib import suppress
from threading import Lock

import numpy as np

from tfeff.compare.runner import native_stderr_muted
from tfeff.errors import TfeffError

_OPENING = Lock()  # stderr is the process's: muted by two threads in turn, it would stay mute


class Running:
    """A file that is run one input at a time, on one thread, with the runtime's usual kernels (XNNPACK)."""

    def __init__(self, data: bytes, what: str):
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
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, value: np.ndarray) -> np.ndarray:
        """Runs an input without its batch, in the file's own dtype; gives the first output, flat.

        Raises:
            TfeffError: the file fails while it runs.
        """
        try:
            self._interpreter.set_tensor(self._input, value[None])
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"{self._what}: failed while running ({_first_line(error)})") from None
        return self._interpreter.get_tensor(self._output).reshape(-1)

    def value(self, tensor: int) -> np.ndarray:
        """A tensor, which must be an output of the file, after the last run; a copy."""
        return self._interpreter.get_tensor(tensor)

    def run_all(self, values: Iterable[np.ndarray]) -> np.ndarray:
        """The first output for each input: (n, elements)."""
        return np.stack([self.run(value) for value in values])


def _first_line(error):
    with suppress(IndexError):
        return str(error).strip().splitlines()[0]
    return type(error).__name__
