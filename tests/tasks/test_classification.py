"""Classes, one value against a threshold, and labels that each hold or not: against numpy, scipy and counts by hand."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from task_cases import dataset, measured, port, spec

from tfeff.errors import TfeffError
from tfeff.tasks import get_task

TASK = get_task("classification")
CLASSES = spec("classification", labels="abc")
BINARY = spec("classification", kind="binary", scores="probabilities")
MANY = spec("classification", labels=("sun", "sea", "sand"), kind="multi-label", scores="probabilities")


def test_the_largest_value_is_the_class_and_the_first_of_equals():
    for values, first in (([1.0, 3.0, 2.0], 1), ([2.0, 2.0, 1.0], 0), ([-5.0, -4.0, -4.0], 1)):
        answer = TASK.decode({"out": np.float32(values)}, CLASSES)
        assert answer.first == first
        assert answer.chosen.tolist() == [n == first for n in range(3)]
        assert answer.scores == pytest.approx(softmax(values))


def test_probabilities_are_taken_as_they_are():
    values = np.float32([0.25, 0.75])
    assert TASK.decode({"out": values}, spec("classification", scores="probabilities")).scores.tolist() == [0.25, 0.75]


def test_where_nobody_said_it_the_values_tell_whether_they_are_probabilities():
    for values, shares in (([0.25, 0.5, 0.24609375], True), ([0.5, 0.5, 0.5], False), ([1.5, -0.5, 0.0], False)):
        scores = TASK.decode({"out": np.float32(values)}, spec("classification", kind="classes")).scores
        assert scores == pytest.approx(values if shares else softmax(values))


@pytest.mark.parametrize("scores", ["logits", "probabilities"])
@pytest.mark.parametrize("threshold", [None, 0.2])
def test_one_value_against_a_threshold(scores, threshold):
    limits = {} if threshold is None else {"threshold": threshold}
    of = spec("classification", kind="binary", scores=scores, **limits)
    for value in (-3.0, -1.0, 0.0, 0.3, 2.0, 800.0) if scores == "logits" else (0.0, 0.1, 0.3, 0.5, 0.6, 1.0):
        answer = TASK.decode({"out": np.float32([value])}, of)
        chance = expit(value) if scores == "logits" else value
        assert answer.scores == pytest.approx([chance])
        assert answer.first == int(chance > (threshold or 0.5))


@pytest.mark.parametrize(
    ("of", "one", "alike", "other"),
    [
        (CLASSES, [1.0, 3.0, 2.0], [-9.0, 0.1, 0.0], [3.0, 1.0, 2.0]),
        (BINARY, [0.7], [0.51], [0.49]),
        (MANY, [0.9, 0.1, 0.6], [0.6, 0.4, 0.9], [0.9, 0.1, 0.4]),
    ],
    ids=["classes", "binary", "multi-label"],
)
def test_what_two_answers_say(of, one, alike, other):
    answers = [TASK.decode({"out": np.float32(values)}, of) for values in (one, alike, other)]
    assert TASK.same_answer(answers[0], answers[1])
    assert not TASK.same_answer(answers[0], answers[2])


def test_top1_is_numpys():
    random = np.random.default_rng(0)
    logits, true = random.normal(size=(500, 3)).astype(np.float32), random.integers(0, 3, 500)
    metric = measured(TASK, CLASSES, logits, true)
    right = logits.argmax(1) == true
    assert (metric.name, metric.unit, metric.higher_is_better, metric.count) == ("top-1", "%", True, 500)
    assert metric.value() == 100 * np.mean(right)
    assert metric.parts().tolist() == right.tolist()
    weights = random.integers(0, 4, 500)
    assert metric.value(weights) == pytest.approx(100 * np.average(right, weights=weights))
    for number, group in enumerate(metric.groups()):
        assert (group.label, group.samples) == ("abc"[number], np.count_nonzero(true == number))
        assert group.value == pytest.approx(100 * right[true == number].mean())


def test_groups_are_the_classes_that_have_samples():
    """A class without a name is called by its number."""
    metric = measured(TASK, spec("classification", labels="a"), np.eye(4, dtype=np.float32)[[0, 1, 3, 3]], [0, 1, 3, 1])
    rows = [(group.label, group.value, group.samples) for group in metric.groups()]
    assert rows == [("a", 100.0, 1), ("1", 50.0, 2), ("3", 100.0, 1)]


def test_binary_accuracy_counts_both_answers():
    metric = measured(TASK, BINARY, np.float32([[0.9], [0.4], [0.6], [0.1]]), [1, 1, 0, 0])
    assert (metric.name, metric.value()) == ("accuracy", 50.0)
    assert [(group.label, group.value, group.samples) for group in metric.groups()] == [("0", 50.0, 2), ("1", 50.0, 2)]


def test_f1_by_hand():
    scores = np.float32([[0.9, 0.2, 0.1], [0.8, 0.7, 0.2], [0.3, 0.6, 0.4], [0.6, 0.4, 0.3]])
    true = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0]], bool)
    metric = measured(TASK, MANY, scores, true)
    # sun: predicted 1,1,0,1 of 1,0,1,1: 2 right, 1 too many, 1 missed; sea: 0,1,1,0 of 0,1,1,1: 2 right, 1 missed
    sun, sea, sand = 2 * 2 / (2 * 2 + 1 + 1), 2 * 2 / (2 * 2 + 0 + 1), 1.0  # sand is never there nor predicted
    assert metric.value() == pytest.approx(100 * (sun + sea + sand) / 3)
    assert [group.label for group in metric.groups()] == ["sun", "sea", "sand"]
    assert [group.value for group in metric.groups()] == pytest.approx([100 * sun, 100 * sea, 100 * sand])
    twice = measured(TASK, MANY, np.repeat(scores, [2, 1, 0, 1], axis=0), np.repeat(true, [2, 1, 0, 1], axis=0))
    assert metric.value(np.array([2, 1, 0, 1])) == pytest.approx(twice.value())
    metric.add(TASK.decode({"out": np.float32([0, 0, 1])}, MANY), true[0])  # one more counts
    assert metric.groups()[2].value == 0.0


def test_flips_are_answers_that_changed():
    before = measured(TASK, CLASSES, np.eye(3, dtype=np.float32), [0, 1, 2])
    after = measured(TASK, CLASSES, np.eye(3, dtype=np.float32)[[0, 2, 2]], [0, 1, 2])
    assert TASK.details(before, after) == {"flips": pytest.approx(100 / 3)}
    scores = np.float32([[0.9, 0.1, 0.1], [0.9, 0.1, 0.1]])
    before, after = (measured(TASK, MANY, each, np.zeros((2, 3))) for each in (scores, scores * [[1, 1, 1], [1, 1, 9]]))
    assert TASK.details(before, after) == {"flips": 50.0}


def refused(call, *arguments):
    with pytest.raises(TfeffError) as error:
        call(*arguments)
    assert error.value.mend
    return error.value.what


def test_ports_that_do_not_fit():
    TASK.check(CLASSES, [port(1, 3)])
    TASK.check(spec("classification"), [port(1, 1, 1, 7)])
    TASK.check(BINARY, [port(1, 1)])
    TASK.check(BINARY, [port(1)])
    TASK.check(MANY, [port(1, 3)])
    assert "has shape (1, 4, 4, 3)" in refused(TASK.check, CLASSES, [port(1, 4, 4, 3)])
    assert "reads one output, not 2" in refused(TASK.check, CLASSES, [port(1, 3), port(1, 3, name="b")])
    assert "3 labels, the output out gives 4" in refused(TASK.check, CLASSES, [port(1, 4)])
    assert "one value, so no class is the largest" in refused(TASK.check, spec("classification"), [port(1, 1)])
    assert "has 2 values, `binary` has one" in refused(TASK.check, BINARY, [port(1, 2)])
    assert "kind 'many'" in refused(TASK.check, spec("classification", kind="many"), [port(1, 3)])
    for threshold in ("0.5", True, 2, None, [0.5]):
        assert "threshold" in refused(
            TASK.check, spec("classification", kind="binary", threshold=threshold), [port(1, 1)]
        )
    assert "scores 'chances'" in refused(TASK.check, spec("classification", scores="chances"), [port(1, 3)])


def test_labels_of_every_form_become_class_numbers():
    def annotations(labels, classes=(), of=CLASSES, values=3):
        return list(TASK.annotations(dataset(labels, classes), of, [port(1, values)]))

    for labels in ([0, 2, 1], [[0], [2], [1]], [0.0, 2.0, 1.0], np.eye(3)[[0, 2, 1]]):
        assert annotations(labels) == [0, 2, 1]
    assert annotations(np.float32([[0.9, 0.05, 0.05], [0.1, 0.2, 0.7]])) == [0, 2]  # smoothed
    assert annotations(np.eye(2)[[1, 0]], of=BINARY, values=1) == [1, 0]
    assert annotations([0, 0, 0], of=BINARY, values=1) == [0, 0, 0]
    assert annotations([0, 1, 2], "bca") == [1, 2, 0]  # matched by name
    assert annotations([0, 1, 2], "012") == [0, 1, 2]  # numbers say nothing of the order
    assert annotations([0, 1, 1], of=BINARY, values=1) == [0, 1, 1]
    assert annotations([[0.0], [1.0]], of=BINARY, values=1) == [0, 1]
    assert np.array(annotations([[0, 1, 1], [1.0, 0, 0]], of=MANY)).tolist() == [
        [False, True, True],
        [True, False, False],
    ]


def matched(classes, labels, guessed=True):
    """The outputs that a dataset's classes are taken for, and the lines that are said of it."""
    data, of = dataset(range(len(classes)), classes, guessed), spec("classification", labels=labels)
    return list(TASK.annotations(data, of, [port(1, len(classes))])), TASK.notes(data, of)


