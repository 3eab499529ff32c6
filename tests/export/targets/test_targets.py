"""Targets: every folder in `export/targets` is one, names rewrites and forms that exist with a reason for each, and
says what it makes of a file."""

import pytest
from checking_files import converted

from tfeff.errors import TfeffError
from tfeff.export.rewrites import load_rewrite
from tfeff.export.targets import CompilerOptions, get_target, list_targets
from tfeff.export.targets.common.verdict import Verdict
from tfeff.tflite.graph import Graph, read_graph

NAMES = sorted(list_targets())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An int8 file of one convolution."""
    path = tmp_path_factory.mktemp("targets") / "conv.tflite"
    path.write_bytes(converted("conv"))
    return path


def test_the_five_targets_are_there():
    assert NAMES == ["edgetpu", "ethos-u", "litert", "tflite-runtime", "web"]


@pytest.mark.parametrize("name", NAMES)
def test_target_is_whole(name):
    target = get_target(name)
    assert target.name == name
    assert target.summary
    for spec in (*target.rewrites, *target.refuses):
        rewrite = load_rewrite(spec)
        assert spec == (f"{rewrite.name}:{rewrite.form}" if rewrite.form else rewrite.name)
    assert target.because.keys() == {spec.partition(":")[0] for spec in target.rewrites}
    assert all(target.because.values())
    assert target.rests_on
    assert (target.compile is None) == (target.compiled_suffix is None) == (target.compiler_options == ())


@pytest.mark.parametrize("name", NAMES)
def test_a_target_names_no_form_that_it_refuses_or_that_does_nothing(name):
    target = get_target(name)
    for spec in target.rewrites:
        rewrite = load_rewrite(spec)
        assert spec not in target.refuses
        assert not rewrite.forms or rewrite.form != rewrite.forms[0]


def test_a_form_that_a_rewrite_does_not_know_is_refused():
    with pytest.raises(ValueError, match="no form 'sideways'"):
        load_rewrite("group_conv:sideways")
    assert load_rewrite("group_conv:merge48").form == "merge48"


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_makes_of_a_file(name, small):
    verdict = get_target(name).check(read_graph(small))
    assert isinstance(verdict, Verdict)
    assert verdict.target == name
    assert verdict.ok == (name != "web")  # int8 at the door
    assert verdict.total == len(read_graph(small).operations) > 0


@pytest.mark.parametrize(("version", "fits"), [("2.14.0", True), ("2.9.0", True), ("", True), ("2.15.0", False)])
def test_tflite_runtime_refuses_newer_files(version, fits):
    verdict = get_target("tflite-runtime").check(Graph((), (), (), version))
    assert (verdict.problems == ()) == fits
    if not fits:
        assert version in verdict.problems[0].reason


def test_edgetpu_without_a_compiler_leaves_the_prediction(small, tmp_path, monkeypatch):
    monkeypatch.delenv("EDGETPU_COMPILER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert get_target("edgetpu").compile(small, tmp_path, CompilerOptions()) is None
    with pytest.raises(TfeffError, match="nowhere"):
        get_target("edgetpu").compile(small, tmp_path, CompilerOptions(path="nowhere"))


def test_ethos_u_compiles(small, tmp_path):
    pytest.importorskip("ethosu.vela", reason="Vela is not installed")
    made = get_target("ethos-u").compile(small, tmp_path, CompilerOptions(accelerator="ethos-u85-256"))
    assert made.path.name == "conv_vela.tflite"
    assert made.verdict.basis == "confirmed"
    assert made.verdict.ok
    assert made.about["accelerator"] == "ethos-u85-256"


def test_unknown_target_names_the_nearest():
    with pytest.raises(TfeffError, match="tflite-runtime") as refused:
        get_target("tflite-runtme")
    assert refused.value.exit_code == 2
