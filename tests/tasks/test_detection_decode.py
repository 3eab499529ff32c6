"""Decoding against PaddleDetection's and torchvision's post-processing, and the definitions one box at a time."""

import json
from pathlib import Path

import numpy as np
import pytest
from detection_specs import anchors_spec, distances_spec, ssdlite_320

from tfeff.tasks.boxes import overlaps, suppress
from tfeff.tasks.detection_decode import decode, decode_boxes
from tfeff.tasks.detection_spec import read_spec

GOLDEN = Path(__file__).parents[1] / "golden" / "detection"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as held:
        return json.loads((GOLDEN / f"{name}.json").read_text()), dict(held)


def by_level(spec, **values):
    """Rows of all levels -> an output a level."""
    outputs, start = {}, 0
    for level in spec.levels:
        count = level.rows * level.columns * max(1, len(level.anchors))
        for name, rows in values.items():
            outputs[getattr(level, name)] = rows[start : start + count].reshape(level.rows, level.columns, -1)
        start += count
    return outputs


def ordered(labels, scores, boxes):
    """By label, then by box: two scores of the references are equal to 1e-7."""
    order = np.lexsort((boxes[:, 1], boxes[:, 0], labels))
    return labels[order], scores[order], boxes[order]


def check_alike(found, wanted):
    mine = ordered(found.classes, found.scores, found.boxes)
    theirs = ordered(wanted["labels"], wanted["scores"], wanted["boxes"])
    assert np.array_equal(mine[0], theirs[0])
    assert np.abs(mine[1] - theirs[1]).max() < 1e-6
    assert np.abs(mine[2] - theirs[2]).max() < 1e-3


def test_picodet_equals_paddle():
    told, wanted = golden("paddle_picodet_postprocess")
    spec = distances_spec(
        320, 80, told["strides"], bins=8, score_threshold=told["score_threshold"], per_class=told["nms_top_k"],
        keep=told["keep_top_k"], iou_threshold=told["nms_threshold"],
    )  # fmt: skip
    random = np.random.default_rng([told["seed"], 11])
    scores = (random.standard_normal((1, 2125, 80)) * 1.2 - 6.5).astype(np.float32)[0]
    boxes = (random.standard_normal((1, 2125, 32)) * 1.5).astype(np.float32)[0]
    outputs = by_level(spec, scores=scores, boxes=boxes)
    assert np.abs(decode_boxes(outputs, spec)[::17] - wanted["decoded"]).max() < 1e-3
    check_alike(decode(outputs, spec), wanted)


def test_ssd_equals_torchvision():
    told, wanted = golden("tv_ssd_postprocess")
    spec = ssdlite_320(
        score_threshold=told["score_thresh"], per_class=told["topk_candidates"], keep=told["detections_per_img"],
        iou_threshold=told["nms_thresh"],
    )  # fmt: skip
    random = np.random.default_rng([told["seed"], 11])
    boxes = (random.standard_normal((1, 3234, 4)) * 0.8).astype(np.float32)[0]
    scores = (random.standard_normal((1, 3234, 91)) * 2).astype(np.float32)[0]
    scores[:, 0] += 6
    found = decode(by_level(spec, scores=scores, boxes=boxes), spec)
    check_alike(found, {**wanted, "labels": wanted["labels"] - 1})  # without the background
    assert (np.diff(found.scores) <= 0).all()


def one_by_one(outputs, spec):
    """Boxes, classes and scores of all places as the definitions have them, in plain Python."""
    found = []
    for level in spec.levels:
        for row in range(level.rows):
            for column in range(level.columns):
                for number, anchor in enumerate(level.anchors or [None]):
                    found += _of_place(outputs, spec, level, row, column, number, anchor)
    return found


