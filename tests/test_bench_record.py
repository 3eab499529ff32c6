"""Latency in the record: what is kept, replaced and left alone."""

import json

import pytest

from tfeff.artifact import open_artifact, record_path, write_record
from tfeff.bench import latency_entry, record_latency


def result(sha256, median_ms=1.0, **changes):
    fixed = {"device": "local", "runtime": "r", "version": "1", "threads": 1, "xnnpack": True, "ci95_ms": [0.9, 1.1]}
    rest = {"p90_ms": 1.2, "runs": 99, "rounds": 15, "kernels": {"xnnpack": "all"}, "environment": {"cpu": "c"}}
    return {"file": "x", "sha256": sha256, "median_ms": median_ms, **fixed, **rest, **changes}


@pytest.fixture
def artifact(tmp_path):
    """A function that opens one artifact with a record, anew."""
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    sha256 = open_artifact(path).sha256
    write_record(record_path(path), {"schema_version": 1, "file": path.name, "sha256": sha256, "network": "n"})
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
