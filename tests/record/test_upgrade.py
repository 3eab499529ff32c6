"""Records that tfeff wrote before schema 2 say the same when they are read now.

Those in `data/schema1` are as they were, but for long lists, which are cut, and two of the times in `measured`, which
no browser and no phone took.
"""

import copy
import json
from pathlib import Path

import pytest
from record_schema import validate

from tfeff.record import decode, encode, to_dict

OLD = {path.stem: path for path in sorted((Path(__file__).parent / "data" / "schema1").glob("*.json"))}


def read(name):
    """What the file says, and the record that is made of it."""
    data = OLD[name].read_bytes()
    return json.loads(data), decode(data, name)


@pytest.mark.parametrize("name", OLD)
def test_old_records_become_valid_ones(name):
    _, record = read(name)
    validate(to_dict(record))
    assert decode(encode(record), name) == record


def leaves(value):
    """All numbers and texts in a JSON value."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    elif value is not None and value != "":
        yield value if not isinstance(value, int) or isinstance(value, bool) else float(value)


@pytest.mark.parametrize("name", OLD)
def test_no_figure_is_lost_and_none_is_made_up(name):
    old, record = read(name)
    before, after = set(leaves(old)) - {1.0}, set(leaves(to_dict(record)))
    assert before <= after
    made = {"classification", "classes", "logits", "image", "top-1", "%", "float file", "McNemar, exact", 1.0, 2.0, 0.0,
            "divergence of the class scores, nats an image"}  # fmt: skip
    assert {value for value in after - before - made if not is_difference(value, old)} == set()


def is_difference(value, old):
    """A class's loss, which the first records left out."""
    rows = [row for part in (old.get("accuracy"), kept(old)) if part for row in part.get("by_class", [])]
    rows += [row for part in (old.get("accuracy"), kept(old)) if part for row in part.get("worst_classes", [])]
    return any(value == row["quantized_top1"] - row["float_top1"] for row in rows)


def kept(old):
    return ((old.get("quantization") or {}).get("kept_float") or {}).get("all_int8")


def test_one_image_and_one_list_of_logits_are_ports():
    old, record = read("measured")
    (image,), (logits,), (task,) = record.inputs, record.outputs, record.tasks
    assert (image.name, image.shape, image.dtype) == ("image", old["input"]["shape"], "int8")
    assert (image.scale, image.zero_point) == (old["input"]["scale"], old["input"]["zero_point"])
    assert to_dict(image.preprocessing) == old["preprocessing"]
    assert (logits.name, logits.shape, logits.preprocessing) == ("logits", [1, 10], None)
    assert (task.name, task.outputs, task.labels) == ("classification", ["logits"], old["labels"])
    assert task.decode == {"kind": "classes", "scores": "logits"}
    assert record.images == [image]


def test_accuracy_is_that_of_a_metric():
    old, record = read("measured")
    (accuracy,), before = record.accuracy, old["accuracy"]
    assert (accuracy.task, accuracy.metric, accuracy.unit, accuracy.higher_is_better) == (
        "classification", "top-1", "%", True,
    )  # fmt: skip
    assert (accuracy.float_value, accuracy.quantized) == (before["float_top1"], before["quantized_top1"])
    assert (accuracy.delta, list(accuracy.ci95)) == (before["delta"], before["ci95"])
    assert (accuracy.p, accuracy.test) == (before["mcnemar_p"], "McNemar, exact")
    assert accuracy.details == {"flips": before["flips"]}
    assert [row.label for row in accuracy.groups] == old["labels"]
    for row, then in zip(accuracy.groups, before["by_class"], strict=True):
        assert (row.float_value, row.quantized) == (then["float_top1"], then["quantized_top1"])
    (port,) = record.ports
    assert (port.name, port.reference, port.sqnr_db) == ("logits", "float file", before["output_snr_db"])
    assert (port.samples, port.source) == (before["samples"], before["dataset"])


def test_times_layers_and_how_it_was_made():
    old, record = read("measured")
    assert [entry.device for entry in record.latency] == ["local", "browser", "adb"]
    assert record.latency[0].of_float.sha256 == record.float_twin.sha256
    assert record.latency[1].browser.images == 16
    assert record.latency[2].kernels.delegate == "GPU"
    assert len(record.debug.layers) == 3
    assert record.debug.layers[0].layer == old["debug"]["layers"][0]["layer"]
    assert record.debug.simulation.same_answers == old["debug"]["simulation"]["top1_agreement"]
    (whole,) = read("kept_float")[1].quantization.kept_float.all_int8
    assert whole.metric == "top-1"
    compiled = read("compiled_by_vela")[1].compiled
    assert (compiled.compiler, compiled.details["npu_operators"]) == ("vela", 30)
    assert compiled.estimates["cycles"] > 0
    assert read("tuned")[1].tuning.places[0].forms["mean"].median_ms > 0
    assert read("pruned")[1].pruning["sparsity"] == 0.5
    calibration = record.calibration
    assert [trial.loss for trial in calibration.tried] == [row["divergence"] for row in old["calibration"]["tried"]]
    assert "nats" in calibration.criterion


def test_findings_were_lines_of_text_once():
    old, _ = read("measured")
    old["calibration"]["findings"] = ["one layer is narrow"]
    (finding,) = decode(json.dumps(old).encode(), "x").calibration.findings
    assert (finding.severity, finding.text) == ("note", "one layer is narrow")


def test_what_was_not_measured_is_not_made_up():
    old, _ = read("measured")
    bare = {key: old[key] for key in ("schema_version", "file", "sha256")}
    for part in (bare, bare | dict.fromkeys(set(old) - set(bare))):  # left out, and null
        record = decode(json.dumps(part).encode(), "x")
        assert (record.accuracy, record.ports, record.latency, record.inputs) == ([], [], [], [])
        assert record.debug is None
        assert record.calibration is None
    without = copy.deepcopy(old)
    for key in ("mcnemar_p", "flips", "output_snr_db", "by_class", "worst_classes"):
        del without["accuracy"][key]
    record = decode(json.dumps(without).encode(), "x")
    assert (record.accuracy[0].p, record.accuracy[0].test, record.accuracy[0].groups) == (None, None, [])
    assert record.accuracy[0].details == {}
    assert record.ports == []


def test_of_a_users_model_the_scores_are_not_said():
    """It may have ended in a softmax; whoever shows its answers goes by the values."""
    old, _ = read("measured")
    (task,) = decode(json.dumps({**old, "preset": None, "network": "mine.keras"}).encode(), "x").tasks
    assert task.decode == {"kind": "classes"}
