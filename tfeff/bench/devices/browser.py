"""`browser[:EXECUTABLE]`: a browser of this machine without a window, LiteRT.js in WebAssembly.

The browser opens a page of our own server, which asks the server for what to do and answers it; nothing but the browser
has to be installed, and no debugging port is open. Each file gets a web worker with a WebAssembly memory of its own. A
launch of the protocol is a new browser with an empty profile.
"""

import json
import os
import platform
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.bench import worker
from tfeff.bench.client import packed, unpacked
from tfeff.bench.devices import BaseDevice, Handle, Loaded
from tfeff.bench.inputs import seeded_inputs
from tfeff.errors import TfeffError
from tfeff.files import scratch
from tfeff.record.schema import Kernels, Port

# In this order; all of one family, whose flags are below.
_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "brave-browser",
)
_MAC = ("/Applications/{0}.app/Contents/MacOS/{0}", ("Google Chrome", "Chromium", "Microsoft Edge"))
_FLAGS = (
    "--headless", "--disable-gpu", "--mute-audio", "--no-first-run", "--no-default-browser-check",
    "--password-store=basic", "--use-mock-keychain", "--disable-extensions", "--disable-sync", "--disable-quic",
    "--disable-component-update", "--disable-background-networking", "--disable-breakpad",
    "--disable-crash-reporter", "--disable-dev-shm-usage", "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
_POLL_S = 10.0  # that the page waits for a command before it asks again
_MAX_ANSWER = 64 << 20  # bytes
_DTYPES = ("float32", "int32", "uint8")  # that the page makes arrays of
_LONGEST_PROFILE = 60  # characters: it makes a socket below, whose path may have 107


class Device(BaseDevice):
    usage = "browser[:EXECUTABLE]"

    def __init__(self, argument: str):
        super().__init__(argument)
        self.path = _executable(self.name, argument)
        self._browser: _Browser | None = None
        self._handles = 0

    def start(self) -> Handle:
        if self._browser is None:
            self._browser = _Browser(self.name, self.path, self.timeout_s)
        self._handles += 1
        return _BrowserHandle(self, self._browser)

    def left(self) -> None:
        """A handle was closed; with the last of a launch the browser goes."""
        self._handles -= 1
        if self._handles == 0:
            self.close()

    def close(self) -> None:
        if self._browser is not None:
            self._browser.close()
            self._browser, self._handles = None, 0


class _BrowserHandle(Handle):
    """A web worker in the page."""

    _next = 0

    def __init__(self, device: Device, browser: "_Browser"):
        self._device, self._browser, self._invocation_s = device, browser, 0.0
        self.environment = browser.environment
        _BrowserHandle._next += 1
        self._number, self._open = _BrowserHandle._next, True
        self._inputs: tuple[Port, ...] = ()
        self._outputs: tuple[Port, ...] = ()

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
        name = self._browser.name
        if not xnnpack:
            raise TfeffError(f"{name}: LiteRT.js cannot be told to leave XNNPACK out", "do without --no-xnnpack")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TfeffError(f"{path}: cannot be read ({error.strerror})") from None
        with self._browser.serving(data) as url:
            loaded = self._ask(
                "load", shown=path, url=url, litert=self._browser.litert, threads=threads, accelerator="wasm"
            )
        if threads > 1 and loaded["build"] != "_threaded":
            raise TfeffError(f"{name}: this browser gives LiteRT no threads", "do without --threads")
        self._inputs, self._outputs = (tuple(map(_port, loaded[side])) for side in ("inputs", "outputs"))
        for port in self._inputs:
            if port.dtype not in _DTYPES:
                raise TfeffError(
                    f"{name}: {path.name}: its input {port.name} is {port.dtype}; a browser gives {', '.join(_DTYPES)}",
                    "export it with `--target web`",
                )
        self._ask("fill", shown=path, values=self._values(seeded_inputs(self._inputs, seed)))
        # LiteRT.js does not list its nodes.
        return Loaded(loaded["sha256"], self._inputs, self._outputs, Kernels(xnnpack="unknown"))

    def run(self, count: int) -> list[int]:
        seconds = self._browser.timeout_s + 10 * count * self._invocation_s
        times_ns = self._ask("run", seconds, count=count)["times_ns"]
        self._invocation_s = max(times_ns) / 1e9
        return times_ns

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: (list(values.shape), values.dtype.name) for name, values in inputs.items()}
        if given != {port.name: (port.shape, port.dtype) for port in self._inputs}:
            wanted = ", ".join(f"{port.name} {port.shape} {port.dtype}" for port in self._inputs)
            held = ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in given.items()) or "nothing"
            raise TfeffError(f"{self._browser.name}: the model wants {wanted}; given is {held}")
        found = self._ask("outputs", values=self._values(inputs))["outputs"]
        return {port.name: unpacked(one).reshape(port.shape) for port, one in zip(self._outputs, found, strict=True)}

    def _values(self, inputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        return [packed(inputs[port.name]) for port in self._inputs]

    def close(self) -> None:
        if self._open:
            self._open = False
            with suppress(TfeffError):  # a browser that is gone has closed it
                self._ask("close", 5.0)
            self._device.left()

    def _ask(self, command: str, seconds: float | None = None, shown: Path | None = None, **values) -> dict:
        return self._browser.ask(command, seconds, shown, handle=self._number, **values)


class _Browser:
    """A running browser on our page; must be closed."""

    def __init__(self, name: str, path: Path, timeout_s: float):
        from tfeff.web import PageServer, page_assets
        from tfeff.web.server import Post

        self.name, self.timeout_s, self._id = name, timeout_s, 0
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._token, self._closed, self._process = secrets.token_urlsafe(16), False, None
        assets = page_assets()
        self.litert = next(address for address in assets if address.startswith("litert-")).partition("/")[0] + "/"
        self._server = PageServer(assets, posts={"agent": Post(self._answer, _MAX_ANSWER, self._admit)})
        self._profile: Path | None = None
        self._scratch = ExitStack()
        try:
            self._make_room()
            # Chromium's sandbox does not start as root; the only page it opens is ours.
            flags = [*_FLAGS, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
            env = dict(os.environ)
            if len(str(self._profile)) < _LONGEST_PROFILE:
                env["TMPDIR"] = str(self._profile)  # what it leaves there when it is killed goes with the profile
            page = f"{self._server.url}agent.html#{self._token}"
            self._process = subprocess.Popen(
                [str(path), *flags, f"--user-data-dir={self._profile}", page],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                env=env,
                start_new_session=True,
            )
            self.environment = self._environment()
        except OSError as error:
            self.close()
            raise TfeffError(
                f"{name}: {path} cannot be started ({error.strerror})", "name a browser's executable"
            ) from None
        except BaseException:
            self.close()
            raise

    def _make_room(self) -> None:
        """A place for the profile and for what the browser says; gone with `_scratch`."""
        try:
            self._profile = self._scratch.enter_context(scratch(Path(tempfile.gettempdir()), "browser"))
            self._stderr = self._scratch.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        except OSError as error:
            raise TfeffError(
                f"{self.name}: there is no room for temporary files ({error.strerror})",
                "set TMPDIR to a folder that you can write to",
            ) from None

    def serving(self, data: bytes) -> "_Served":
        """A context in which the page can fetch some bytes; gives their address."""
        from tfeff.web import Asset

        address = f"files/{secrets.token_hex(16)}.tflite"
        self._server.assets[address] = Asset(data, "application/octet-stream")
        return _Served(self._server.assets, address)

    def ask(self, command: str, seconds: float | None = None, shown: Path | None = None, **values) -> dict:
        """Sends a command to the page and waits for its answer.

        Raises:
            TfeffError: the browser ended, is silent, or the page answered with an error.
        """
        seconds = seconds or self.timeout_s
        self._id += 1
        self._commands.put({"id": self._id, "command": command, **values})
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self._answers.get(timeout=0.2)
            except queue.Empty:
                if self._process is None or self._process.poll() is not None:
                    raise self._death(command) from None
                if time.monotonic() > deadline:
                    what = f"no answer to {command!r} within {seconds:.0f} s"
                    raise TfeffError(f"{self.name}: {what}", "is it a Chromium or Chrome, of 2023 or later?") from None
                continue
            if answer.get("id") == self._id:
                break
        if "error" in answer:
            where = f"{self.name}: {shown.name}" if shown else self.name
            mend = "export it with `--target web`" if command == "load" else ""
            raise TfeffError(f"{where}: {' '.join(str(answer['error']).split())[:300]}", mend)
        return answer["reply"]

    def close(self) -> None:
        """Ends the browser and the server, and removes the profile; safe to call again."""
        if self._closed:
            return
        self._closed = True
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
            with suppress(ProcessLookupError, PermissionError, AttributeError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._server.close()
        for _ in range(20):  # a child of it may still be writing
            if self._profile is None:
                break
            shutil.rmtree(self._profile, ignore_errors=True)
            if not self._profile.exists():
                break
            time.sleep(0.1)
        self._scratch.close()

    def _environment(self) -> dict[str, Any]:
        said = self.ask("hello")
        return {
            "runtime": "litert.js",
            "version": self.litert.rstrip("/").rpartition("-")[2],
            "python": None,
            "numpy": None,
            "os": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "cpu": worker.cpu_model(),
            "cores": said["cores"],
            "fast_cores": [],  # a browser's threads are its own to place
            "governor": worker.read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
            "load_average": worker.load_average(),
            "user_agent": said["user_agent"],
            "isolated": said["isolated"],
        }

    def _admit(self, request):
        from tfeff.web import Reply

        given = request.headers.get("x-tfeff-token", "")
        ours = secrets.compare_digest(given.encode(), self._token.encode())
        return None if ours and not self._closed else Reply(403, {"error": "not this bench's page"})

    def _answer(self, request):
        """The page's answer to the last command, and its next one."""
        from tfeff.web import Reply

        try:
            answer = json.loads(request.body)
        except ValueError:
            return Reply(400, {"error": "not JSON"})
        if isinstance(answer, dict):
            self._answers.put(answer)
        deadline = time.monotonic() + _POLL_S
        while time.monotonic() < deadline and not self._closed:
            with suppress(queue.Empty):
                return Reply(200, self._commands.get(timeout=0.1))
        return Reply(200, {})

    def _death(self, command: str) -> TfeffError:
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        last = f" ({lines[-1][:200]})" if lines else ""
        mend = "name a Chromium or Chrome: browser:EXECUTABLE" if command == "hello" else "run it again"
        code = self._process.returncode if self._process is not None else None
        return TfeffError(
            f"{self.name}: the browser ended with exit code {code} while asked to {command!r}{last}", mend
        )


class _Served:
    def __init__(self, assets, address: str):
        self._assets, self._address = assets, address

    def __enter__(self) -> str:
        return self._address

    def __exit__(self, *error):
        self._assets.pop(self._address, None)


def _executable(name: str, argument: str) -> Path:
    if argument:
        found = shutil.which(argument) if os.sep not in argument else None
        path = Path(os.path.expanduser(found or argument))
        mend = "name a Chromium or Chrome: browser:EXECUTABLE"
        if not path.exists():
            raise TfeffError(f"{name}: no such file", mend)
        if path.is_dir() or not os.access(path, os.X_OK):
            raise TfeffError(f"{name}: is not executable", mend)
        return path.absolute()
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None and sys.platform == "darwin":
        found = next((path for path in map(_MAC[0].format, _MAC[1]) if Path(path).exists()), None)
    if found is None:
        raise TfeffError(
            f"{name}: no Chromium or Chrome found", "install one (Debian: chromium), or name it: browser:EXECUTABLE"
        )
    return Path(found)


def _port(one: dict[str, Any]) -> Port:
    return Port(name=str(one["name"]), shape=[int(size) for size in one["shape"]], dtype=str(one["dtype"]))
