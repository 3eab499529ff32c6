"""Quantization-aware training of a fake-quant graph, taught by its float twin. One function; the recipe is its
arguments. What an output is taught by, its task says (`training.classification`, ...)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import keras
import numpy as np

from tfeff.data import Dataset, InputPort
from tfeff.data.feeds import placement_of
from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks import Metric, get_task
from tfeff.training.batches import Batches, hold_out

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training gives.

    Attributes:
        epochs, batch_size: counts.
        learning_rate: Adam's at the start; then a cosine down to 0.
        steps: at most so many an epoch; None goes through all samples.
        temperature: at which scores of classes of the float twin are learned; see `classification.Distillation`.
        label_weight: of the labels, beside a weight of 1 for the float twin's outputs.
        augment: mirror images at random, and move them at random.
        move: the largest move, as a share of the size.
        validation: share of the training samples held out to choose the best epoch; the test samples choose nothing.
        seed: of order and augmentation.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-4
    steps: int | None = None
    temperature: float = 2.0
    label_weight: float = 0.0
    augment: bool = True
    move: float = 0.125
    validation: float = 0.05
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise TfeffError(f"training: {name} must be above 0, not {getattr(self, name)}")
        if self.steps is not None and self.steps < 1:
            raise TfeffError(f"training: steps must be at least 1, not {self.steps}")
        if not self.label_weight >= 0:
            raise TfeffError(f"training: label_weight must not be below 0, not {self.label_weight}")
        if not 0 <= self.move < 1:
            raise TfeffError(f"training: move must be a share of the size in 0..1, not {self.move}")
        if not 0 < self.validation < 1:
            raise TfeffError(f"training: validation must be a share between 0 and 1, not {self.validation}")


@dataclass(frozen=True)
class Teacher:
    """A float twin, and what its ports are.

    Attributes:
        model: the Keras model; it stays as it is.
        inputs, outputs: its ports, in its order.
        tasks: what the outputs mean.
    """

    model: Any
    inputs: tuple[InputPort, ...]
    outputs: tuple[str, ...]
    tasks: tuple[TaskSpec, ...]

    def __call__(self, given: Any) -> list[np.ndarray]:
        """Its outputs for a batch, (n, ...) each."""
        made = keras.tree.flatten(self.model.predict_on_batch(given))
        return [np.asarray(values) for values in made]


def train_quantized(
    graph: Any,
    teacher: Teacher,
    dataset: Dataset,
    recipe: Recipe,
    *,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    keep: Callable[[Any], None] = lambda graph: None,
) -> dict[str, Any]:
    """Trains a fake-quant graph towards the outputs of its float twin, and leaves the best epoch's weights in it.

    What is best is told by the loss on training samples that were held out. Where no epoch is better than what the
    graph was at the start, it is left as it was.

    Args:
        graph: a fake-quant graph with ranges; its frozen ranges stay.
        teacher: the float network.
        dataset: training samples, labelled where the recipe has a label weight.
        report: called at the start (epoch 0) and after every epoch with {epoch, loss, held_out_loss, held_out}, the
            last by metric.
        progress: called after every step with (steps done, steps in all).
        keep: called with the graph whenever an epoch is the best so far.

    Returns:
        The record's `quantization.training` entry.

    Raises:
        TfeffError: labels that are not the network's, too few samples, or a loss that is no number any more.
    """
    fit, held_out = hold_out(dataset, recipe.validation, recipe.seed)
    lesson = _Lesson(teacher, dataset, recipe)
    judge = _Judge(Batches(held_out, teacher.inputs, _EVALUATION_BATCH), lesson)
    batches = _compiled(graph, fit, lesson, judge.scales)

    row = {"epoch": 0, "loss": None, **judge(graph)}
    history, best, weights = [row], row, graph.get_weights()
    report(row)
    for epoch in range(recipe.epochs):
        loss = _fit(graph, batches, epoch, recipe, progress)
        row = {"epoch": epoch + 1, "loss": loss, **judge(graph)}
        history.append(row)
        if row["held_out_loss"] < best["held_out_loss"]:
            best, weights = row, graph.get_weights()
            keep(graph)
        report(row)
    graph.set_weights(weights)
    ranges = [variable for variable in graph.trainable_variables if variable.path.endswith(("/low", "/high"))]
    return {
        **asdict(recipe),
        "dataset": dataset.name,
        "images": len(fit),
        "held_out_images": len(held_out),
        "steps": len(batches) * recipe.epochs,
        "trained_ranges": len(ranges) // 2,
        "trained_parameters": int(sum(np.prod(variable.shape) for variable in graph.trainable_variables)),
        "best_epoch": best["epoch"],
        "held_out_float": judge.of_teacher,
        "history": history,
    }


def _compiled(graph, fit, lesson, scales):
    """Makes the graph ready to be trained; the batches."""
    recipe = lesson.recipe
    move = recipe.move if recipe.augment else None
    shuffled = Batches(fit, lesson.teacher.inputs, recipe.batch_size, move=move, seed=recipe.seed)
    batches = _Taught(shuffled, lesson, recipe.steps)
    schedule = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, len(batches) * recipe.epochs)
    graph.compile(keras.optimizers.Adam(schedule), loss=lesson.losses(scales), jit_compile=False)
    return batches


def _fit(graph, batches, epoch, recipe, progress):
    """One epoch; its loss."""
    steps = len(batches)
    batches.start_epoch(epoch)
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: progress(epoch * steps + batch + 1, recipe.epochs * steps)
    )
    ran = graph.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[told])
    loss = float(ran.history["loss"][0])
    if not math.isfinite(loss):
        raise TfeffError(
            f"training: the loss of epoch {epoch + 1} is {loss}",
            f"choose a learning rate below {recipe.learning_rate:g}",
        )
    return loss


class _Lesson:
    """What is taught: the twin's outputs, and the labels of the tasks."""

    def __init__(self, teacher: Teacher, dataset: Dataset, recipe: Recipe):
        self.teacher, self.recipe = teacher, recipe
        ports = {
            name: Port(name=name, shape=[1, *tensor.shape[1:]], dtype=str(tensor.dtype))
            for name, tensor in zip(teacher.outputs, teacher.model.outputs, strict=True)
        }
        self._tasks = {name: spec for spec in teacher.tasks for name in spec.outputs}
        self._floats = [np.issubdtype(np.dtype(ports[name].dtype), np.floating) for name in teacher.outputs]
        if not any(self._floats):
            raise TfeffError(
                f"training: {', '.join(ports)} are integers, which have no gradient", "train its float part"
            )
        self._ports, self._labelled = ports, dataset.labels is not None
        self._check_labels(dataset)

    def _check_labels(self, dataset):
        if self.recipe.label_weight and not self._labelled:
            raise TfeffError(
                f"--label-weight: {dataset.name} has no labels", "leave it out, or give a labelled dataset"
            )
        self.annotations(dataset)

    def annotations(self, dataset: Dataset) -> dict[int, Sequence[Any]]:
        """By number of the task, what a dataset with labels, or with boxes, says of each sample."""
        found = {}
        for number, spec in enumerate(self.teacher.tasks if self._labelled or dataset.annotations else ()):
            task = get_task(spec.name)
            if task.metric(spec) is None:
                continue
            try:
                found[number] = task.annotations(dataset, spec, [self._ports[name] for name in spec.outputs])
            except TfeffError:
                if self._labelled:
                    raise  # what is said of the samples is of another task: the twin teaches all the same
        return found

    def losses(self, scales: Mapping[str, float]) -> Any:
        """One an output; None of one that has no gradient."""
        made = []
        for name, trainable in zip(self.teacher.outputs, self._floats, strict=True):
            spec = self._tasks.get(name) or TaskSpec(name="tensors", outputs=[name])
            module = import_module(f"tfeff.training.{spec.name}")
            loss = module.taught_loss(spec, name, scales[name], self.recipe.temperature, self.recipe.label_weight)
            made.append(loss if trainable else None)
        return made[0] if len(made) == 1 else made

    def targets(self, given: Any, annotations: Mapping[int, Sequence[Any]], numbers: np.ndarray) -> list[np.ndarray]:
        """An array (n, values + k) an output: what the twin gives, then the labels if there are any, or weights."""
        named = dict(zip(self.teacher.outputs, self.teacher(given), strict=True))
        columns = {
            name: np.stack([np.asarray(annotations[number][n], np.float32).reshape(-1) for n in numbers])
            for number in (annotations if self._labelled else ())  # boxes are no columns
            for name in self.teacher.tasks[number].outputs
        }
        for spec in self.teacher.tasks:
            module = import_module(f"tfeff.training.{spec.name}")
            if hasattr(module, "teaching_weights"):
                columns |= module.teaching_weights(spec, named)
        made = []
        for name, values in named.items():
            flat = np.asarray(values, np.float32).reshape(len(values), -1)
            made.append(np.concatenate([flat, columns[name]], axis=1) if name in columns else flat)
        return made


