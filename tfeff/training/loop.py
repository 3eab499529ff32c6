"""Training: plain, seeded, and resumable. One function; the recipe is its arguments."""

import io
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfeff.data import Dataset, Preprocessing, image_port, open_dataset
from tfeff.errors import TfeffError
from tfeff.files import write_whole
from tfeff.networks import create
from tfeff.presets import Preset
from tfeff.training.batches import Batches, hold_out
from tfeff.weights import load_weights, save_weights

_SMALL_IMAGE = 64  # pixels; below, a network takes its stride-1 stem


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training gives; two runs with the same recipe give the same network.

    Attributes:
        network, dataset: names, as the command line takes them.
        epochs, batch_size: counts.
        learning_rate: AdamW's peak, after one epoch of warm-up; then a cosine down to 0.
        weight_decay: AdamW's, kernels only.
        label_smoothing: 0 is none.
        augment: mirror at random, and move at random (edges padded with the darkest pixel).
        move: the largest move, as a share of the size.
        input_size: (h, w), pixels.
        validation: share of the training images held out to choose the best epoch; the test images choose nothing.
        seed: of weights, order and augmentation.
    """

    network: str
    dataset: str
    epochs: int
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    augment: bool = True
    move: float = 0.125
    input_size: tuple[int, int] = (32, 32)
    validation: float = 0.05
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise TfeffError(f"training: {name} must be above 0, not {getattr(self, name)}")
        if not (0 <= self.label_smoothing < 1 and self.weight_decay >= 0):
            raise TfeffError(
                f"training: label_smoothing must be in 0..1 and weight_decay not below 0, not {self.label_smoothing} "
                f"and {self.weight_decay}"
            )
        if not 0 <= self.move < 1:
            raise TfeffError(f"training: move must be a share of the size in 0..1, not {self.move}")
        if not 0 < self.validation < 1:
            raise TfeffError(f"training: validation must be a share between 0 and 1, not {self.validation}")


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
        report: called after every epoch with {epoch, loss, validation_top1}, and once with {test_top1}.
        progress: called after every step with (steps done, steps in all).

    Returns:
        The path of the preset's JSON.

    Raises:
        TfeffError: unknown names, unusable data, a loss that is no number any more, or an `out` that cannot be written
            to, holds another recipe's run, or a preset of that name that this recipe did not make.
    """
    state = _State.load(out / "state.npz", recipe)
    name = f"{recipe.network}.{_short_name(recipe.dataset)}"
    weights, preset_path = out / f"{name}.weights.npz", out / f"{name}.json"
    own, begun = _check_free(preset_path, weights, state, force), state.path.exists()
    whole, test = _open(recipe)
    for note in dict.fromkeys((*whole.notes, *test.notes)):
        report({"note": note})
    fit, held_out = hold_out(whole, recipe.validation, recipe.seed)

    keras.utils.set_random_seed(recipe.seed)
    preprocessing = Preprocessing(size=(recipe.input_size[0], recipe.input_size[1]))
    ports = (image_port(preprocessing),)
    arguments: dict[str, Any] = {"input_shape": preprocessing.shape, "classes": len(whole.classes)}
    if max(recipe.input_size) <= _SMALL_IMAGE:
        arguments["small_image"] = True
    model = create(recipe.network, **arguments)
    _compile(model, recipe, -(-len(fit) // recipe.batch_size))
    state.restore(model)
    move = recipe.move if recipe.augment else None
    batches = Batches(fit, ports, recipe.batch_size, move=move, seed=recipe.seed)
    validation = Batches(held_out, ports, 256)
    _make(out)
    for epoch in range(state.epoch, recipe.epochs):
        loss = _fit(model, batches, epoch, recipe, progress)
        row = {"epoch": epoch + 1, "loss": loss, "validation_top1": top1(model, validation)}
        if row["validation_top1"] > state.best:
            state.claim()
            save_weights(model, weights, force=force or begun or state.epoch > 0)
        state.save(model, row)
        report(row)

    load_weights(model, weights)
    test_top1 = top1(model, Batches(test, ports, 256))
    report({"test_top1": test_top1})
    training = {"command": command, "recipe": asdict(recipe), "best_epoch": state.best_epoch, "float_top1": test_top1,
                "samples": len(test), "history": state.history}  # fmt: skip
    preset = Preset(name, recipe.network, arguments, preprocessing, whole.classes, recipe.dataset, weights, training)
    preset.write(preset_path, force=force or own)
    return preset_path


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
        return json.loads(preset.read_text(encoding="utf-8"))["training"]["recipe"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TfeffError(f"{out}: cannot be made a folder ({error.strerror})", "choose another --out") from None


def _open(recipe: Recipe) -> tuple[Dataset, Dataset]:
    """The training and the test images."""
    whole, test = open_dataset(recipe.dataset, "train"), open_dataset(recipe.dataset, "test")
    if whole.labels is None or test.labels is None:
        raise TfeffError(
            f"{recipe.dataset}: says {', '.join(whole.annotations) or 'nothing'} of its images, no class of each",
            "a classifier is trained on one class an image: folders of classes, a CSV or an .npz with labels",
        )
    if whole.classes != test.classes:
        raise TfeffError(
            f"{recipe.dataset}: training and test images have different classes", "give both the same ones"
        )
    if len(whole.classes) < 2:
        raise TfeffError(f"{recipe.dataset}: {len(whole.classes)} class", "a classifier needs at least 2")
    return whole, test


def _fit(model, batches: Batches, epoch: int, recipe: Recipe, progress: Callable[[int, int], None]) -> float:
    """One epoch; its loss."""
    steps = len(batches)
    batches.start_epoch(epoch)
    done = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: progress(epoch * steps + batch + 1, recipe.epochs * steps)
    )
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[done])
    loss = float(history.history["loss"][0])
    if not math.isfinite(loss):
        raise TfeffError(
            f"training: the loss of epoch {epoch + 1} is {loss}",
            f"choose a learning rate below {recipe.learning_rate}, and another --out",
        )
    return loss


def top1(model: Any, batches: Batches) -> float:
    """Percent of the images whose largest logit is the label's."""
    hits = 0
    for number in range(len(batches)):
        images, labels = batches[number]
        hits += int((np.asarray(model.predict_on_batch(images)).argmax(-1) == labels).sum())
    return 100 * hits / batches.count


def _short_name(dataset):
    path = Path(dataset)
    return path.stem if path.is_file() else path.resolve().name or dataset


def _compile(model, recipe, steps):
    total = steps * recipe.epochs
    warmup = min(steps, total // 2)
    schedule = keras.optimizers.schedules.CosineDecay(  # its decay starts when the warm-up ends
        1e-6, total - warmup, warmup_target=recipe.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "shift"])
    optimizer.build(model.trainable_variables)
    # Smoothing needs one-hot labels, and those would have to be made a batch at a time: this is the same loss.
    model.compile(optimizer, loss=_SmoothCrossEntropy(recipe.label_smoothing), jit_compile=False)


class _SmoothCrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy with label smoothing from integer labels: (n,) and (n, classes) logits -> (n,)."""

    def __init__(self, smoothing):
        super().__init__()
        self.smoothing = smoothing

    def call(self, labels, logits):
        log_p = keras.ops.log_softmax(logits)
        target = keras.ops.one_hot(keras.ops.cast(labels, "int32"), logits.shape[-1])
        target = target * (1 - self.smoothing) + self.smoothing / logits.shape[-1]
        return -keras.ops.sum(target * log_p, axis=-1)


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
            try:
                with np.load(path, allow_pickle=False) as archive:
                    state.arrays = {key: archive[key] for key in archive.files}
                about = json.loads(str(state.arrays.pop("about")))
                then, state.history = dict(about["recipe"]), list(about["history"])
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

    @property
    def best(self):
        return max((row["validation_top1"] for row in self.history), default=-1.0)

    @property
    def best_epoch(self):
        return max(self.history, key=lambda row: row["validation_top1"])["epoch"]

    def restore(self, model):
        if not self.history:
            return
        try:
            for key, variable in self._variables(model):
                variable.assign(self.arrays[key])
        except (KeyError, ValueError) as error:
            raise self._damaged(error) from None
        self.arrays.clear()

    def claim(self):
        """Leaves a state without an epoch, where there is none: what is written from now on is this run's."""
        if not self.path.exists():
            self._write({})

    def save(self, model, row):
        self.history.append(row)
        self._write({key: np.asarray(variable.value) for key, variable in self._variables(model)})

    def _write(self, arrays: dict[str, Any]) -> None:
        about = json.dumps({"recipe": asdict(self.recipe), "history": self.history})
        buffer = io.BytesIO()
        np.savez(buffer, about=np.array(about), **arrays)
        write_whole(self.path, buffer.getvalue(), mend="make room, then go on")

    @staticmethod
    def _variables(model):
        # By order: an optimizer's paths are not unique, and the generators behind dropout are numbered by the process.
        yield from ((f"model/{n}", v) for n, v in enumerate(model.variables))
        yield from ((f"optimizer/{n}", v) for n, v in enumerate(model.optimizer.variables))
