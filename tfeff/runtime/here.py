"""LiteRT in this process: for files that this process has just made. A damaged one may end it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from tfeff.edgetpu import open_delegate
from tfeff.runtime.opened import Opened
from tfeff.runtime.worker import LoadedFile

_OPENING = RLock()  # stderr is the process's: muted by two threads in turn, it would stay mute


class _Here(Opened):
    def __init__(self, data: bytes, threads: int, edgetpu: bool):
        delegates = None
        if edgetpu:
            from ai_edge_litert.interpreter import load_delegate

            delegates = [open_delegate(load_delegate)]
        with native_stderr_muted():
            self._file = LoadedFile(data, threads, delegates)
        self._tell(self._file.told)

    def run(self, samples, outputs=(), *, fresh=False):
        inputs = [port.index for port in self.inputs]
        return [self._file.run(inputs, outputs, values, fresh) for values in samples]

    def shapes(self):
        return {int(tensor): tuple(shape) for tensor, shape in self._file.shapes().items()}


def open_here(data: bytes, *, threads: int = 1, edgetpu: bool = False) -> Opened:
    """Opens a file in this process.

    Args:
        data: its bytes.
        threads: of the interpreter.
        edgetpu: whether it was compiled for the Edge TPU.

    Raises:
        RuntimeError, ValueError: LiteRT refuses it.
        TfeffError: there is no Edge TPU.
    """
    return _Here(data, threads, edgetpu)


@contextmanager
def native_stderr_muted() -> Iterator[None]:
    """LiteRT announces its XNNPACK delegate on file descriptor 2, with no way to stop it; its errors are raised."""
    with _OPENING:
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
