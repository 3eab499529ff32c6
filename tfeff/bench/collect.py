"""Times that a browser on another device measured and sent, checked before anything is written into a record.

The page sends the medians of its rounds, not conclusions: the interval is computed here. It also sends what the files
gave for some inputs, which is compared with what they give on this machine.
"""

import base64
import binascii
import json
import math
import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, verify_twin
from tfeff.bench.devices import find_device
from tfeff.bench.intervals import median_interval
from tfeff.bench.record import record_latency
from tfeff.errors import TfeffError
from tfeff.web import Reply, Request
from tfeff.web.server import Post

MAX_BYTES = 256 << 10  # of a post
POSTS_A_MINUTE = 6
MAX_LAUNCHES, MIN_ROUNDS, MAX_ROUNDS = 3, 5, 60
_LONGEST_MS = 600_000.0
_ACCELERATORS = ("wasm", "webgpu")


class Collector:
    """Takes the page's results for some artifacts.

    Attributes:
        token: what a post must carry in the header `X-Tfeff-Token`.

    Args:
        artifacts: as `tfeff.web.site` took them.
        probes: float32 inputs (n, h, w, c) by the sha256 of the first file of each model (`tfeff.web.site.probes`).
        version: of LiteRT.js.
        tell: called with a line for people for every result taken.
    """

    def __init__(
        self, artifacts: list[Artifact], probes: Mapping[str, np.ndarray], version: str, tell: Callable[[str], None]
    ):
        self.token = secrets.token_urlsafe(16)
        self._version, self._tell, self._lock = version, tell, threading.Lock()
        self._tokens, self._refilled = float(POSTS_A_MINUTE), monotonic()
        self._artifacts = {artifact.sha256: artifact for artifact in artifacts}
        self._expected = {}
        for artifact in artifacts:
            twin = verify_twin(artifact)
            first = artifact.record["float_twin"]["sha256"] if twin else artifact.sha256
            for sha256, path in ((first, twin), (artifact.sha256, artifact.path)):
                if path is not None:
                    self._expected[sha256] = _outputs_here(path, probes[first])

    @property
    def post(self) -> Post:
        """What the server is given."""
        return Post(self._answer, MAX_BYTES, self._admit)

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
            results = self._read(json.loads(request.body), request.headers.get("user-agent", ""))
        except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
            return Reply(400, {"error": f"not a result: {error}"[:200]})
        told = []
        try:
            with self._lock:
                for artifact in self._artifacts.values():
                    record_latency(artifact, results)
                told = [_line(result) for result in results]
                for line in told:
                    self._tell(line)
        except TfeffError as error:
            self._tell(str(error))
            return Reply(500, {"error": "the record could not be written"})
        return Reply(200, {"told": "Sent. " + " ".join(told)})

    def _read(self, value: Any, user_agent: str) -> list[dict[str, Any]]:
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
        shared = {
            "user_agent": agent,
            "cores": cores,
            "accelerator": value["accelerator"],
            "isolated": value["isolated"],
        }
        return [self._result(one, threads, shared) for one in given]

    def _result(self, one: dict[str, Any], threads: int, shared: dict[str, Any]) -> dict[str, Any]:
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
        difference, same, images = self._compare(one["outputs"], self._expected[sha256])
        median, low, high = median_interval([ms for launch in rounds for ms in launch])
        return {
            "sha256": sha256,
            "device": "browser",
            "runtime": "litert.js",
            "version": self._version,
            "threads": threads,
            "xnnpack": True,
            "median_ms": median,
            "ci95_ms": [low, high],
            "p90_ms": float(one["p90_ms"]),
            "quantiles_ms": [float(value) for value in quantiles],
            "runs": one["runs"],
            "rounds": sum(map(len, rounds)),
            "kernels": {"xnnpack": "unknown", "delegated": None, "total": None, "left": []},
            "environment": {"cpu": f"{shared['user_agent']}, {shared['accelerator']}"},
            "browser": {**shared, "max_abs_difference": difference, "same_top1": same, "images": images},
        }

    def _compare(self, text: Any, expected: np.ndarray) -> tuple[float, int, int]:
        """Largest difference, on how many inputs the same class, and how many there were."""
        try:
            data = base64.b64decode(text, validate=True)
        except (TypeError, binascii.Error):
            raise ValueError("outputs") from None
        if len(data) != expected.nbytes:
            raise ValueError("outputs of another size")
        found = np.frombuffer(data, "<f4").reshape(expected.shape)
        if not np.isfinite(found).all():
            raise ValueError("outputs that are no numbers")
        flat, ours = (values.reshape(len(expected), -1) for values in (found, expected))
        return float(np.abs(found - expected).max()), int((flat.argmax(1) == ours.argmax(1)).sum()), len(expected)


def _outputs_here(path: Path, inputs: np.ndarray) -> np.ndarray:
    """What this machine's LiteRT gives for inputs (n, h, w, c): float32 (n, ...)."""
    found = []
    with find_device("local") as device, device.start() as handle, tempfile.TemporaryDirectory() as folder:
        handle.load(path, threads=1, xnnpack=True, seed=0)
        for one in inputs:
            np.save(Path(folder) / "input.npy", one[None])
            found.append(next(iter(handle.outputs(Path(folder) / "input.npy").values()))[0])
    return np.ascontiguousarray(found, np.float32)


def _line(result: dict[str, Any]) -> str:
    low, high = result["ci95_ms"]
    browser = result["browser"]
    return (
        f"{result['sha256'][:12]}: {result['median_ms']:.4g} ms [{low:.4g}, {high:.4g}], {browser['accelerator']}, "
        f"{result['threads']} thread(s); the class is ours on {browser['same_top1']} of {browser['images']} images, "
        f"outputs at most {browser['max_abs_difference']:.2g} apart."
    )


def _time(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value < _LONGEST_MS
        and math.isfinite(value)
    )


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
