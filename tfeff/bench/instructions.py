"""What an emulated processor tells of artifacts: the bytes it computes and how many instructions it executes.

No clock is read: an emulator has no caches and no pipeline, so its times are its own. Instruction counts repeat to
within 0.1 % and rank forms of one network on one runtime; they are not milliseconds.
"""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.devices import BaseDevice, find_device
from tfeff.errors import TfeffError

RUNS = 3  # of each artifact, after a first that is left out: it pays for what a runtime does once


def count_on(
    device: BaseDevice, artifacts: list[Artifact], *, xnnpack: bool, seed: int, tick: Callable[[], None]
) -> dict[str, Any]:
    """Runs artifacts on a device that counts.

    Args:
        device: one whose `counts` is true.
        artifacts: .tflite files; the ratios are against the first.
        xnnpack: whether the runtime may hand the graph to XNNPACK, as it does by default.
        seed: of the input values.
        tick: called now and then.

    Returns:
        `results`, one for each file: `instructions` of an inference (median of `runs`; None where the emulator cannot
        count), `instructions_spread` (largest less smallest), `outputs_sha256`, `local` (`compare_with_local`),
        `kernels`, `environment`; `ratios` of each further file's instructions to the first's; `warnings`.

    Raises:
        TfeffError: a file, the device, its runtime or its worker is not fit for use.
    """
    results = []
    with device, tempfile.TemporaryDirectory(prefix="tfeff-") as scratch:
        image = Path(scratch) / "input.npy"
        for artifact in artifacts:
            with device.start() as handle:
                options = {"threads": 1, "xnnpack": xnnpack, "seed": seed, "core": None}
                loaded = handle.load(artifact.path, **options)
                if loaded["sha256"] != artifact.sha256:
                    raise TfeffError(f"{device.name}: {artifact.path} was replaced meanwhile", "run the command again")
                tick()
                counts = handle.count(RUNS + 1)[1:] if handle.counting else []
                tick()
                outputs, local = {}, None
                if len(loaded["inputs"]) == 1:
                    np.save(image, random_image(loaded["inputs"][0], seed))
                    outputs = handle.outputs(image)
                    local = compare_with_local(artifact, image, outputs, handle.environment, loaded["kernels"], options)
                tick()
                environment = dict(handle.environment)
            environment.pop("fast_cores", None)
            results.append(
                {
                    "file": str(artifact.path),
                    "sha256": artifact.sha256,
                    "device": device.name,
                    "runtime": environment.pop("runtime"),
                    "version": environment.pop("version"),
                    "threads": 1,
                    "xnnpack": xnnpack,
                    "instructions": int(np.median(counts)) if counts else None,
                    "instructions_spread": max(counts) - min(counts) if counts else None,
                    "runs": len(counts),
                    "outputs_sha256": {
                        name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
                        for name, values in outputs.items()
                    },
                    "local": local,
                    "kernels": loaded["kernels"],
                    "environment": environment,
                }
            )
    return {"results": results, "ratios": _ratios(results, device.name), "warnings": _warnings(results, device.name)}


def random_image(detail: dict[str, Any], seed: int) -> np.ndarray:
    """One input of a model's shape and dtype: integers over their full range, floats standard normal."""
    random, dtype = np.random.default_rng(seed), np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return random.standard_normal(detail["shape"]).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, detail["shape"], dtype, endpoint=True)


def compare_with_local(
    artifact: Artifact,
    image: Path,
    outputs: dict[str, np.ndarray],
    environment: dict[str, Any],
    kernels: dict[str, Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    """How far outputs are from those that this machine's own runtime computes from the same input.

    Where the device ran nothing on XNNPACK, this machine runs without it too: runtimes differ in what they give to it.

    Returns:
        `runtime`, `version` of this machine; `same_runtime` (name and version) and `same_kernels` (XNNPACK's or the
        runtime's own, in both): only where both hold are equal bytes expected; `equal` (bytes), `max_difference` (in
        steps of the quantized output, or in its own unit where it is float), `differing` (share of elements).
    """
    options = {**options, "xnnpack": kernels["xnnpack"] != "none"}
    with find_device("local").start() as handle:
        loaded = handle.load(artifact.path, **options)
        here = handle.outputs(image)
        local = handle.environment
    apart = [
        np.abs(outputs[name].astype(np.float64) - values.astype(np.float64)).ravel() for name, values in here.items()
    ]
    apart = np.concatenate(apart)
    return {
        "runtime": local["runtime"],
        "version": local["version"],
        "same_runtime": all(local[key] == environment[key] for key in ("runtime", "version")),
        "same_kernels": loaded["kernels"] == kernels,
        "equal": all(outputs[name].tobytes() == values.tobytes() for name, values in here.items()),
        "max_difference": float(apart.max(initial=0)),
        "differing": float(np.mean(apart != 0)) if apart.size else 0.0,
    }


def _ratios(results, device):
    if results[0]["instructions"] is None:
        return []
    return [
        {
            "device": device,
            "a": one["file"],
            "b": results[0]["file"],
            "unit": "instructions",
            "ratio": one["instructions"] / results[0]["instructions"],
        }
        for one in results[1:]
    ]


def _warnings(results, device):
    from tfeff.bench.arm_root import COMMAND

    said = []
    if results[0]["instructions"] is None:
        said.append(f"this QEMU does not count instructions; `{COMMAND} --counting` builds one that does")
    for one in results:
        local, name = one["local"], Path(one["file"]).name
        if local and local["same_runtime"] and local["same_kernels"] and not local["equal"]:
            said.append(
                f"{name}: other output bytes than on this machine, by the same runtime and kernels: "
                f"{100 * local['differing']:.1f} % of the elements differ, by up to {local['max_difference']:.4g}"
            )
    return [f"{device}: {one}" for one in said]