def _of_place(outputs, spec, level, row, column, number, anchor):
    def values(name, width):
        return outputs[name][row, column, number * width : (number + 1) * width].astype(float)

    y, x = (row + 0.5) * level.step[0], (column + 0.5) * level.step[1]
    raw = values(level.scores, spec.channels)
    scores = (np.exp(raw) / np.exp(raw).sum())[1:] if spec.score == "softmax" else 1 / (1 + np.exp(-raw))
    if spec.score == "aligned":
        scores = np.sqrt(scores / (1 + np.exp(-float(outputs[level.alignment][row, column, 0]))) + 1e-9)
    if anchor is None:
        sides = []
        for side in range(4):
            logits = values(level.boxes, 4 * spec.bins)[side * spec.bins : (side + 1) * spec.bins]
            shares = np.exp(logits) / np.exp(logits).sum()
            sides.append(sum(k * share for k, share in enumerate(shares)) * level.step[1 - side % 2])
        box = x - sides[0], y - sides[1], x + sides[2], y + sides[3]
    else:
        w, h = anchor
        for name in [level.first_boxes, level.boxes] if spec.kind == "refined" else [level.boxes]:
            dx, dy, dw, dh = values(name, 4) * spec.variances
            x, y, w, h = x + dx * w, y + dy * h, w * np.exp(min(dw, 4.1)), h * np.exp(min(dh, 4.1))
        if spec.kind == "refined":
            first = np.exp(values(level.first_scores, 2))
            if first[1] / first.sum() <= spec.objectness:
                return []
        box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    if spec.clip:
        box = np.clip(box, 0, [spec.size[1], spec.size[0]] * 2)
    return [(tuple(box), kind, score) for kind, score in enumerate(scores)]


SPECS = {
    "distances": distances_spec((48, 64), 3, (16, 32), bins=5),
    "aligned": distances_spec((48, 64), 3, (16, 32), bins=5, score="aligned"),
    "anchors": anchors_spec((60, 90), 3, clip=True, max_log_size=4.1),
    "sigmoid anchors": anchors_spec((60, 90), 3, score="sigmoid"),
    "refined": anchors_spec((60, 90), 3, kind="refined", objectness=0.4),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("threshold", [0.0, 0.35])
def test_every_kind_by_its_definition(name, threshold):
    from detection_specs import random_outputs

    spec = read_spec({**SPECS[name].as_dict(), "score_threshold": threshold, "keep": 40, "per_class": 25})
    assert spec.levels[0].rows != spec.levels[0].columns
    outputs = random_outputs(spec, 3)
    wanted = []
    for kind in range(spec.classes):
        of = [each for each in one_by_one(outputs, spec) if each[1] == kind and each[2] > threshold]
        of = sorted(of, key=lambda each: -each[2])[: spec.per_class]
        stays = []
        for each in of:
            if all(overlaps(np.array([each[0]]), np.array([o[0]]))[0, 0] <= spec.iou_threshold for o in stays):
                stays.append(each)
        wanted += stays
    wanted = sorted(wanted, key=lambda each: -each[2])[: spec.keep]
    found = decode(outputs, spec)
    assert len(found) == len(wanted) > 10
    assert [int(kind) for kind in found.classes] == [each[1] for each in wanted]
    assert found.scores == pytest.approx([each[2] for each in wanted], rel=1e-9)
    assert found.boxes == pytest.approx(np.array([each[0] for each in wanted]), rel=1e-9, abs=1e-9)


def test_thresholds_are_read_from_the_record():
    from detection_specs import random_outputs

    spec = SPECS["distances"]
    outputs = random_outputs(spec, 5)
    counts = [len(decode(outputs, read_spec({**spec.as_dict(), "score_threshold": t}))) for t in (0.0, 0.3, 0.6, 1.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > counts[3] == 0
    loose = decode(outputs, read_spec({**spec.as_dict(), "iou_threshold": 1.0}))
    assert len(loose) > len(decode(outputs, spec))


def test_suppression_keeps_the_first_of_equals():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 5.0]])
    assert suppress(boxes, np.array([0.5, 0.5, 0.9, 0.4]), 0.5).tolist() == [2, 0, 3]  # 0.5 is not more than 0.5
    assert suppress(boxes, np.array([0.5, 0.5, 0.9, 0.4]), 0.49).tolist() == [2, 0]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]
