"""Latency in the record: what is kept, replaced and left alone."""

import json

import msgspec
import pytest

from tfeff.artifact import open_artifact, record_path
from tfeff.bench import Ratio, Result, latency_entry, ratio_to_float, record_latency
from tfeff.bench.outcome import PhoneTimes, Times, WorkerTimes
from tfeff.errors import TfeffError
from tfeff.record.schema import Kernels, OfFloat

TWIN, OTHER = "f" * 64, "a" * 64


def result(sha256, median_ms=1.0, **changes):
    times = Times(median_ms, (0.9 * median_ms, 1.1 * median_ms), 1.2 * median_ms, 99, 15)
    fixed = {"file": "x", "device": "local", "runtime": "r", "version": "1", "threads": 1, "xnnpack": True}
    return Result(sha256=sha256, **{**fixed, "kernels": Kernels(xnnpack="all"), "environment": {"cpu": "c"},
                                    "times": times, **changes})  # fmt: skip


def on_phone(sha256, median_ms, core_class="big", **changes):
    times = PhoneTimes(median_ms, (median_ms, median_ms), None, 99, 5, step_ms=0.001, statistic="", p95_ms=None,
                       p90_blocks_ms=1.0, init_ms=None, first_ms=None, throttled_rounds=0, launches=5,
                       core_class=core_class, pinned_cores=None, warmup_runs=1, blocks=[])  # fmt: skip
    return result(sha256, **{"device": "adb", "times": times, **changes})


def ratio(**changes):
    """Of the file "x" to the file "twin"."""
    fixed = {"device": "local", "threads": 1, "a": "x", "b": "twin", "ratio": 0.5, "ci95": (0.4, 0.6)}
    return Ratio(**{**fixed, "launches": [0.5, 0.5, 0.5], "verdict": "faster", **changes})


@pytest.fixture
def artifact(tmp_path):
    """A function that opens one artifact with a record, anew."""
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    sha256 = open_artifact(path).sha256
    twin = {"file": "a.twin.tflite", "sha256": TWIN}
    # As tfeff 0.1 wrote them: the first measurement makes a record of today out of it.
    record = {"schema_version": 1, "file": path.name, "sha256": sha256, "network": "n", "float_twin": twin}
    record_path(path).write_text(json.dumps(record))
    return lambda: open_artifact(path)


def latency(artifact):
    return artifact().record.latency


def test_an_entry_has_the_records_keys_and_no_path_of_this_machine():
    entry = latency_entry(result("s", device="python:/home/someone/bin/python"))
    assert (entry.device, entry.runtime, entry.version, entry.threads, entry.cpu) == ("python", "r", "1", 1, "c")
    assert (entry.median_ms, entry.ci95_ms, entry.p90_ms, entry.runs, entry.sha256) == (1.0, (0.9, 1.1), 1.2, 99, "s")
    assert "/home" not in json.dumps(msgspec.to_builtins(entry))


def test_quantiles_are_kept_where_they_are_known():
    times = WorkerTimes(3.0, (2.9, 3.1), 4.5, 99, 15, (1.0, 2.0, 3.0, 4.0, 5.0), 3, True, 10, True)
    assert latency_entry(result("s", times=times)).quantiles_ms == [1, 2, 3, 4, 5]
    assert latency_entry(result("s")).quantiles_ms is None


def test_a_record_of_schema_1_is_one_of_schema_2_once_it_is_measured(artifact):
    assert json.loads(record_path(artifact().path).read_text())["schema_version"] == 1
    assert record_latency(artifact(), [result(artifact().sha256, 3.0)])
    written = json.loads(record_path(artifact().path).read_text())
    assert (written["schema_version"], written["network"], written["float_twin"]["sha256"]) == (2, "n", TWIN)
    assert [(one["median_ms"], one["sha256"]) for one in written["latency"]] == [(3.0, artifact().sha256)]


def test_a_result_without_times_is_passed_over(artifact):
    assert not record_latency(artifact(), [result(artifact().sha256, times=None)])
    with pytest.raises(TfeffError, match="tells no time"):
        latency_entry(result("s", times=None))


