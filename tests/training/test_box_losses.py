"""Losses of detectors and the choice of points and anchors, against values by hand and plain loops in numpy."""

import math

import numpy as np
import pytest
import tensorflow as tf
from detection_specs import anchors_spec, distances_spec, shapes

from tfeff.tasks.boxes import overlaps
from tfeff.tasks.detection_decode import decode_boxes
from tfeff.training import boxes as ours
from tfeff.training.assign_anchors import hard_negatives, match, offsets
from tfeff.training.assign_points import simota, task_aligned
from tfeff.training.detection_losses import AnchorLoss, PointLoss


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def entropy(score, target):
    return -target * math.log(score) - (1 - target) * math.log(1 - score)


@pytest.mark.parametrize(
    ("one", "other", "iou", "giou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1, 1),
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 6, 2 / 6),  # the box around both is their union
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),
        ((0, 0, 1, 1), (3, 0, 4, 1), 0, -2 / 4),
        ((0, 0, 1, 1), (9, 9, 10, 10), 0, -98 / 100),
        ((0, 0, 4, 4), (1, 1, 2, 2), 1 / 16, 1 / 16),
    ],
)
def test_overlap(one, other, iou, giou):
    a, b = (tf.constant(box, tf.float32) for box in (one, other))
    assert float(ours.overlap(a, b)) == pytest.approx(iou, abs=1e-6)
    assert float(ours.overlap(a, b, generalized=True)) == pytest.approx(giou, abs=1e-6)


@pytest.mark.parametrize(("logit", "quality"), [(0.0, 0.0), (-3.0, 0.0), (2.0, 0.7), (-1.5, 0.2), (4.0, 1.0)])
def test_losses_of_scores(logit, quality):
    p = sigmoid(logit)
    weight = quality if quality > 0 else 0.75 * p**2
    wanted = {"varifocal": weight * entropy(p, quality), "quality_focal": abs(p - quality) ** 2 * entropy(p, quality)}
    for name, value in wanted.items():
        of_logits, of_scores = getattr(ours, name), getattr(ours, f"{name}_of_scores")
        assert float(of_logits(tf.constant(logit), tf.constant(quality))) == pytest.approx(value, rel=1e-5)
        assert float(of_scores(tf.constant(p, tf.float32), tf.constant(quality))) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("distance", "shares"),
    [
        (0.0, {0: 1}),
        (2.25, {2: 0.75, 3: 0.25}),
        (2.0, {2: 1}),
        (3.0, {2: 0.1, 3: 0.9}),
        (9.0, {2: 0.1, 3: 0.9}),
        (-1, {0: 1}),
    ],
)
def test_distribution_focal(distance, shares):
    logits = np.array([0.3, -1.0, 2.0, 0.5], np.float32)  # bins 0 to 3
    shown = np.exp(logits) / np.exp(logits).sum()
    wanted = -sum(share * math.log(shown[number]) for number, share in shares.items())
    found = ours.distribution_focal(tf.constant(logits), tf.constant(distance, tf.float32))
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_smooth_l1():
    found = ours.smooth_l1(tf.constant([0.0, 0.5, -0.5, 1.0, -3.0]))
    np.testing.assert_allclose(found, [0, 0.125, 0.125, 0.5, 2.5], atol=1e-7)


# Points


STEPS = np.repeat([[8.0, 8.0], [16.0, 16.0]], [64, 16], axis=0)


