"""What an emulated processor tells of artifacts: the bytes it computes and how many instructions it executes.

No clock is read: an emulator has no caches and no pipeline, so its times are its own. Instruction counts repeat to
within 0.1 % and rank forms of one network on one runtime; they are not milliseconds.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.answer import differences
from tfeff.bench.devices import BaseDevice, Loaded, find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.bench.outcome import Counted, CountRatio, Local, Outcome, OutputDifference, Result
from tfeff.bench.settings import Settings, Tick
from tfeff.errors import TfeffError

RUNS = 3  # of each artifact, after a first that is left out: it pays for what a runtime does once


def count_on(device: BaseDevice, artifacts: list[Artifact], settings: Settings, tick: Tick) -> Outcome:
    """Runs artifacts on a device that counts (`BaseDevice.counts`).

    Returns:
        Results with `counted`, the ratios of each further file's instructions to the first's, and warnings.

    Raises:
        TfeffError: a file, the device, its runtime or its worker is not fit for use; several threads.
    """
    if settings.counts != (1,):
        raise TfeffError(f"{device.name}: instructions are counted for one thread", "leave --threads at 1")
    with device:
        results = [_count(device, artifact, settings, tick) for artifact in artifacts]
    return Outcome(results, counted=_ratios(results), warnings=_warnings(results))


def _count(device: BaseDevice, artifact: Artifact, settings: Settings, tick: Tick) -> Result:
    with device.start() as handle:
        loaded = handle.load(artifact.path, **settings.load_options(1))
        if loaded.sha256 != artifact.sha256:
            raise TfeffError(f"{device.name}: {artifact.path} was replaced meanwhile", "run the command again")
        tick()
        counts = handle.count(RUNS + 1)[1:] if handle.counting else []
        tick()
        inputs = seeded_inputs(loaded.inputs, settings.seed)
        outputs = handle.outputs(inputs)
        local = compare_with_local(artifact, inputs, outputs, handle.environment, loaded)
        tick()
        environment = {key: value for key, value in handle.environment.items() if key != "fast_cores"}
    return Result(
        file=str(artifact.path),
        sha256=artifact.sha256,
        device=device.name,
        runtime=environment.pop("runtime"),
        version=environment.pop("version"),
        threads=1,
        xnnpack=settings.xnnpack,
        kernels=loaded.kernels,
        environment=environment,
        counted=Counted(
            instructions=int(np.median(counts)) if counts else None,
            instructions_spread=max(counts) - min(counts) if counts else None,
            runs=len(counts),
            outputs_sha256={name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in outputs.items()},
            local=local,
        ),
    )


def compare_with_local(
    artifact: Artifact,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    environment: Mapping[str, Any],
    loaded: Loaded,
) -> Local:
    """Runs a file here too.

    Where the device ran nothing on XNNPACK, this machine runs without it too: runtimes differ in what they give to it.

    Args:
        inputs: by name, that the device was given.
        outputs: by name, that it gave.
        environment: of the device's handle.
        loaded: what it said of the file.
    """
    with find_device("local").start() as handle:
        own = handle.load(artifact.path, xnnpack=loaded.kernels.xnnpack != "none")
        here, local = handle.outputs(inputs), handle.environment
    found = []
    for name, values in here.items():
        there = outputs[name]
        differing, largest = differences(values, there)
        found.append(OutputDifference(name, values.tobytes() == there.tobytes(), differing, largest))
    return Local(
        runtime=local["runtime"],
        version=local["version"],
        same_runtime=all(local[key] == environment[key] for key in ("runtime", "version")),
        same_kernels=own.kernels == loaded.kernels,
        outputs=tuple(found),
    )


def _ratios(results: list[Result]) -> list[CountRatio]:
    first, *others = [(one, one.counted.instructions) for one in results if one.counted is not None]
    return [
        CountRatio(one.device, one.file, first[0].file, count / first[1])
        for one, count in others
        if count is not None and first[1]
    ]


def _warnings(results: list[Result]) -> list[str]:
    from tfeff.bench.arm_root import COMMAND

    said = []
    for one in results:
        counted = one.counted
        if counted is None:
            continue
        if counted.instructions is None:
            said.append(f"this QEMU does not count instructions; `{COMMAND} --counting` builds one that does")
        local = counted.local
        for output in local.unequal if local.same_runtime and local.same_kernels else ():
            largest = "" if output.max_difference is None else f", by up to {output.max_difference:.4g}"
            said.append(
                f"{one.name}: other bytes of output {output.name} than on this machine, by the same runtime and "
                f"kernels: {100 * output.differing:.1f} % of the elements differ{largest}"
            )
    return [f"{results[0].device}: {one}" for one in dict.fromkeys(said)]