def test_entries_are_appended_and_the_same_setting_is_replaced(artifact):
    sha256 = artifact().sha256
    assert record_latency(artifact(), [result(sha256, 1.0), result(sha256, 2.0, threads=2)])
    assert record_latency(artifact(), [result(sha256, 3.0)])
    assert record_latency(
        artifact(), [result(sha256, 4.0, xnnpack=False), result(sha256, 5.0, environment={"cpu": "d"})]
    )
    assert [entry.median_ms for entry in latency(artifact)] == [2.0, 3.0, 4.0, 5.0]
    assert artifact().record.network == "n"


def test_a_phone_s_little_cores_do_not_pass_for_its_big_ones(artifact):
    sha256 = artifact().sha256
    for number, cores in enumerate(["big", "little", "big"], start=1):
        record_latency(artifact(), [on_phone(sha256, float(number), cores)])
    assert [(entry.median_ms, entry.core_class) for entry in latency(artifact)] == [(2.0, "little"), (3.0, "big")]


def test_delegates_of_a_phone_are_told_apart(artifact):
    sha256 = artifact().sha256
    kinds = [Kernels(xnnpack="none", delegate=delegate) for delegate in (None, "GPU", "NNAPI")]
    for number, kernels in enumerate([*kinds, kinds[1]], start=1):
        record_latency(artifact(), [on_phone(sha256, float(number), xnnpack=False, kernels=kernels)])
    assert [entry.median_ms for entry in latency(artifact)] == [1.0, 3.0, 4.0]


def test_results_of_other_files_are_passed_over(artifact):
    assert not record_latency(artifact(), [result(OTHER)])
    assert artifact().record.latency == []


def test_a_file_without_a_record(artifact):
    record_path(artifact().path).unlink()
    assert not record_latency(artifact(), [result(artifact().sha256)])
    assert not record_path(artifact().path).exists()


OF_FLOAT = OfFloat(ratio=0.5, ci95=(0.4, 0.6), verdict="faster", sha256=TWIN)


def test_the_ratio_to_the_float_twin_is_kept_with_the_times_of_its_run(artifact):
    sha256 = artifact().sha256
    results = [result(TWIN, 2.0, file="twin"), result(sha256), result(TWIN, threads=2, file="twin")]
    results += [result(sha256, threads=2)]
    ratios = [ratio(), ratio(threads=2, ratio=0.5, verdict="no difference")]
    assert record_latency(artifact(), results, ratios)
    one, two = latency(artifact)
    assert one.of_float == OF_FLOAT
    assert two.of_float == msgspec.structs.replace(OF_FLOAT, verdict="no difference")
    record_latency(artifact(), [result(sha256, 3.0)])  # another run, of this file alone
    assert [(entry.of_float is not None) for entry in latency(artifact)] == [True, False]


@pytest.mark.parametrize(
    "changed",
    [{"b": "other"}, {"a": "other"}, {"device": "python:p"}, {"threads": 2}, {"a": "twin", "b": "x"}],
    ids=["to another file", "of another file", "on another device", "with other threads", "the other way round"],
)
def test_other_ratios_are_not_taken_for_it(artifact, changed):
    results = [result(TWIN, file="twin"), result(OTHER, file="other"), result(artifact().sha256)]
    assert record_latency(artifact(), results, [ratio(**changed)])
    assert latency(artifact)[0].of_float is None


def test_a_file_that_is_its_own_twin_has_no_ratio():
    same = [result(TWIN, file="twin"), result(TWIN)]
    assert ratio_to_float(same[1], same, [ratio()], TWIN) is None
    assert ratio_to_float(result("s"), [], [ratio()], None) is None


def test_results_that_were_sent_without_ratios_are_recorded(artifact):
    """As `collect` gives them."""
    results = [result(TWIN), result(artifact().sha256)]
    assert record_latency(artifact(), results)
    assert latency(artifact)[0].of_float is None
