"""Running a `.tflite` that lies in memory, with any of its tensors read afterwards."""

from collections.abc import Sequence

import numpy as np

from tfeff.errors import TfeffError
from tfeff.runtime import open_isolated


class Running:
    """A file that is run one sample at a time, on one thread, with the runtime's usual kernels (XNNPACK).

    It runs in a process of its own: what kills LiteRT is told as an error.
    """

    def __init__(self, data: bytes | bytearray, what: str):
        """Opens a file.

        Args:
            data: its bytes.
            what: what messages call it.

        Raises:
            TfeffError: LiteRT has no kernel for one of its operations, refuses it for another reason, or dies of it.
        """
        self._what = what
        try:
            self._opened = open_isolated(bytes(data), what)
        except (RuntimeError, ValueError) as error:
            raise TfeffError(
                f"{what}: LiteRT cannot run it ({_first_line(error)})", "give a file of LiteRT's own operators"
            ) from None
        self._outputs = [port.index for port in self._opened.outputs]

    def run(self, values: Sequence[np.ndarray], tensors: Sequence[int] | None = None) -> dict[int, np.ndarray]:
        """Runs a sample: an array an input, in the file's order and dtypes, with or without the batch.

        What the file keeps from run to run (an LSTM's state) is as at its first run.

        Args:
            values: the sample.
            tensors: inputs or outputs that are wanted; None for all outputs.

        Returns:
            Values by tensor.

        Raises:
            TfeffError: the file fails while it runs, or LiteRT dies of it.
        """
        wanted = list(dict.fromkeys(self._outputs if tensors is None else tensors))
        given = [np.asarray(value).reshape(port.shape) for port, value in zip(self._opened.inputs, values, strict=True)]
        try:
            (found,) = self._opened.run([given], wanted)
        except (RuntimeError, ValueError) as error:
            raise TfeffError(f"{self._what}: failed while running ({_first_line(error)})") from None
        return dict(zip(wanted, found, strict=True))

    def outputs(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What a sample gives, in the file's order; runs it."""
        found = self.run(values)
        return [found[tensor] for tensor in self._outputs]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
