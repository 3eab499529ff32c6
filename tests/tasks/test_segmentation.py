"""Segmentation: labels of pixels against the definitions written out, mIoU, ignored pixels, and what does not fit."""

from types import SimpleNamespace

import numpy as np
import pytest
from task_cases import port, spec

from tfeff.data import Preprocessing
from tfeff.data.dataset import Subset
from tfeff.data.fashion_scenes import FashionScenes
from tfeff.errors import TfeffError
from tfeff.tasks import Head, get_task
from tfeff.tasks.pixels import Pixels, colours
from tfeff.tasks.statistics import paired_difference

TASK = get_task("segmentation")
RANDOM = np.random.default_rng(0)


def of(size=(8, 12), resize="half-pixel", labels=()):
    return spec("segmentation", labels=labels, size=list(size), resize=resize)


def decoded(scores, **given):
    return TASK.decode({"out": scores}, of(**given))


def bilinear(scores, at_y, at_x):
    """The value at a place, by its four neighbours."""
    height, width, _ = scores.shape
    y, x = min(max(at_y, 0), height - 1), min(max(at_x, 0), width - 1)
    top, left = int(y), int(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    above = scores[top, left] * (1 - (x - left)) + scores[top, right] * (x - left)
    below = scores[low, left] * (1 - (x - left)) + scores[low, right] * (x - left)
    return above * (1 - (y - top)) + below * (y - top)


def masks(*arrays, classes=("ground", "cat", "dog"), name="mine"):
    class Masked(SimpleNamespace):
        def __len__(self):
            return len(arrays)

    return Masked(
        name=name, classes=tuple(classes), guessed=False, names=[f"image {n}" for n in range(len(arrays))],
        annotations={"semantic": [np.uint8(each) for each in arrays]} if arrays else {},
    )  # fmt: skip


def measured(predicted, true, labels=()):
    metric = TASK.metric(of(labels=labels))
    for one, other in zip(predicted, true, strict=True):
        scores = np.eye(3, dtype="float32")[one]
        metric.add(decoded(scores, size=one.shape), np.int16(other))
    return metric


# Answers


@pytest.mark.parametrize("resize", ["half-pixel", "align-corners"])
def test_labels_are_of_resized_scores(resize):
    scores = RANDOM.standard_normal((4, 3, 5)).astype("float32")
    got = decoded(scores, resize=resize).labels
    assert (got.shape, got.dtype) == ((8, 12), np.uint8)
    for y in range(8):
        for x in range(12):
            at = ((y + 0.5) * 4 / 8 - 0.5, (x + 0.5) * 3 / 12 - 0.5)
            at = (y * 3 / 7, x * 2 / 11) if resize == "align-corners" else at
            assert got[y, x] == bilinear(scores, *at).argmax()


@pytest.mark.parametrize("mode", ["exact", "cover", "fit"])
def test_labels_of_an_image_that_was_resized(mode):
    """A pixel of the image is looked up where it lies in the input."""
    scores = RANDOM.standard_normal((4, 6, 3)).astype("float32")
    placement = Preprocessing(size=(8, 12), resize=mode).placement(10, 9)
    got = TASK.in_image(decoded(scores), placement).labels
    assert got.shape == (10, 9)
    for y in range(10):
        for x in range(9):
            (column, row, _, _), *_ = placement.there(np.array([[x + 0.5, y + 0.5, 0, 0]]))
            assert got[y, x] == bilinear(scores, row / 2 - 0.5, column / 2 - 0.5).argmax()


def test_large_maps_are_resized_in_parts(monkeypatch):
    scores = RANDOM.standard_normal((4, 6, 3)).astype("float32")
    whole = decoded(scores).labels
    monkeypatch.setattr("tfeff.tasks.pixels._AT_ONCE", 50)
    np.testing.assert_array_equal(decoded(scores).labels, whole)


def test_what_people_see():
    labels = np.uint8([[0, 0, 1], [0, 2, 2]])
    one, named = Pixels.of(labels), of(labels=("ground", "cat", "dog"))
    np.testing.assert_array_equal(one.labels, labels)
    image = np.full((2, 3, 3), 200, np.uint8)
    picture = TASK.draw(image, one, named)
    assert picture.lines == (("ground", 0.5), ("dog", pytest.approx(1 / 3)), ("cat", pytest.approx(1 / 6)))
    np.testing.assert_array_equal(picture.image[0], [[100] * 3, [100] * 3, [164, 100, 100]])
    assert TASK.draw(None, one, named).image is None
    np.testing.assert_array_equal(colours(4), [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]])  # VOC's
    other = Pixels.of(np.uint8([[0, 0, 1], [0, 2, 1]]))
    assert TASK.apart(one, other) == pytest.approx(1 / 6)
    assert TASK.changes(one, other, named) == ["dog -> cat: 16.67 % of the pixels"]
    assert (TASK.same_answer(one, one), TASK.same_answer(one, other)) == (True, False)
    np.testing.assert_array_equal(TASK.right(np.int16([[-1, 2]]), named).labels, [[0, 2]])


