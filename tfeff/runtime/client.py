"""LiteRT in worker processes: a file that kills it, or keeps it busy for ever, is an error of ours and no more.

A worker that is done with its file is kept for the next. One that dies of a file after it ran others may have been
broken by one of those: the file is then tried again in a new one, and only what dies twice is called deadly.
"""

import atexit
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfeff.edgetpu import find_delegate, no_device
from tfeff.errors import TfeffError
from tfeff.runtime.opened import Opened
from tfeff.runtime.worker import read_frame, write_frame

MOST_LOAD_S = 120.0
_MOST_SAMPLE_S = 120.0
_WORKER = Path(__file__).with_name("worker.py")
_PIPE_BYTES, _F_SETPIPE_SZ = 2**20, 1031
_MEMORY_SHARE = 0.75  # of what is available when a worker starts
_MOST_IDLE = 4


class _Gone(Exception):
    """A worker that died or was ended: how."""


class _Worker:
    """A process that runs files; spoken to by one thread at a time."""

    def __init__(self) -> None:
        self.memory_bytes, self.served = _memory_limit(), 0
        self._stderr = tempfile.TemporaryFile()  # a file, not a pipe: nobody has to drain it  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), str(self.memory_bytes)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is ours to handle
            )  # fmt: skip
        except OSError as error:
            self._stderr.close()
            raise TfeffError(f"{sys.executable}: cannot be started ({error.strerror})") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: BinaryIO = os.fdopen(os.dup(self._process.stdin.fileno()), "wb", _PIPE_BYTES)
        self._process.stdin.close()
        self._stdout = self._process.stdout
        for pipe in (self._stdin, self._stdout):
            with suppress(ImportError, OSError, AttributeError, ValueError):
                import fcntl

                fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
        self.number = 0  # of the file that is open

    def ask(
        self, told: dict[str, Any], arrays: Sequence[np.ndarray] = (), timeout_s: float = MOST_LOAD_S
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Raises `_Gone`; RuntimeError with what LiteRT said where it refuses."""
        reading = _Patient(self._stdout, time.monotonic() + timeout_s)
        try:
            with suppress(BrokenPipeError):  # it is dead; its end is what is read next
                write_frame(self._stdin, told, list(arrays))
            answer, given = read_frame(reading)  # type: ignore[arg-type]
        except TimeoutError:
            self.kill()
            raise _Gone(f"was ended after {timeout_s:.0f} s without an answer") from None
        except EOFError:
            raise _Gone(self._death()) from None
        except BaseException:  # Ctrl-C: half a message is on its way
            self.kill()
            raise
        if "error" in answer:
            if answer.get("delegate"):
                raise no_device(told["delegate"]["options"], answer["error"])
            raise RuntimeError(answer["error"] or f"no reason is given; it may use {self.memory}")
        return answer, given

    def _death(self) -> str:
        try:
            code = self._process.wait(5)
            how = f"ended with exit code {code}"
            with suppress(ValueError):
                how = f"was killed by {signal.Signals(-code).name}"
        except subprocess.TimeoutExpired:
            how = "closed its output"
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        self.kill()
        told = next((line for line in reversed(lines) if "INFO:" not in line), "")
        return f"{how} ({told[:160]})" if told else how

    @property
    def memory(self) -> str:
        """How much it may take, in words."""
        return f"{self.memory_bytes / 2**30:.1f} GiB of memory" if self.memory_bytes else "all memory"

    @property
    def alive(self) -> bool:
        return not self._stderr.closed and self._process.poll() is None

    def kill(self) -> None:
        """Ends the process; safe to call again."""
        if self._stderr.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout, self._stderr):
            with suppress(OSError):  # unsent bytes in a broken pipe
                stream.close()


class _Patient:
    """The worker's output, read until a time; TimeoutError then."""

    def __init__(self, stream: Any, deadline: float):
        self._stream, self._deadline = stream, deadline
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)

    def readinto(self, buffer: memoryview) -> int:
        left_ms = 1000 * (self._deadline - time.monotonic())
        if left_ms <= 0 or not self._poll.poll(left_ms):
            raise TimeoutError
        return self._stream.readinto(buffer)


