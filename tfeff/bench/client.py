"""Our end of the worker's JSON lines: starts a process, asks, and leaves no process behind whatever happens."""

import base64
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from tfeff.bench.devices import Handle, Loaded
from tfeff.edgetpu import GET_DEVICE, GET_LIBRARY, needs_edgetpu
from tfeff.edgetpu import device as edgetpu_device
from tfeff.errors import TfeffError

WORKER = Path(__file__).with_name("worker.py")
_INSTALL = '`pip install ai-edge-litert` or `pip install tflite-runtime==2.14.0 "numpy<2"` with that Python'


def packed(values: np.ndarray) -> dict[str, Any]:
    """An array as JSON has it: `dtype`, `shape`, `base64` of its bytes."""
    data = base64.b64encode(np.asarray(values).tobytes()).decode("ascii")
    return {"dtype": values.dtype.name, "shape": list(values.shape), "base64": data}


def unpacked(one: Mapping[str, Any]) -> np.ndarray:
    """The values of `packed`, flat."""
    return np.frombuffer(base64.b64decode(one["base64"]), one["dtype"])


class WorkerHandle(Handle):
    """A worker process of a device, spoken to through its pipes.

    Args:
        name: how errors name the device.
        command: what to start; must end up speaking `worker.py`'s protocol on stdin and stdout.
        env: environment of the process.
        timeout_s: how long an answer may take, beyond the time that a run is expected to take.
        preamble: what is written to it before the first request.

    Raises:
        TfeffError: it cannot be started, dies, hangs, answers nonsense, or lacks NumPy or a runtime.
    """

    install = _INSTALL  # how to mend a Python without NumPy or a runtime

    def __init__(self, name: str, command: list[str], env: dict[str, str], timeout_s: float, preamble: str = ""):
        self.name, self.timeout_s, self._invocation_s = name, timeout_s, 0.0
        self._compiled = False  # whether the file is the Edge TPU's compiler's
        self._shown: dict[str, str] = {}  # names for messages, by the path that the worker knows
        self._stderr = tempfile.TemporaryFile()  # a file, not a pipe: nobody has to drain it  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=env,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C is ours to handle, and a wrapper's children can be killed with it
            )
        except OSError as error:
            self._stderr.close()
            raise TfeffError(
                f"{name}: {command[0]} cannot be started ({error.strerror})", "is it there, for this machine?"
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._replies: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        try:
            self._reader.start()
            if preamble:
                with suppress(BrokenPipeError):  # told by what is asked next
                    self._stdin.write(preamble)
            self.environment = self._ask("hello")
        except BaseException:
            self._kill()
            raise

    def load(
        self,
        path: Path,
        *,
        threads: int = 1,
        xnnpack: bool = True,
        seed: int = 0,
        core: int | None = None,
        delegate: dict[str, Any] | None = None,
    ) -> Loaded:
        self._compiled = needs_edgetpu(path)
        if self._compiled and delegate is None:
            device = edgetpu_device()
            delegate = {"library": "", "options": {"device": device} if device else {}}
        values: dict[str, Any] = {
            "threads": threads,
            "xnnpack": xnnpack,
            "seed": seed,
            "core": core,
            "delegate": delegate,
        }
        reply = self._ask("load", path=self._there(path), **values)
        try:
            return msgspec.convert(reply, Loaded)
        except msgspec.ValidationError as error:
            raise TfeffError(f"{self.name}: the worker's answer to 'load' cannot be read ({error})") from None

    def run(self, count: int) -> list[int]:
        times_ns = self._ask("run", self.timeout_s + 10 * count * self._invocation_s, count=count)["times_ns"]
        self._invocation_s = max(times_ns) / 1e9
        return times_ns

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = [{"name": name, **packed(values)} for name, values in inputs.items()]
        reply = self._ask("outputs", inputs=given)
        return {one["name"]: unpacked(one).reshape(one["shape"]) for one in reply["outputs"]}

    def close(self) -> None:
        if self._process.poll() is None:
            try:
                self._stdin.write('{"command": "quit"}\n')
                self._stdin.close()
                self._process.wait(2)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass  # killed below
        self._kill()

    def _there(self, path: Path) -> str:
        """The path by which the worker reads a file of ours."""
        there = str(path.resolve())
        self._shown[there] = path.name
        return there

    def _read(self) -> None:
        for line in self._stdout:
            self._replies.put(line)
        self._replies.put(None)

    def _ask(self, command: str, timeout_s: float | None = None, **values: Any) -> dict[str, Any]:
        timeout_s = timeout_s or self.timeout_s
        try:
            with suppress(BrokenPipeError):  # it is dead; what it said last, or its end, is in the queue
                self._stdin.write(json.dumps({"command": command, **values}) + "\n")
                self._stdin.flush()
            line = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            raise TfeffError(
                f"{self.name}: no answer to {command!r} within {timeout_s:.0f} s",
                "is it a Python, and does the model run in it at all?",
            ) from None
        if line is None:
            raise self._death(command)
        try:
            reply = json.loads(line)
            if not isinstance(reply, dict):
                raise ValueError
        except ValueError:
            raise TfeffError(
                f"{self.name}: answered {line.strip()[:80]!r} where the worker's JSON was expected",
                "give the path of a Python interpreter",
            ) from None
        if "error" in reply:
            raise self._failure(reply["error"], reply.get("message", ""), values)
        return reply

    def _failure(self, kind: str, message: str, values: dict[str, Any]) -> TfeffError:
        if kind == "numpy":
            return TfeffError(f"{self.name}: that Python has no usable NumPy ({message})", self.install)
        if kind == "runtime":
            what = message or "that Python has neither ai-edge-litert nor tflite-runtime"
            return TfeffError(f"{self.name}: {what}", self.install)
        shown = self._shown.get(values.get("path", ""))
        where = f"{self.name}: {shown}: " if shown else f"{self.name}: "
        for there, name in self._shown.items():
            message = message.replace(there, name)
        if kind.startswith("delegate") and self._compiled:
            mend = GET_DEVICE if kind == "delegate device" else GET_LIBRARY
            return TfeffError(f"{where}is compiled for the Edge TPU, and {message}", mend)
        if kind.startswith("delegate"):
            mend = "name a library that is on that device, built for its processor and its runtime's version"
            return TfeffError(f"{where}the delegate cannot be opened: {message}", mend)
        if kind == "model":
            runtime = f"{self.environment['runtime']} {self.environment['version']}"
            detail = " ".join(message.split())
            target = "tflite-runtime" if self.environment["runtime"] == "tflite-runtime" else "litert"
            mend = (
                f"`tfeff check {shown or 'FILE'} --target {target}` tells why; `tfeff export MODEL --target {target}`"
            )
            return TfeffError(f"{where}{runtime} cannot run it: {detail}", mend)
        return TfeffError(f"{where}{message}")

    def _death(self, command: str) -> TfeffError:
        try:
            code = self._process.wait(5)
            how = f"ended with exit code {code}"
            with suppress(ValueError):  # a shell between us and it reports 128 + signal
                how = f"was killed by {signal.Signals(-code if code < 0 else code - 128).name}"
        except subprocess.TimeoutExpired:
            how = "closed its output"
        lines = self._stderr_lines()
        last = f" ({lines[-1][:200]})" if lines else ""
        return TfeffError(
            f"{self.name}: the worker {how} while asked to {command!r}{last}",
            "give the path of a Python interpreter"
            if command == "hello"
            else "try another runtime, or its next version",
        )

    def _stderr_lines(self) -> list[str]:
        self._stderr.seek(0)
        return [line for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]

    def _kill(self) -> None:
        """Ends the process and whatever it started; safe to call again."""
        if self._stderr.closed:
            return
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except (ProcessLookupError, PermissionError):
            pass  # gone already
        self._process.wait()
        if self._reader.ident is not None:  # a Ctrl-C may come before it is started
            self._reader.join(1)
        streams: list[IO[Any]] = [self._stdin, self._stderr]
        if not self._reader.is_alive():  # closing what another thread reads would wait for it
            streams.append(self._stdout)
        for stream in streams:
            with suppress(OSError):  # unsent bytes in a broken pipe
                stream.close()
