"""Whether a phone computes what this machine computes, so that no time is told of a wrong answer."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.devices import find_device
from tfeff.bench.instructions import random_image
from tfeff.errors import TfeffError

# Measured (all presets, emulated ARM against x86): XNNPACK's kernels give the same bytes on both but for one MUL of
# MobileNetV3. It is one step off, which is up to 3 at the network's end (random inputs). Other pairs of kernels differ
# by more.
SAME_STEPS, FEW_STEPS = 1, 5
_ROUNDS_OTHERWISE = "MUL"
# Of the largest output: sums in another order; arithmetic of half precision, which GPUs use.
SAME_FLOAT, OTHER_FLOAT = 1e-4, 2e-2


class Reference:
    """This machine's answers for one file and one input.

    Args:
        artifact: the file.
        values: of its one input; None draws them from `seed`.

    Attributes:
        values: the input, shape and dtype of the file's.
        runtime: name and version.
        outputs: by family of kernels, "XNNPACK" or "mixed" (it took a part), and "built-in": a list of arrays in the
            file's order.

    Raises:
        TfeffError: this machine's runtime cannot run the file, or it has several inputs.
    """

    def __init__(self, artifact: Artifact, values: np.ndarray | None, seed: int):
        self.outputs: dict[str, list[np.ndarray]] = {}
        with tempfile.TemporaryDirectory(prefix="tfeff-") as folder:
            path = Path(folder) / "input.npy"
            for xnnpack in (True, False):
                with find_device("local").start() as handle:
                    loaded = handle.load(artifact.path, threads=1, xnnpack=xnnpack, seed=seed)
                    if len(loaded["inputs"]) != 1:
                        raise TfeffError(f"{artifact.path}: has {len(loaded['inputs'])} inputs")
                    if values is None:
                        values = random_image(loaded["inputs"][0], seed)
                    np.save(path, values)
                    who = {"all": "XNNPACK", "partly": "mixed"}.get(loaded["kernels"]["xnnpack"], "built-in")
                    self.outputs[who] = list(handle.outputs(path).values())
                    self.runtime = "{runtime} {version}".format(**handle.environment)
        self.values = values
        # The last was run without XNNPACK, so all operations stayed with the runtime.
        left = {one["op"] for one in loaded["kernels"]["left"]}
        self._same_steps = FEW_STEPS if _ROUNDS_OTHERWISE in left else SAME_STEPS

    def compare(self, data: bytes, kernels: dict[str, Any]) -> dict[str, Any]:
        """Judges the bytes that came from a phone.

        Args:
            data: all outputs, one after the other, as the tool writes them.
            kernels: who computed them there (`tool.kernels`).

        Returns:
            `equal` (bytes), `max_steps` (largest difference, in steps; of float outputs None), `max_error` (of float
            ones, as a share of the largest output, else None), `different` (share of all values), `allowed`, `family`
            (whose answer it was compared with), `ok`, `why` (not ok; else empty), `runtime`.
        """
        took = kernels.get("taken") or kernels["xnnpack"]
        family = "built-in" if "delegate" in kernels else {"all": "XNNPACK", "partly": "mixed"}.get(took, "built-in")
        # XNNPACK's kernels are the one family that computes (nearly) the same on ARM and x86.
        same = family == "XNNPACK" and family in self.outputs
        family = family if family in self.outputs else next(iter(self.outputs))
        if took == "unknown":  # either's answer is right; the nearer one tells whose it was
            family = min(
                self.outputs, key=lambda name: _unequal(b"".join(x.tobytes() for x in self.outputs[name]), data)
            )
        here = self.outputs[family]
        told = {"equal": False, "max_steps": None, "max_error": None, "different": None, "allowed": None}
        told |= {"family": family, "runtime": self.runtime}
        size = sum(one.nbytes for one in here)
        if len(data) != size:
            return {**told, "ok": False, "why": f"{len(data)} bytes came where {size} were expected"}
        there, at = [], 0
        for one in here:
            there.append(np.frombuffer(data[at : at + one.nbytes], one.dtype).reshape(one.shape))
            at += one.nbytes
        told["equal"] = data == b"".join(one.tobytes() for one in here)
        told["different"] = _share(here, there)
        steps = [pair for pair in zip(here, there, strict=True) if pair[0].dtype.kind in "iub"]
        floats = [pair for pair in zip(here, there, strict=True) if pair[0].dtype.kind == "f"]
        if steps:
            told["max_steps"] = max(_steps(*pair) for pair in steps)
            told["allowed"] = self._same_steps if same else max(FEW_STEPS, 2 * self._own_steps())
        if floats:
            told["max_error"] = max(_error(*pair) for pair in floats)
        why = ""
        if steps and told["max_steps"] > told["allowed"]:
            allowed = f"{told['allowed']} allowed{' within one family of kernels' if same else ''}"
            why = f"outputs are up to {told['max_steps']} steps off this machine's ({allowed})"
        limit = OTHER_FLOAT if "delegate" in kernels else SAME_FLOAT
        if floats:
            told["allowed"] = limit if not steps else told["allowed"]
            if not told["max_error"] <= limit:
                why = f"outputs are off this machine's by {told['max_error']:.2g} of the largest ({limit:g} allowed)"
        return {**told, "ok": not why, "why": why}

    def _own_steps(self) -> int:
        """How far this machine's own two families are apart."""
        if len(self.outputs) < 2:
            return 0
        pairs = zip(*self.outputs.values(), strict=True)
        return max((_steps(a, b) for a, b in pairs if a.dtype.kind in "iub"), default=0)


def _unequal(a: bytes, b: bytes) -> int:
    """How many bytes differ; all where the lengths do."""
    return sum(x != y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else len(a)


def _share(here, there) -> float:
    different = sum(int(np.count_nonzero(a != b)) for a, b in zip(here, there, strict=True))
    return different / max(sum(one.size for one in here), 1)


def _steps(a, b) -> int:
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max(initial=0))


def _error(a, b) -> float:
    """Largest difference as a share of the largest value; infinite where something is not a number."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    worst = float(np.abs(a - b).max(initial=0)) / max(float(np.abs(a).max(initial=0)), 1e-30)
    return worst if np.isfinite(worst) else float("inf")
