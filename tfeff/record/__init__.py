"""The record as a value: its schema, decoding what strangers wrote, and upgrading what older versions wrote.

`tfeff.artifact` reads and writes the files. Nothing of ours is imported here but the errors.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from tfeff.errors import TfeffError
from tfeff.record.check import Contradiction, check_consistent
from tfeff.record.schema import SCHEMA_VERSION, Record
from tfeff.record.upgrade import Misshapen, upgrade

MAX_BYTES = 8 * 2**20  # the largest of ours have 200 kB
_MAX_DEPTH = 32
_LONGEST = 300  # letters of what a message quotes

__all__ = ["MAX_BYTES", "SCHEMA_VERSION", "Contradiction", "Record", "build", "check_consistent", "decode", "encode",
           "json_schema", "load_json", "one_line", "to_dict"]  # fmt: skip


def decode(data: bytes, where: str) -> Record:
    """Reads a record of this schema or an older one.

    Args:
        data: JSON.
        where: what messages call it.

    Raises:
        TfeffError: too large, not JSON, nested too deep, no record, of a newer schema, a part of another kind than the
            schema's, a number that is not finite, or figures that contradict each other.
    """
    if len(data) > MAX_BYTES:
        raise TfeffError(f"{where}: larger than {MAX_BYTES:,} bytes, no record is", "give the .json beside an artifact")
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise TfeffError(f"{where}: its values are nested too deep", "export the network anew") from None
    except ValueError as error:
        reason = one_line(str(error))
        raise TfeffError(f"{where}: not a readable record ({reason})", "export the network anew") from None
    if not isinstance(value, dict) or not {"schema_version", "file", "sha256"} <= value.keys():
        raise TfeffError(f"{where}: not a tfeff record", "give the .json that `tfeff export` wrote")
    version = value["schema_version"]
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        shown = one_line(str(version)[:20]) if isinstance(version, str | float) else str(version)[:20]
        raise TfeffError(f"{where}: schema version {shown}, this tfeff reads 1 to {SCHEMA_VERSION}", "update tfeff")
    try:
        _check_values(value)
        record = msgspec.convert(upgrade(value) if version == 1 else value, Record)
        check_consistent(record)
    except (msgspec.ValidationError, Contradiction, Misshapen, ValueError) as error:
        as_read = "" if version == SCHEMA_VERSION or isinstance(error, Misshapen) else f" (read as {SCHEMA_VERSION})"
        raise TfeffError(
            f"{where}{as_read}: {_reason(error)}", "it was changed after it was written: export or measure anew"
        ) from None
    return record


def load_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file that anybody may have written: not too large or deep, and every number finite.

    Raises:
        OSError: cannot be read.
        ValueError: anything else; it says what.
    """
    if not path.is_file():  # a pipe would never end
        raise ValueError("is no file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("holds no JSON object")
    _check_values(value)
    return value


def build(value: dict[str, Any]) -> Record:
    """A record of what an export measured; raises ValueError where it is not as the schema says, which is our fault."""
    record = msgspec.convert(value, Record)
    check_consistent(record)
    return record


def to_dict(record: msgspec.Struct) -> dict[str, Any]:
    """A record, or a part of one, as JSON has it: objects, lists, texts and numbers."""
    return _as_json(msgspec.to_builtins(record))


def encode(record: Record) -> bytes:
    """The record as the file has it. Raises ValueError for a number that is not finite, which JSON does not have."""
    return (json.dumps(to_dict(record), indent=1, allow_nan=False) + "\n").encode()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record; `schema.json` in this package is the same."""
    schema = msgspec.json.schema(Record)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tfeff record", **schema}


def _as_json(value: Any) -> Any:
    """A pair is a list there."""
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    return [_as_json(each) for each in value] if isinstance(value, list | tuple) else value


def _check_values(value: Any, at: tuple[Any, ...] = (), depth: int = 0) -> None:
    """No infinity, no number that a float cannot hold, and no deep nest, whatever the schema says of a part.

    `at`: (where the value's holder stands, its key there), to be spelt out only where something is wrong.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"{_spelt(at)}: its values are nested too deep")
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        kind = type(each)
        if kind is dict or kind is list:
            _check_values(each, (at, key), depth + 1)
        elif kind is float and not math.isfinite(each):
            raise ValueError(f"{_spelt((at, key))}: a number that is not finite")
        elif kind is int and abs(each) > 2**63:
            raise ValueError(f"{_spelt((at, key))}: a number of too many digits")


def _spelt(at: tuple[Any, ...]) -> str:
    text = ""
    while at:
        at, key = at
        text = f"[{key}]{text}" if isinstance(key, int) else f".{key[:60]}{text}"
    return text.removeprefix(".")


def _refuse_constant(word: str) -> float:
    raise ValueError(f"it holds {word}, which JSON does not have")


def _reason(error: Exception) -> str:
    """Where and what, on one line; msgspec's `... - at `$.x[0].y`` turned round."""
    text = str(error)
    if found := re.fullmatch(r"(.*) - at `\$\.?(.*)`", text, re.DOTALL):
        text = f"{found[2]}: {found[1][:1].lower()}{found[1][1:]}"
    return one_line(text[:1].lower() + text[1:] if isinstance(error, msgspec.ValidationError) else text).replace(
        "`", ""
    )


def one_line(text: str) -> str:
    """What a stranger wrote, as one line that a terminal can show."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
