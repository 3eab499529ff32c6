"""Accuracy against cost: intervals against scipy, the front against its definition, tried on every pair."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from report_records import record, several, write
from scipy.stats import binomtest

from tfeff.report import read_reported
from tfeff.report.comparison import BEHIND, FRONT, UNDECIDED, Point, by_device, comparisons, standings, wilson


@pytest.mark.parametrize(("right", "samples"), [(0, 10), (1, 10), (10, 10), (905, 1000), (9196, 10_000), (1, 1)])
def test_wilson_is_scipys(right, samples):
    theirs = binomtest(right, samples).proportion_ci(0.95, method="wilson")
    assert np.allclose(wilson(100 * right / samples, samples), [100 * theirs.low, 100 * theirs.high], atol=1e-9)


def point(number, top1, cost, half=0.5, spread=0.0):
    return Point(number, f"n{number}", "0" * 64, top1, (top1 - half, top1 + half), cost, (cost - spread, cost + spread))


def test_front_is_that_of_the_definition():
    random = np.random.default_rng(3)
    points = [point(n, float(random.integers(80, 90)), float(random.integers(1, 9))) for n in range(60)]
    found = standings(points)
    for one in found:
        beaten = any(
            (o.value >= one.value and o.cost < one.cost) or (o.value > one.value and o.cost <= one.cost) for o in found
        )
        assert (one.standing == FRONT) == (not beaten), one
    assert {one.standing for one in found} == {FRONT, UNDECIDED, BEHIND}


def test_behind_only_beyond_both_intervals():
    best = point(1, 90.0, 1.0, spread=0.1)
    rivals = {
        "far": (point(2, 88.0, 2.0, spread=0.1), BEHIND),
        "accuracy overlaps": (point(3, 89.5, 2.0, spread=0.1), UNDECIDED),
        "latency overlaps": (point(4, 88.0, 1.15, spread=0.1), UNDECIDED),
        "better": (point(5, 91.0, 2.0, spread=0.1), FRONT),
        "the same": (point(6, 90.0, 1.0, spread=0.1), FRONT),
    }
    for rival, standing in rivals.values():
        assert standings([best, rival])[1].standing == standing


def test_only_like_is_compared_with_like(tmp_path):
    (tmp_path / "a").mkdir()
    made = [record(f"n{n}", latency=0.1 * (n + 1)) for n in range(4)]
    made[2]["accuracy"][0]["dataset"] = "bags"
    made[3]["latency"][0]["threads"] = 4
    subjects = read_reported([write(tmp_path, each) for each in made])
    seen = {(c.cost, c.measure.dataset, c.device): [p.number for p in c.points] for c in comparisons(subjects)}
    one, four = "local, Some CPU, ai-edge-litert 2.3.0, 1 thread", "local, Some CPU, ai-edge-litert 2.3.0, 4 threads"
    assert seen == {
        ("size_bytes", "shoes", ""): [1, 2, 4],
        ("latency_ms", "shoes", one): [1, 2],
        ("latency_ms", "shoes", four): [4],
        ("size_bytes", "bags", ""): [3],
        ("latency_ms", "bags", one): [3],
    }
    assert {device: len(rows) for device, rows in by_device(subjects).items()} == {one: 3, four: 1}


def test_a_phone_s_cores_and_delegates_are_no_likes(tmp_path):
    made = [record(f"n{n}", latency=0.1 * (n + 1)) for n in range(4)]
    for each, core_class, delegate in zip(
        made, ("big", "little", "big", "app's"), (None, None, "GPU", None), strict=True
    ):
        entry = each["latency"][0]
        entry |= {"device": "adb", "core_class": core_class, "xnnpack": delegate is None}
        entry["kernels"] = {"xnnpack": "all"} if delegate is None else {"delegate": delegate, "taken": "all"}
    where = list(by_device(read_reported([write(tmp_path, each) for each in made])))
    assert [words.partition("1 thread, ")[2] for words in where] == [
        "big cores",
        "little cores",
        "big cores, GPU",
        "an app's cores",
    ]


def test_every_point_is_its_records(tmp_path):
    tops = [(91.0, 90.5), (89.0, 88.0)]
    subjects = read_reported([write(tmp_path, record(f"n{n}", top1=t, latency=n + 1.0)) for n, t in enumerate(tops)])
    for one, (number, top) in itertools.product(comparisons(subjects), enumerate(tops)):
        point = one.points[number]
        assert (point.number, point.value, point.sha256) == (number + 1, top[1], subjects[number].sha256)
        assert point.cost == (number + 1.0 if one.cost == "latency_ms" else subjects[number].record.size_bytes)


def test_less_is_better_where_the_metric_says_so():
    near, far = point(1, 0.5, 1.0, spread=0.1, half=0.1), point(2, 2.5, 2.0, spread=0.1, half=0.1)
    assert [one.standing for one in standings([near, far], higher_is_better=False)] == [FRONT, BEHIND]
    assert [one.standing for one in standings([near, far], higher_is_better=True)] == [FRONT, FRONT]


def test_without_an_interval_nothing_is_behind():
    one, other = (
        replace(point(n, value, cost), value_ci95=None) for n, value, cost in ((1, 90.0, 1.0), (2, 50.0, 9.0))
    )
    assert [each.standing for each in standings([one, other])] == [FRONT, UNDECIDED]


def test_every_metric_is_compared_with_its_like(tmp_path):
    made = [several("a"), several("b", mae=(0.5, 0.51), latency=0.5), record("c")]
    found = comparisons(read_reported([write(tmp_path, each) for each in made]))
    sizes = {one.measure.metric: one for one in found if one.cost == "size_bytes"}
    assert {name: [point.number for point in one.points] for name, one in sizes.items()} == {
        "mean F1": [1, 2], "MAE": [1, 2], "top-1": [3],
    }  # fmt: skip
    assert [point.standing for point in sizes["MAE"].points] == [UNDECIDED, FRONT]
    assert [point.value_ci95 for point in sizes["MAE"].points] == [None, None]
    assert sizes["top-1"].points[0].value_ci95 == wilson(90.5, 1000)
    assert (sizes["MAE"].measure.unit, sizes["MAE"].measure.higher_is_better) == ("m", False)


def test_two_figures_of_one_metric_are_told_by_their_outputs(tmp_path):
    made = several()
    made["accuracy"][1] = made["accuracy"][0] | {"outputs": ["depth"]}
    found = comparisons(read_reported([write(tmp_path, made)]))
    assert {one.measure.output for one in found} == {"labels", "depth"}
