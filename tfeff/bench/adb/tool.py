"""The benchmark program on a phone: which one, which flags it knows, one run of it."""

import hashlib
import re
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfeff.bench.adb.client import Phone, Timeout
from tfeff.bench.adb.download import found_tool
from tfeff.bench.adb.log import Log, parse_log
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels

_ELF = {183: "arm64-v8a", 40: "armeabi-v7a", 62: "x86_64", 3: "x86"}  # e_machine
_RUNS_ON = {"arm64-v8a": {"arm64-v8a", "armeabi-v7a"}, "x86_64": {"x86_64", "x86"}}
_DELEGATE_FLAGS = {
    "xnnpack": {"use_xnnpack": "true"},
    "none": {"use_xnnpack": "false"},
    "gpu": {"use_gpu": "true", "use_xnnpack": "false"},
    "nnapi": {"use_nnapi": "true", "use_xnnpack": "false"},
}
_LITERT_FLAGS = {"gpu": {"use_gpu": "true", "use_cpu": "false"}, "xnnpack": {}, "none": {}}
_DELEGATE_NAMES = {"xnnpack": "XNNPACK", "gpu": "GPU", "nnapi": "NNAPI", "none": "XNNPACK"}
_LITERT_LIBRARY = re.compile(r"libLiteRt\w*\.so", re.ASCII | re.IGNORECASE)  # accelerators that LiteRT's tool loads
# What a tool of 2019 knew already; one that does not tell its flags gets these and the ones of today's.
_TODAY = frozenset(
    (
        "graph", "num_threads", "num_runs", "min_secs", "max_secs", "warmup_runs", "warmup_min_secs",
        "use_xnnpack", "use_gpu", "use_nnapi", "input_layer", "input_layer_shape", "input_layer_value_files",
        "output_filepath", "enable_op_profiling", "report_peak_memory_footprint",
    )
)  # fmt: skip


@dataclass
class Tool:
    """A benchmark program that lies on the phone.

    Attributes:
        there: its path on the phone.
        runtime, version: for people and records.
        about: `sha256`, and `url` where it was fetched.
        flags: that it knows.
        litert: whether it is LiteRT's (CompiledModel) and not TensorFlow Lite's.
        environment: variables that it needs.
    """

    phone: Phone
    there: str
    runtime: str
    version: str
    about: dict[str, Any]
    flags: frozenset[str] = _TODAY
    litert: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def takes_inputs(self) -> bool:
        """Whether it can be given values for the inputs."""
        return {"input_layer", "input_layer_shape", "input_layer_value_files"} <= self.flags

    @property
    def writes_outputs(self) -> bool:
        """Whether it can be given inputs and asked for the bytes that come out."""
        return self.takes_inputs and "output_filepath" in self.flags

    def run(self, graph: str, name: str, *, cores: list[int] | None, timeout_s: float, **flags: Any) -> tuple[Log, str]:
        """One run.

        Args:
            graph: path of the model on the phone.
            name: of its file here, for errors.
            cores: to stay on; None for all.
            timeout_s: after which it is ended.
            flags: by name, without the dashes; those that it does not know are left out.

        Returns:
            what its log says, and the log.

        Raises:
            TfeffError: it crashed, hangs, or printed no result.
        """
        known = {name: value for name, value in flags.items() if name in self.flags and value is not None}
        command = ["env", *(f"{name}={value}" for name, value in self.environment.items())] if self.environment else []
        if cores:
            command += ["taskset", f"{sum(1 << core for core in cores):x}"]
        command += [self.there, f"--graph={graph}", *(f"--{name}={value}" for name, value in known.items())]
        try:
            code, said = self.phone.execute(command, timeout_s)
        except Timeout:
            raise TfeffError(
                f"{self.phone.name}: {name}: the benchmark tool did not end within {timeout_s:.0f} s and was ended",
                "does the model run in it at all? try another build of the tool, or --no-xnnpack",
            ) from None
        if code:
            raise self._failure(name, code, said)
        try:
            log = parse_log(said)
        except TfeffError as error:
            raise TfeffError(f"{self.phone.name}: {name}: {error.what}", error.mend) from None
        lost = [name for name in known if f"--{name}=" in log.ignored]
        self.flags -= set(lost)
        return log, said

    def delegate_flags(self, delegate: str) -> dict[str, str]:
        """What asks for `xnnpack`, `none` (the runtime's own kernels), `gpu` or `nnapi`.

        Raises:
            TfeffError: this tool cannot be asked for it.
        """
        choice = _LITERT_FLAGS if self.litert else _DELEGATE_FLAGS
        if delegate not in choice or (delegate in ("gpu", "nnapi") and f"use_{delegate}" not in self.flags):
            raise TfeffError(f"{self.phone.name}: this benchmark tool has no {delegate} delegate", "name another tool")
        return choice[delegate]

    def _failure(self, name: str, code: int, said: str) -> TfeffError:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        told = [line for line in lines if re.search(r"error|fail|cannot|not found|denied|abort", line, re.IGNORECASE)]
        last = f" ({(told or lines)[-1][-200:]})" if lines else ""
        where = f"{self.phone.name}: {name}: the benchmark tool"
        if code > 128:
            try:
                how = f"crashed ({signal.Signals(code - 128).name})"
            except ValueError:
                how = f"ended with exit code {code}"
            mend = "try another build of the tool, --no-xnnpack or another --delegate"
            return TfeffError(f"{where} {how}{last}", mend)
        if code in (126, 127):
            mend = "is it built for Android and for this phone's instruction set?"
            return TfeffError(f"{self.phone.name}: the benchmark tool cannot be run there{last}", mend)
        mend = "can it run this model? see the tool's version, and `tfeff check` for the file"
        return TfeffError(f"{where} failed with exit code {code}{last}", mend)


