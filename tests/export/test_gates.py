"""Gates in the unit and the direction of each metric; proofs of every output port."""

from types import SimpleNamespace

import numpy as np
import pytest

from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export import Model, Request, proofs
from tfeff.export.gates import missed_gates
from tfeff.export.targets import get_target
from tfeff.record.schema import Accuracy, Check, KeptFloat, Latency, Quantization, Simulation, TaskSpec, UnitDifference

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


def prove(monkeypatch, wanted, given, moves=0.0, chances=()):
    monkeypatch.setattr(proofs, "Runner", lambda path, **options: _File(**given))
    rows = len(next(iter(wanted.values())))

    def run(x, training):
        """Of the sample whose number is given what is wanted, and `moves` times what its input was moved by more."""
        number = round(float(x[0, 0])) - 1
        return [values[number][None] * (1 + moves * (float(x[0, 0]) - number - 1)) for values in wanted.values()]

    tasks = tuple(TaskSpec(name="classification", outputs=[name], decode={"kind": "classes", "scores": "probabilities"})
                  for name in chances)  # fmt: skip
    model = Model(run, "m", "my network", (InputPort("x", (1,)),), tuple(wanted), tasks)
    inputs = {"x": np.arange(1, rows + 1, dtype=np.float32)[:, None]}
    return proofs.prove_float(SimpleNamespace(model=model), None, proofs.Reference(inputs, wanted, "noise"))


def test_each_port_is_judged_by_its_own_largest_output(monkeypatch):
    wanted = {"large": np.float32([[1000.0], [1.0]]), "small": np.float32([[0.001], [0.0005]])}
    error = prove(monkeypatch, wanted, {"large": wanted["large"] + 0.01, "small": wanted["small"]})
    assert error.relative_error == pytest.approx(1e-5, rel=0.01)
    with pytest.raises(TfeffError, match="my network, output small, by"):
        prove(monkeypatch, wanted, {"large": wanted["large"], "small": wanted["small"] + 1e-5})
    with pytest.raises(TfeffError, match="NaN"):
        prove(monkeypatch, wanted, {"large": wanted["large"] * np.nan, "small": wanted["small"]})


def test_probabilities_are_judged_by_their_logits(monkeypatch):
    logits = np.float64([[30.0, -3.0, 29.0], [1.0, 30.0, 0.0]])

    def softmax(values):
        return (np.exp(values) / np.exp(values).sum(-1, keepdims=True)).astype(np.float32)

    moved = logits + 0.001 * np.float64([[1, 0, -1], [0, 0, 0]])  # 3e-5 of the largest logit
    wanted, given = {"kind": softmax(logits)}, {"kind": softmax(moved)}
    error = prove(monkeypatch, wanted, given, chances=("kind",))
    assert error.relative_error > proofs.FLOAT_TOLERANCE
    assert 0 < error.of_logits < proofs.FLOAT_TOLERANCE
    with pytest.raises(TfeffError, match="largest output"):
        prove(monkeypatch, wanted, {"kind": softmax(logits + 100 * (moved - logits))}, chances=("kind",))


def test_a_network_that_magnifies_rounding_may_differ_by_ten_times_its_floor(monkeypatch):
    wanted = {"out": np.float32([[1.0, -2.0], [3.0, 4.0]])}
    given = {"out": wanted["out"] * np.float32(1.0005)}
    with pytest.raises(TfeffError, match="differs from my network by"):
        prove(monkeypatch, wanted, given)
    error = prove(monkeypatch, wanted, given, moves=500.0)  # 2e-7 more input: 1e-4 more output
    assert proofs.FLOAT_TOLERANCE < error.relative_error < error.allowed < 5e-3


def test_strict_is_a_gate_on_the_simulation():
    def found(**simulation):
        proof = Simulation(units=7, **simulation) if simulation else None
        context = SimpleNamespace(request=Request(strict=True), target=get_target("litert"),
                                  precision=SimpleNamespace(name="int8"))  # fmt: skip
        check = Check(target="litert", basis="predicted", ok=True, mapped=3, total=3)
        return missed_gates(context, [], Quantization(simulation=proof), [], check)

    differing = [UnitDifference(unit="gru", max_lsb=84, differing=0.5)]
    assert found(beyond=[]) == []
    assert found(beyond=["gru"], differing=differing) == [
        "--strict: 1 of 7 units differ from the simulation by more than 1 step of int8: gru (up to 84)"
    ]
    assert "no simulation" in found()[0]


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
