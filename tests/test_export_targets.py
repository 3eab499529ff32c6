"""Targets: every file in `export/targets` is one, names rewrites that exist, and says why it refuses a file."""

import pytest
from tfeff.export.flatbuffer import Graph
from tfeff.export.rewrites import load_rewrite
from tfeff.export.targets import get_target, list_targets

from tfeff.errors import TfeffError


def graph(version):
    return Graph(operations=(), inputs=(), outputs=(), min_runtime_version=version)


@pytest.mark.parametrize("name", sorted(list_targets()))
def test_target_is_whole(name):
    target = get_target(name)
    assert target.name == name
    assert target.summary
    for rewrite in target.rewrites:
        assert load_rewrite(rewrite).name == rewrite
    assert target.problems(graph("1.14.0")) == []


def test_the_spine_has_its_two_targets():
    assert {"litert", "tflite-runtime"} <= set(list_targets())
    assert get_target("litert").rewrites == ("freeze_shift",)
    assert get_target("tflite-runtime").rewrites == ("slice_shift", "freeze_shift", "split_group_conv")


@pytest.mark.parametrize(("version", "fits"), [("2.14.0", True), ("2.9.0", True), ("", True), ("2.15.0", False)])
def test_tflite_runtime_refuses_newer_files(version, fits):
    problems = get_target("tflite-runtime").problems(graph(version))
    assert (problems == []) == fits
    if not fits:
        assert version in problems[0]


def test_unknown_target_names_the_nearest():
    with pytest.raises(TfeffError, match="tflite-runtime") as refused:
        get_target("tflite-runtme")
    assert refused.value.exit_code == 2
