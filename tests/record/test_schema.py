"""The types, the JSON Schema that is made of them, and what the files of a record hold."""

import copy
import json

import msgspec
import pytest
from full_record import full_record
from record_schema import SCHEMA_FILE, validate

from tfeff.artifact import read_record, write_record
from tfeff.record import Record, build, check_consistent, decode, encode, json_schema, make_schema, to_dict


def parts(value):
    """All parts of a record, itself first."""
    if isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from parts(getattr(value, name))
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from parts(each)


def test_every_field_goes_into_the_file_and_comes_back():
    record = full_record()
    check_consistent(record)
    found = decode(encode(record), "x")
    assert found == record
    seen = set()
    for part in parts(found):
        seen.add(type(part).__name__)
        for field in msgspec.structs.fields(part):
            if field.name not in ("schema_version", "delta", "scale", "zero_point", "mode", "filter"):
                value = getattr(part, field.name)
                default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
                assert value != default, f"{type(part).__name__}.{field.name} is not tried"
    assert {"Record", "Port", "Accuracy", "MixedTrial", "TunedForm", "Crop", "OfFloat", "CheckedOperation"} <= seen


def test_the_shipped_schema_is_that_of_the_types():
    shipped = SCHEMA_FILE.read_text(encoding="utf-8")
    assert shipped == make_schema.text(), "python -m tfeff.record.make_schema"
    assert json.loads(shipped) == json_schema()


def paths(value, at=()):
    """Every place in a JSON value."""
    yield at
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(each, (*at, key))


def changed(value, at, new):
    value = copy.deepcopy(value)
    place = value
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = new
    return value


FREE = {"decode", "stability", "equalization", "bias_correction", "weight_rounding", "training", "left", "wrong",
        "details", "estimates", "facts", "pruning", "clustering", "deflated"}  # fmt: skip


def test_schema_and_decoder_refuse_the_same():
    """Each value of a full record in turn becomes one of another kind, and each object gets a key too many."""
    whole = to_dict(full_record())
    validate(whole)
    tried = 0
    for at in paths(whole):
        if not at or FREE & set(map(str, at)):
            continue
        value = whole
        for key in at:
            value = value[key]
        wrong = [{"no": 1}] if isinstance(value, str | int | float) else "text"
        cases = [changed(whole, at, wrong)]
        if isinstance(value, dict) and "key" not in value:
            cases.append(changed(whole, (*at, "of nobody"), 1))
        for case in cases:
            tried += 1
            with pytest.raises(AssertionError):
                validate(case)
            with pytest.raises(msgspec.ValidationError):
                build(case)
    assert tried > 400


def test_the_least_record():
    least = {"schema_version": 2, "file": "net.tflite", "sha256": "0" * 64}
    validate(least)
    record = decode(json.dumps(least).encode(), "x")
    assert record == Record(file="net.tflite", sha256="0" * 64)
    assert (record.name, record.images, record.accuracy, record.gates.failed) == ("net.tflite", [], [], [])
    for key in least:
        with pytest.raises(AssertionError):
            validate({name: value for name, value in least.items() if name != key} | {"x": 1})


def test_a_record_is_called_by_its_preset_then_its_network():
    record = full_record()
    assert record.name == "a preset"
    record.preset = None
    assert record.name == "a network"
    assert record.images == record.inputs


def test_records_that_tests_write_are_validated(tmp_path):
    """The watch of `tests/conftest.py` is on: what the schema does not allow is not written."""
    record = full_record()
    write_record(tmp_path / "net.json", record)
    assert read_record(tmp_path / "net.json") == record
    record.parameters = "many"
    with pytest.raises(AssertionError, match="many"):
        write_record(tmp_path / "net.json", record)


def test_numbers_that_json_lacks_are_not_written():
    record = full_record()
    record.pruning = {"loss": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        encode(record)