class _Taught(keras.utils.PyDataset):
    """Batches with the lesson's targets."""

    def __init__(self, batches: Batches, lesson: _Lesson, steps: int | None):
        super().__init__()
        self._batches, self._lesson = batches, lesson
        self._annotations = lesson.annotations(batches.dataset)
        self._steps = min(steps or len(batches), len(batches))

    def start_epoch(self, epoch):
        self._batches.start_epoch(epoch)

    def __len__(self):
        return self._steps

    def __getitem__(self, number):
        given, _ = self._batches[number]
        targets = self._lesson.targets(given, self._annotations, self._batches.numbers(number))
        return given, targets[0] if len(targets) == 1 else tuple(targets)


class _Judge:
    """What a graph is worth on samples that were held out: its loss, and the metrics of its tasks.

    Attributes:
        scales: by output, the mean square of what the twin gives.
        of_teacher: the twin's metrics.
    """

    def __init__(self, batches: Batches, lesson: _Lesson):
        self._batches, self._lesson = batches, lesson
        self._annotations = lesson.annotations(batches.dataset)
        outputs, inputs = lesson.teacher.outputs, lesson.teacher.inputs
        every_sample = range(len(batches.dataset)) if self._annotations else ()
        self._places = [placement_of(batches.dataset.sample(number), inputs) for number in every_sample]
        self._targets, given = [], []
        for number in range(len(batches)):  # the twin does not change
            inputs, _ = batches[number]
            self._targets.append(lesson.targets(inputs, self._annotations, batches.numbers(number)))
            given.append(lesson.teacher(inputs))
        every = [np.concatenate(each) for each in zip(*given, strict=True)]
        self.scales = {name: max(float(np.mean(np.square(values, dtype=np.float64))), 1e-12)
                       for name, values in zip(outputs, every, strict=True)}  # fmt: skip
        self.of_teacher = self._metrics(every)
        losses = lesson.losses(self.scales)
        self._losses = losses if isinstance(losses, list) else [losses]
        for loss in self._losses:
            if loss is not None:
                loss.reduction = None

    def __call__(self, graph: Any) -> dict[str, Any]:
        losses, made = [], []
        for number in range(len(self._batches)):
            inputs, _ = self._batches[number]
            outputs = [np.asarray(values) for values in keras.tree.flatten(graph.predict_on_batch(inputs))]
            made.append(outputs)
            losses.append(sum(np.asarray(loss(targets, values)) for loss, targets, values
                              in zip(self._losses, self._targets[number], outputs, strict=True)
                              if loss is not None))  # fmt: skip
        every = [np.concatenate(each) for each in zip(*made, strict=True)]
        return {"held_out_loss": float(np.concatenate(losses).mean()), "held_out": self._metrics(every)}

    def _metrics(self, outputs: Sequence[np.ndarray]) -> dict[str, float]:
        """By metric and, where a model has several tasks, its outputs."""
        named, found = dict(zip(self._lesson.teacher.outputs, outputs, strict=True)), {}
        for number, annotations in self._annotations.items():
            spec = self._lesson.teacher.tasks[number]
            task = get_task(spec.name)
            metric: Metric[Any] | None = task.metric(spec)
            if metric is None:
                continue
            for sample, annotation in enumerate(annotations):
                one = {name: named[name][sample] for name in spec.outputs}
                answer, place = task.decode(one, spec), self._places[sample]
                metric.add(answer if place is None else task.in_image(answer, place), annotation)
            many = len(self._lesson.teacher.tasks) > 1
            found[f"{metric.name} of {', '.join(spec.outputs)}" if many else metric.name] = metric.value()
        return found
