"""The rules for Ethos-U against Vela itself: its published list of operations, and what it does with small files."""

import re
import subprocess

import pytest
from custom_operator import put_custom_operator
from ethos_u_files import NAMES

from tfeff.errors import TfeffError
from tfeff.export.targets.ethos_u import compiler as vela
from tfeff.export.targets.ethos_u import op_rules as ethos_u_rules
from tfeff.export.targets.ethos_u import rules as ethos_u
from tfeff.tflite.graph import read_graph

pytest_plugins = ["ethos_u_files", "compare_fixtures"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Vela's own list: the operations of U55 and U65, and those of U85."""
    version = subprocess.run([vela.find_vela(), "--version"], check=True, capture_output=True, text=True).stdout
    if not version.startswith("5.2."):
        pytest.skip(f"the rules are those of Vela 5.2, this is {version.strip()}")
    folder = tmp_path_factory.mktemp("report")
    subprocess.run([vela.find_vela(), "--supported-ops-report"], cwd=folder, check=True, capture_output=True)
    report = (folder / "SUPPORTED_OPS.md").read_text()
    tables = [
        report.partition(f"## {family} TFLite Summary Table")[2] for family in ("Ethos-U55 and Ethos-U65", "Ethos-U85")
    ]
    return [set(re.findall(r"^\| ([A-Z0-9_]+) \|", table.partition("\n## ")[0], re.MULTILINE)) for table in tables]


def test_operations_are_those_that_vela_publishes(published):
    assert published == [ethos_u_rules.OPERATIONS, ethos_u_rules.OPERATIONS | ethos_u_rules.ONLY_U85]


@pytest.mark.parametrize("name", NAMES)
def test_prediction_is_what_vela_does(ethos_u_file, name):
    path = ethos_u_file(name)
    for accelerator in ("ethos-u55-128", "ethos-u85-256"):
        predicted = ethos_u.check(read_graph(path), accelerator)
        confirmed = ethos_u.confirm(path, accelerator)
        assert (predicted.basis, confirmed.basis) == ("predicted", "confirmed")
        assert [(op.label, op.status) for op in predicted.operations] == [
            (op.label, op.status) for op in confirmed.operations
        ]
        assert predicted.ok == confirmed.ok == (confirmed.facts["cpu_operators"] == 0)
        assert all(op.reason for op in confirmed.operations if op.status == "cpu")


@pytest.mark.parametrize(
    ("name", "operation", "reason", "mend"),
    [
        ("gather", "GATHER", "have no GATHER", "fold the permutation"),
        ("every_second_channel", "STRIDED_SLICE", "not along height or width", "SPLIT"),
        ("float_island", "SIN", "works on float32", "replace the layer"),
        ("large_pool", "AVERAGE_POOL_2D", "9 x 9", ""),
        ("depthwise_stride_4", "DEPTHWISE_CONV_2D", "stride 4 x 4", ""),
        ("resize_3", "RESIZE_BILINEAR", "scales by 3 x 3", "resize by 2"),
        ("large_shuffle", "TRANSPOSE", "28 x 28 x 122 is above 65536", "fold the permutation"),
        ("mean_of_channels", "MEAN", "reduces channels", "height and width"),
    ],
)
def test_reason_and_mend(ethos_u_file, name, operation, reason, mend):
    verdict = ethos_u.check(read_graph(ethos_u_file(name)))
    (left,) = (op for op in verdict.operations if op.name == operation)
    assert left.status == "cpu"
    assert reason in left.reason
    assert mend in left.mend
    assert not verdict.ok
    assert verdict.mapped < verdict.total


def test_u85_takes_what_u55_does_not(ethos_u_file):
    graph = read_graph(ethos_u_file("depthwise_stride_4"))
    assert not ethos_u.check(graph, "ethos-u65-512").ok
    assert ethos_u.check(graph, "ethos-u85-2048").ok


def test_slopes_that_differ_are_remarked_on(ethos_u_file):
    said = {}
    for name in ("prelu", "prelu_one_slope"):
        verdict = ethos_u.check(read_graph(ethos_u_file(name)))
        assert verdict.ok
        (said[name],) = (op.reason for op in verdict.operations if op.name == "PRELU")
    assert "MAXIMUM" in said["prelu"]
    assert said["prelu_one_slope"] == ""


def test_facts(ethos_u_file):
    path = ethos_u_file("group_conv")
    predicted, confirmed = ethos_u.check(read_graph(path)).as_dict(), ethos_u.confirm(path).as_dict()
    assert predicted["facts"]["accelerator"] == "ethos-u55-128"
    # Two int8 kernels; the converter gives both the same 32 int32 biases of zero.
    assert predicted["facts"]["parameter_bytes"] == 27 * 32 + 72 * 32 + 4 * 32
    assert "estimates" not in predicted["facts"]
    assert confirmed["facts"]["estimates"]["macs"] == 24 * 24 * (27 + 72) * 32
    assert "nothing was run on hardware" in confirmed["facts"]["estimated_by"]


def test_float_file_is_refused(compared_files):
    for judge in (lambda path: ethos_u.check(read_graph(path)), ethos_u.confirm):
        with pytest.raises(TfeffError, match="runs int8 files") as refused:
            judge(compared_files.float)
        assert refused.value.exit_code == 2


def test_compiled_file_is_a_problem_of_the_whole(ethos_u_file):
    path = put_custom_operator(ethos_u_file("gather"), "ethos-u")
    for verdict in (ethos_u.check(read_graph(path)), ethos_u.confirm(path)):
        assert "compiled already" in verdict.problems[0].reason
        assert verdict.mapped == 0


def test_unknown_accelerator(ethos_u_file):
    path = ethos_u_file("gather")
    for judge in (lambda: ethos_u.check(read_graph(path), "ethos-u56-128"), lambda: ethos_u.confirm(path, "u55")):
        with pytest.raises(TfeffError, match="unknown accelerator"):
            judge()
