"""One run of the benchmark tool that tells how long each operation took."""

from typing import Any

from tfeff.artifact import Artifact
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.adb.state import read_facts
from tfeff.bench.adb.tool import kernels, put_tool
from tfeff.bench.adb.tool_timer import GRACE_S, choose_cores
from tfeff.errors import TfeffError

_RUN = {"warmup_runs": 1, "warmup_min_secs": 0.5, "num_runs": 50, "min_secs": 1, "max_secs": 60}


def profile_on_phone(
    device, artifact: Artifact, *, threads: int, xnnpack: bool, options: PhoneOptions
) -> dict[str, Any]:
    """Profiles a file on a phone.

    Returns:
        `tables` (`Log.tables`), `mean_ms` of an invocation while it was profiled (which slows it), `runs`, `kernels`,
        `runtime`, `version`, `cpu`, `model`, `core_class`.

    Raises:
        TfeffError: the phone or its tool is not fit for use, or the tool cannot profile.
    """
    delegate = options.delegate or ("xnnpack" if xnnpack else "none")
    with device.connect() as phone:
        facts = read_facts(phone)
        tool = put_tool(phone, facts.abi, options.benchmark_binary)
        asked = tool.delegate_flags(delegate)
        if "enable_op_profiling" not in tool.flags:
            raise TfeffError(f"{phone.name}: this benchmark tool does not profile", "name one of TensorFlow Lite's")
        name, cores = choose_cores(phone.name, facts, threads, options.cores)
        there = phone.push(artifact.path)
        flags = {**asked, **_RUN, "num_threads": threads, "enable_op_profiling": "true"}
        log, _ = tool.run(there, artifact.path.name, cores=cores, timeout_s=_RUN["max_secs"] + GRACE_S, **flags)
    return {
        "tables": log.tables,
        "mean_ms": log.times.mean,
        "runs": log.times.count,
        "kernels": kernels(log, delegate),
        "runtime": tool.runtime,
        "version": tool.version,
        "cpu": facts.cpu,
        "model": facts.model,
        "core_class": name,
    }
