"""Timing by the benchmark tool: a block is one run of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, check_tflite
from tfeff.bench.adb.answer import Reference
from tfeff.bench.adb.client import Phone
from tfeff.bench.adb.log import Log
from tfeff.bench.adb.options import PhoneOptions
from tfeff.bench.adb.state import Facts
from tfeff.bench.adb.tool import Tool, input_flags, kernels, put_tool
from tfeff.bench.adb.variant import Variant
from tfeff.bench.outcome import Block
from tfeff.bench.settings import Settings
from tfeff.errors import GateFailed, TfeffError

BLOCK = {"warmup_runs": 1, "warmup_min_secs": 0.1, "num_runs": 5, "min_secs": 0.3, "max_secs": 30}
CHECK = {"warmup_runs": 1, "warmup_min_secs": 0, "num_runs": 1, "min_secs": 0, "max_secs": 30}
GRACE_S = 120.0  # that a run may take beyond its `max_secs`: for the start of the tool and loading the model


class ToolTimer:
    """`benchmark_model` on a phone.

    Attributes:
        runtime, version, about: see `Tool`.

    Raises:
        TfeffError: see `put_tool` and `Tool.delegate_flags`.
    """

    def __init__(self, phone: Phone, facts: Facts, options: PhoneOptions, settings: Settings):
        self._phone, self._facts, self._options, self._seed = phone, facts, options, settings.seed
        self._delegate = options.delegate or ("xnnpack" if settings.xnnpack else "none")
        self._tool = put_tool(phone, facts.abi, options.benchmark_binary)
        self._asked = self._tool.delegate_flags(self._delegate)
        self.runtime, self.version, self.about = self._tool.runtime, self._tool.version, self._tool.about

    def put(self, artifact: Artifact, threads: Sequence[int]) -> list[Variant]:
        """An artifact and its inputs on the phone, once for each number of threads.

        Raises:
            TfeffError: it cannot be copied, was replaced meanwhile, or there are no such cores.
        """
        there = self._phone.push(artifact.path)
        if check_tflite(artifact.path) != artifact.sha256:
            raise TfeffError(
                f"{self._phone.name}: {artifact.path} was replaced while it was timed", "run the command again"
            )
        reference, unchecked = None, ""
        try:
            reference = Reference(artifact, self._options.inputs.get(artifact.sha256), self._seed)
        except TfeffError as error:
            unchecked = f"this machine has no answer to compare with ({error.what})"
        given = put_inputs(self._phone, self._tool, reference.values) if reference else ()
        if reference and self._tool.writes_outputs and not given:
            unchecked = "this benchmark tool takes no values for the inputs of this file"
        found = []
        for count in threads:
            name, cores = choose_cores(self._phone.name, self._facts, count, self._options.cores)
            found.append(Variant(artifact, count, there, given, reference, cores, name, unchecked=unchecked))
        return found

    def check(self, variant: Variant) -> None:
        """The run whose answer is compared; memory is watched in it, which would disturb a timed one."""
        output = f"{self._phone.folder}/output"
        self._phone.shell(f"rm -f {output}")
        flags = {"output_filepath": output} if variant.given and self._tool.writes_outputs else {}
        log = self._run(variant, **CHECK, **flags, report_peak_memory_footprint="true")
        variant.memory_mb = {"init": log.init_mb, "overall": log.overall_mb, "peak": log.peak_mb}
        variant.kernels = kernels(log, self._delegate)
        if not self._tool.writes_outputs:
            variant.unchecked = variant.unchecked or "this benchmark tool takes no input and writes no output"
        elif flags and variant.reference is not None:
            if self._phone.shell(f"[ -s {output} ]")[0]:
                variant.unchecked = "the benchmark tool wrote no output"
            else:
                variant.answer = variant.reference.compare(self._phone.pull(output), variant.kernels)

    def require_full(self, device: str, variants: list[Variant]) -> None:
        """Raises GateFailed where the delegate left operations to the runtime."""
        missed = []
        for one in variants:
            how = one.kernels.taken or one.kernels.xnnpack or "unknown"
            if how != "all":
                words = {"none": "none of", "partly": "only a part of", "unknown": "an unknown part of"}[how]
                missed.append(f"{one.artifact.path.name}: {one.kernels.delegate or 'XNNPACK'} took {words} the graph")
        if self._delegate == "none":
            raise TfeffError(
                f"{device}: full delegation is required, but no delegate asked for", "leave out --no-xnnpack"
            )
        if missed:
            raise GateFailed(f"{device}: {'; '.join(dict.fromkeys(missed))}", "`tfeff check FILE` names the operations")

    def measure(self, variant: Variant) -> Block:
        """One block."""
        log = self._run(variant, **BLOCK)
        times = log.times
        return Block(
            median_ms=times.median,
            mean_ms=times.mean,
            p5_ms=times.p5,
            p90_ms=None,
            p95_ms=times.p95,
            runs=times.count,
            warmup_runs=log.warmup.count if log.warmup else 0,
            init_ms=log.init_ms,
            first_ms=log.first_ms,
        )

    def _run(self, variant: Variant, **flags: Any) -> Log:
        values = variant.reference.values.values() if variant.reference else ()
        inputs = input_flags([one.shape for one in values], variant.given)
        timeout_s = flags["max_secs"] + GRACE_S
        flags = {**self._asked, **inputs, **flags, "num_threads": variant.threads}
        name = variant.artifact.path.name
        return self._tool.run(variant.there, name, cores=variant.cores, timeout_s=timeout_s, **flags)[0]


def put_inputs(phone: Phone, tool: Tool, values: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Values of every input on the phone, in their order; none where the tool cannot be given them.

    A lone number without a shape is such a case: the tool takes its empty shape for a shape that is missing.
    """
    if not tool.takes_inputs or [one.ndim for one in values.values()] == [0]:
        return ()
    return tuple(phone.put_bytes(one.tobytes()) for one in values.values())


def choose_cores(name: str, facts: Facts, threads: int, wanted: str) -> tuple[str, list[int] | None]:
    """The class of cores to stay on and their numbers; None where any will do or none can be chosen.

    Raises:
        TfeffError: the phone has no such class, or cannot keep a program on some cores.
    """
    classes = facts.classes
    if wanted not in ("auto", "all"):
        if wanted not in classes:
            there = ", ".join(f"{key} {numbers}" for key, numbers in classes.items())
            raise TfeffError(f"{name}: the phone has no {wanted} cores", f"its cores: {there}")
        if not facts.taskset:
            raise TfeffError(f"{name}: the phone has no taskset, so cores cannot be chosen", "leave --cores out")
        return wanted, classes[wanted]
    if wanted == "auto" and facts.taskset and "big" in classes:
        big, middle = classes["big"], classes.get("middle", [])
        if threads <= len(big):
            return "big", big
        if threads <= len(big) + len(middle):
            return "big and middle", sorted(big + middle)
    return "all", None
