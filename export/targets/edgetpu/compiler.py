"""Runs `edgetpu_compiler` (Coral's, Linux on x86-64) on a finished file and reads what it says.

The compiler is not part of tfeff and may not be passed on: it is called where the user has installed it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.errors import GateFailed, TfeffError
from tfeff.export.targets.common.verdict import Verdict
from tfeff.export.targets.edgetpu import compiler_output as output

VARIABLE = "EDGETPU_COMPILER"
_NAME = "edgetpu_compiler"
_GET = (
    "install Coral's package edgetpu-compiler (coral.ai, Edge TPU Compiler; Debian or Ubuntu on x86-64), or set "
    f"{VARIABLE} to the binary"
)
_SEARCH_STEP = 30  # operations to move the cut at a time when the whole did not compile
_SEARCHES = 10  # attempts that a search may take the time of
_OWN_TIMEOUT_S = 180  # of the compiler, if it is not told otherwise
_GRACE_S = 30  # the compiler is to report its own timeout before we end it


@dataclass(frozen=True)
class Compiled:
    """A compiled file, and what the compiler said.

    Attributes:
        path: the compiled `.tflite`, in the scratch folder.
        version: of the compiler.
        subgraphs: Edge TPU parts; each further one costs a transfer there and back.
        statuses: how many operations have each of the compiler's statuses, in its words.
        on_chip_bytes: of parameters that stay on the chip; None where this version does not say, as the next two.
        on_chip_free_bytes: of on-chip memory left for parameters.
        off_chip_bytes: of parameters that are sent on every inference.
        searched: whether the whole did not compile and a cut nearer the input did.
        verdict: of basis "confirmed".
    """

    path: Path
    version: str
    subgraphs: int
    statuses: dict[str, int]
    on_chip_bytes: int | None
    on_chip_free_bytes: int | None
    off_chip_bytes: int | None
    searched: bool
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """For the record; the verdict has an entry of its own there."""
        names = ("version", "subgraphs", "on_chip_bytes", "on_chip_free_bytes", "off_chip_bytes", "searched")
        return {"compiler": _NAME, **{name: getattr(self, name) for name in names}, "operations": dict(self.statuses)}


def find_compiler(given: str | Path | None = None) -> Path:
    """The compiler's binary: the one given, else what EDGETPU_COMPILER names, else the one on PATH.

    Raises:
        TfeffError: there is none, or what was named cannot be run.
    """
    named, source = (str(given), "") if given else (os.environ.get(VARIABLE, ""), f"{VARIABLE}=")
    if not named:
        if found := shutil.which(_NAME):
            return Path(found)
        raise TfeffError(f"{_NAME} is not on PATH", _GET)
    found = shutil.which(os.path.expanduser(named))
    if not found:
        raise TfeffError(f"{source}{named}: no such program", _GET)
    return Path(found).absolute()


def compiler_version(compiler: Path, timeout_s: float = 30) -> str:
    """Asks the compiler for its version, such as 16.0.384591198.

    Raises:
        TfeffError: it cannot be started, or is something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        ran = _run([str(compiler), "--version"], Path(folder), timeout_s)
    version = output.parse_version(ran.text)
    if version is None:
        raise TfeffError(f"{compiler}: is not {_NAME} ({output.last_lines(ran.text, 1) or ran.ending})", _GET)
    return version