# The metric


def test_miou_is_that_of_the_summed_matrix():
    true, predicted = RANDOM.integers(0, 3, (2, 6, 5, 7))
    metric = measured(predicted, true, labels=("ground", "cat", "dog"))
    matrix = np.zeros((3, 3))
    np.add.at(matrix, (true.ravel(), predicted.ravel()), 1)
    ious = [matrix[c, c] / (matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]) for c in range(3)]
    assert metric.value() == pytest.approx(100 * np.mean(ious))
    assert (metric.name, metric.unit, metric.higher_is_better, metric.count, metric.classes) == (
        "mIoU",
        "%",
        True,
        6,
        3,
    )
    assert metric.pixel_accuracy() == pytest.approx(100 * np.trace(matrix) / matrix.sum())
    groups = metric.groups()
    assert [(group.label, group.samples) for group in groups] == [("ground", 6), ("cat", 6), ("dog", 6)]
    assert [group.value for group in groups] == pytest.approx([100 * iou for iou in ious])
    weights = RANDOM.integers(0, 3, (4, 6))
    drawn = [np.repeat(np.arange(6), row) for row in weights]
    again = [measured(predicted[rows], true[rows]).value() for rows in drawn]
    np.testing.assert_allclose(metric.values(weights), again)


def test_pixels_that_a_mask_leaves_out_and_classes_that_do_not_occur():
    true, predicted = [[0, 0, -1, -1]], [[0, 1, 1, 2]]
    metric = measured(np.array([predicted]), np.array([true]))
    assert metric.value() == pytest.approx(100 * np.mean([1 / 2, 0 / 1]))  # class 2 is predicted where none counts
    assert metric.classes == 2
    assert [group.label for group in metric.groups()] == ["0"]
    nothing = measured(np.array([predicted]), np.array([[[-1] * 4]]))
    assert (nothing.value(), nothing.pixel_accuracy(), nothing.groups()) == (0.0, 0.0, [])


def test_difference_of_two_files():
    true = RANDOM.integers(0, 3, (30, 6, 6))
    better, worse = true.copy(), true.copy()
    better[:, 0, :2] = 0
    worse[:, 0, :4] = 0
    one, other = measured(better, true), measured(worse, true)
    found = paired_difference(one, other)
    assert found.delta == pytest.approx(other.value() - one.value())
    assert found.ci95[0] < found.delta < found.ci95[1] < 0
    assert found.p < 0.01
    details = TASK.details(one, other)
    same = 100 * (better == worse).mean(axis=(1, 2))
    assert details["agreement"] == {"mean": pytest.approx(same.mean()), "lowest": pytest.approx(same.min())}
    assert details["classes"] == {"float": 3, "quantized": 3}
    rows = dict(TASK.tell(details))
    assert rows["equal pixels"] == f"{same.mean():.2f} %, lowest of an image {same.min():.2f} %"
    assert rows["pixel accuracy"].startswith(f"{one.pixel_accuracy():.2f} % -> ")
    assert TASK.tell({"agreement": 3, "pixel_accuracy": {"float": "x"}}) == []
    assert paired_difference(one, one).ci95 == (0.0, 0.0)