NUMBERS = [str(number) for number in range(12)]


@pytest.mark.parametrize(
    ("classes", "labels", "wanted"),
    [
        (sorted(NUMBERS), NUMBERS, [int(name) for name in sorted(NUMBERS)]),
        (NUMBERS, sorted(NUMBERS), [sorted(NUMBERS).index(name) for name in NUMBERS]),
        (["class_10", "class_2", "class_0"], ["c0", "c2", "c10"], [2, 1, 0]),
        (["ankle boot", "t_shirt top"], ["T-shirt/top", "Ankle boot"], [1, 0]),
        (["0", "1", "2"], ["ant", "bee", "cat"], [0, 1, 2]),
    ],
    ids=["as text", "labels as text", "other words", "as folders are called", "numbers of outputs"],
)
def test_classes_are_matched_by_name(classes, labels, wanted):
    assert matched(classes, labels) == (wanted, [])


def test_an_order_that_is_a_guess_is_said():
    assert matched(NUMBERS, [], guessed=False) == (list(range(12)), [])  # numbers of the labels themselves
    assert matched(NUMBERS[:10], []) == (list(range(10)), [])  # in whatever order
    assert matched(["c0", "c1", "c2"], []) == ([0, 1, 2], [])
    assert matched(["0a", "1b"], [])[1] != []
    order, (note,) = matched(NUMBERS, [])
    assert order == list(range(12))
    assert "order is a guess: 0, 1, 2, 3, ... 11 (sorted as text it would be 0, 1, 10, 11, ... 9)" in note
    assert "classes.txt" in note
    (note,) = matched(["ant", "bee"], [])[1]
    assert "does not name its classes, so their order is a guess: ant, bee;" in note
    (note,) = matched(["1", "2"], ["ant", "bee"])[1]
    assert "the model's classes have other names" in note


