"""Training: plain, seeded, and resumable. One function; the recipe is its arguments."""

import io
import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np

from tfeff.data import Preprocessing, image_port, open_dataset
from tfeff.errors import TfeffError
from tfeff.files import check_regular, check_unpacked, write_whole
from tfeff.networks import create, get_network
from tfeff.presets import Preset
from tfeff.record import load_json
from tfeff.training.average import Average
from tfeff.training.backbone import load_backbone
from tfeff.training.base import get_training
from tfeff.training.batches import hold_out
from tfeff.training.recipe import Recipe
from tfeff.weights import load_weights, save_weights

_SMALL_IMAGE = 64  # pixels; below, a network takes its stride-1 stem
_LONGEST_NAME = 80  # letters of a data set's name in that of a preset


def train(
    recipe: Recipe,
    out: Path,
    *,
    command: str = "",
    force: bool = False,
    report: Callable[[dict], None] = lambda row: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Trains a network and writes a preset: `<out>/<network>.<dataset>.json` and `.weights.npz`.

    After every epoch the whole state is saved in `<out>/state.npz` (weights, optimizer, history), so the same call goes
    on where a killed one stopped. The weights kept are those of the epoch that is best on held-out training images.

    Args:
        command: the command line, for the preset's `training` entry.
        force: whether a preset of that name, which this recipe did not make, is replaced.
        report: called after every epoch with {epoch, loss, validation_top1}, and once with {test_top1}, where the task
            is classification; the figures of other tasks have other names. {note} is a line to say.
        progress: called after every step with (steps done, steps in all).

    Returns:
        The path of the preset's JSON.

    Raises:
        TfeffError: unknown names, unusable data, a loss that is no number any more, or an `out` that cannot be written
            to, holds another recipe's run, or a preset of that name that this recipe did not make.
    """
    training = get_training(recipe.network)
    state = _State.load(out / "state.npz", recipe)
    name = f"{recipe.network}.{_short_name(recipe.dataset)}"
    weights, preset_path = out / f"{name}.weights.npz", out / f"{name}.json"
    own, begun = _check_free(preset_path, weights, state, force), state.path.exists()
    whole, test = (open_dataset(recipe.dataset, split) for split in ("train", "test"))
    training.check_loss(recipe)
    training.check(recipe, whole, test)
    for note in dict.fromkeys((*whole.notes, *test.notes)):
        report({"note": note})
    fit, held_out = hold_out(whole, recipe.validation, recipe.seed)

    keras.utils.set_random_seed(recipe.seed)
    model, arguments, preprocessing = _built(recipe, len(whole.classes))
    spec = get_network(recipe.network).meaning(model, **arguments)
    spec, port = msgspec.structs.replace(spec, labels=list(whole.classes)), image_port(preprocessing)
    if recipe.backbone is not None:
        report({"note": load_backbone(model, recipe.backbone)})
    student = training.student(model, spec)
    _compile(student, recipe, -(-len(fit) // recipe.batch_size), training.loss(recipe, spec))
    average = Average(student, recipe.average)
    average.start()
    state.restore(student, average)
    batches, judge = training.batches(fit, port, recipe), training.judge(held_out, port, spec)
    _make(out)
    for epoch in range(state.epoch, recipe.epochs):
        loss = _fit(student, batches, epoch, recipe, average, progress)
        with average.in_place():
            figures = {f"validation_{key}": value for key, value in judge(model).items()}
            if state.is_best(figures):
                state.claim()
                save_weights(model, weights, force=force or begun or state.epoch > 0)
        row = {"epoch": epoch + 1, "loss": loss, **figures}
        state.save(student, average, row)
        report(row)

    load_weights(model, weights)
    of_test = training.judge(test, port, spec)(model)
    report({f"test_{key}": value for key, value in of_test.items()})
    told = {"command": command, "recipe": asdict(recipe), "best_epoch": state.best_epoch,
            **{f"float_{key}": value for key, value in of_test.items()},
            "samples": len(test), "history": state.history}  # fmt: skip
    preset = Preset(name, recipe.network, arguments, preprocessing, whole.classes, recipe.dataset, weights, told)
    preset.write(preset_path, force=force or own)
    return preset_path


def _built(recipe: Recipe, classes: int) -> tuple[Any, dict[str, Any], Preprocessing]:
    """The network, what it is built with, and how an image becomes its input."""
    preprocessing = Preprocessing(size=(recipe.input_size[0], recipe.input_size[1]))
    arguments: dict[str, Any] = {"input_shape": preprocessing.shape, "classes": classes}
    if max(recipe.input_size) <= _SMALL_IMAGE:
        arguments["small_image"] = True
    arguments |= recipe.options
    return create(recipe.network, **arguments), arguments, preprocessing


def _check_free(preset: Path, weights: Path, state: "_State", force: bool) -> bool:
    """Whether the preset in `out` is this run's own, of an earlier call; raises TfeffError for one that is not."""
    own = state.path.exists() and _recipe_of(preset) == json.loads(json.dumps(asdict(state.recipe)))
    foreign = preset if os.path.lexists(preset) and not own else weights
    if not force and os.path.lexists(foreign) and (foreign is preset or not state.path.exists()):
        raise TfeffError(f"{foreign}: exists, and is not of this run", "choose another --out, or give --force")
    return own


def _recipe_of(preset: Path) -> Any:
    """The recipe that a preset says it was trained by; None where it says none."""
    try:
        return load_json(preset)["training"]["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TfeffError(f"{out}: cannot be made a folder ({error.strerror})", "choose another --out") from None


def _fit(
    model, batches: Any, epoch: int, recipe: Recipe, average: Average, progress: Callable[[int, int], None]
) -> float:
    """One epoch; its loss."""
    steps = len(batches)
    batches.start_epoch(epoch)

    def ended(batch, logs):
        average.step(epoch * steps + batch)
        progress(epoch * steps + batch + 1, recipe.epochs * steps)

    done = keras.callbacks.LambdaCallback(on_train_batch_end=ended)
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[done])
    loss = float(history.history["loss"][0])
    if not math.isfinite(loss):
        raise TfeffError(
            f"training: the loss of epoch {epoch + 1} is {loss}",
            f"choose a learning rate below {recipe.learning_rate}, and another --out",
        )
    return loss


def _short_name(dataset):
    """A preset's name holds it: what no such name may have becomes `_`."""
    path = Path(dataset)
    name = path.stem if path.is_file() else path.resolve().name or dataset
    return re.sub(r"[/\\\x00-\x1f\x7f-\x9f]", "_", name)[:_LONGEST_NAME]


def _compile(model, recipe, steps, loss):
    total = steps * recipe.epochs
    warmup = min(round(recipe.warm_up * steps), total // 2)
    schedule = keras.optimizers.schedules.CosineDecay(  # its decay starts when the warm-up ends
        1e-6, total - warmup, warmup_target=recipe.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "shift"])
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, loss=loss, jit_compile=False)


