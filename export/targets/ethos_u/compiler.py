"""Vela, Arm's compiler for Ethos-U (PyPI `ethos-u-vela`, the extra `ethos-u`): takes a `.tflite` file, leaves one with
`ethos-u` operators in it, and says what stays on the CPU, why, and what it estimates. It runs as a process of its own.
"""

import csv
import difflib
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tfeff.artifact import check_tflite
from tfeff.errors import TfeffError
from tfeff.tflite.graph import read_graph

OPERATOR = "CUSTOM ethos-u"  # what stands in a compiled file for all that the NPU runs
DEFAULT_ACCELERATOR = "ethos-u55-128"
TIMEOUT_S = 600.0
ESTIMATED_BY = "Vela's performance model of the accelerator; nothing was run on hardware"
VARIABLE = "VELA"
_INSTALL = "pip install 'tfeff[ethos-u]'"

# Family -> (multiply-accumulates a cycle, system, memory mode). The two names are sections of Vela's Arm/vela.ini, and
# those that it takes for the family by itself; they are passed all the same, for they decide every figure.
FAMILIES = {
    "ethos-u55": ((32, 64, 128, 256), "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u65": ((256, 512), "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
    "ethos-u85": ((128, 256, 512, 1024, 2048), "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"),
}
ACCELERATORS = tuple(f"{family}-{macs}" for family, (sizes, _, _) in FAMILIES.items() for macs in sizes)

# Column of Vela's summary -> (our name, factor). Its memories are in KiB, its inference time in seconds.
_FIGURES = {
    "cycles_total": ("cycles", 1),
    "cycles_npu": ("cycles_npu", 1),
    "inference_time": ("inference_ms", 1e3),
    "inferences_per_second": ("inferences_per_second", 1),
    "sram_memory_used": ("sram_bytes", 1024),
    "dram_memory_used": ("dram_bytes", 1024),
    "on_chip_flash_memory_used": ("on_chip_flash_bytes", 1024),
    "off_chip_flash_memory_used": ("off_chip_flash_bytes", 1024),
    "nn_macs": ("macs", 1),
    "core_clock": ("core_clock_hz", 1),
}
_REAL = {"inference_ms", "inferences_per_second"}  # all others are whole numbers
_COUNT = r"^{} operators = (\d+) \("
_REFUSED = re.compile(r"^Warning \(supported operators\) operator: \w+, ofm: '(.*)'\nReason: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class OnCpu:
    """An operation that Vela left in the file as it was.

    Attributes:
        name: TFLite's name of it.
        tensor: name of its first output.
        reason: Vela's.
    """

    name: str
    tensor: str
    reason: str


@dataclass(frozen=True)
class Compiled:
    """What came of it.

    Attributes:
        path: the compiled file.
        sha256: of it.
        version: of Vela.
        accelerator, system_config, memory_mode: what it was compiled for.
        npu_operators: Vela's count, after it took TFLite's operations apart.
        cpu_operators: operations of the file that stay on the CPU.
        on_cpu: these, in execution order.
        estimates: `cycles`, `cycles_npu`, `inference_ms`, `inferences_per_second`, `sram_bytes`, `dram_bytes`,
            `on_chip_flash_bytes`, `off_chip_flash_bytes`, `macs`, `core_clock_hz`: of the NPU's part alone, and by
            Vela's model. None for what it gives no number.
    """

    path: Path
    sha256: str
    version: str
    accelerator: str
    system_config: str
    memory_mode: str
    npu_operators: int
    cpu_operators: int
    on_cpu: tuple[OnCpu, ...]
    estimates: dict[str, float | int | None]

    def as_dict(self) -> dict[str, Any]:
        """For the record; all figures of Vela's model stand under `estimates`, with `estimated_by`."""
        return {
            "compiler": "vela",
            "version": self.version,
            "accelerator": self.accelerator,
            "system_config": self.system_config,
            "memory_mode": self.memory_mode,
            "file": self.path.name,
            "sha256": self.sha256,
            "size_bytes": self.path.stat().st_size,
            "npu_operators": self.npu_operators,
            "cpu_operators": self.cpu_operators,
            "on_cpu": [{"op": op.name, "tensor": op.tensor[:80], "reason": op.reason[:200]} for op in self.on_cpu],
            "estimated_by": ESTIMATED_BY,
            "estimates": dict(self.estimates),
        }


def check_accelerator(name: str) -> None:
    """Raises TfeffError, with the nearest names, for an accelerator that Vela does not know."""
    if name not in ACCELERATORS:
        near = difflib.get_close_matches(name, ACCELERATORS, n=3) or ACCELERATORS
        raise TfeffError(f"unknown accelerator {name!r}", f"choose {', '.join(near[:-1])} or {near[-1]}")


def find_vela(given: str | Path | None = None) -> Path:
    """The executable: the one given, else what the environment variable VELA names, else the one installed beside this
    Python, else the one on PATH.

    Raises:
        TfeffError: there is none, or what was named cannot be run.
    """
    if named := str(given or os.environ.get(VARIABLE, "")):
        found = shutil.which(os.path.expanduser(named))
        if not found:
            raise TfeffError(f"{'' if given else f'{VARIABLE}='}{named}: no such program", f"name Vela, or {_INSTALL}")
        return Path(found).absolute()
    found = shutil.which("vela", path=str(Path(sys.executable).parent)) or shutil.which("vela")
    if not found:
        raise TfeffError("Vela, the compiler for Ethos-U, is not installed", _INSTALL)
    return Path(found).absolute()


def compile(
    path: Path,
    folder: Path,
    accelerator: str = DEFAULT_ACCELERATOR,
    *,
    compiler: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Compiled:
    """Compiles a `.tflite` file.

    Args:
        path: an int8 file; what is float in it is left on the CPU.
        folder: where `<stem>_vela.tflite` is written.
        accelerator: one of `ACCELERATORS`.
        compiler: Vela's executable, see `find_vela`.
        timeout_s: how long Vela may take.

    Raises:
        TfeffError: an unknown accelerator, no Vela, a file that is damaged or compiled already; Vela failed, took too
            long, or said what is not understood.
    """
    check_accelerator(accelerator)
    vela = find_vela(compiler)
    check_tflite(path)  # Vela reads past the end of a file that was cut short, and dies
    if compiled := [op.name for op in read_graph(path).operations if op.name in (OPERATOR, "CUSTOM edgetpu-custom-op")]:
        raise TfeffError(f"{path}: is compiled already (it holds {compiled[0]})", "compile the file it was made of")
    version = _version(vela, timeout_s)
    family, _, _ = accelerator.rpartition("-")
    _, system, memory = FAMILIES[family]
    with tempfile.TemporaryDirectory(prefix="vela-", dir=folder) as scratch:
        # No --show-cpu-operations: that listing is a KeyError on some files (5.2.0), and the compiled file has it all.
        command = [str(vela), str(path.resolve()), "--output-dir", scratch, "--accelerator-config", accelerator]
        command += ["--config", "Arm/vela.ini", "--system-config", system, "--memory-mode", memory]
        said = _run(command, vela, timeout_s)
        made, summary = _one(Path(scratch), "*_vela.tflite", vela), _one(Path(scratch), "*_summary_*.csv", vela)
        on_cpu = _on_cpu(made, said)
        cpu, npu = (_count(kind, said, vela) for kind in ("CPU", "NPU"))
        if cpu != len(on_cpu):
            raise TfeffError(
                f"{vela}: says that {cpu} operators stay on the CPU, its file holds {len(on_cpu)}",
                f"this version ({version}) is not understood; {_INSTALL}",
            )
        estimates = _estimates(summary, vela)
        final = folder / f"{path.stem}_vela.tflite"
        os.replace(made, final)
    return Compiled(final, check_tflite(final), version, accelerator, system, memory, npu, cpu, on_cpu, estimates)


@lru_cache
def _version(vela, timeout_s):
    return _run([str(vela), "--version"], vela, timeout_s).strip()


def _run(command, vela, timeout_s):
    """What the process wrote on stdout; an error when it fails or takes too long, and then nothing of it lives on."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that a wrapper's children end with it
        )
    except OSError as error:
        raise TfeffError(f"{vela}: cannot be started ({error.strerror})", _INSTALL) from None
    try:
        said, errors = process.communicate(timeout=timeout_s)
    except BaseException as error:
        _kill(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise TfeffError(
                f"{vela}: was not done within {timeout_s:g} s", "compile a smaller network, or for a smaller input"
            ) from None
        raise
    if process.returncode == 0:
        return said
    lines = [line.strip() for line in f"{said}\n{errors}".splitlines() if line.strip()]
    how = f"exit code {process.returncode}"
    if process.returncode < 0:
        with suppress(ValueError):
            how = signal.Signals(-process.returncode).name
    last = f": {lines[-1][:300]}" if lines else ""
    raise TfeffError(
        f"{vela}: failed ({how}){last}", "see that the file runs in LiteRT (`tfeff compare`, `tfeff bench`)"
    )


def _kill(process):
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.communicate()


def _one(folder, pattern, vela):
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise TfeffError(f"{vela}: ended well, but left {len(found)} files {pattern}", f"is it Vela 5? {_INSTALL}")
    return found[0]


def _count(kind, said, vela):
    found = re.findall(_COUNT.format(kind), said, re.MULTILINE)
    if len(found) != 1:
        raise TfeffError(f"{vela}: does not say how many {kind} operators there are", f"is it Vela 5? {_INSTALL}")
    return int(found[0])


def _on_cpu(compiled, said):
    reasons = dict(_REFUSED.findall(said))
    left = [op for op in read_graph(compiled).operations if op.name != OPERATOR]
    names = [op.outputs[0].name if op.outputs else "" for op in left]
    return tuple(
        OnCpu(op.name, name, reasons.get(name, "Vela gives no reason")) for op, name in zip(left, names, strict=True)
    )


def _estimates(summary, vela):
    try:
        with summary.open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        values = {name: float(row[column]) * factor for column, (name, factor) in _FIGURES.items()}
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise TfeffError(
            f"{vela}: its summary is not understood ({type(error).__name__}: {error})", f"is it Vela 5? {_INSTALL}"
        ) from None
    # Where nothing runs on the NPU, Vela divides by zero.
    return {
        name: None if not math.isfinite(value) else round(value, 6) if name in _REAL else round(value)
        for name, value in values.items()
    }