def test_what_calibration_makes_small():
    criterion = TASK.criterion(of(), [port(1, 2, 2, 3)])
    scores = RANDOM.standard_normal((2, 2, 3)).astype("float32")
    same = criterion.terms({"out": scores}, {"out": scores + 1})  # a softmax sees no shift
    assert criterion.loss([same]) == pytest.approx(0, abs=1e-12)
    p, q = (np.exp(each) / np.exp(each).sum(-1, keepdims=True) for each in (scores, 2 * scores))
    other = criterion.terms({"out": scores}, {"out": 2 * scores})
    assert criterion.loss([other, same]) == pytest.approx((p * np.log(p / q)).sum(-1).mean() / 2, rel=1e-5)
    number, sure = TASK.belief({"out": np.float32([[[5, 0], [0, 1], [4, 0]]])}, of())
    assert number == 0
    assert -0.2 < sure < 0


# Datasets and ports


def test_masks_by_the_network_s_numbers():
    dataset = masks([[0, 1], [2, 255]])
    found = TASK.annotations(dataset, of(labels=("dog", "ground", "cat")), [port(1, 4, 4, 3)])
    np.testing.assert_array_equal(found[0], [[1, 2], [0, -1]])
    assert len(found) == 1
    with pytest.raises(TfeffError, match=r"mine, image 0: its mask holds class 7, of 3 classes"):
        TASK.annotations(masks([[0, 7]]), of(), [port(1, 4, 4, 3)])[0]


@pytest.mark.parametrize(
    ("dataset", "labels", "said"),
    [
        (masks(), (), "has no masks"),
        (masks([[0]]), (), "has 3 classes, the network has 4"),
        (masks([[0]], classes="abcde"), (), "has 5 classes, the network has 4"),
        (masks([[0]], classes=("x", "y", "z", "w")), ("a", "b", "c", "d"), "none of the record's labels"),
    ],
)
def test_datasets_that_do_not_fit(dataset, labels, said):
    with pytest.raises(TfeffError, match=said):
        TASK.annotations(dataset, of(labels=labels), [port(1, 4, 4, 4)])


def test_a_mask_of_another_size():
    with pytest.raises(TfeffError, match="a mask of 3x4 for an image of 4x4"):
        TASK.metric(of()).add(decoded(np.zeros((2, 2, 3), "float32"), size=(4, 4)), np.zeros((3, 4), np.int16))


@pytest.mark.parametrize(
    ("ports", "given", "said"),
    [
        ([port(1, 4, 4, 3), port(1, 4, 4, 3)], of(), "reads one output, not 2"),
        ([port(1, 3)], of(), "has shape"),
        ([port(1, 4, 4, 1)], of(), "has shape"),
        ([port(1, 4, 4, 3)], of(labels=("a", "b")), "2 labels for 3 classes"),
        ([port(1, 4, 4, 3)], of(size=(0, 4)), "size"),
        ([port(1, 4, 4, 3)], of(size=(True, 4)), "size"),
        ([port(1, 4, 4, 3)], spec("segmentation"), "size None"),
        ([port(1, 4, 4, 3)], of(resize="legacy"), "resize 'legacy'"),
    ],
)
def test_ports_that_do_not_fit(ports, given, said):
    with pytest.raises(TfeffError, match=said):
        TASK.check(given, ports)


def test_what_a_user_says():
    heads = [Head("mask", (16, 20, 3))]
    told = TASK.describe("64x80", heads)
    assert (told.outputs, told.decode) == (["mask"], {"size": [64, 80], "resize": "half-pixel"})
    assert TASK.describe("64x80-corners", heads).decode["resize"] == "align-corners"
    for kind in (None, "64", "64x80-edges"):
        with pytest.raises(TfeffError, match="how large its input is"):
            TASK.describe(kind, heads)
    with pytest.raises(TfeffError, match="reads one output"):
        TASK.describe("64x80", [*heads, *heads])


def test_scenes_name_the_ground():
    scenes = FashionScenes("test", sample=True)
    some = Subset(scenes, np.array([3, 1]))
    found = TASK.annotations(some, of(size=(96, 96)), [port(1, 24, 24, 11)])
    np.testing.assert_array_equal(found[1], scenes.annotations["semantic"][1])
    assert some.annotation_classes["semantic"][:2] == ("ground", scenes.classes[0])
    assert TASK.notes(some, of()) == []
