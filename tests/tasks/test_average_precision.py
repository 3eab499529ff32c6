"""mAP against pycocotools, VOC's against its definition, and the bootstrap against resampling by hand."""

import numpy as np
import pytest
from box_scenes import annotated, coco_figures, detected, scenes

from tfeff.tasks import average_precision
from tfeff.tasks.average_precision import AveragePrecision
from tfeff.tasks.statistics import paired_difference


def measured(pairs, **options):
    metric = AveragePrecision(**options)
    for truth, guess in pairs:
        metric.add(guess, truth)
    return metric


@pytest.mark.parametrize(
    ("seed", "options"),
    [(0, {}), (1, {"crowd": 0.2}), (2, {"difficult": 0.3}), (3, {"crowd": 0.2, "difficult": 0.2, "ties": True}),
     (4, {"ties": True, "classes": 1}), (5, {"most": 1, "clutter": 2}), (6, {"classes": 20}),
     (7, {"clutter": 400, "classes": 2, "most": 25})],
    ids=["plain", "crowds", "need not be found", "all with ties", "ties", "many empty images", "rare classes",
         "over 100 detections a class"],
)  # fmt: skip
def test_equals_pycocotools(seed, options):
    pairs = list(scenes(seed, 12 if "clutter" in options and options["clutter"] > 99 else 50, **options))
    wanted, evaluation = coco_figures(pairs)
    metric = measured(pairs)
    assert [metric.value(), metric.at(0.5), metric.at(0.75)] == pytest.approx(wanted, abs=1e-9)
    assert 1 < wanted[0] < 99
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # (10, 101, classes)
    theirs = {str(kind): 100 * precision[:, :, number].mean() for number, kind in enumerate(evaluation.params.catIds)
              if precision[0, 0, number] >= 0}  # fmt: skip
    assert {group.label: group.value for group in metric.groups()} == pytest.approx(theirs, abs=1e-9)


def test_equals_pycocotools_where_boxes_meet_the_thresholds():
    """Whole pixels make overlaps of exactly 1/2 and 3/4, and equal ones."""
    random = np.random.default_rng(8)

    def boxes(count):
        corners = random.integers(0, 4, (count, 2))
        return np.concatenate([corners, corners + random.integers(1, 5, (count, 2))], axis=1)

    pairs = [
        (annotated(boxes(5), random.integers(0, 2, 5), random.random(5) < 0.2),
         detected(boxes(9), random.integers(0, 2, 9), random.integers(1, 4, 9) / 4))
        for _ in range(60)
    ]  # fmt: skip
    metric = measured(pairs)
    assert [metric.value(), metric.at(0.5), metric.at(0.75)] == pytest.approx(coco_figures(pairs)[0], abs=1e-9)


def test_nothing_to_find_and_nothing_found():
    nothing = (annotated([], []), detected([], [], []))
    assert measured([nothing]).value() == 0
    assert measured([nothing, nothing]).voc07() == 0
    found = (annotated([[0, 0, 9, 9]], [3]), detected([[0, 0, 9, 9]], [3], [0.2]))
    assert measured([nothing, found]).value() == pytest.approx(100)
    assert measured([(found[0], nothing[1])]).value() == 0
    assert measured([(nothing[0], found[1]), found]).at(0.5) == pytest.approx(50.0, abs=51)  # a tie: either order
    assert [group.samples for group in measured([found]).groups()] == [1]


def voc_by_definition(pairs):
    """The 11-point AP as the devkit's readme has it, one detection after the other over all images."""
    kinds = {int(kind) for truth, _ in pairs for kind in truth.classes[~truth.difficult]}
    figures = []
    for kind in kinds:
        ranked = sorted(
            ((score, image, box) for image, (_, guess) in enumerate(pairs)
             for box, told, score in zip(guess.boxes, guess.classes, guess.scores, strict=True) if told == kind),
            key=lambda each: -each[0],
        )  # fmt: skip
        taken, curve, right, wrong = set(), [], 0, 0
        total = sum(int(((truth.classes == kind) & ~truth.difficult).sum()) for truth, _ in pairs)
        for _, image, box in ranked:
            truth = pairs[image][0]
            best, of = 0.0, None
            for number in np.flatnonzero(truth.classes == kind):
                other = truth.boxes[number]
                wide = min(box[2], other[2]) - max(box[0], other[0])
                high = min(box[3], other[3]) - max(box[1], other[1])
                if wide > 0 and high > 0:
                    sizes = [(each[2] - each[0]) * (each[3] - each[1]) for each in (box, other)]
                    share = wide * high / (sum(sizes) - wide * high)
                    if share > best:
                        best, of = share, number
            if best >= 0.5 and truth.difficult[of]:
                continue
            if best >= 0.5 and (image, of) not in taken:
                taken.add((image, of))
                right += 1
            else:
                wrong += 1
            curve.append((right / total, right / (right + wrong)))
        figures.append(np.mean([max((p for r, p in curve if r >= t / 10), default=0) for t in range(11)]))
    return 100 * float(np.mean(figures))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_voc_07(seed):
    pairs = list(scenes(seed, 60, difficult=0.25))
    assert measured(pairs).voc07() == pytest.approx(voc_by_definition(pairs), abs=1e-9)


