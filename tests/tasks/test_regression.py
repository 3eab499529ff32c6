"""Numbers: MAE and R2 against numpy and scipy."""

import numpy as np
import pytest
from scipy import stats
from task_cases import dataset, measured, port, spec

from tfeff.errors import TfeffError
from tfeff.tasks import get_task
from tfeff.tasks.statistics import paired_difference

TASK = get_task("regression")


@pytest.mark.parametrize("values", [1, 4])
def test_mae_is_numpys(values):
    random = np.random.default_rng(1)
    predicted, true = random.normal(size=(2, 60, values))
    metric = measured(TASK, spec("regression"), predicted, true)
    assert (metric.name, metric.unit, metric.higher_is_better, metric.count) == ("MAE", "", False, 60)
    assert metric.value() == pytest.approx(np.abs(predicted - true).mean())
    weights = random.integers(0, 3, 60)
    drawn = np.repeat(np.arange(60), weights)
    assert metric.value(weights) == pytest.approx(np.abs(predicted[drawn] - true[drawn]).mean())
    assert metric.parts().mean() == pytest.approx(metric.value())


def test_r2_is_scipys():
    random = np.random.default_rng(2)
    true = random.normal(size=(80, 1))
    predicted = 3 * true + random.normal(size=(80, 1))
    fit = stats.linregress(predicted[:, 0], true[:, 0])
    fitted = fit.intercept + fit.slope * predicted  # the best line: its R2 is the squared correlation
    metric = measured(TASK, spec("regression"), fitted, true)
    assert metric.r2() == pytest.approx(fit.rvalue**2)
    same = measured(TASK, spec("regression"), np.ones((5, 1)), np.ones((5, 1)))
    assert same.r2() is None
    assert TASK.details(metric, same) == {"r2": {"float": pytest.approx(fit.rvalue**2), "quantized": None}}


def test_values_are_groups_with_their_names():
    predicted, true = np.float32([[1, 2], [3, 5]]), np.float32([[1, 4], [4, 4]])
    of = spec("regression", labels=("age", "height"))
    rows = measured(TASK, of, predicted, true).groups()
    assert [(row.label, row.value, row.samples) for row in rows] == [("age", 0.5, 2), ("height", 1.5, 2)]
    assert [row.label for row in measured(TASK, spec("regression"), predicted, true).groups()] == ["0", "1"]
    assert measured(TASK, spec("regression"), predicted[:, :1], true[:, :1]).groups() == []


def test_a_smaller_error_is_a_negative_difference():
    true = np.random.default_rng(3).normal(size=(50, 1))
    far, near = (measured(TASK, spec("regression"), true + error, true) for error in (1.0, 0.25))
    result = paired_difference(far, near)
    assert result.delta == pytest.approx(-0.75)
    assert result.ci95 == pytest.approx((-0.75, -0.75))


def test_labels_and_ports():
    TASK.check(spec("regression"), [port(1, 2, 3)])
    labels = TASK.annotations(dataset(np.ones((4, 2, 3))), spec("regression"), [port(1, 2, 3)])
    assert np.shape(labels) == (4, 6)
    assert np.shape(TASK.annotations(dataset([1, 2, 3]), spec("regression"), [port(1, 1)])) == (3, 1)
    assert np.shape(TASK.annotations(dataset([1, 2, 3]), spec("regression"), [port(1)])) == (3, 1)

    def refused(call, *arguments):
        with pytest.raises(TfeffError) as error:
            call(*arguments)
        assert error.value.mend
        return error.value.what

    assert "reads one output" in refused(TASK.check, spec("regression"), [port(1, 2), port(1, 2, name="b")])
    assert "3 names for 2 values" in refused(TASK.check, spec("regression", labels="abc"), [port(1, 2)])
    given = spec("regression"), [port(1, 2)]
    assert "has no labels" in refused(TASK.annotations, dataset(None), *given)
    assert "has 1 numbers a sample, the output has 2" in refused(TASK.annotations, dataset([1.0, 2.0]), *given)
    assert "NaN or infinity" in refused(TASK.annotations, dataset([[1.0, np.nan]]), *given)


def test_answers_in_words():
    of = spec("regression", labels=("age", "height"))
    assert TASK.draw(None, np.float32([41.5, 1.8]), of).lines == (("age 41.5", None), ("height 1.8", None))
    assert TASK.draw(None, np.float32([2]), spec("regression")).lines == (("2", None),)