def put_tool(phone: Phone, abi: str, binary: str | None) -> Tool:
    """Copies the tool to the phone and asks it for its flags.

    Args:
        abi: Android's name of the phone's instruction set.
        binary: path of a tool, or address and hash: see `download.found_tool`.

    Raises:
        TfeffError: no such file, not for this phone, or it cannot be fetched.
    """
    about = found_tool(binary)
    path = Path(about["path"])
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TfeffError(f"{path}: {error.strerror}", "give a benchmark_model for the phone") from None
    if data[:4] == b"\x7fELF" and len(data) > 20:
        machine = _ELF.get(struct.unpack_from("<H", data, 18)[0], "another processor")
        if machine not in _RUNS_ON.get(abi, {abi}):
            raise TfeffError(f"{path}: is built for {machine}, the phone is {abi}", "give one that is built for it")
    sha256 = hashlib.sha256(data).hexdigest()
    there = phone.push(path, name="benchmark_model", executable=True)
    version = about.get("version") or f"sha256 {sha256[:12]}"
    kept = {"sha256": sha256, **({"url": about["url"]} if "url" in about else {})}
    tool = Tool(phone, there, "benchmark_model", version, kept)
    for library in sorted(path.parent.iterdir()) if "url" not in about else []:
        if _LITERT_LIBRARY.fullmatch(library.name):
            phone.push(library, name=library.name)
            tool.environment = {"LD_LIBRARY_PATH": phone.folder}
    helped = [*(f"{name}={value}" for name, value in tool.environment.items()), there, "--help"]
    try:
        _, said = phone.execute(["env", *helped], phone.timeout_s)
    except Timeout:
        said = ""  # not every build knows --help
    told = set(re.findall(r"--([a-z][a-z0-9_]+)\b", said))
    if "graph" in told and len(told) > 3:
        tool.flags = frozenset(told)
        tool.litert = "use_npu" in told and "use_xnnpack" not in told
        tool.runtime = "litert benchmark_model" if tool.litert else tool.runtime
    return tool


def kernels(log: Log, delegate: str) -> Kernels:
    """Who ran the graph, in the words of `worker.delegation`; the tool does not tell which operations were left.

    Args:
        delegate: that was asked for: `xnnpack`, `none`, `gpu` or `nnapi`.
    """
    name = _DELEGATE_NAMES[delegate]
    taken, total = None, None
    for who, (some, of) in log.replaced.items():
        if name.lower() in who.lower() or len(log.replaced) == 1:
            taken, total = some, of
    how = log.delegates.get(name) or log.delegates.get("accelerator")
    if how is None and taken is not None:
        how = "all" if taken == total else "partly" if taken else "none"
    if how is None:
        how = "none" if delegate == "none" and not log.default_xnnpack else "unknown"
    if delegate in ("gpu", "nnapi"):
        others = "none" if how == "all" else "unknown"
        return Kernels(xnnpack=others, delegated=taken, total=total, delegate=name, taken=how)
    return Kernels(xnnpack=how, delegated=taken, total=total)


def input_flags(shapes: Sequence[Sequence[int]], there: Sequence[str]) -> dict[str, str]:
    """What gives the tool the values of all inputs, in the order of the file.

    They go by position, and the tool only warns that a tensor has another name: so the names are plain ones, without
    the `:` and `,` that a tensor's may have, of which versions of the tool differ in how they must be escaped.

    Args:
        shapes: of the inputs, with the batch.
        there: their files on the phone.
    """
    if not there:
        return {}
    names = [f"input{number}" for number in range(len(there))]
    return {
        "input_layer": ",".join(names),
        "input_layer_shape": ":".join(",".join(map(str, shape)) for shape in shapes),
        "input_layer_value_files": ",".join(f"{name}:{path}" for name, path in zip(names, there, strict=True)),
    }
