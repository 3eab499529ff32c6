"""Latency in the record: what is kept, replaced and left alone."""

import json

import pytest

from tfeff.artifact import open_artifact, record_path, write_record
from tfeff.bench import latency_entry, ratio_to_float, record_latency


def result(sha256, median_ms=1.0, **changes):
    fixed = {"device": "local", "runtime": "r", "version": "1", "threads": 1, "xnnpack": True, "ci95_ms": [0.9, 1.1]}
    rest = {"p90_ms": 1.2, "runs": 99, "rounds": 15, "kernels": {"xnnpack": "all"}, "environment": {"cpu": "c"}}
    return {"file": "x", "sha256": sha256, "median_ms": median_ms, **fixed, **rest, **changes}


TWIN = "f" * 64


def ratio(**changes):
    """Of the file "x" to the file "twin"."""
    fixed = {"device": "local", "threads": 1, "a": "x", "b": "twin", "ratio": 0.5, "ci95": [0.4, 0.6]}
    return {**fixed, "launches": [0.5, 0.5, 0.5], "verdict": "faster", **changes}


@pytest.fixture
def artifact(tmp_path):
    """A function that opens one artifact with a record, anew."""
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    sha256 = open_artifact(path).sha256
    twin = {"file": "a.twin.tflite", "sha256": TWIN}
    record = {"schema_version": 1, "file": path.name, "sha256": sha256, "network": "n", "float_twin": twin}
    write_record(record_path(path), record)
    return lambda: open_artifact(path)


def latency(artifact):
    return artifact().record["latency"]


def test_an_entry_has_the_records_keys_and_no_path_of_this_machine():
    entry = latency_entry(result("s", device="python:/home/someone/bin/python"))
    contract = {"device", "runtime", "version", "threads", "median_ms", "ci95_ms", "runs", "sha256"}
    assert contract <= entry.keys()
    assert entry["device"] == "python"
    assert "/home" not in json.dumps(entry)


def test_quantiles_are_kept_where_they_are_known():
    assert latency_entry(result("s", quantiles_ms=[1, 2, 3, 4, 5]))["quantiles_ms"] == [1, 2, 3, 4, 5]
    assert "quantiles_ms" not in latency_entry(result("s"))


def test_entries_are_appended_and_the_same_setting_is_replaced(artifact):
    sha256 = artifact().sha256
    assert record_latency(artifact(), [result(sha256, 1.0), result(sha256, 2.0, threads=2)])
    assert record_latency(artifact(), [result(sha256, 3.0)])
    assert record_latency(
        artifact(), [result(sha256, 4.0, xnnpack=False), result(sha256, 5.0, environment={"cpu": "d"})]
    )
    assert [entry["median_ms"] for entry in latency(artifact)] == [2.0, 3.0, 4.0, 5.0]
    assert artifact().record["network"] == "n"


def test_a_phone_s_little_cores_do_not_pass_for_its_big_ones(artifact):
    sha256 = artifact().sha256
    for number, cores in enumerate(["big", "little", "big"], start=1):
        record_latency(artifact(), [result(sha256, float(number), device="adb", core_class=cores)])
    assert [(entry["median_ms"], entry["core_class"]) for entry in latency(artifact)] == [(2.0, "little"), (3.0, "big")]


def test_delegates_of_a_phone_are_told_apart(artifact):
    sha256 = artifact().sha256
    kinds = [{"xnnpack": "none"}, {"xnnpack": "none", "delegate": "GPU"}, {"xnnpack": "none", "delegate": "NNAPI"}]
    for number, kernels in enumerate([*kinds, kinds[1]], start=1):
        record_latency(artifact(), [result(sha256, float(number), device="adb", xnnpack=False, kernels=kernels)])
    assert [entry["median_ms"] for entry in latency(artifact)] == [1.0, 3.0, 4.0]


def test_figures_of_other_bytes_go(artifact):
    sha256 = artifact().sha256
    record = artifact().record | {"latency": [latency_entry(result("older", 9.0, threads=4))]}
    write_record(record_path(artifact().path), record)
    record_latency(artifact(), [result(sha256)])
    assert [entry["sha256"] for entry in latency(artifact)] == [sha256]


def test_results_of_other_files_are_passed_over(artifact):
    assert not record_latency(artifact(), [result("another")])
    assert "latency" not in artifact().record


def test_a_file_without_a_record(artifact):
    record_path(artifact().path).unlink()
    assert not record_latency(artifact(), [result(artifact().sha256)])
    assert not record_path(artifact().path).exists()


OF_FLOAT = {"ratio": 0.5, "ci95": [0.4, 0.6], "verdict": "faster", "sha256": TWIN}


def test_the_ratio_to_the_float_twin_is_kept_with_the_times_of_its_run(artifact):
    sha256 = artifact().sha256
    results = [result(TWIN, 2.0, file="twin"), result(sha256), result(TWIN, threads=2, file="twin")]
    results += [result(sha256, threads=2)]
    ratios = [ratio(), ratio(threads=2, ratio=0.8, verdict="no difference")]
    assert record_latency(artifact(), results, ratios)
    one, two = latency(artifact)
    assert one["of_float"] == OF_FLOAT
    assert two["of_float"] == OF_FLOAT | {"ratio": 0.8, "verdict": "no difference"}
    record_latency(artifact(), [result(sha256, 3.0)])  # another run, of this file alone
    assert [("of_float" in entry) for entry in latency(artifact)] == [True, False]


@pytest.mark.parametrize(
    "changed",
    [{"b": "other"}, {"a": "other"}, {"device": "python:p"}, {"threads": 2}, {"a": "twin", "b": "x"}],
    ids=["to another file", "of another file", "on another device", "with other threads", "the other way round"],
)
def test_other_ratios_are_not_taken_for_it(artifact, changed):
    results = [result(TWIN, file="twin"), result("o", file="other"), result(artifact().sha256)]
    assert record_latency(artifact(), results, [ratio(**changed)])
    assert "of_float" not in latency(artifact)[0]


def test_a_file_that_is_its_own_twin_has_no_ratio():
    same = [result(TWIN, file="twin"), result(TWIN)]
    assert ratio_to_float(same[1], same, [ratio()], TWIN) is None
    assert ratio_to_float(result("s"), [], [ratio()], None) is None


def test_results_that_were_sent_without_files_or_ratios_are_recorded(artifact):
    """As `collect` gives them."""
    results = [result(TWIN), result(artifact().sha256)]
    for one in results:
        del one["file"]
    assert record_latency(artifact(), results)
    assert "of_float" not in latency(artifact)[0]
