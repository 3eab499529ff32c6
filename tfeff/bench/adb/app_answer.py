"""The JSON that the demo app's benchmark intent writes (docs/android-demo.md)."""

import json
import math
from dataclasses import dataclass
from typing import Any

from tfeff.errors import TfeffError

SCHEMA_VERSION = 1
_MEND = "is it another version of the app? `adb uninstall org.tfeff.demo`, then run the command again"


@dataclass(frozen=True)
class AppAnswer:
    """One run of the intent.

    Attributes:
        error: why nothing was measured; empty where it was. All below then is empty.
        device: `locked` and `screen_on` among others.
        sha256: of the model.
        runtime, version: of the app's.
        inference, preprocessing, postprocessing: ms of each run, in order.
        open_ms, first_ms: making the interpreter; the first inference.
        input_sha256: of the bytes that the app made of the self-test's picture.
        outputs: the bytes of all outputs, in the order of the file.
    """

    error: str
    device: dict[str, Any]
    sha256: str = ""
    runtime: str = ""
    version: str = ""
    inference: tuple[float, ...] = ()
    preprocessing: tuple[float, ...] = ()
    postprocessing: tuple[float, ...] = ()
    open_ms: float = 0.0
    first_ms: float = 0.0
    input_sha256: str = ""
    outputs: bytes = b""


def read_answer(text: str) -> AppAnswer:
    """Reads the JSON.

    Raises:
        TfeffError: it is no such JSON, or of another version.
    """
    try:
        found = json.loads(text)
        if found["schema_version"] != SCHEMA_VERSION:
            raise TfeffError(f"the demo app writes version {found['schema_version']!r} of its answer", _MEND)
        device = dict(found["device"])
        if not {"locked", "screen_on"} <= device.keys():
            raise KeyError("locked")
        if found["status"] != "ok":
            return AppAnswer(str(found["error"]) or "no reason", device)
        runtime, _, version = str(found["runtime"]).rpartition(" ")
        times = {key: _times(found[key]["all_ms"]) for key in ("inference", "preprocessing", "postprocessing")}
        return AppAnswer(
            error="",
            device=device,
            sha256=str(found["sha256"]),
            runtime=runtime,
            version=version,
            open_ms=_ms(found["open_ms"]),
            first_ms=_ms(found["first_inference_ms"]),
            input_sha256=str(found["input_sha256"]),
            outputs=bytes.fromhex(found["output_hex"]),
            **times,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TfeffError("the demo app wrote an answer that cannot be read", _MEND) from None


def _times(values) -> tuple[float, ...]:
    times = tuple(map(_ms, values))
    if not times:
        raise ValueError
    return times


def _ms(value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError
    return float(value)
