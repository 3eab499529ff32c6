"""One run of the benchmark tool that tells how long each operation took."""

from dataclasses import asdict, dataclass
from typing import Any

from tfeff.artifact import Artifact
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.adb.state import read_facts
from tfeff.bench.adb.tool import input_flags, kernels, put_tool
from tfeff.bench.adb.tool_timer import GRACE_S, choose_cores, put_inputs
from tfeff.bench.devices import BaseDevice
from tfeff.bench.inputs import local_inputs
from tfeff.bench.outcome import kernels_dict
from tfeff.bench.settings import Settings
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels

_RUN = {"warmup_runs": 1, "warmup_min_secs": 0.5, "num_runs": 50, "min_secs": 1, "max_secs": 60}


@dataclass(frozen=True)
class PhoneProfile:
    """What the tool told.

    Attributes:
        tables: `Log.tables`.
        mean_ms: of an invocation while it was profiled, which slows it.
        runs: how many there were.
        threads, kernels: with which it ran.
        runtime, version: of the tool.
        cpu, model, core_class: of the phone.
    """

    tables: list[dict[str, Any]]
    mean_ms: float
    runs: int
    threads: int
    kernels: Kernels
    runtime: str
    version: str
    cpu: str
    model: str
    core_class: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON of it, without the tables."""
        told = {key: value for key, value in asdict(self).items() if key != "tables"}
        return told | {"kernels": kernels_dict(self.kernels)}


def profile_on_phone(
    device: BaseDevice, artifact: Artifact, threads: int, settings: Settings, options: PhoneOptions
) -> PhoneProfile:
    """Profiles a file on a phone.

    Args:
        device: one that `has_tool`.

    Raises:
        TfeffError: the phone or its tool is not fit for use, or the tool cannot profile.
    """
    delegate = options.delegate or ("xnnpack" if settings.xnnpack else "none")
    with device.connect() as phone:
        facts = read_facts(phone)
        tool = put_tool(phone, facts.abi, options.benchmark_binary)
        asked = tool.delegate_flags(delegate)
        if "enable_op_profiling" not in tool.flags:
            raise TfeffError(f"{phone.name}: this benchmark tool does not profile", "name one of TensorFlow Lite's")
        name, cores = choose_cores(phone.name, facts, threads, options.cores)
        there = phone.push(artifact.path)
        # What the tool draws itself may be an index that no table of the file has.
        values = options.inputs.get(artifact.sha256) or local_inputs(artifact.path, settings.seed)
        inputs = input_flags([one.shape for one in values.values()], put_inputs(phone, tool, values))
        flags = {**asked, **inputs, **_RUN, "num_threads": threads, "enable_op_profiling": "true"}
        log, _ = tool.run(there, artifact.path.name, cores=cores, timeout_s=_RUN["max_secs"] + GRACE_S, **flags)
    return PhoneProfile(
        tables=log.tables,
        mean_ms=log.times.mean,
        runs=log.times.count,
        threads=threads,
        kernels=kernels(log, delegate),
        runtime=tool.runtime,
        version=tool.version,
        cpu=facts.cpu,
        model=facts.model,
        core_class=name,
    )
