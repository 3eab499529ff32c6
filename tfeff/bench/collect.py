"""Times that a browser on another device measured and sent, checked before anything is written into a record.

The page sends the medians of its rounds, not conclusions: the interval is computed here. It also sends all outputs of
the files for some inputs, which are compared with what the files give on this machine.
"""

import base64
import binascii
import json
import math
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, verify_twin
from tfeff.bench.devices import find_device
from tfeff.bench.intervals import median_interval
from tfeff.bench.outcome import Result, WorkerTimes
from tfeff.bench.record import record_latency
from tfeff.errors import TfeffError
from tfeff.record.schema import Browser, Kernels, TaskSpec
from tfeff.tasks import get_task
from tfeff.web import Reply, Request
from tfeff.web.server import Post

MAX_BYTES = 256 << 10  # of a post, beside what large outputs take
POSTS_A_MINUTE = 6
MAX_LAUNCHES, MIN_ROUNDS, MAX_ROUNDS = 3, 5, 60
_LONGEST_MS = 600_000.0
_ACCELERATORS = ("wasm", "webgpu")
Probes = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Expected:
    """What a file gives on this machine for some inputs.

    Attributes:
        name: of the file.
        outputs: by the record's names and in its order, float32 (n, ...) each: what the page sends one after the other,
            a sample at a time.
        tasks: of the record.
    """

    name: str
    outputs: Mapping[str, np.ndarray]
    tasks: Sequence[TaskSpec]

    @property
    def samples(self) -> int:
        """How many inputs there were."""
        return len(next(iter(self.outputs.values())))

    @property
    def size(self) -> int:
        """Bytes of all outputs for all samples."""
        return sum(values.nbytes for values in self.outputs.values())

    def read(self, data: bytes) -> dict[str, np.ndarray]:
        """Outputs that came, of the shapes of these."""
        flat = np.frombuffer(data, "<f4").reshape(self.samples, -1)
        found, at = {}, 0
        for name, values in self.outputs.items():
            size = values[0].size
            found[name] = flat[:, at : at + size].reshape(values.shape)
            at += size
        return found

    def same_answers(self, found: Mapping[str, np.ndarray]) -> int | None:
        """For how many samples both give the same answer by all tasks; None where these tell numbers only."""
        same, known = 0, False
        for number in range(self.samples):
            told = [self._same(spec, found, number) for spec in self.tasks]
            known |= any(one is not None for one in told)
            same += all(one is not False for one in told)
        return same if known else None

    def _same(self, spec: TaskSpec, found: Mapping[str, np.ndarray], number: int) -> bool | None:
        task = get_task(spec.name)
        one, other = (
            task.decode({name: values[number] for name, values in outputs.items()}, spec)
            for outputs in (found, self.outputs)
        )
        return task.same_answer(one, other)


@dataclass(frozen=True)
class Agreement:
    """How outputs that came agree with this machine's.

    Attributes:
        difference: the largest, over all outputs.
        output: in which it is.
        same: samples with the same answer; None where the tasks tell numbers only.
        samples: how many there were.
    """

    difference: float
    output: str
    same: int | None
    samples: int


@dataclass(frozen=True)
class Sent:
    """One file's times that came, and how its outputs agree."""

    result: Result
    agreement: Agreement

    def line(self) -> str:
        """For people."""
        result, agreement, times = self.result, self.agreement, self.result.times
        same = (
            "" if agreement.same is None else f"the answer is ours on {agreement.same} of {agreement.samples} images, "
        )
        figures = "{:.4g} ms [{:.4g}, {:.4g}]".format(times.median_ms, *times.ci95_ms) if times is not None else ""
        where = f"{result.browser.accelerator}, " if result.browser is not None else ""
        return (
            f"{result.sha256[:12]}: {figures}, {where}{result.threads} thread(s); {same}"
            f"{agreement.output} at most {agreement.difference:.2g} apart."
        )


