"""The record as a value: its schema, decoding what strangers wrote, and upgrading what older versions wrote.

`tfeff.artifact` reads and writes the files. Nothing of ours is imported here but the errors.
"""

import json
import math
from typing import Any

import msgspec

from tfeff.errors import TfeffError
from tfeff.record.check import Contradiction, check_consistent
from tfeff.record.schema import SCHEMA_VERSION, Record
from tfeff.record.upgrade import upgrade

MAX_BYTES = 32 * 2**20
_MAX_DEPTH = 32

__all__ = ["MAX_BYTES", "SCHEMA_VERSION", "Contradiction", "Record", "build", "check_consistent", "decode", "encode",
           "json_schema", "to_dict"]  # fmt: skip


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
        raise TfeffError(f"{where}: {len(data):,} bytes, a record has at most {MAX_BYTES:,}", "export the network anew")
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise TfeffError(f"{where}: its values are nested too deep", "export the network anew") from None
    except ValueError as error:
        raise TfeffError(f"{where}: not a readable record ({error})", "export the network anew") from None
    if not isinstance(value, dict) or not {"schema_version", "file", "sha256"} <= value.keys():
        raise TfeffError(f"{where}: not a tfeff record", "give the .json that `tfeff export` wrote")
    version = value["schema_version"]
    if version not in range(1, SCHEMA_VERSION + 1) or isinstance(version, bool):
        raise TfeffError(
            f"{where}: schema version {str(version)[:20]}, this tfeff reads 1 to {SCHEMA_VERSION}", "update tfeff"
        )
    try:
        _check_values(value, "the record", 0)
        if version == 1:
            value = upgrade(value)
        record = msgspec.convert(value, Record)
        check_consistent(record)
    except (msgspec.ValidationError, Contradiction, KeyError, TypeError, AttributeError, ValueError) as error:
        raise TfeffError(
            f"{where}: {_reason(error)}", "it was changed after it was written: export or measure anew"
        ) from None
    return record


def build(value: dict[str, Any]) -> Record:
    """A record of what an export measured; raises ValueError where it is not as the schema says, which is our fault."""
    record = msgspec.convert(value, Record)
    check_consistent(record)
    return record


def to_dict(record: Record) -> dict[str, Any]:
    """The record as JSON has it."""
    return msgspec.to_builtins(record)


def encode(record: Record) -> bytes:
    """The record as the file has it."""
    return (json.dumps(to_dict(record), indent=1, allow_nan=False) + "\n").encode()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record; `schema.json` in this package is the same."""
    schema = msgspec.json.schema(Record)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tfeff record", **schema}


def _check_values(value: Any, where: str, depth: int) -> None:
    """No NaN, no infinity, no number that a float cannot hold, and no deep nest, whatever the schema says of a part."""
    if depth > _MAX_DEPTH:
        raise ValueError("its values are nested too deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where[:60]} is {value}")
    if isinstance(value, int) and abs(value) > 2**63:
        raise ValueError(f"{where[:60]} is a number of too many digits")
    for key, each in value.items() if isinstance(value, dict) else ():
        _check_values(each, key, depth + 1)
    for each in value if isinstance(value, list) else ():
        _check_values(each, where, depth + 1)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"holds {word}, which JSON does not have")


def _reason(error: Exception) -> str:
    """msgspec's `$.x[...].y` as the path that people read."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    text = str(error)
    return text.replace("`$.", "`")
