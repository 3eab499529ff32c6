"""Records from strangers: each that is not whole is refused in one line that says where, quickly, in little memory."""

import copy
import json
import resource
import time

import pytest
from full_record import full_record

from tfeff.artifact import read_record
from tfeff.errors import TfeffError
from tfeff.record import MAX_BYTES, decode, to_dict

OTHER = "f" * 64


def refused(data):
    with pytest.raises(TfeffError) as caught:
        decode(data if isinstance(data, bytes) else json.dumps(data).encode(), "net.json")
    error = caught.value
    assert error.what.startswith("net.json")
    assert error.what.isprintable()
    assert len(error.what) < 400
    assert error.mend
    return error.what


def with_value(at, value):
    record = to_dict(full_record())
    place = record
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = copy.deepcopy(value)
    return record


def nested(depth, value=1):
    for _ in range(depth):
        value = {"a": value} if depth % 2 else [value]
    return value


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("network",), 3, "network: expected str | null, got int"),
        (("sha256",), "abc", "sha256: expected str matching regex"),
        (("file",), "../net.tflite", "file: expected str matching regex"),
        (("file",), "..", "file: expected str matching regex"),
        (("file",), "C:\\net.tflite", "file: expected str matching regex"),
        (("file",), "a\0b", "file: expected str matching regex"),
        (("file",), "", "file: expected str matching regex"),
        (("file",), "x" * 300, "file: expected str of length <= 255"),
        (("float_twin", "file"), "/etc/passwd", "float_twin.file: expected str matching regex"),
        (("compiled", "file"), "/etc/passwd", "compiled.file: expected str matching regex"),
        (("of nobody",), 1, "object contains unknown field of nobody"),
        (("latency", 0, "line\nbreak\x1b[31m"), 1, "latency[0]: object contains unknown field line break [31m"),
        (("gates", "max_drop"), "0.1", "gates.max_drop: expected float"),
        (("accuracy", 0, "samples"), True, "accuracy[0].samples: expected int, got bool"),
        (("accuracy", 0, "ci95"), [1.0], "accuracy[0].ci95: expected array of length 2, got 1"),
        (("accuracy", 0, "quantized"), "91", "accuracy[0].quantized: expected float, got str"),
        (("accuracy",), {}, "accuracy: expected array, got object"),
        (("inputs", 0, "dtype"), "object", "inputs[0].dtype: expected str matching regex"),
        (("inputs", 0, "shape"), [1, -2], "inputs[0].shape[1]: expected int >= 0"),
        (("versions", "tfeff"), {}, "versions[...]: expected str, got object"),
        (("pruning",), {"a": nested(40)}, "its values are nested too deep"),
        (("pruning",), {"a": [1, 10**30]}, "pruning.a[1]: a number of too many digits"),
        (("macs",), 10**30, "macs: a number of too many digits"),
        (("debug", "layers", 0, "clipped_share"), 1.5, "debug.layers[0].clipped_share: expected float <= 1.0"),
    ],
    ids=str,
)  # fmt: skip
def test_parts_of_another_kind_are_named(at, value, said):
    assert said in refused(with_value(at, value))


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("sha256",), OTHER, "accuracy[0].quantized_sha256: is aaaaaaaaaaaa, of another file than the record's fff"),
        (("accuracy", 0, "quantized_sha256"), OTHER, "accuracy[0].quantized_sha256: is ffffffffffff, of another file"),
        (("accuracy", 0, "quantized"), 0.9, "accuracy[0].delta: is 0, the two figures differ by 0.4"),
        (("accuracy", 0, "ci95"), [1.0, -1.0], "accuracy[0].ci95: is [1.0, -1.0], its low end lies above"),
        (("accuracy", 0, "groups", 0, "float"), 0.25, "accuracy[0].groups[0].delta: is 0, the two figures differ"),
        (("accuracy", 0, "outputs"), ["mask"], "accuracy[0].outputs: names 'mask', which is none of the file's"),
        (("tasks", 0, "outputs"), ["mask"], "tasks[0].outputs: names 'mask', which is none of the file's outputs"),
        (("ports", 0, "name"), "mask", "ports[0].name: names 'mask', which is none of the file's outputs"),
        (("latency", 0, "sha256"), OTHER, "latency[0].sha256: is ffffffffffff, of another file"),
        (("latency", 0, "median_ms"), 9.0, "latency[0].median_ms: is 9, its interval is [0.5, 0.5]"),
        (("latency", 0, "quantiles_ms"), [5, 4, 3, 2, 1], "latency[0].quantiles_ms: do not rise"),
        (("latency", 0, "of_float", "ratio"), 0.6, "latency[0].of_float.ratio: is 0.6, its interval is [0.5, 0.5]"),
        (("latency", 0, "of_float", "ci95"), [0.5, 0.4], "latency[0].of_float.ci95: is [0.5, 0.4], its low end"),
        (("latency", 0, "of_float", "verdict"), "slower", "latency[0].of_float.verdict: is 'slower', its interval is"),
        (("latency", 0, "of_float", "sha256"), OTHER, "not the float twin: the record names aaa"),
        (("float_twin",), None, "not the float twin: the record names none"),
        (("debug", "sha256"), OTHER, "debug.sha256: is ffffffffffff, of another file"),
        (("debug", "layers", 0, "seen"), [1.0, 0.0], "debug.layers[0].seen: is [1.0, 0.0], its low end lies above"),
        (("tuning", "places", 0, "forms", "key", "ci95_ms"), [2, 1], "tuning.places[0].forms.key.ci95_ms: is [2.0, 1"),
        (("quantization", "kept_float", "latency", 0, "ci95"), [2, 1], "kept_float.latency[0].ci95: is [2.0, 1.0]"),
        (("ops", "int8"), 9, "ops: names 10 operations of 9"),
        (("check", "mapped"), 10, "check: maps 10 operations of 9"),
    ],
    ids=str,
)  # fmt: skip
def test_contradictions_are_named(at, value, said):
    assert said in refused(with_value(at, value))


