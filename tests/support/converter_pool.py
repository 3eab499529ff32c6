"""One converter's process after the other for all tests of a worker: to start one takes five seconds of TensorFlow."""

import os
import sys
from contextlib import contextmanager, suppress

import pytest

USES = 40  # of a process, whose memory grows


@contextmanager
def shared_converters(folder):
    """A `Converter` that is left hands its process on to the next one that is started in the same place.

    Args:
        folder: for what the processes said.
    """
    from tfeff.export.quantize.convert import Converter

    idle, uses, places = [], {}, {}
    start, close = Converter._started, Converter.close

    def log(child):
        return folder / f"{child.pid}.log"

    def started(self):
        if self._child is None and idle and idle[-1].poll() is None and places[idle[-1]] == _place():
            self._child = idle.pop()
            said = self._folder / "converter.log"
            said.unlink(missing_ok=True)  # of an earlier converter in this folder: `--tune` has one of its own
            said.symlink_to(log(self._child))
        elif self._child is None:
            start(self)
            with suppress(OSError):  # on another disk; then it is not handed on
                os.link(self._folder / "converter.log", log(self._child))
                places[self._child] = _place()
        return self._child

    def leave(self, *exception):
        child = self._child
        if child not in places or child.poll() is not None or uses.get(child, 0) >= USES:
            return close(self)
        uses[child] = uses.get(child, 0) + 1
        self._child = None
        idle.append(child)
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Converter, "_started", started)
        patch.setattr(Converter, "__exit__", leave)
        try:
            yield
        finally:
            for child in idle:
                child.kill()
                child.wait()
                with suppress(BrokenPipeError):
                    child.stdin.close()
                child.stdout.close()


def _place():
    """What a process keeps of where it was started."""
    return sys.executable, os.getcwd()
