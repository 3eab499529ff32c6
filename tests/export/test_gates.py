"""Gates in the unit and the direction of each metric; proofs of every output port."""

from types import SimpleNamespace

import numpy as np
import pytest

from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export import Model, Request, proofs
from tfeff.export.gates import missed_gates
from tfeff.export.targets import get_target
from tfeff.record.schema import Accuracy, Check, KeptFloat, Latency, Quantization, TaskSpec

SHA = "0" * 64


def accuracy(before, after, metric="top-1", unit="%", higher=True):
    return Accuracy(
        task="x", outputs=["out"], metric=metric, unit=unit, higher_is_better=higher, float_value=before,
        quantized=after, delta=after - before, ci95=(after - before, after - before), samples=9, dataset="d",
        quantized_sha256=SHA, float_sha256=SHA,
    )  # fmt: skip


def missed(*entries, target="litert", quantization=None, latency=(), check=None, **limits):
    context = SimpleNamespace(request=Request(**limits), target=get_target(target))
    check = check or Check(target=target, basis="predicted", ok=True, mapped=3, total=3)
    return missed_gates(context, entries, quantization, latency, check)


def test_what_is_better_when_it_is_more():
    assert missed(accuracy(91.0, 90.0), max_drop=1.0) == []
    assert missed(accuracy(91.0, 95.0), max_drop=0.0) == []
    assert missed(accuracy(91.0, 89.8), max_drop=1.0) == ["top-1 fell by 1.20 points, --max-drop allows 1"]
    assert missed(accuracy(91.0, 10.0)) == []


def test_what_is_better_when_it_is_less():
    error = accuracy(0.5, 0.53, "MAE", "m", higher=False)
    assert missed(error, max_drop=0.04) == []
    assert missed(error, max_drop=0.02) == ["MAE rose by 0.03 m, --max-drop allows 0.02"]
    assert missed(accuracy(0.5, 0.1, "MAE", "m", higher=False), max_drop=0.0) == []


def test_every_task_has_its_gate_and_a_refusal_is_told():
    kept = Quantization(kept_float=KeptFloat(refused="no layer can be kept"))
    found = missed(accuracy(91.0, 80.0), accuracy(0.1, 9.0, "MAE", "", False), quantization=kept, max_drop=2.0)
    assert [line.split()[0] for line in found] == ["top-1", "MAE"]
    assert all(line.endswith("; no layer can be kept") for line in found)


def test_latency_and_operations():
    slow = Latency(device="local", median_ms=3.0, ci95_ms=(2.0, 4.0), sha256=SHA)
    part = Check(target="edgetpu", basis="predicted", ok=False, mapped=1, total=2, first_break="MEAN (x)")
    assert missed(latency=[slow], max_latency_ms=3.5) == []
    assert missed(latency=[slow], max_latency_ms=2.5) == ["3.000 ms on local, --max-latency-ms allows 2.5"]
    (line,) = missed(target="edgetpu", check=part)
    assert "1 of 2 operations" in line
    assert "MEAN (x)" in line
    assert missed(check=part) == []  # LiteRT runs what it does not map elsewhere


class _File:
    """Stands in for a `Runner`: gives what it is told for each sample."""

    def __init__(self, **outputs):
        self._outputs, self._next = outputs, 0

    def __call__(self, feed):
        number, self._next = self._next, self._next + 1
        return {name: values[number] for name, values in self._outputs.items()}


def prove(monkeypatch, wanted, given):
    monkeypatch.setattr(proofs, "Runner", lambda path: _File(**given))
    model = Model(lambda x: x, "m", "my network", (InputPort("x", (1,)),), tuple(wanted), ())
    inputs = {"x": np.zeros((len(next(iter(wanted.values()))), 1), np.float32)}
    return proofs.prove_float(SimpleNamespace(model=model), None, proofs.Reference(inputs, wanted, "noise"))


def test_each_port_is_judged_by_its_own_largest_output(monkeypatch):
    wanted = {"large": np.float32([[1000.0], [1.0]]), "small": np.float32([[0.001], [0.0005]])}
    error = prove(monkeypatch, wanted, {"large": wanted["large"] + 0.01, "small": wanted["small"]})
    assert error.relative_error == pytest.approx(1e-5, rel=0.01)
    with pytest.raises(TfeffError, match="my network, output small, by"):
        prove(monkeypatch, wanted, {"large": wanted["large"], "small": wanted["small"] + 1e-5})
    with pytest.raises(TfeffError, match="NaN"):
        prove(monkeypatch, wanted, {"large": wanted["large"] * np.nan, "small": wanted["small"]})


def test_integers_are_to_be_equal(monkeypatch):
    wanted = {"class": np.arange(400).reshape(2, 200)}
    assert prove(monkeypatch, wanted, wanted).relative_error == 0
    other = wanted["class"].copy()
    other[:, :3] = -1
    with pytest.raises(TfeffError, match=r"1\.5 % of its numbers"):
        prove(monkeypatch, wanted, {"class": other})


def test_a_gate_on_a_metric_needs_one():
    specs = (TaskSpec(name="tensors", outputs=["out"]),)
    model = Model(lambda x, training: x, "m", "my network", (InputPort("x", (4,)),), ("out",), specs)
    context = SimpleNamespace(model=model, request=Request(max_drop=1.0))
    with pytest.raises(TfeffError, match="--task"):
        proofs.check_tasks(context)