class Collector:
    """Takes the page's results for some artifacts.

    Attributes:
        token: what a post must carry in the header `X-Tfeff-Token`.

    Args:
        artifacts: as `tfeff.web.site` took them.
        probes: inputs by the sha256 of the first file of each model (`tfeff.web.site.probes`): (n, ...) of the one
            input, or by input.
        version: of LiteRT.js.
        tell: called with a line for people for every result taken.
    """

    def __init__(
        self, artifacts: Sequence[Artifact], probes: Mapping[str, Probes], version: str, tell: Callable[[str], None]
    ):
        self.token = secrets.token_urlsafe(16)
        self._version, self._tell, self._lock = version, tell, threading.Lock()
        self._tokens, self._refilled = float(POSTS_A_MINUTE), monotonic()
        self._artifacts = {artifact.sha256: artifact for artifact in artifacts}
        self._expected: dict[str, Expected] = {}
        for artifact in artifacts:
            files = {artifact.sha256: artifact.path}
            record, twin = artifact.record, verify_twin(artifact)
            if twin is not None and record is not None and record.float_twin is not None:
                files = {record.float_twin.sha256: twin, **files}
            for sha256, path in files.items():
                self._expected[sha256] = _outputs_here(path, probes[next(iter(files))], artifact)

    @property
    def post(self) -> Post:
        """What the server is given."""
        outputs = sum(expected.size for expected in self._expected.values())
        return Post(self._answer, MAX_BYTES + 4 * outputs // 3, self._admit)  # base64

    def _admit(self, request: Request) -> Reply | None:
        """Refuses by the headers: no token, another type, too many."""
        if not secrets.compare_digest(request.headers.get("x-tfeff-token", "").encode(), self.token.encode()):
            return Reply(403, {"error": "not the token that `tfeff serve --collect` printed"})
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return Reply(415, {"error": "not application/json"})
        with self._lock:
            now = monotonic()
            self._tokens = min(POSTS_A_MINUTE, self._tokens + (now - self._refilled) * POSTS_A_MINUTE / 60)
            self._refilled = now
            if self._tokens < 1:
                return Reply(429, {"error": f"more than {POSTS_A_MINUTE} results a minute"})
            self._tokens -= 1
        return None

    def _answer(self, request: Request) -> Reply:
        try:
            sent = self._read(json.loads(request.body), request.headers.get("user-agent", ""))
        except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
            return Reply(400, {"error": f"not a result: {error}"[:200]})
        told = []
        try:
            with self._lock:
                for artifact in self._artifacts.values():
                    record_latency(artifact, [one.result for one in sent])
                told = [one.line() for one in sent]
                for line in told:
                    self._tell(line)
        except TfeffError as error:
            self._tell(str(error))
            return Reply(500, {"error": "the record could not be written"})
        return Reply(200, {"told": "Sent. " + " ".join(told)})

    def _read(self, value: Any, user_agent: str) -> list[Sent]:
        """Checks a post whole before anything is taken from it; ValueError says what is wrong."""
        threads, cores = value["threads"], value["cores"]
        if not _whole(threads, 1, 1024) or not (cores is None or _whole(cores, 1, 4096)):
            raise ValueError("threads or cores")
        if value["accelerator"] not in _ACCELERATORS or not isinstance(value["isolated"], bool):
            raise ValueError("accelerator or isolated")
        given = value["results"]
        if not isinstance(given, list) or not 1 <= len(given) <= 8:
            raise ValueError("results")
        agent = "".join(c for c in user_agent if c.isprintable())[:300]
        told = {"user_agent": agent, "cores": cores, "accelerator": value["accelerator"]}
        return [self._result(one, threads, {**told, "isolated": value["isolated"]}) for one in given]

    def _result(self, one: dict[str, Any], threads: int, shared: dict[str, Any]) -> Sent:
        sha256 = one["sha256"]
        if not isinstance(sha256, str) or sha256 not in self._expected:
            raise ValueError("another file's sha256")
        rounds = one["rounds_ms"]
        if not isinstance(rounds, list) or not 1 <= len(rounds) <= MAX_LAUNCHES:
            raise ValueError("launches")
        if not all(isinstance(launch, list) and MIN_ROUNDS <= len(launch) <= MAX_ROUNDS for launch in rounds):
            raise ValueError("rounds")
        if not all(_time(ms) for launch in rounds for ms in launch) or not _time(one["p90_ms"]):
            raise ValueError("times")
        quantiles = one["quantiles_ms"]
        if not isinstance(quantiles, list) or len(quantiles) != 5 or not all(map(_time, quantiles)):
            raise ValueError("quantiles")
        if quantiles != sorted(quantiles):
            raise ValueError("quantiles that do not rise")
        if not _whole(one["runs"], sum(map(len, rounds)), 10_000_000):
            raise ValueError("runs")
        expected = self._expected[sha256]
        agreement = _compare(one["outputs"], expected)
        median, low, high = median_interval([ms for launch in rounds for ms in launch])
        result = Result(
            file=expected.name,
            sha256=sha256,
            device="browser",
            runtime="litert.js",
            version=self._version,
            threads=threads,
            xnnpack=True,
            kernels=Kernels(xnnpack="unknown"),
            environment={"cpu": f"{shared['user_agent']}, {shared['accelerator']}"},
            times=WorkerTimes(
                median_ms=median,
                ci95_ms=(low, high),
                p90_ms=float(one["p90_ms"]),
                quantiles_ms=tuple(float(value) for value in quantiles),
                runs=one["runs"],
                rounds=sum(map(len, rounds)),
                launches=len(rounds),
                pinned=False,
                warmup_runs=0,
                steady=True,
            ),
            browser=Browser(
                **shared,
                max_abs_difference=agreement.difference,
                same_top1=agreement.same,
                images=agreement.samples,
            ),
        )
        return Sent(result, agreement)


def _compare(text: Any, expected: Expected) -> Agreement:
    """Outputs that came, in base64, against this machine's; ValueError where they cannot be."""
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, binascii.Error):
        raise ValueError("outputs") from None
    if len(data) != expected.size:
        raise ValueError("outputs of another size")
    found = expected.read(data)
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ValueError("outputs that are no numbers")
    apart = {name: float(np.abs(found[name] - values).max(initial=0)) for name, values in expected.outputs.items()}
    worst = max(apart, key=lambda name: apart[name])
    return Agreement(apart[worst], worst, expected.same_answers(found), expected.samples)