def _rows(history: Any) -> list[dict[str, Any]]:
    """One row an epoch, with the same figures; raises ValueError for anything else."""
    keys = [sorted(row) for row in history]
    numbers = [value for row in history for value in row.values()]
    figures = [key for key in keys[0] if key.startswith("validation_")] if keys else [""]
    if any(each != keys[0] for each in keys) or [row.get("epoch") for row in history] != [*range(1, len(keys) + 1)]:
        raise ValueError("its epochs are not one after the other")
    if not figures or not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
        raise ValueError("its figures are none")
    return list(history)


class _State:
    """What a killed run needs to go on: one `.npz`, replaced whole after each epoch."""

    def __init__(self, path, recipe):
        self.path, self.recipe = path, recipe
        self.history: list[dict] = []
        self.arrays: dict[str, np.ndarray] = {}

    @classmethod
    def load(cls, path, recipe):
        state = cls(path, recipe)
        if path.exists():
            check_regular(path, "choose another --out")
            check_unpacked(path)
            try:
                with np.load(path, allow_pickle=False) as archive:
                    state.arrays = {key: archive[key] for key in archive.files}
                about = json.loads(str(state.arrays.pop("about")))
                then, state.history = dict(about["recipe"]), _rows(about["history"])
            except Exception as error:  # zipfile, zlib, json and numpy each raise their own on a damaged file
                raise state._damaged(error) from None
            now = json.loads(json.dumps(asdict(recipe)))
            if then != now:
                changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
                raise TfeffError(
                    f"{path.parent}: holds a run with another recipe ({', '.join(changed)} differ)",
                    "repeat the first call's options to go on with it, or choose another --out",
                )
        return state

    def _damaged(self, error):
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return TfeffError(f"{self.path}: damaged ({reason})", "remove it to train from the start")

    @property
    def epoch(self):
        return len(self.history)

    def is_best(self, figures):
        """Whether the first of an epoch's figures is better than that of all epochs before."""
        (key, value), *_ = figures.items()
        return all(value > row[key] for row in self.history)

    @property
    def best_epoch(self):
        key = next(key for key in self.history[0] if key.startswith("validation_"))
        return max(self.history, key=lambda row: row[key])["epoch"]

    def restore(self, model, average):
        if not self.history:
            return
        try:
            for key, variable in self._variables(model, average):
                variable.assign(self.arrays[key])
        except (KeyError, ValueError) as error:
            raise self._damaged(error) from None
        self.arrays.clear()

    def claim(self):
        """Leaves a state without an epoch, where there is none: what is written from now on is this run's."""
        if not self.path.exists():
            self._write({})

    def save(self, model, average, row):
        self.history.append(row)
        self._write({key: np.asarray(variable) for key, variable in self._variables(model, average)})

    def _write(self, arrays: dict[str, Any]) -> None:
        about = json.dumps({"recipe": asdict(self.recipe), "history": self.history})
        buffer = io.BytesIO()
        np.savez(buffer, about=np.array(about), **arrays)
        write_whole(self.path, buffer.getvalue(), mend="make room, then go on")

    @staticmethod
    def _variables(model, average):
        # By order: an optimizer's paths are not unique, and the generators behind dropout are numbered by the process.
        yield from ((f"model/{n}", v) for n, v in enumerate(model.variables))
        yield from ((f"optimizer/{n}", v) for n, v in enumerate(model.optimizer.variables))
        yield from ((f"average/{n}", v) for n, v in enumerate(average.variables))
