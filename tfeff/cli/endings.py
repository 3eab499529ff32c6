"""Ctrl-C, SIGTERM and SIGHUP for a command that only waits."""

import os
import select
import signal
import sys
import threading
from typing import Any

# What ends a command but Ctrl-C: a polite kill, and a terminal that is closed (which Windows does not tell).
ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Endings:
    """Waits for the first Ctrl-C, SIGTERM or SIGHUP; a context manager, for the main thread.

    The kernel may hand a signal to any thread, and Python wakes the main one only if it was its own: while others are
    busy with connections, a `KeyboardInterrupt` comes late or never. The byte that Python's C handler writes into a
    pipe comes in any case, and counts from the moment when the block is entered.
    """

    def __enter__(self) -> "Endings":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._read, self._written = os.pipe()
            os.set_blocking(self._written, False)
            self._other = signal.set_wakeup_fd(self._written, warn_on_full_buffer=False)
            for number in (signal.SIGINT, *ENDS):
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, lambda number, frame: None)
        return self

    def wait(self) -> None:
        """Returns at Ctrl-C, and leaves by SystemExit at the others, as the command line's own handler does."""
        sys.stdout.flush()
        if not self._before:
            threading.Event().wait()
        while True:
            select.select([self._read], [], [])
            for number in os.read(self._read, 64):
                if number in ENDS:
                    raise SystemExit(128 + number)
                if number == signal.SIGINT:
                    return

    def __exit__(self, *error: object) -> None:
        if self._before:
            for number, before in self._before.items():
                signal.signal(number, before)
            signal.set_wakeup_fd(self._other)
            os.close(self._read)
            os.close(self._written)
