"""Records against the JSON Schema that the package ships."""

import json
from functools import cache
from pathlib import Path

import tfeff.artifact
import tfeff.record

SCHEMA_FILE = Path(tfeff.record.__file__).with_name("schema.json")


@cache
def _validator():
    from jsonschema import Draft202012Validator

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def validate(value) -> None:
    """Raises AssertionError, with the place, for what is no record of schema 2."""
    from jsonschema.exceptions import best_match

    if (error := best_match(_validator().iter_errors(value))) is not None:
        raise AssertionError(f"no record: {error.json_path}: {error.message[:300]}")


def validate_written(monkeypatch) -> None:
    """From here on every record that `tfeff.artifact` writes in this process is validated, and can be read again."""
    encode = tfeff.artifact.encode

    def encode_valid(record):
        data = encode(record)
        validate(json.loads(data))
        tfeff.record.decode(data, "a record as it is written")
        return data

    monkeypatch.setattr(tfeff.artifact, "encode", encode_valid)


def validate_files(paths, since: float) -> None:
    """The same for the records that a process wrote: those beside the files or in the folders that its command line
    names, and not older than `since`."""
    folders = {path if path.is_dir() else path.parent for path in map(Path, paths)}
    for file in {file for folder in folders if folder.is_dir() for file in folder.glob("*.json")}:
        if file.stat().st_mtime < since or b'"schema_version": 2' not in (data := file.read_bytes())[:100]:
            continue
        value = json.loads(data)
        if "sha256" in value:  # the report's own JSON has none
            validate(value)
