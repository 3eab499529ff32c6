"""What the parts of a record must look like before anything is drawn from them.

A record is a file that anybody may have edited. A part that is there must be whole and of one mind with itself; a part
that is not there was not measured.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from tfeff.errors import TfeffError

Shape = Callable[[Any, str], None]
_SUM_TOLERANCE = 1e-6  # of differences and percentages that were rounded to decimal fractions
_MAX_DEPTH = 32


class _Wrong(Exception):
    """Where a value is not what it should be, and what it should be."""


def check_record(record: dict[str, Any], where: str) -> None:
    """Checks all of a record that a report shows.

    Args:
        record: as `read_record` gives it.
        where: the record's path, for the message.

    Raises:
        TfeffError: a value of the wrong kind, figures that contradict each other, or figures of another file.
    """
    try:
        _finite(record, "the record", 0)
        _RECORD(record, "")
        _consistent(record)
    except _Wrong as wrong:
        raise TfeffError(f"{where}: {wrong}", "it was changed after it was written: export or measure anew") from None


def _text(value, where):
    if not isinstance(value, str):
        raise _Wrong(f"{where} is {_shown(value)}, not a text")


def _flag(value, where):
    if not isinstance(value, bool):
        raise _Wrong(f"{where} is {_shown(value)}, neither true nor false")


def _number(low: float = -math.inf, high: float = math.inf, whole: bool = False) -> Shape:
    def check(value, where):
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise _Wrong(f"{where} is {_shown(value)}, not a {'whole ' if whole else ''}number")
        if not low <= value <= high:
            raise _Wrong(f"{where} is {_shown(value)}, outside of {low:g} .. {high:g}")

    return check


def _sha256(value, where):
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise _Wrong(f"{where} is {_shown(value)}, not a sha256 in hex")


def _file_name(value, where):
    _text(value, where)
    if not value or value in (".", "..") or "/" in value or "\\" in value or "\0" in value:
        raise _Wrong(f"{where} is {_shown(value)}, not the name of a file beside the record")


def _maybe(shape: Shape) -> Shape:
    return lambda value, where: None if value is None else shape(value, where)


def _many(shape: Shape, length: int | None = None) -> Shape:
    def check(value, where):
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise _Wrong(f"{where} is {_shown(value)}, not a list{f' of {length}' if length is not None else ''}")
        for number, each in enumerate(value):
            shape(each, f"{where}[{number}]")

    return check


def _named(shape: Shape) -> Shape:
    """An object with any keys."""

    def check(value, where):
        if not isinstance(value, dict):
            raise _Wrong(f"{where} is {_shown(value)}, not an object")
        for key, each in value.items():
            shape(each, f"{where}.{key[:40]}")

    return check


def _fields(needed: dict[str, Shape], also: dict[str, Shape] | None = None) -> Shape:
    """An object with keys that must be there and keys that may be null or missing; others are passed over."""

    def check(value, where):
        if not isinstance(value, dict):
            raise _Wrong(f"{where} is {_shown(value)}, not an object")
        for key, shape in needed.items():
            at = f"{where}.{key}" if where else key
            if key not in value:
                raise _Wrong(f"{at} is missing")
            shape(value[key], at)
        for key, shape in (also or {}).items():
            if value.get(key) is not None:
                shape(value[key], f"{where}.{key}" if where else key)

    return check


def _pair(value, where):
    _many(_number(), 2)(value, where)
    if value[0] > value[1]:
        raise _Wrong(f"{where} is {_shown(value)}, its low end lies above its high one")


def _anything(value, where):
    pass


_COUNT, _SHARE, _PERCENT = _number(0, whole=True), _number(0, 1), _number(0, 100)
_POSITIVE = _number(1e-12)

_CLASS = _fields(
    {"label": _text, "float_top1": _PERCENT, "quantized_top1": _PERCENT, "samples": _number(1, whole=True)}
)
_ACCURACY = _fields(
    {
        "dataset": _text, "samples": _number(1, whole=True), "float_top1": _PERCENT, "quantized_top1": _PERCENT,
        "delta": _number(-100, 100), "ci95": _pair, "quantized_sha256": _sha256, "float_sha256": _sha256,
    },
    {
        "mcnemar_p": _SHARE, "flips": _PERCENT, "output_snr_db": _number(), "worst_classes": _many(_CLASS),
        "by_class": _many(_CLASS), "runtime": _text, "version": _text,
    },
)  # fmt: skip
_LATENCY = _fields(
    {"device": _text, "median_ms": _POSITIVE, "ci95_ms": _pair, "sha256": _sha256},
    {
        "cpu": _text, "runtime": _text, "version": _text, "threads": _COUNT, "xnnpack": _flag, "p90_ms": _POSITIVE,
        "runs": _COUNT, "rounds": _COUNT, "core_class": _text, "quantiles_ms": _many(_POSITIVE, 5),
        "of_float": _fields({"ratio": _POSITIVE, "ci95": _pair, "verdict": _text, "sha256": _sha256}),
        "browser": _fields({}, {"same_top1": _COUNT, "images": _COUNT, "max_abs_difference": _number(0)}),
        "kernels": _fields(
            {}, {"xnnpack": _text, "delegated": _COUNT, "total": _COUNT, "left": _many(_fields({"op": _text})),
                 "delegate": _text, "taken": _text}
        ),
    },
)  # fmt: skip
_LAYER = _fields(
    {"position": _COUNT, "layer": _text, "op": _text, "error_share": _number(), "range_use": _number(0),
     "clipped_share": _SHARE},
    {"sqnr_db": _number(), "local_sqnr_db": _number(), "error_share_se": _number(0), "range": _pair, "seen": _pair},
)  # fmt: skip
_DEBUG = _fields(
    {"sha256": _sha256, "images": _text, "samples": _COUNT, "layers": _many(_LAYER)},
    {"float_sha256": _sha256, "output_sqnr_db": _number(), "reference": _text, "runtime": _text, "version": _text,
     "notes": _many(_text), "simulation": _fields({"agrees": _flag})},
)  # fmt: skip
_CHECK = _fields(
    {
        "target": _text, "basis": _text, "ok": _flag, "mapped": _COUNT, "total": _COUNT,
        "operations": _many(_fields(
            {"op": _text, "count": _COUNT, "status": _text}, {"reason": _text, "mend": _text, "first": _text}
        )),
    },
    {"problems": _many(_fields({"reason": _text}, {"mend": _text})), "first_break": _anything, "notes": _many(_text),
     "facts": _named(_anything)},
)  # fmt: skip
_REWRITE = _fields(
    {"name": _text, "places": _COUNT},
    {"form": _text, "max_abs_error": _number(0), "relative_error": _number(0), "because": _text},
)
_PLACE = _fields(
    {"rewrite": _text, "layer": _text, "places": _COUNT, "chosen": _text,
     "forms": _named(_fields({"median_ms": _POSITIVE, "ci95_ms": _pair}, {"sha256": _sha256}))},
    {"input": _many(_number()), "table": _text},
)  # fmt: skip
_CALIBRATION = _fields(
    {"source": _text},
    {"used": _COUNT, "found": _COUNT, "asked": _COUNT, "method": _text, "left_out": _many(_anything),
     "findings": _many(_fields({"severity": _text, "text": _text}, {"code": _text, "images": _many(_anything)}))},
)  # fmt: skip
_QUANTIZATION = _fields(
    {},
    {
        "quantizer": _text, "per_tensor": _flag,
        "simulation": _fields(
            {},
            {"images": _COUNT, "units": _COUNT, "max_lsb": _number(0), "beyond": _many(_anything),
             "rescaled": _many(_anything), "missing": _many(_anything), "float": _many(_anything)},
        ),
        "kept_float": _fields({}, {"layers": _many(_text), "refused": _text}),
    },
)  # fmt: skip
_DOOR = _fields(
    {"dtype": _text}, {"name": _text, "shape": _many(_number()), "scale": _number(), "zero_point": _number()}
)
_FILE = _fields({"file": _file_name, "sha256": _sha256, "size_bytes": _COUNT})
_RECORD = _fields(
    {"file": _file_name, "sha256": _sha256},
    {
        "size_bytes": _COUNT, "network": _text, "preset": _text, "target": _text, "precision": _text, "weights": _text,
        "dataset": _text, "min_runtime_version": _text, "parameters": _COUNT, "macs": _COUNT, "command": _text,
        "float_twin": _fields(
            {"file": _file_name, "sha256": _sha256},
            {"size_bytes": _COUNT, "max_abs_error": _number(0), "relative_error": _number(0), "rewrites": _many(_text)},
        ),
        "input": _DOOR, "output": _DOOR, "labels": _many(_text), "notes": _many(_text), "versions": _named(_text),
        "ops": _fields(
            {"total": _COUNT}, {"int8": _COUNT, "float": _many(_text), "by_name": _named(_COUNT)}
        ),
        "rewrites": _many(_REWRITE),
        "tuning": _fields(
            {"places": _many(_PLACE)}, {"device": _text, "runtime": _text, "version": _text, "cpu": _text}
        ),
        "proof": _fields({"inputs": _COUNT, "source": _text}),
        "calibration": _CALIBRATION, "quantization": _QUANTIZATION, "accuracy": _ACCURACY, "latency": _many(_LATENCY),
        "debug": _DEBUG, "check": _CHECK, "compiled": _FILE,
        "gates": _fields({}, {"max_drop": _number(0), "max_latency_ms": _number(0), "failed": _many(_text)}),
        "pruning": _named(_anything), "clustering": _named(_anything),
    },
)  # fmt: skip


def _consistent(record):
    """Figures of another file, and figures that contradict each other."""
    own = record["sha256"]
    if accuracy := record.get("accuracy"):
        _same_file("accuracy.quantized_sha256", accuracy["quantized_sha256"], own)
        difference = accuracy["quantized_top1"] - accuracy["float_top1"]
        if abs(difference - accuracy["delta"]) > _SUM_TOLERANCE:
            raise _Wrong(f"accuracy.delta is {accuracy['delta']:g}, the two top-1 differ by {difference:g}")
        _classes_sum(accuracy)
    for number, entry in enumerate(record.get("latency") or []):
        _same_file(f"latency[{number}].sha256", entry["sha256"], own)
        low, high = entry["ci95_ms"]
        if not low <= entry["median_ms"] <= high:
            raise _Wrong(f"latency[{number}].median_ms is {entry['median_ms']:g}, its interval is [{low:g}, {high:g}]")
        if sorted(entry.get("quantiles_ms") or []) != (entry.get("quantiles_ms") or []):
            raise _Wrong(f"latency[{number}].quantiles_ms do not rise")
        if entry.get("of_float"):
            _of_float(f"latency[{number}].of_float", entry["of_float"], (record.get("float_twin") or {}).get("sha256"))
    if debug := record.get("debug"):
        _same_file("debug.sha256", debug["sha256"], own)
    if ops := record.get("ops"):
        counted = (ops.get("int8") or 0) + len(ops.get("float") or [])
        if counted > ops["total"]:
            raise _Wrong(f"ops names {counted} operations of {ops['total']}")
    if (check := record.get("check")) and check["mapped"] > check["total"]:
        raise _Wrong(f"check maps {check['mapped']} operations of {check['total']}")


def _of_float(where, found, twin):
    if found["sha256"] != twin:
        named = f"the record names {twin[:12]}" if twin else "the record names none"
        raise _Wrong(f"{where}.sha256 is {found['sha256'][:12]}, not the float twin: {named}")
    low, high = found["ci95"]
    if not low <= found["ratio"] <= high:
        raise _Wrong(f"{where}.ratio is {found['ratio']:g}, its interval is [{low:g}, {high:g}]")
    allowed = {"faster": high < 1, "slower": low > 1, "no difference": True}
    if not allowed.get(found["verdict"]):
        raise _Wrong(f"{where}.verdict is {_shown(found['verdict'])}, its interval is [{low:g}, {high:g}]")


def _classes_sum(accuracy):
    rows = accuracy.get("by_class")
    if not rows:
        return
    if sum(row["samples"] for row in rows) != accuracy["samples"]:
        raise _Wrong("accuracy.by_class has other images than accuracy.samples")
    for which in ("float_top1", "quantized_top1"):
        right = sum(row[which] * row["samples"] for row in rows) / accuracy["samples"]
        if abs(right - accuracy[which]) > _SUM_TOLERANCE * 100:
            raise _Wrong(f"accuracy.by_class gives {which} {right:.4f}, the record says {accuracy[which]:.4f}")


def _same_file(where, sha256, own):
    if sha256 != own:
        raise _Wrong(f"{where} is {sha256[:12]}, of another file than the record's {own[:12]}")


def _finite(value, where, depth):
    """JSON of Python's may hold NaN and infinity; no figure of ours does."""
    if depth > _MAX_DEPTH:
        raise _Wrong("its values are nested too deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise _Wrong(f"{where} is {value}")
    if isinstance(value, int) and abs(value) > 2**63:
        raise _Wrong(f"{where} is a number of {len(str(value)) if abs(value) < 10**4000 else 'too many'} digits")
    for key, each in value.items() if isinstance(value, dict) else ():
        _finite(each, key[:60], depth + 1)
    for each in value if isinstance(value, list) else ():
        _finite(each, where, depth + 1)


def _shown(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