def _outputs_here(path: Path, probes: Probes, artifact: Artifact) -> Expected:
    """What this machine's LiteRT gives for some inputs of a file, by the names of the artifact's record.

    A file with one output may have another name for it than its record: records of schema 1 named none.
    """
    with find_device("local") as device, device.start() as handle:
        loaded = handle.load(path)
        by_input = probes if isinstance(probes, Mapping) else {loaded.inputs[0].name: probes}
        samples = [
            handle.outputs({name: values[None] for name, values in zip(by_input, sample, strict=True)})
            for sample in zip(*by_input.values(), strict=True)
        ]
    record = artifact.record
    names = [port.name for port in record.outputs] if record is not None else []
    own = [port.name for port in loaded.outputs]
    taken = {(names or own)[0]: own[0]} if len(own) == 1 else {name: name for name in names or own}
    if missing := [name for name in taken.values() if name not in own]:
        raise TfeffError(f"{path}: has the outputs {', '.join(own)}, its record says {missing[0]}", "export it anew")
    shapes = {port.name: port.shape[1:] for port in record.outputs} if record is not None else {}
    outputs = {}
    for name, of in taken.items():
        values = np.array([one[of] for one in samples], np.float32)
        outputs[name] = values.reshape(len(samples), *shapes.get(name, values.shape[2:]))  # without the batch of 1
    return Expected(path.name, outputs, record.tasks if record is not None else [])


def _time(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value < _LONGEST_MS
        and math.isfinite(value)
    )


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
