"""Tasks by name, the one without a metric, and that a new task is one file."""

import numpy as np
import pytest
from task_cases import dataset, port, spec

import tfeff.tasks
from tfeff.errors import TfeffError
from tfeff.tasks import get_task, list_tasks

TOY = """
import numpy as np
from tfeff.tasks.base import Metric, Picture, Task


class Hits(Metric):
    name, unit, higher_is_better, scale = "hits", "%", True, 100.0

    def __init__(self):
        self._hits = []

    def add(self, prediction, annotation):
        self._hits.append(prediction == annotation)

    @property
    def count(self):
        return len(self._hits)

    def parts(self):
        return np.array(self._hits)

    def value(self, weights=None):
        return float(100 * np.average(self._hits, weights=weights))


class Sign(Task):
    name, annotation = "sign", "1 where the first output is above 0, else 0"

    def check(self, spec, outputs):
        pass

    def decode(self, outputs, spec):
        return int(outputs[spec.outputs[0]].reshape(-1)[0] > spec.decode["level"])

    def annotations(self, dataset, spec, outputs):
        return dataset.labels

    def metric(self, spec):
        return Hits()

    def draw(self, image, prediction, spec):
        return Picture(((str(prediction), None),))


TASK = Sign()
"""


@pytest.fixture
def toy_task(tmp_path, monkeypatch):
    (tmp_path / "sign.py").write_text(TOY)
    monkeypatch.setattr(tfeff.tasks, "__path__", [*tfeff.tasks.__path__, str(tmp_path)])
    list_tasks.cache_clear()
    yield "sign"
    list_tasks.cache_clear()


def test_every_task_says_what_it_is():
    assert list_tasks() == ("classification", "detection", "regression", "segmentation", "tensors")
    for name in list_tasks():
        task = get_task(name)
        assert task.name == name
        assert task.annotation
    with pytest.raises(TfeffError, match="unknown task 'depht'") as error:
        get_task("depht")
    assert "classification, detection, regression, segmentation, tensors" in error.value.mend


def test_tensors_have_no_metric_and_need_no_labels():
    task, of = get_task("tensors"), spec("tensors", outputs=("a", "b"))
    assert task.metric(of) is None
    assert len(task.annotations(dataset([0, 1, 2]), of, [port(1, 2)])) == 3
    task.check(of, [port(1, 2, 3, name="a"), port(1, name="b", dtype="int32")])
    with pytest.raises(TfeffError, match="names no output"):
        task.check(spec("tensors", outputs=()), [])
    outputs = {"a": np.arange(12.0).reshape(3, 4), "b": np.int32([7]), "c": np.zeros(1)}
    picture = task.draw(None, task.decode(outputs, of), of)
    assert [text for text, _ in picture.lines] == ["a [3, 4]: 0, 1, 2, 3, 4, 5, 6, 7, ...", "b [1]: 7"]


def test_a_new_task_is_one_file(toy_task, tmp_path):
    """A file in the folder, and files are compared in its metric."""
    from compare_models import convert_function

    from tfeff.compare import compare
    from tfeff.data.dataset import TensorDataset
    from tfeff.data.feeds import InputPort

    assert toy_task in list_tasks()
    one = convert_function(lambda image: {"level": image * 2.0}, (1, 2), tmp_path / "one.tflite")
    other = convert_function(lambda image: {"level": image * -2.0}, (1, 2), tmp_path / "other.tflite")
    values = np.float32([[1, 0], [-1, 0], [3, 0], [-0.25, 0]])
    labelled = TensorDataset("signs", "", (), np.array([1, 0, 1, 1]), list("abcd"), {"image": values})
    result = compare(other, one, labelled, [InputPort("image", (2,))], [spec("sign", outputs=("level",), level=0.0)])
    (accuracy,) = result.accuracy
    assert (accuracy.task, accuracy.metric, accuracy.unit) == ("sign", "hits", "%")
    assert (accuracy.float_value, accuracy.quantized, accuracy.delta) == (75.0, 25.0, -50.0)
