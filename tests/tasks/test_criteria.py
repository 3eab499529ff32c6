"""What calibration makes small, against scipy and against what the figures mean."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import entropy
from task_cases import port, spec

from tfeff.compare.ports import PortDistance
from tfeff.tasks import get_task
from tfeff.tasks.criteria import Divergence, OutputError

RANDOM = np.random.default_rng(0)


def loss(criterion, wanted, given):
    return criterion.loss([criterion.terms(one, other) for one, other in zip(wanted, given, strict=True)])


def rows(values, name="out"):
    return [{name: row} for row in values]


def test_divergence_of_logits_is_scipys_relative_entropy():
    one, other = RANDOM.normal(size=(2, 30, 7)).astype(np.float32)
    theirs = np.mean(
        [entropy(softmax(p), softmax(q)) for p, q in zip(one.astype(float), other.astype(float), strict=True)]
    )
    assert loss(Divergence("out"), rows(one), rows(other)) == pytest.approx(theirs, rel=1e-9)
    assert loss(Divergence("out"), rows(one), rows(one)) == 0.0


def test_divergence_of_probabilities_is_scipys():
    one, other = (softmax(RANDOM.normal(size=(30, 7)), axis=1).astype(np.float32) for _ in range(2))
    theirs = np.mean([entropy(p, q) for p, q in zip(one, other, strict=True)])
    assert loss(Divergence("out", "probabilities"), rows(one), rows(other)) == pytest.approx(theirs, rel=1e-5)
    hard = np.eye(7, dtype=np.float32)[:2]  # a chance of 0 is none of infinity
    assert np.isfinite(loss(Divergence("out", "probabilities"), rows(one[:2]), rows(hard)))


@pytest.mark.parametrize("scores", ["logits", "probabilities"])
@pytest.mark.parametrize("values", [1, 5])
def test_independent_values_are_each_a_yes_or_no(scores, values):
    one, other = RANDOM.normal(size=(2, 20, values))
    if scores == "probabilities":
        one, other = expit(one), expit(other)
    theirs = []
    for p, q in zip(one, other, strict=True):
        p, q = (expit(each) if scores == "logits" else each for each in (p, q))
        theirs.append(sum(entropy([a, 1 - a], [b, 1 - b]) for a, b in zip(p, q, strict=True)))
    criterion = Divergence("out", scores, independent=values > 1)  # one value can be nothing else
    assert loss(criterion, rows(one), rows(other)) == pytest.approx(np.mean(theirs), rel=1e-6)


def test_output_error_is_the_sqnr_the_other_way_round():
    wanted = RANDOM.normal(size=(9, 3, 4)).astype(np.float32)
    given = wanted + RANDOM.normal(0, 0.05, wanted.shape).astype(np.float32)
    distance = PortDistance("out")
    for one, other in zip(wanted, given, strict=True):
        distance.add(one, other)
    sqnr = distance.agreement("float file", "").sqnr_db
    assert loss(OutputError(("out",)), rows(wanted), rows(given)) == pytest.approx(10 ** (-sqnr / 10), rel=1e-9)
    assert loss(OutputError(("out",)), rows(wanted), rows(wanted)) == 0.0


def test_output_error_of_several_ports_is_their_mean_and_of_integers_the_share_that_differs():
    wanted = [
        {"a": np.float32([3, 4]), "b": np.int32([1, 2, 3, 4])},
        {"a": np.float32([0, 0]), "b": np.int32([1, 1, 1, 1])},
    ]
    given = [
        {"a": np.float32([3, 3]), "b": np.int32([1, 2, 3, 9])},
        {"a": np.float32([0, 2]), "b": np.int32([1, 1, 1, 1])},
    ]
    assert loss(OutputError(("a",)), wanted, given) == pytest.approx((1 + 4) / 25)
    assert loss(OutputError(("b",)), wanted, given) == pytest.approx(1 / 8)
    assert loss(OutputError(("a", "b")), wanted, given) == pytest.approx((5 / 25 + 1 / 8) / 2)


def test_the_order_of_samples_has_no_say():
    wanted, given = RANDOM.normal(size=(2, 200, 3)).astype(np.float32)
    order = RANDOM.permutation(200)
    for criterion in (Divergence("out"), OutputError(("out",))):
        terms = [criterion.terms(one, other) for one, other in zip(rows(wanted), rows(given), strict=True)]
        assert criterion.loss(terms) == criterion.loss([terms[n] for n in order])


def test_each_task_has_its_own():
    logits = get_task("classification").criterion(spec("classification"), [port(1, 3)])
    assert (logits.output, logits.scores, logits.independent) == ("out", "logits", False)
    assert logits.enough == 0.002
    many = spec("classification", kind="multi-label", scores="probabilities")
    assert get_task("classification").criterion(many, [port(1, 3)]).independent
    for name in ("regression", "tensors"):
        criterion = get_task(name).criterion(spec(name, outputs=("a", "b")), [])
        assert criterion.outputs == ("a", "b")
        assert criterion.enough is None
