"""Whether a phone computes what this machine computes, so that no time is told of a wrong answer."""

from collections.abc import Mapping

import numpy as np

from tfeff.artifact import Artifact
from tfeff.bench.answer import (
    Allowance,
    Answer,
    compare_output,
    judged,
    largest_error,
    largest_steps,
    split_bytes,
)
from tfeff.bench.devices import find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.record.schema import Kernels

# Measured (all presets, emulated ARM against x86): XNNPACK's kernels give the same bytes on both but for one MUL of
# MobileNetV3. It is one step off, which is up to 3 at the network's end (random inputs). Other pairs of kernels differ
# by more.
SAME_STEPS, FEW_STEPS = 1, 5
_ROUNDS_OTHERWISE = "MUL"
# Of the largest output: sums in another order; arithmetic of half precision, which GPUs use.
SAME_FLOAT, OTHER_FLOAT = 1e-4, 2e-2
_FAMILIES = {"all": "XNNPACK", "partly": "mixed"}  # else the runtime's own


class Reference:
    """This machine's answers for one file and one set of inputs.

    Args:
        artifact: the file.
        values: of every input by name; None draws them from `seed`.

    Attributes:
        values: of every input by name, in the order of the file, of its shapes and dtypes.
        runtime: name and version.
        outputs: by family of kernels, "XNNPACK" or "mixed" (it took a part), and "built-in": arrays by output, in the
            order of the file.

    Raises:
        TfeffError: this machine's runtime cannot run the file.
    """

    def __init__(self, artifact: Artifact, values: Mapping[str, np.ndarray] | None, seed: int):
        self.outputs: dict[str, dict[str, np.ndarray]] = {}
        for xnnpack in (True, False):
            with find_device("local").start() as handle:
                loaded = handle.load(artifact.path, threads=1, xnnpack=xnnpack, seed=seed)
                values = seeded_inputs(loaded.inputs, seed) if values is None else values
                self.outputs[_FAMILIES.get(loaded.kernels.xnnpack or "", "built-in")] = handle.outputs(values)
                self.runtime = "{runtime} {version}".format(**handle.environment)
        self.values = {port.name: (values or {})[port.name] for port in loaded.inputs}
        self._ports = loaded.outputs
        # The last was run without XNNPACK, so all operations stayed with the runtime.
        left = {one["op"] for one in loaded.kernels.left}
        self._same_steps = FEW_STEPS if _ROUNDS_OTHERWISE in left else SAME_STEPS

    def compare(self, data: bytes, kernels: Kernels) -> Answer:
        """Judges the bytes that came from a phone.

        Args:
            data: of all outputs, one after the other, as the tool writes them.
            kernels: who computed them there (`tool.kernels`).
        """
        family, same = self._family(kernels, data)
        here = self.outputs[family]
        there = split_bytes(data, here)
        if there is None:
            size = sum(one.nbytes for one in here.values())
            why = f"{len(data)} bytes of {_named(list(here))} came where {size} were expected"
            return Answer(False, why, (), family, self.runtime)
        compared = []
        for port in self._ports:
            allowance = self._allowance(port.name, kernels, same)
            compared.append(compare_output(port, here[port.name], there[port.name], allowance))
        return judged(compared, family, self.runtime)

    def _family(self, kernels: Kernels, data: bytes) -> tuple[str, bool]:
        """Whose answer of this machine is the one to compare with, and whether it is of the very same kernels."""
        took = kernels.taken or kernels.xnnpack
        family = "built-in" if kernels.delegate is not None else _FAMILIES.get(took or "", "built-in")
        # XNNPACK's kernels are the one family that computes (nearly) the same on ARM and x86.
        same = family == "XNNPACK" and family in self.outputs
        family = family if family in self.outputs else next(iter(self.outputs))
        if took == "unknown":  # either's answer is right; the nearer one tells whose it was
            family = min(
                self.outputs,
                key=lambda name: _unequal(b"".join(one.tobytes() for one in self.outputs[name].values()), data),
            )
        return family, same

    def _allowance(self, output: str, kernels: Kernels, same: bool) -> Allowance:
        error = OTHER_FLOAT if kernels.delegate is not None else SAME_FLOAT
        if same:
            return Allowance(self._same_steps, error, " within one family of kernels")
        steps, own = self._own_difference(output)
        # A float output of a file that is int8 inside moves in steps too.
        return Allowance(max(FEW_STEPS, 2 * steps), max(error, 2 * own))

    def _own_difference(self, output: str) -> tuple[int, float]:
        """How far this machine's own two families are apart in one output: in steps, and as a share of the largest."""
        if len(self.outputs) < 2:
            return 0, 0.0
        one, other = (outputs[output] for outputs in self.outputs.values())
        if one.shape != other.shape:
            return 0, 0.0
        if one.dtype.kind in "fc":
            error = largest_error(one, other)
            return 0, error if np.isfinite(error) else 0.0
        return (largest_steps(one, other) if one.dtype.kind in "iu" else 0), 0.0


def _named(names: list[str]) -> str:
    return f"output {names[0]}" if len(names) == 1 else f"outputs {', '.join(names)}"


def _unequal(a: bytes, b: bytes) -> int:
    """How many bytes differ; all where the lengths do."""
    return sum(x != y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else len(a)
