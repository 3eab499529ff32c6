"""What calibration makes small, against scipy and against what the figures mean."""

import numpy as np
import pytest
from box_scenes import annotated, coco_figures
from detection_specs import anchors_spec, distances_spec, random_outputs
from detector_files import SPEC, labelled_images, outputs_of
from scipy.special import expit, softmax
from scipy.stats import entropy, spearmanr
from task_cases import port, spec

from tfeff.compare.ports import PortDistance
from tfeff.tasks import get_task
from tfeff.tasks.criteria import Divergence, OutputError
from tfeff.tasks.detection_criterion import DetectionError
from tfeff.tasks.detection_decode import decode, decode_boxes, decode_scores
from tfeff.tasks.detection_spec import read_spec

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


# Detection


def detector_loss(spoilt, spec, heads):
    criterion = DetectionError(spec)
    return criterion.loss([criterion.terms(one, spoilt(one)) for one in heads])


def test_of_detection_the_parts_are_pycocotools_overlap_and_scipy_s_entropy():
    mask = pytest.importorskip("pycocotools.mask")
    spec = anchors_spec((60, 105), 3, score_threshold=0.4)
    one, other = (random_outputs(spec, seed) for seed in (0, 1))
    found = DetectionError(spec).terms(one, other)
    boxes = [decode_boxes(each, spec) for each in (one, other)]
    sides = [np.concatenate([each[:, :2], each[:, 2:] - each[:, :2]], axis=1) for each in boxes]
    iou = np.diag(mask.iou(*sides, [0] * len(sides[0])))
    raw = [np.concatenate([each[level.scores].reshape(-1, 4) for level in spec.levels]) for each in (one, other)]
    p, q = (softmax(each.astype(float), axis=1)[:, 1:] for each in raw)
    listed = (p > 0.4) | (q > 0.4)
    apart = [entropy([a, 1 - a], [b, 1 - b]) for a, b in zip(p[listed], q[listed], strict=True)]
    sure = np.where(listed.any(axis=1), p.max(axis=1), 0)
    assert 5 < listed.sum() < listed.size - 5
    np.testing.assert_allclose(found, [sum(apart), sure @ (1 - iou) ** 2, sure.sum()], rtol=1e-6)


@pytest.mark.parametrize("score", ["sigmoid", "aligned"])
def test_of_detection_what_no_metric_sees_does_not_count(score):
    """Raw values far below the threshold, and boxes where nothing is, may be anything."""
    spec = distances_spec(64, 3, [16, 32], 4, score)
    heads = [random_outputs(spec, seed) for seed in range(4)]
    for each in heads:
        for level in spec.levels:
            each[level.scores] -= 6.0  # most are below .025
    assert detector_loss(lambda each: each, spec, heads) == 0
    quiet = DetectionError(spec)

    def spoilt(each):
        shown = decode_scores(each, spec) > spec.score_threshold
        made, start = {name: values.copy() for name, values in each.items()}, 0
        for level in spec.levels:
            count = level.rows * level.columns
            rows = shown[start : start + count]
            scores, boxes = made[level.scores].reshape(count, -1), made[level.boxes].reshape(count, -1)
            scores[~rows] -= 3.0
            boxes[~rows.any(axis=1)] += 5 * RANDOM.normal(size=boxes[~rows.any(axis=1)].shape)
            start += count
        return made

    assert quiet.loss([quiet.terms(one, spoilt(one)) for one in heads]) == 0
    error = OutputError(tuple(spec.outputs))
    assert error.loss([error.terms(one, spoilt(one)) for one in heads]) > 0.1


def test_of_detection_the_loss_follows_map():
    """What pycocotools says that heads lose which are spoilt in different ways: the loss ranks them alike, and better
    than the error of the outputs does."""
    pytest.importorskip("pycocotools")
    spec, error = read_spec(SPEC), OutputError(tuple(read_spec(SPEC).outputs))
    heads, random = [outputs_of(image) for image, _ in labelled_images(25, seed=3)], np.random.default_rng(1)
    truths = []
    for each in heads:  # a sure box is there more often than an unsure one, and near where it is said to be
        found = decode(each, spec)
        there = random.random(len(found)) < found.scores
        boxes = found.boxes[there] + random.normal(0, 0.2, (int(there.sum()), 4))
        truths.append(annotated(boxes, found.classes[there]))

    def only(kind, change):
        return lambda each: {name: change(v) if name.startswith(kind) else v for name, v in each.items()}

    ways = [only("boxes", lambda v, s=s: v + random.normal(0, s, v.shape)) for s in (0.3, 0.8, 2, 4)]
    ways += [only("scores", lambda v, s=s: v + random.normal(0, s, v.shape)) for s in (0.2, 0.6, 1.5)]
    ways += [only("scores", lambda v, t=t: np.maximum(v, t)) for t in (-4.0, -3.5)]  # below all that is listed
    ways += [lambda each, s=s: {name: np.round(v / s) * s for name, v in each.items()} for s in (0.5, 1, 2)]
    drops, losses, errors = [], [], []
    whole = coco_figures([(t, decode(each, spec)) for t, each in zip(truths, heads, strict=True)])[0][0]
    for way in ways:
        spoilt = [way(each) for each in heads]
        found = coco_figures([(t, decode(each, spec)) for t, each in zip(truths, spoilt, strict=True)])[0][0]
        drops.append(whole - found)
        criterion = DetectionError(spec)
        losses.append(criterion.loss([criterion.terms(*both) for both in zip(heads, spoilt, strict=True)]))
        errors.append(error.loss([error.terms(*both) for both in zip(heads, spoilt, strict=True)]))
    assert whole > 20
    assert max(drops) > 0.2 * whole
    followed, before = (spearmanr(drops, each).statistic for each in (losses, errors))
    assert followed > 0.9
    assert followed > before
