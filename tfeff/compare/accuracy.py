"""Accuracy of a quantized file against its float twin: the same images through both, and what the difference means."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, update_record
from tfeff.compare import statistics
from tfeff.compare.runner import RUNTIME, Runner, runtime_version
from tfeff.data import Dataset, Preprocessing
from tfeff.errors import TfeffError

_CHUNK_IMAGES, _CHUNK_BYTES = 64, 2**24  # images prepared ahead of the two files, whichever is less


def compare(
    quantized: Path,
    float_file: Path,
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    labels: Sequence[str] | None = None,
    samples: int | None = None,
    threads: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Runs both files on the same images, each read and preprocessed once; memory does not grow with their number.

    Args:
        quantized, float_file: two .tflite classifiers with the same input shape and number of logits.
        dataset: labelled images.
        preprocessing: what both files expect.
        labels: the class names in the order of the logits. A dataset with the same names in another order (folders are
            sorted by name) is brought into this one.
        samples: how many images to take, a seeded random subset; all when None or not fewer than there are.
        threads: 2 or more run the two files side by side, with half of them each.
        seed: of the subset and the bootstrap.
        progress: called with (images done, images in all).

    Returns:
        `dataset`, `samples`; `float_top1`, `quantized_top1` (percent), `delta` (quantized - float, points), `ci95`
        (points, [low, high]), `mcnemar_p` (see `statistics.paired_difference`); `flips` (percent of images whose
        predicted class changed; of equal logits the first counts, as on a device); `output_snr_db` (10 log10 of the
        float logits' energy over that of their error; None for no error); `worst_classes` and `by_class` (see
        `statistics`); `quantized_sha256`, `float_sha256`; `runtime`, `version`.

    Raises:
        TfeffError: a file that cannot be run, files or dataset that do not fit each other, an unreadable image, or
            outputs that are not finite.
    """
    runners = [Runner(path, threads=max(1, threads // 2)) for path in (float_file, quantized)]
    _check_files(*runners, preprocessing)
    truth, names = match_labels(dataset, labels, runners[0].classes)
    numbers = _choose(len(dataset), samples, seed)
    measured = _Measured(len(numbers))
    with ThreadPoolExecutor(2 if threads > 1 else 1) as pool:
        pending = None
        for batch in _batches(dataset, numbers, preprocessing):  # prepared while the files run the batch before
            if pending:
                measured.add(dataset, runners, *pending)
                _tell(progress, measured.done, len(numbers))
            pending = batch[0], [pool.submit(_run, runner, batch[1]) for runner in runners]
        measured.add(dataset, runners, *pending)
        _tell(progress, measured.done, len(numbers))
    truth = truth[numbers]
    float_right, quantized_right = (predicted == truth for predicted in measured.predicted)
    return {
        "dataset": dataset.name,
        "samples": len(numbers),
        **statistics.paired_difference(float_right, quantized_right, seed),
        "flips": statistics.percent(int(np.sum(measured.predicted[0] != measured.predicted[1])), len(numbers)),
        "output_snr_db": statistics.decibels(measured.signal, measured.noise),
        "worst_classes": statistics.worst_classes(truth, float_right, quantized_right, names),
        "by_class": statistics.by_class(truth, float_right, quantized_right, names),
        "quantized_sha256": runners[1].sha256,
        "float_sha256": runners[0].sha256,
        "runtime": RUNTIME,
        "version": runtime_version(),
    }


def record_accuracy(artifact: Artifact, result: dict[str, Any]) -> bool:
    """Writes what `compare` gave as `accuracy` into the artifact's record; False when it has none.

    Raises:
        TfeffError: the result was measured on another file, or the record cannot be written.
    """
    if result["quantized_sha256"] != artifact.sha256:
        raise TfeffError(f"{artifact.path}: changed while it was compared (sha256 differs)", "compare it again")
    return update_record(artifact, lambda record: record.update(accuracy=result))


def match_labels(dataset: Dataset, labels: Sequence[str] | None, classes: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The dataset's labels as numbers of logits, int64 (n,), and the class names, `classes` of them.

    Raises:
        TfeffError: no labels, another number of classes, or other names.
    """
    if dataset.labels is None:
        raise TfeffError(f"dataset {dataset.name}: has no labels, so there is no accuracy", "give a labelled dataset")
    if not len(dataset):
        raise TfeffError(f"dataset {dataset.name}: holds no images", "give a dataset with images")
    if labels is not None and len(labels) != classes:
        raise TfeffError(f"the record names {len(labels)} labels, the files give {classes} outputs", "export it anew")
    count = max(len(dataset.classes), int(dataset.labels.max()) + 1)
    if count != classes:
        raise TfeffError(
            f"dataset {dataset.name}: has {count} classes, the files give {classes} outputs",
            "give the dataset that the network was trained for; an .npz can name all its classes in an array `classes`",
        )
    if labels is None or _are_numbers(labels) or _are_numbers(dataset.classes):
        return dataset.labels, tuple(labels or dataset.classes)
    position = {name: number for number, name in enumerate(labels)}
    unknown = [name for name in dataset.classes if name not in position]
    if unknown or len(position) != classes:
        raise TfeffError(
            f"dataset {dataset.name}: its class {(unknown or dataset.classes)[0]!r} is none of the record's labels "
            f"({', '.join(labels[:3])}, ...)",
            "give the dataset that the network was trained for, or rename its classes",
        )
    return np.array([position[name] for name in dataset.classes], np.int64)[dataset.labels], tuple(labels)


class _Measured:
    """What is kept of the logits: the predicted classes, and the energies of signal and error."""

    def __init__(self, samples):
        self.predicted = np.zeros((2, samples), np.int64)
        self.done, self.signal, self.noise = 0, 0.0, 0.0

    def add(self, dataset, runners, numbers, futures):
        logits = [future.result() for future in futures]
        for runner, values in zip(runners, logits, strict=True):
            finite = np.isfinite(values).all(axis=1)
            if not finite.all():
                name = dataset.names[int(numbers[np.argmin(finite)])]
                raise TfeffError(
                    f"{runner.path}: gives NaN or infinity for {name}",
                    "the network itself is broken: look at its weights",
                )
        of_float, of_quantized = (values.astype(np.float64) for values in logits)
        self.signal += float(np.sum(of_float**2))
        self.noise += float(np.sum((of_float - of_quantized) ** 2))
        for row, values in zip(self.predicted, logits, strict=True):
            row[self.done : self.done + len(values)] = values.argmax(axis=1)
        self.done += len(numbers)


def _check_files(float_file, quantized, preprocessing):
    if float_file.input.dtype != np.float32:
        raise TfeffError(
            f"{float_file.path}: takes {float_file.input.dtype} images, so it is no float twin",
            "give the float32 file that was exported from the same network",
        )
    for runner in (float_file, quantized):
        if int(np.prod(runner.output.shape)) != runner.classes or runner.classes < 2:
            raise TfeffError(
                f"{runner.path}: its output has shape {runner.output.shape}",
                "compare classifiers: one number a class, (1, classes)",
            )
        if runner.shape != preprocessing.shape:
            raise TfeffError(
                f"{runner.path}: takes images of shape {runner.shape}, the preprocessing gives {preprocessing.shape}",
                "use the preprocessing that the network was trained with, and files of one network",
            )
    if float_file.classes != quantized.classes:
        raise TfeffError(
            f"{quantized.path}: gives {quantized.classes} outputs, {float_file.path} gives {float_file.classes}",
            "give two files of the same network",
        )


def _choose(count, samples, seed):
    if samples is not None and samples < 1:
        raise TfeffError(f"samples must be at least 1, not {samples}")
    if samples is None or samples >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, samples, replace=False))


def _batches(dataset, numbers, preprocessing):
    size = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // (4 * int(np.prod(preprocessing.shape)))))
    for start in range(0, len(numbers), size):
        chunk = numbers[start : start + size]
        yield chunk, [preprocessing(dataset.image(int(number))) for number in chunk]


def _run(runner, images):
    return np.stack([runner(image).reshape(-1) for image in images])  # (n, classes)


def _tell(progress, done, total):
    if progress:
        progress(done, total)


def _are_numbers(names):
    return all(name.isdecimal() for name in names)