def test_labels_that_do_not_fit():
    def told(labels, classes=(), of=CLASSES, values=3):
        return refused(TASK.annotations, dataset(labels, classes), of, [port(1, values)])

    assert "has no labels" in told(None)
    assert "holds no images" in told(np.zeros((0,), int))
    assert "has 4 classes, the output out has 3" in told([0, 1, 3])
    assert "has 2 classes, the output out has 3" in told([0, 1, 0], "ab")
    assert "labels from -1 to 2" in told([-1, 0, 2])
    assert "'x' is none of the record's labels" in told([0, 1, 2], "abx")
    assert "is none of the record's labels" in told([0, 1, 2], "abc", spec("classification", labels="aaa"))
    assert "are no class numbers" in told([0.5, 1.0, 2.0])
    assert "are not one-hot" in told([[1, 1, 0], [0, 0, 1]])
    assert "the output has 3 labels" in told([0, 1, 2], of=MANY)
    assert "the output has 3 labels" in told([[0, 1], [1, 1]], of=MANY)
    assert "the output has 3 labels" in told([[0, 1, 0.5]], of=MANY)
    assert "has 4 classes, the output out is one value: no or yes" in told([0, 1, 3], of=BINARY, values=1)
    assert "labels of shape (2, 4), the output out has 3 classes" in told(np.eye(4)[:2])
    assert "are not one-hot" in told([[0.5, 0.5, 0.0]])


def test_answers_in_words():
    picture = TASK.draw(None, TASK.decode({"out": np.float32([1, 3, 2])}, CLASSES), CLASSES)
    assert [text for text, _ in picture.lines] == ["b", "c", "a"]
    assert sum(score for _, score in picture.lines) == pytest.approx(1)
    of = spec("classification", labels=("ham", "spam"), kind="binary", scores="probabilities")
    assert TASK.draw(None, TASK.decode({"out": np.float32([0.25])}, of), of).lines == (("ham", 0.75),)
    assert TASK.draw(None, TASK.decode({"out": np.float32([0.75])}, BINARY), BINARY).lines == (("yes", 0.75),)
