"""Datasets and ports for the tests of tasks: only what a task asks of them."""

from types import SimpleNamespace

import numpy as np

from tfeff.record.schema import Port, TaskSpec


def dataset(labels, classes=(), guessed=False):
    labels = None if labels is None else np.asarray(labels)
    count = 0 if labels is None else len(labels)

    class Labelled(SimpleNamespace):
        def __len__(self):
            return count

    return Labelled(name="mine", labels=labels, classes=tuple(classes), guessed=guessed)


def port(*shape, name="out", dtype="float32"):
    return Port(name=name, shape=list(shape), dtype=dtype)


def spec(name, *, labels=(), outputs=("out",), **decode):
    return TaskSpec(name=name, outputs=list(outputs), labels=list(labels), decode=decode)


def measured(task, spec, outputs, annotations):
    """The task's metric of rows of one output."""
    metric = task.metric(spec)
    for row, annotation in zip(outputs, annotations, strict=True):
        metric.add(task.decode({spec.outputs[0]: row}, spec), annotation)
    return metric
