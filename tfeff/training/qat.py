"""Quantization-aware training of a fake-quant graph, taught by its float twin. One function; the recipe is its
arguments."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tfeff.data import Dataset, Preprocessing
from tfeff.errors import TfeffError
from tfeff.training.loop import Batches, hold_out

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training gives.

    Attributes:
        epochs, batch_size: counts.
        learning_rate: Adam's at the start; then a cosine down to 0.
        steps: at most so many an epoch; None goes through all images.
        temperature: at which the outputs of the float twin are learned; see `_Distillation`.
        label_weight: of cross-entropy with the labels, beside a weight of 1 for the float twin's outputs.
        augment: mirror at random, and move at random.
        move: the largest move, as a share of the size.
        validation: share of the training images held out to choose the best epoch; the test images choose nothing.
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


def train_quantized(
    graph,
    twin,
    dataset: Dataset,
    preprocessing: Preprocessing,
    recipe: Recipe,
    *,
    report: Callable[[dict], None] = lambda row: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    keep: Callable[[Any], None] = lambda graph: None,
) -> dict[str, Any]:
    """Trains a fake-quant graph towards the outputs of its float twin, and leaves the best epoch's weights in it.

    What is best is told by the loss on training images that were held out. Where no epoch is better than what the graph
    was at the start, it is left as it was.

    Args:
        graph: a fake-quant graph with ranges; its frozen ranges stay.
        twin: the float network, (n, h, w, c) -> (n, classes); it stays as it is.
        dataset: labelled training images, their classes in the order of the network's outputs.
        report: called at the start (epoch 0) and after every epoch with {epoch, loss, held_out_loss, held_out_top1}.
        progress: called after every step with (steps done, steps in all).
        keep: called with the graph whenever an epoch is the best so far.

    Returns:
        The record's `quantization.training` entry.

    Raises:
        TfeffError: classes that are not the network's, too few images, or a loss that is no number any more.
    """
    classes = graph.output_shape[-1]
    if len(dataset.classes) != classes:
        raise TfeffError(
            f"{dataset.name}: {len(dataset.classes)} classes, the network has {classes}",
            "give the images of the classes that it was trained on",
        )
    fit, held_out = hold_out(dataset, recipe.validation, recipe.seed)
    move = recipe.move if recipe.augment else None
    batches = _Taught(Batches(fit, preprocessing, recipe.batch_size, move=move, seed=recipe.seed), twin, recipe.steps)
    judge = _Judge(Batches(held_out, preprocessing, _EVALUATION_BATCH), twin, recipe)
    steps = len(batches)
    schedule = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps * recipe.epochs)
    graph.compile(
        keras.optimizers.Adam(schedule),
        loss=_Distillation(recipe.temperature, recipe.label_weight),
        jit_compile=False,
    )

    row = {"epoch": 0, "loss": None, **judge(graph)}
    history, best, weights = [row], row, graph.get_weights()
    report(row)
    for epoch in range(recipe.epochs):
        batches.start_epoch(epoch)
        told = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, epoch=epoch: progress(
                epoch * steps + batch + 1, recipe.epochs * steps
            )
        )
        ran = graph.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[told])
        loss = float(ran.history["loss"][0])
        if not math.isfinite(loss):
            raise TfeffError(
                f"training: the loss of epoch {epoch + 1} is {loss}",
                f"choose a learning rate below {recipe.learning_rate:g}",
            )
        row = {"epoch": epoch + 1, "loss": loss, **judge(graph)}
        history.append(row)
        if row["held_out_loss"] < best["held_out_loss"]:
            best, weights = row, graph.get_weights()
            keep(graph)
        report(row)
    graph.set_weights(weights)
    return {
        **asdict(recipe),
        "dataset": dataset.name,
        "images": len(fit),
        "held_out_images": len(held_out),
        "steps": steps * recipe.epochs,
        "trained_ranges": sum(variable.path.endswith(("/low", "/high")) for variable in graph.trainable_variables) // 2,
        "trained_parameters": int(sum(np.prod(variable.shape) for variable in graph.trainable_variables)),
        "best_epoch": best["epoch"],
        "held_out_float_top1": judge.twin_top1,
        "history": history,
    }


class _Taught(keras.utils.PyDataset):
    """Batches whose targets are what the float twin makes of the images, and the label: (n, classes + 1)."""

    def __init__(self, batches, twin, steps):
        super().__init__()
        self._batches, self._twin = batches, twin
        self._steps = min(steps or len(batches), len(batches))

    def start_epoch(self, epoch):
        self._batches.start_epoch(epoch)

    def __len__(self):
        return self._steps

    def __getitem__(self, number):
        images, labels = self._batches[number]
        return images, _targets(self._twin, images, labels)


def _targets(twin, images, labels):
    logits = np.asarray(twin.predict_on_batch(images), np.float32)
    return np.concatenate([logits, labels[:, None].astype(np.float32)], axis=1)


@keras.saving.register_keras_serializable(package="tfeff")
class _Distillation(keras.losses.Loss):
    """How far outputs are from the float twin's: T^2 times the Kullback-Leibler divergence of the softmax of both over
    T (Hinton et al., arXiv 1503.02531), and cross-entropy with the labels.

    Targets (n, classes + 1), logits (n, classes) -> (n,).
    """

    def __init__(self, temperature=1.0, label_weight=0.0, name="distillation", **kwargs):
        super().__init__(name=name, **kwargs)
        self.temperature, self.label_weight = temperature, label_weight

    def call(self, targets, logits):
        taught, labels = targets[:, :-1], ops.cast(targets[:, -1], "int32")
        log_p = ops.log_softmax(taught / self.temperature)
        log_q = ops.log_softmax(logits / self.temperature)
        loss = self.temperature**2 * ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
        if self.label_weight:
            own = ops.one_hot(labels, logits.shape[-1])
            loss = loss - self.label_weight * ops.sum(own * ops.log_softmax(logits), axis=-1)
        return loss

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "label_weight": self.label_weight}


class _Judge:
    """What a graph is worth on images that were held out: its loss, and percent top-1; `twin_top1` is the twin's."""

    def __init__(self, batches, twin, recipe):
        self._batches, self._twin = batches, twin
        self._loss = _Distillation(recipe.temperature, recipe.label_weight, reduction=None)
        self._targets = {}  # the twin does not change
        self.twin_top1 = None

    def __call__(self, graph):
        losses, hits, twin_hits = [], 0, 0
        for number in range(len(self._batches)):
            images, labels = self._batches[number]
            if number not in self._targets:
                self._targets[number] = _targets(self._twin, images, labels)
            logits = np.asarray(graph.predict_on_batch(images))
            losses.append(np.asarray(self._loss(self._targets[number], logits)))
            hits += int((logits.argmax(-1) == labels).sum())
            twin_hits += int((self._targets[number][:, :-1].argmax(-1) == labels).sum())
        self.twin_top1 = 100 * twin_hits / self._batches.count
        loss = float(np.concatenate(losses).mean())
        return {"held_out_loss": loss, "held_out_top1": 100 * hits / self._batches.count}
