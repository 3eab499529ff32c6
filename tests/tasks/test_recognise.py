"""What an output means, by its head alone: the last activation, the loss of training, the labels at hand."""

import numpy as np
import pytest

from tfeff.errors import TfeffError
from tfeff.tasks import Head, get_task, list_tasks, recognise

CLASSES, FLOATS = np.array([0, 2, 1]), np.array([0.5, 2.0, 1.0])
BITS, ONE_HOT, MANY = np.array([0, 1, 1]), np.eye(3, dtype=int), np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]])


def head(values=3, **known):
    return Head("out", (values,) if isinstance(values, int) else values, **known)


def told(of):
    (spec,) = recognise([of])
    assert spec.outputs == ["out"]
    decode = spec.decode
    return (spec.name, decode["kind"], decode["scores"]) if decode else spec.name


@pytest.mark.parametrize(
    ("of", "task"),
    [
        (head(activation="softmax"), ("classification", "classes", "probabilities")),
        (head(activation="softmax", loss="my_own"), ("classification", "classes", "probabilities")),
        (head(1, activation="sigmoid"), ("classification", "binary", "probabilities")),
        (head(activation="sigmoid"), ("classification", "multi-label", "probabilities")),
        (head(activation="sigmoid", loss="mean_squared_error"), "regression"),
        (head(activation="sigmoid", loss="my_own"), "tensors"),
        (head(activation="linear", loss="sparse_categorical_crossentropy"), ("classification", "classes", "logits")),
        (head(activation="linear", loss="binary_crossentropy"), ("classification", "multi-label", "logits")),
        (head(1, activation="linear", loss="binary_crossentropy"), ("classification", "binary", "logits")),
        (head(activation="linear", loss="mean_absolute_error", labels=CLASSES), "regression"),
        (head(activation="relu", loss="huber"), "regression"),
        (head(activation="linear"), "tensors"),
        (head(activation="linear", labels=CLASSES), ("classification", "classes", "logits")),
        (head(activation=None, labels=CLASSES), ("classification", "classes", "logits")),
        (head(activation="linear", labels=ONE_HOT), ("classification", "classes", "logits")),
        (head(activation="linear", labels=MANY), ("classification", "multi-label", "logits")),
        (head(1, activation="linear", labels=BITS), ("classification", "binary", "logits")),
        (head(1, activation="linear", labels=CLASSES), "regression"),
        (head(1, activation="linear", labels=FLOATS), "regression"),
        (head(2, activation="linear", labels=np.ones((4, 2)) / 3), "regression"),
        (head(3, activation="linear", labels=FLOATS), "tensors"),
        (head(activation="tanh", labels=CLASSES), "tensors"),
        (head((8, 8, 3), activation="softmax"), "tensors"),
        (head((), activation="linear"), "tensors"),
        (head(3, dtype="int64", labels=CLASSES), "tensors"),
    ],
    ids=str,
)
def test_by_the_head(of, task):
    assert told(of) == task


def test_each_output_has_its_own_task_and_what_is_left_is_one_of_tensors():
    heads = [Head("mask", (8, 8, 1)), Head("class", (4,), activation="softmax"), Head("code", (16,))]
    assert [(spec.name, spec.outputs) for spec in recognise(heads)] == [
        ("classification", ["class"]), ("tensors", ["mask", "code"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name in list_tasks() if name not in ("detection", "segmentation")]
)  # which need numbers
def test_every_task_can_be_named_and_has_no_unknown_kind(name):
    spec = get_task(name).describe(None, [head()])
    assert (spec.name, spec.outputs) == (name, ["out"])
    with pytest.raises(TfeffError, match=f"--task {name}:odd"):
        get_task(name).describe("odd", [head()])


def test_the_kind_that_is_meant():
    task = get_task("classification")
    assert task.describe("multi-label", [head(activation="sigmoid")]).decode["scores"] == "probabilities"
    assert task.describe("multi-label", [head()]).decode == {"kind": "multi-label", "scores": "logits"}
    assert task.describe(None, [head(1)]).decode["kind"] == "binary"
    with pytest.raises(TfeffError, match="reads one output"):
        task.describe(None, [head(), Head("other", (2,))])