def test_two_ports_of_one_name():
    record = to_dict(full_record())
    for side in ("inputs", "outputs"):
        assert f"{side}: two are called 'logits'" in refused(record | {side: record[side] * 2})


def test_shares_and_their_groups():
    record = to_dict(full_record())
    accuracy = record["accuracy"][0] | {"metric": "top-1", "unit": "%", "samples": 4}
    row = accuracy["groups"][0]
    assert "has other samples than" in refused(record | {"accuracy": [accuracy]})
    rows = [row | {"samples": 1, "float": 40.0, "quantized": 40.0}, row | {"samples": 3}]
    assert "accuracy[0].groups: gives 10.3750 for float, the record says 0.5" in refused(
        record | {"accuracy": [accuracy | {"groups": rows}]}
    )
    part = {"float": 101.0, "quantized": 101.0}
    assert "accuracy[0]: has 101 %" in refused(record | {"accuracy": [accuracy | part]})
    assert decode(json.dumps(record | {"accuracy": [accuracy | part | {"unit": "px", "metric": "EPE"}]}).encode(), "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not a readable record"),
        (b"\xff\xfe\x00", "not a readable record"),
        (b'{"schema_version": 2, "file": "a"', "not a readable record"),
        (b"[]", "not a tfeff record"),
        (b"3", "not a tfeff record"),
        (b'{"labels": []}', "not a tfeff record"),
        (b'{"schema_version": 2, "sha256": "0"}', "not a tfeff record"),
        (b'{"schema_version": 3, "file": "a", "sha256": "b"}', "schema version 3, this tfeff reads 1 to 2"),
        (b'{"schema_version": 0, "file": "a", "sha256": "b"}', "schema version 0"),
        (b'{"schema_version": true, "file": "a", "sha256": "b"}', "schema version True"),
        (b'{"schema_version": null, "file": "a", "sha256": "b"}', "schema version None"),
        (b'{"schema_version": "2\\n", "file": "a", "sha256": "b"}', "schema version 2"),
        (b'{"schema_version": 2, "file": "a", "sha256": "b", "macs": NaN}', "holds NaN, which JSON does not have"),
        (b'{"schema_version": 2, "file": "a", "sha256": "b", "macs": -Infinity}', "holds -Infinity"),
        (b'{"schema_version": 2, "file": "a", "sha256": "b", "macs": 1e400}', "macs: a number that is not finite"),
        (b'{"schema_version": 1, "file": "a", "sha256": "b", "pruning": {"b": [1e400]}}', "pruning.b[0]: a number"),
        (b'{"schema_version": 2, "file": "a", "sha256": "b", "macs": %s}' % (b"9" * 5000), "not a readable record"),
        (b'{"schema_version": 2, "file": "a", "sha256": "b", "x": %s}' % (b"[" * 100_000), "nested too deep"),
        (b'{"schema_version": 2, "file": "a", "sha256": "b", "x": %s%s}' % (b"[" * 50, b"]" * 50), "nested too deep"),
    ],
    ids=range(19),
)  # fmt: skip
def test_texts_that_are_no_record(text, said):
    assert said in refused(text)


def test_of_schema_1_the_part_is_named():
    old = {"schema_version": 1, "file": "a", "sha256": "0" * 64}
    for key, value, said in [
        ("accuracy", [], "net.json: accuracy: is not an object"),
        ("accuracy", {"float_top1": 3}, "net.json: accuracy.quantized_top1: is missing"),
        ("accuracy", {"float_top1": 3, "quantized_top1": 3, "by_class": [{"label": "a"}]},
         "net.json: accuracy.by_class[0].float_top1: is missing"),
        ("accuracy", {"float_top1": 3, "quantized_top1": 3, "by_class": 7}, "by_class: is not a list"),
        ("accuracy", {"float_top1": "3", "quantized_top1": 3}, "(read as 2): accuracy[0].float: expected float"),
        ("input", "image", "net.json: input: is not an object"),
        ("input", {"shape": [1]}, "(read as 2): inputs[0]: object missing required field dtype"),
        ("compiled", 3, "net.json: compiled: is not an object"),
        ("calibration", {"source": "a", "tried": [{"method": "mse"}]}, "calibration.tried[0].divergence: is missing"),
        ("quantization", {"kept_float": [1]}, "net.json: quantization.kept_float: is not an object"),
        ("labels", [1, 2], "(read as 2): tasks[0].labels[0]: expected str, got int"),
        ("float_twin", "float.tflite", "(read as 2): float_twin: expected object | null, got str"),
        ("nobody's", 1, "(read as 2): object contains unknown field nobody's"),
    ]:  # fmt: skip
        assert said in refused(old | {key: value})


def test_a_large_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "net.json"
    with path.open("wb") as file:
        file.truncate(4 * 2**30)  # sparse: nothing on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TfeffError, match="larger than 8,388,608 bytes"):
        read_record(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    with pytest.raises(TfeffError, match="larger than"):
        decode(b'{"notes": "%s"}' % (b"x" * 40 * 2**20), "net.json")


def test_a_wide_file_costs_seconds_at_most():
    many = b"[]," * ((MAX_BYTES - 1000) // 3)
    data = b'{"schema_version": 2, "file": "a", "sha256": "b", "pruning": {"a": [%s0]}}' % many
    begun = time.process_time()
    assert "sha256: expected str matching" in refused(data)
    assert time.process_time() - begun < 10