def test_voc_07_by_hand():
    """Two boxes, found by the first and the third of three: precision 1 up to recall 1/2, then 2/3."""
    truth = annotated([[0, 0, 10, 10], [50, 50, 70, 70]], [0, 0])
    guess = detected([[0, 0, 10, 9], [30, 0, 40, 9], [50, 50, 70, 69]], [0, 0, 0], [0.9, 0.8, 0.7])
    assert measured([(truth, guess)]).voc07() == pytest.approx(100 * (6 * 1 + 5 * 2 / 3) / 11)


def test_a_resample_weighs_what_repeated_images_would_give():
    pairs = list(scenes(9, 30, crowd=0.1, difficult=0.1))
    metric, random = measured(pairs), np.random.default_rng(0)
    draws = [random.integers(0, 30, 30) for _ in range(3)] + [np.repeat([4, 17], 15)]  # most are not drawn
    weights = np.array([np.bincount(each, minlength=30) for each in draws])
    by_hand = [coco_figures([pairs[number] for number in np.sort(each)])[0][0] for each in draws]
    assert metric.values(weights) == pytest.approx(by_hand, abs=1e-9)
    assert metric.value(weights[0]) == pytest.approx(by_hand[0], abs=1e-9)


def shaken(pairs, amount, seed=1):
    random = np.random.default_rng(seed)
    for truth, guess in pairs:
        boxes = guess.boxes + random.normal(0, amount, guess.boxes.shape)
        yield truth, detected(boxes, guess.classes, np.clip(guess.scores + random.normal(0, 0.01, len(guess)), 0, 1))


def test_a_resample_s_figures_at_some_thresholds_are_pycocotools_of_the_images_drawn():
    pairs = list(scenes(13, 30))
    drawn = np.random.default_rng(1).integers(0, 30, 30)
    weights = np.bincount(drawn, minlength=30)
    found = measured(pairs).at_each([0.75, 0.5], np.stack([weights, np.ones(30)]))
    repeated = [pairs[number] for number in np.sort(drawn)]
    assert found[:, 0] == pytest.approx(coco_figures(repeated)[0][:0:-1], abs=1e-9)
    assert found[:, 1] == pytest.approx(coco_figures(pairs)[0][:0:-1], abs=1e-9)


def test_paired_difference_is_the_bootstrap_over_images():
    pairs = list(scenes(10, 80))
    before, after = measured(pairs), measured(shaken(pairs, 0.6))
    found = paired_difference(before, after)
    random, by_hand = np.random.default_rng(5), []
    for _ in range(300):
        drawn = random.integers(0, 80, 80)
        weights = np.bincount(drawn, minlength=80)
        by_hand.append(after.value(weights) - before.value(weights))
    spread = found.ci95[1] - found.ci95[0]
    assert found.ci95 == pytest.approx(np.percentile(by_hand, [2.5, 97.5]), abs=0.25 * spread)
    assert found.ci95[0] < found.delta < found.ci95[1]
    assert 0 < spread < 10
    same = paired_difference(before, measured(pairs))
    assert (same.delta, same.ci95, same.p) == (0, (0, 0), 1)


def test_a_resample_matches_no_box_again(monkeypatch):
    """Boxes are matched as images are added; a thousand resamples only weigh what is kept of that."""
    pairs = list(scenes(11, 60, 4, most=6))
    before, after = measured(pairs), measured(shaken(pairs, 0.3))
    expected = paired_difference(before, after)

    def match(*arguments):
        raise AssertionError("matched again")

    monkeypatch.setattr(average_precision, "_match", match)
    monkeypatch.setattr(average_precision, "_match_voc", match)
    with pytest.raises(AssertionError, match="matched again"):
        measured(pairs)
    assert paired_difference(before, after) == expected


def test_detections_that_changed():
    one = (
        annotated([], []),
        detected([[0, 0, 10, 10], [20, 20, 40, 40], [60, 60, 70, 70]], [0, 1, 1], [0.9, 0.8, 0.3]),
    )
    moved = [[0, 0, 10, 9.5], [20, 20, 40, 37], [60, 60, 70, 70]]
    other = (one[0], detected(moved, [0, 1, 1], [0.9, 0.8, 0.3]))
    before, after = measured([one], shown=0.5), measured([other], shown=0.5)
    assert before.changed(after) == (50.0, 4)  # 0.95 and 0.85; the third is below the threshold
    assert before.changed(before) == (0.0, 4)
    renamed = (one[0], detected(one[1].boxes, [2, 1, 1], [0.9, 0.8, 0.3]))
    assert before.changed(measured([renamed], shown=0.5)) == (50.0, 4)
    twice = (one[0], detected([[0, 0, 10, 10]] * 2, [0, 0], [0.9, 0.8]))
    assert before.changed(measured([twice], shown=0.5)) == (50.0, 4)  # a partner is of one only