def compile(
    file: Path,
    folder: Path,
    *,
    compiler: str | Path | None = None,
    min_runtime: int | None = None,
    several_subgraphs: bool = False,
    search: bool = True,
    timeout_s: float = _OWN_TIMEOUT_S,
) -> Compiled:
    """Compiles a full-int8 `.tflite` for the Edge TPU.

    Args:
        file: what to compile; it is left as it is.
        folder: a scratch folder; the compiled file and the compiler's log go into a folder of their own in it.
        compiler: its binary; see `find_compiler`.
        min_runtime: the Edge TPU runtime that must be able to run it; None is the compiler's own (14 for 16.0).
        several_subgraphs: allow more than one Edge TPU part (experimental in the compiler).
        search: when the whole does not compile, let the compiler look for a cut nearer the input (16.0 and later).
        timeout_s: for one attempt.

    Raises:
        TfeffError: no compiler; or it refused the file, crashed, hung, or left nothing.
        GateFailed: it succeeded, but no operation runs on the Edge TPU.
    """
    binary = find_compiler(compiler)
    version = compiler_version(binary)
    modern = version.split(".")[0].isdigit() and int(version.split(".")[0]) >= 16
    options = ["--show_operations"]
    options += ["--timeout_sec", str(max(1, round(timeout_s)))] if modern else []
    options += ["--min_runtime_version", str(min_runtime)] if min_runtime is not None else []
    options += ["--enable_multiple_subgraphs"] if several_subgraphs else []
    attempts = [options]
    if search and modern:
        attempts.append([*options, "--search_delegate", "--delegate_search_step", str(_SEARCH_STEP)])
    for searched, arguments in enumerate(attempts):
        out = Path(tempfile.mkdtemp(prefix="edgetpu-", dir=folder))
        command = [str(binary), "--out_dir", str(out), *arguments, str(file.absolute())]
        ran = _run(command, out, timeout_s * (_SEARCHES if searched else 1) + _GRACE_S)
        compiled, reports = _compiled_file(out), output.parse_output(ran.text)
        if ran.code == 0 and compiled and reports:
            return _result(reports[-1], compiled, ran.text, version, bool(searched))
        if not output.is_compile_failure(ran.text):
            break
    raise TfeffError(
        f"{_NAME} {version} {_how(ran, compiled)} on {file.name}: "
        f"{output.last_lines(ran.text) or 'it printed nothing'}",
        "give the compiler more time, or make the network smaller"
        if ran.code is None
        else output.failure_mend(ran.text),
    )


def _result(report, path, text, version, searched):
    log = next(iter(sorted(path.parent.glob("*.log"))), None)
    rows = output.parse_rows(log.read_text(errors="replace")) if log else ()
    rows = rows or report.rows
    subgraphs = report.subgraphs
    if subgraphs is None:  # not printed by every version: the compiled file is there, so one at least, if any is mapped
        subgraphs = int(any(status == "Mapped to Edge TPU" for _, _, status in rows))
    statuses: dict[str, int] = {}
    for _, count, status in rows:
        statuses[status] = statuses.get(status, 0) + count
    facts = {
        "compiler": version,
        "subgraphs": subgraphs,
        "on_chip_bytes": report.on_chip_bytes,
        "on_chip_free_bytes": report.on_chip_free_bytes,
        "streamed_bytes": report.off_chip_bytes,
    }
    verdict = output.confirmed(report, rows, facts)
    if subgraphs == 0 or verdict.mapped == 0:
        first = verdict.first_break
        raise GateFailed(
            f"{_NAME} {version} put no operation on the Edge TPU"
            + (f": {first.name}, {first.reason}" if first else ""),
            (first.mend if first else "") or output.failure_mend(text),
        )
    return Compiled(
        path, version, subgraphs, statuses, report.on_chip_bytes, report.on_chip_free_bytes, report.off_chip_bytes,
        searched, verdict,
    )  # fmt: skip


def _compiled_file(folder):
    """The file that the compiler left, if it is a TFLite file."""
    for path in sorted(folder.glob("*_edgetpu.tflite")):
        with path.open("rb") as file:
            if file.read(8)[4:] == b"TFL3":
                return path
    return None


def _how(ran, compiled):
    if ran.code is None:
        return f"did not end within {ran.seconds:.0f} s and was killed"
    if ran.code == 0:
        return "failed" if compiled else "left no compiled file"
    return f"failed ({ran.ending})"


@dataclass(frozen=True)
class _Ran:
    """A process that has ended: its exit code (None when it was killed for its time), and what it printed."""

    code: int | None
    text: str
    seconds: float

    @property
    def ending(self) -> str:
        if self.code is None:
            return "killed"
        # Coral's package starts the binary from a shell script, which tells of a signal as 128 + its number.
        number = -self.code if self.code < 0 else self.code - 128
        try:
            return f"signal {signal.Signals(number).name}"
        except ValueError:
            return f"exit {self.code}"


def _run(command: Sequence[str], folder: Path, timeout_s: float) -> _Ran:
    """Runs a program to its end; whatever it started ends with it.

    It prints into a file: a pipe would stay open for as long as a child of it lives.
    """
    printed = folder / "output.txt"
    with printed.open("wb") as file:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise TfeffError(f"{command[0]}: cannot be started ({error.strerror})", _GET) from None
        code = None
        try:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout_s)
        finally:
            _kill_group(process)
    return _Ran(code, printed.read_text(errors="replace"), timeout_s)


def _kill_group(process):
    with suppress(ProcessLookupError, PermissionError):  # all gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
