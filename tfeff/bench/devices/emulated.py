"""`emulated:aarch64[:RUNTIME[:CPU]]`: the real ARM runtimes on this machine, under QEMU's user-mode emulation.

It tells which bytes an ARM core computes and, with a QEMU that can, how many instructions it executes for an inference:
instructions, not milliseconds, for an emulator has no caches and no pipeline. RUNTIME is `litert` (default) or
`tflite-runtime`; CPU is one that QEMU knows, such as `cortex-a53` (no dot product) or `cortex-a76` (default).

`python -m tfeff.bench.arm_root` builds what is needed.
"""

import os
import re
import tempfile
from pathlib import Path

import numpy as np

from tfeff.bench.arm_root import COMMAND, WHEELS, default_folder, versions
from tfeff.bench.client import WORKER, WorkerHandle
from tfeff.bench.devices import BaseDevice
from tfeff.errors import TfeffError

CPU = "cortex-a76"
# Of our own environment, what would lead the ARM Python, its loader or its libraries astray.
_OURS = re.compile(r"PYTHON.*|VIRTUAL_ENV|__PYVENV_LAUNCHER__|LD_.*|QEMU_.*|OPENBLAS_.*|OMP_.*|MKL_.*")


class Device(BaseDevice):
    usage = "emulated:aarch64[:RUNTIME[:CPU]]"
    counts = True
    timeout_s = 300.0  # a model that a board runs in a second takes minutes here

    def __init__(self, argument: str):
        super().__init__(argument)
        machine, _, rest = argument.partition(":")
        runtime, _, cpu = rest.partition(":")
        self.runtime, self.cpu = runtime or "litert", cpu or CPU
        mend = "write emulated:aarch64, emulated:aarch64:tflite-runtime or emulated:aarch64:litert:cortex-a53"
        if machine != "aarch64":
            raise TfeffError(f"{self.name}: only aarch64 is emulated", mend)
        if self.runtime not in WHEELS:
            raise TfeffError(f"{self.name}: unknown runtime {self.runtime}", f"say {' or '.join(WHEELS)}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.cpu):
            raise TfeffError(f"{self.name}: {self.cpu!r} is no processor", mend)

    def start(self) -> "Emulated":
        return Emulated(self)


class Emulated(WorkerHandle):
    """The worker under emulation."""

    def __init__(self, device: Device):
        self.device, folder = device, default_folder()
        found = versions(folder)
        self.counting = found["counting"] is not None
        root, qemu = folder / "root", folder / ("qemu-aarch64-counting" if self.counting else "qemu-aarch64")
        self._scratch = tempfile.TemporaryDirectory(prefix="tfeff-")
        self._counts = Path(self._scratch.name) / "counts"
        plugin = ["-plugin", f"{folder / 'count_instructions.so'},out={self._counts}"] if self.counting else []
        command = [str(qemu), "-cpu", device.cpu, "-L", str(root), *plugin, f"{root}/usr/bin/python3.11", str(WORKER)]
        env = {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}
        # The ARM Python lies in the root, but the folders it is told of are this machine's.
        env |= {"PYTHONHOME": f"{root}/usr", "PYTHONPATH": f"{root}/opt/{device.runtime}", "OPENBLAS_NUM_THREADS": "1"}
        try:
            super().__init__(device.name, command, env, device.timeout_s)
        except BaseException:
            self._scratch.cleanup()
            raise
        version = found["counting"] or found["qemu"]
        self.environment["cpu"] = f"{device.cpu}, emulated by QEMU {version}"

    def count(self, runs: int) -> list[int]:
        """Invokes the model and returns how many instructions each time took, less those of the marks around it.

        Raises:
            TfeffError: it failed, or the QEMU there cannot count.
        """
        if not self.counting:
            raise TfeffError(f"{self.name}: its QEMU does not count", f"build one that does: `{COMMAND} --counting`")
        seen = len(self._lines())
        self._ask("count", count=runs)
        lines = self._lines()[seen:]
        if len(lines) != 2 * runs:
            raise TfeffError(f"{self.name}: {len(lines)} counts came where {2 * runs} were expected", "run it again")
        empty, counted = lines[:runs], lines[runs:]
        return [each - int(np.median(empty)) for each in counted]

    def close(self) -> None:
        super().close()
        self._scratch.cleanup()

    def _lines(self) -> list[int]:
        return [int(line) for line in self._counts.read_text().split()] if self._counts.exists() else []

    def _death(self, command: str) -> TfeffError:
        lines = self._stderr_lines()
        if any("unable to find CPU model" in line for line in lines):
            return TfeffError(f"{self.name}: QEMU knows no processor {self.device.cpu}", "say cortex-a53 or cortex-a76")
        told = super()._death(command)
        mend = f"was {default_folder()} built whole? build it anew: `{COMMAND} --force`"
        return TfeffError(told.what, mend if command == "hello" else told.mend)