def points():
    """Of two levels of 64x64 pixels, (80, 2)."""
    found = [((x + 0.5) * s, (y + 0.5) * s) for s in (8, 16) for y in range(64 // s) for x in range(64 // s)]
    return np.array(found, np.float32)


def situation(seed, images=3, most=4, classes=5):
    """Boxes, classes, which are there; answers for all points: boxes about the true ones or anywhere, and logits."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 44, (images, most, 2))
    boxes = np.concatenate([corners, corners + random.uniform(3, 30, corners.shape)], axis=2).astype(np.float32)
    there = np.arange(most) < random.integers(0, most + 1, (images, 1))
    boxes[~there] = 0
    kinds = np.where(there, random.integers(0, classes, there.shape), -1).astype(np.int32)
    centre = points()[None] + random.normal(0, 3, (images, len(points()), 2))
    half = random.uniform(2, 16, centre.shape)
    found = np.concatenate([centre - half, centre + half], axis=2).astype(np.float32)
    logits = random.normal(-2, 1.5, (images, len(points()), classes)).astype(np.float32)
    return boxes, kinds, there, found, logits


def giou(one, other):
    around = np.r_[np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])]
    around = (around[2:] - around[:2]).prod()
    iou = overlaps(one[None].astype(float), other[None].astype(float))[0, 0]
    union = ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) / (1 + iou)
    return iou - (around - union) / around


def simota_by_loops(boxes, kinds, there, found, logits):
    """One image, one box, one point after the other."""
    places, owner = points(), np.full(found.shape[:2], -1)
    for image in range(len(boxes)):
        cheapest = {}
        for m in np.flatnonzero(there[image]):
            x1, y1, x2, y2 = box = boxes[image, m]
            costs, ious = {}, []
            for p, (x, y) in enumerate(places):
                inside = x1 < x < x2 and y1 < y < y2
                reach = 2.5 * STEPS[p, 0]
                near = abs(x - (x1 + x2) / 2) < reach and abs(y - (y1 + y2) / 2) < reach
                if not (inside or near):
                    continue
                iou = overlaps(found[image, p][None].astype(float), box[None].astype(float))[0, 0]
                cost = 6 * (1 - giou(found[image, p], box)) + 1e4 * (not (inside and near))
                for c, logit in enumerate(logits[image, p]):
                    score, target = sigmoid(logit), iou if c == kinds[image, m] else 0
                    cost += entropy(score, target) * (target if target > 0 else 0.75 * score**2)
                costs[p] = cost
                ious.append(iou)
            count = max(1, int(sum(sorted(ious)[-10:])))
            for p in sorted(costs, key=costs.get)[:count]:
                if p not in cheapest or costs[p] < cheapest[p]:
                    cheapest[p], owner[image, p] = costs[p], m
    return owner


@pytest.mark.parametrize("seed", range(4))
def test_simota(seed):
    boxes, kinds, there, found, logits = situation(seed)
    owner = simota(*map(tf.constant, (boxes, kinds, there, found, logits)), points(), STEPS.astype(np.float32)).numpy()
    np.testing.assert_array_equal(owner, simota_by_loops(boxes, kinds, there, found, logits))
    for image in range(len(boxes)):  # each box has a point, none that is not there has one
        assert {*owner[image]} - {-1} <= {*np.flatnonzero(there[image])}
    assert (owner >= 0).sum() >= there.sum() - 2  # but for one whose only points are another's


def aligned_by_loops(boxes, kinds, there, found, scores):
    owner, quality = np.full(found.shape[:2], -1), np.zeros(found.shape[:2])
    for image in range(len(boxes)):
        whole = overlaps(found[image].astype(float), boxes[image].astype(float))  # (p, m)
        value = scores[image][:, np.maximum(kinds[image], 0)] * whole**6
        for m in np.flatnonzero(there[image]):
            x1, y1, x2, y2 = boxes[image, m]
            inside = [p for p, (x, y) in enumerate(points()) if x1 < x < x2 and y1 < y < y2]
            for p in sorted(inside, key=lambda p: -value[p, m])[:13]:
                if owner[image, p] < 0 or whole[p, m] > whole[p, owner[image, p]]:
                    owner[image, p] = m
        for m in range(boxes.shape[1]):
            mine = np.flatnonzero(owner[image] == m)
            if len(mine) and value[mine, m].max() > 0:
                quality[image, mine] = value[mine, m] / value[mine, m].max() * whole[mine, m].max()
    return owner, quality


@pytest.mark.parametrize("seed", range(4))
def test_task_aligned(seed):
    boxes, kinds, there, found, logits = situation(seed)
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    owner, quality = task_aligned(*map(tf.constant, (boxes, kinds, there, found, scores)), points())
    wanted, quality_wanted = aligned_by_loops(boxes, kinds, there, found, scores)
    np.testing.assert_array_equal(owner, wanted)
    np.testing.assert_allclose(quality, quality_wanted, atol=1e-5)


# Anchors


def corners(anchors):
    return np.concatenate([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_match(seed):
    boxes, _, there, _, _ = situation(seed, images=4)
    anchors = np.concatenate([np.c_[points(), np.full((80, 2), size)] for size in (10, 20)]).astype(np.float32)
    found = match(tf.constant(boxes), tf.constant(there), corners(anchors)).numpy()
    for image in range(4):
        whole = overlaps(corners(anchors).astype(float), boxes[image].astype(float))
        whole[:, ~there[image]] = -1
        wanted = np.where(whole.max(1) >= 0.5, whole.argmax(1), -1)
        for m in np.flatnonzero(there[image]):
            wanted[whole[:, m].argmax()] = m
        np.testing.assert_array_equal(found[image], wanted)


def test_offsets_are_what_the_decode_turns_back():
    spec = anchors_spec((60, 90), 3)
    boxes = np.random.default_rng(0).uniform(0, 40, (spec_places(spec), 4))
    boxes[:, 2:] += boxes[:, :2] + 2
    loss = AnchorLoss(spec)
    raw = offsets(tf.constant(boxes, tf.float32), loss._anchors, np.array(spec.variances, np.float32)).numpy()
    outputs, first = {}, 0
    for level in spec.levels:
        count = level.rows * level.columns * len(level.anchors)
        outputs[level.boxes] = raw[first : first + count].reshape(level.rows, level.columns, -1)
        first += count
    np.testing.assert_allclose(decode_boxes(outputs, spec), boxes, atol=1e-3)


def spec_places(spec):
    return sum(level.rows * level.columns * max(1, len(level.anchors)) for level in spec.levels)


def test_hard_negatives():
    loss = tf.constant([[5.0, 1.0, 4.0, 3.0, 2.0, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    positive = tf.constant([[True, False, False, False, False, False], [False] * 6])
    found = hard_negatives(loss, positive).numpy()
    assert found.tolist() == [[False, False, True, True, True, False], [False] * 6]


# Whole losses


def gathered(spec, seed):
    """Random raw outputs of two images: as one tensor, and by name."""
    random, parts, named = np.random.default_rng(seed), [], [{}, {}]
    for level in spec.levels:
        columns = []
        for name in level.outputs:
            shape = shapes(spec)[name]
            values = random.normal(size=(2, *shape)).astype(np.float32)
            columns.append(values.reshape(2, level.rows * level.columns * max(1, len(level.anchors)), -1))
            for image in range(2):
                named[image][name] = values[image]
        parts.append(np.concatenate(columns, axis=2))
    return np.concatenate(parts, axis=1), named


def test_points_have_the_boxes_that_the_task_decodes():
    spec = distances_spec((64, 96), 3, (8, 16), 8)
    raw, named = gathered(spec, 0)
    found = PointLoss(spec).boxes(tf.reshape(raw[..., :32], (2, -1, 4, 8))).numpy()
    for image in range(2):
        np.testing.assert_allclose(found[image], decode_boxes(named[image], spec), atol=1e-4)


TARGETS = np.array(
    [[[5, 8, 30, 40, 2], [40, 10, 60, 60, 0], [0, 0, 0, 0, -1]], [[0, 0, 0, 0, -1]] * 3], np.float32
)  # the second image has no box


@pytest.mark.parametrize("quality", ["varifocal", "quality_focal"])
@pytest.mark.parametrize("score", ["sigmoid", "aligned"])
def test_point_loss_by_loops(score, quality):
    spec = distances_spec((64, 64), 3, (8, 16), 8, score)
    raw, named = gathered(spec, 1)
    loss = PointLoss(spec, quality)
    found = float(loss(TARGETS, raw))
    boxes, kinds = TARGETS[..., :4], TARGETS[..., 4].astype(np.int32)
    answers = np.stack([decode_boxes(each, spec) for each in named]).astype(np.float32)
    logits = raw[..., 32:35]
    scores = 1 / (1 + np.exp(-logits))
    if score == "aligned":
        scores = np.sqrt(scores / (1 + np.exp(-raw[..., 35:])) + 1e-9)
        owner, learned = aligned_by_loops(boxes, kinds, kinds >= 0, answers, scores)
        weights, factors, per_score = learned, (2.5, 0.5), max(learned.sum(), 1)
        per_box = per_score
    else:
        owner = simota_by_loops(boxes, kinds, kinds >= 0, answers, logits)
        whole = np.stack([overlaps(a.astype(float), b.astype(float)) for a, b in zip(answers, boxes, strict=True)])
        learned = np.where(owner >= 0, np.take_along_axis(whole, np.maximum(owner, 0)[..., None], 2)[..., 0], 0)
        weights, factors, per_score = np.where(owner >= 0, scores.max(-1), 0), (2.0, 0.25), (owner >= 0).sum()
        per_box = weights.sum()
    assert (owner[1] == -1).all()
    total = 0.0
    for image, p in np.ndindex(owner.shape):
        mine = owner[image, p]
        for c in range(3):
            target = learned[image, p] if mine >= 0 and c == kinds[image, mine] else 0
            s = float(scores[image, p, c])
            focus = (target if target > 0 else 0.75 * s**2) if quality == "varifocal" else abs(s - target) ** 2
            total += focus * entropy(s, target) / per_score
        if mine < 0:
            continue
        lost = factors[0] * (1 - giou(answers[image, p], boxes[image, mine]))
        x, y = points()[p]
        x1, y1, x2, y2 = boxes[image, mine]
        for side, distance in enumerate((x - x1, y - y1, x2 - x, y2 - y)):
            bins = raw[image, p, 8 * side : 8 * side + 8]
            at = min(max(distance / STEPS[p, 0], 0), 6.9)
            shares = np.maximum(0, 1 - abs(np.arange(8) - at))
            lost -= factors[1] / 4 * (shares * (bins - np.log(np.exp(bins).sum()))).sum()
        total += weights[image, p] * lost / per_box
    assert found == pytest.approx(total, rel=1e-4)


def test_anchor_loss_by_loops():
    spec = anchors_spec((64, 64), 3)
    raw, _ = gathered(spec, 2)
    loss = AnchorLoss(spec)
    found = float(loss(TARGETS, raw))
    anchors, total, count = loss._anchors, 0.0, 0
    for image in range(2):
        there = TARGETS[image, :, 4] >= 0
        whole = overlaps(corners(anchors).astype(float), TARGETS[image, there, :4].astype(float))
        owner = np.full(len(anchors), -1)
        if there.any():
            owner = np.where(whole.max(1) >= 0.5, whole.argmax(1), -1)
            owner[whole.argmax(0)] = np.arange(there.sum())
        shares = np.exp(raw[image, :, 4:]) / np.exp(raw[image, :, 4:]).sum(1, keepdims=True)
        negative = []
        for p, mine in enumerate(owner):
            if mine < 0:
                negative.append(-math.log(shares[p, 0]))
                continue
            x1, y1, x2, y2, kind = TARGETS[image, mine].astype(float)
            cx, cy, w, h = anchors[p]
            wanted = [((x1 + x2) / 2 - cx) / w / 0.1, ((y1 + y2) / 2 - cy) / h / 0.1,
                      math.log((x2 - x1) / w) / 0.2, math.log((y2 - y1) / h) / 0.2]  # fmt: skip
            for a, b in zip(raw[image, p, :4], wanted, strict=True):
                total += 0.5 * (a - b) ** 2 if abs(a - b) < 1 else abs(a - b) - 0.5
            total -= math.log(shares[p, int(kind) + 1])
        positive = int((owner >= 0).sum())
        total += sum(sorted(negative)[::-1][: 3 * positive])
        count += positive
    assert count > 1
    assert found == pytest.approx(total / count, rel=1e-4)


@pytest.mark.parametrize("kind", ["v1", "v2", "ssd"])
def test_gradients_are_finite_without_any_box(kind):
    score = "aligned" if kind == "v2" else "sigmoid"
    spec = anchors_spec((64, 64), 3) if kind == "ssd" else distances_spec((64, 64), 3, (8, 16), 8, score)
    raw, _ = gathered(spec, 3)
    loss = AnchorLoss(spec) if spec.kind == "anchors" else PointLoss(spec)
    for targets in (TARGETS, TARGETS[::-1][:1].repeat(2, 0)):
        with tf.GradientTape() as tape:
            given = tf.constant(raw)
            tape.watch(given)
            value = loss(targets, given)
        assert np.isfinite(tape.gradient(value, given).numpy()).all()