class _Pool:
    """Workers without a file."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock, self._process = threading.Lock(), os.getpid()

    def take(self, new: bool = False) -> _Worker:
        with self._lock:
            if self._process != os.getpid():  # after a fork they are the other process's
                self._idle, self._process = [], os.getpid()
            while self._idle and not new:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.kill()
        return _Worker()

    def put_back(self, worker: _Worker) -> None:
        with self._lock:
            if worker.alive and self._process == os.getpid() and len(self._idle) < _MOST_IDLE:
                self._idle.append(worker)
                return
        worker.kill()

    def end(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        if self._process == os.getpid():
            for worker in idle:
                worker.kill()


_POOL = _Pool()
atexit.register(_POOL.end)


class _Isolated(Opened):
    """A file in a worker of its own as long as it is open."""

    def __init__(self, data: bytes, what: str, threads: int, delegate: dict[str, Any] | None):
        self._what, self._lock = what, threading.Lock()
        self._load = {"do": "load", "threads": threads, "delegate": delegate}
        self._data = np.frombuffer(data, np.uint8)
        self._worker = _POOL.take()
        self._finalizer: weakref.finalize | None = None
        told = self._ask("loaded", self._load, [self._data])[0]
        self._tell(told)

    def run(self, samples, outputs=(), *, fresh=False):
        for values in samples:
            for port, value in zip(self.inputs, values, strict=True):
                if tuple(value.shape) != port.shape or value.dtype != port.dtype:
                    raise ValueError(f"{port.name} takes {port.dtype} {port.shape}, not {value.dtype} {value.shape}")
        request = {
            "do": "run",
            "samples": len(samples),
            "inputs": [port.index for port in self.inputs],
            "outputs": [int(tensor) for tensor in outputs],
            "fresh": fresh,
        }
        arrays = [np.asarray(value) for values in samples for value in values]
        given = self._ask("ran", request, arrays, MOST_LOAD_S + _MOST_SAMPLE_S * len(samples))[1]
        return [given[n * len(outputs) : (n + 1) * len(outputs)] for n in range(len(samples))]

    def shapes(self):
        told = self._ask("loaded", {"do": "shapes"})[0]["shapes"]
        return {int(tensor): tuple(shape) for tensor, shape in told.items()}

    def _ask(self, did: str, request: dict[str, Any], arrays: Sequence[np.ndarray] = (), timeout_s=MOST_LOAD_S):
        with self._lock:
            try:
                return self._asked(request, arrays, timeout_s)
            except _Gone as gone:
                if self._worker.served <= 1:
                    raise self._dead(did, gone) from None
            self._worker = _POOL.take(new=True)
            try:
                if request["do"] != "load":
                    self._asked(self._load, [self._data], MOST_LOAD_S)
                return self._asked(request, arrays, timeout_s)
            except _Gone as gone:
                raise self._dead(did, gone) from None

    def _asked(self, request, arrays, timeout_s):
        worker = self._worker
        if request["do"] == "load":
            worker.served += 1
            worker.number += 1
            if self._finalizer:
                self._finalizer.detach()
            self._finalizer = weakref.finalize(self, _let_go, worker, worker.number)
            self._finalizer.atexit = False  # the pipe's end ends the worker
        return worker.ask({**request, "number": worker.number}, arrays, timeout_s)

    def _dead(self, did: str, gone: _Gone) -> TfeffError:
        memory = "" if "SIGSEGV" in str(gone) else f"; it may use {self._worker.memory}"
        return TfeffError(
            f"{self._what}: LiteRT's process {gone} while it {did} the file{memory}",
            "the file is damaged, or needs more than this machine has: export or convert it anew",
        )


def _let_go(worker: _Worker, number: int) -> None:
    """The file is closed; the worker may serve another."""
    try:
        if worker.alive:
            worker.ask({"do": "drop", "number": number})
            _POOL.put_back(worker)
    except (_Gone, RuntimeError, TfeffError, ValueError, OSError):
        worker.kill()


def open_isolated(data: bytes, what: str, *, threads: int = 1, edgetpu: bool = False) -> Opened:
    """Opens a file in a process of its own.

    Args:
        data: its bytes.
        what: what messages call it.
        threads: of the interpreter.
        edgetpu: whether it was compiled for the Edge TPU.

    Raises:
        RuntimeError, ValueError: LiteRT refuses it.
        TfeffError: LiteRT dies of it, or takes longer than `MOST_LOAD_S`; there is no Edge TPU.
    """
    delegate = dict(zip(("library", "options"), find_delegate(), strict=True)) if edgetpu else None
    return _Isolated(data, what, threads, delegate)


def _memory_limit() -> int:
    """Bytes that a worker may take; 0 where this system does not say what there is."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(1024 * int(line.split()[1]) * _MEMORY_SHARE)
    return 0
