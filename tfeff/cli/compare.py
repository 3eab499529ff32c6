"""`tfeff compare`: a quantized file against its float twin, in the metric of its task and as numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.part import part_options
from tfeff.cli.pictures import Pictures, picture_options
from tfeff.cli.source import parse_pixels, pixel_options
from tfeff.errors import GateFailed, TfeffError

if TYPE_CHECKING:
    from tfeff.artifact import Artifact
    from tfeff.compare import Comparison
    from tfeff.data import Dataset, InputPort, Pixels
    from tfeff.record.schema import Accuracy, PortAgreement, TaskSpec
    from tfeff.tflite.part import PartOptions

_FASHION_MNIST = ("fashion_mnist", "fashion_mnist_sample")
_NOT_HERE = "install the Debian package dataset-fashion-mnist, or set TFEFF_DATA to the folder with its .gz files"
_CERTAIN = {"softmax": "softmax"}
_LOOKED_AT = 16  # samples, by which outputs that nobody described are known
_DOWNLOAD = "python -c 'import keras; keras.datasets.fashion_mnist.load_data()' downloads it once"


@click.command(name="compare")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="The float .tflite [default: the record's twin].")
@click.option("--dataset", help="fashion_mnist, a folder of class folders, an .npz or a .csv [default: the record's].")
@click.option("--samples", type=click.IntRange(min=1), help="Take a random subset of so many samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of subset and interval.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="For the two files together.")
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    help="Exit 1 when a task's metric gets worse by more than this, in its own unit.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="[OUTPUT=]NAME[:KIND]",
    help="Without a record: what outputs mean: classification[:binary|:multi-label], detection:FILE.json, regression, "
    "segmentation:HxW, tensors.",
)
@pixel_options
@click.option("--allow-audit", is_flag=True, help="Go on with values that do not lie on the file's own input grid.")
@part_options
@click.option("--no-record", is_flag=True, help="Do not write the result into the artifact's record.")
@picture_options
@output_options
def command(
    artifact: Path,
    against: Path | None,
    dataset: str | None,
    samples: int | None,
    seed: int,
    threads: int,
    max_drop: float | None,
    tasks: tuple[str, ...],
    part: "PartOptions",
    no_record: bool,
    allow_audit: bool,
    pictures: Pictures,
    out: Output,
    **pixels: str | None,
) -> None:
    """A quantized ARTIFACT against its float twin, on the same samples: the metric of each task, and every output as
    numbers.

    The difference of a metric comes with a 95 % interval (paired bootstrap) and a p (McNemar's exact test, where
    samples are right or wrong): a difference whose interval holds 0 may be chance. Without labels, outputs are compared
    as numbers only. Preprocessing, tasks, twin and dataset are read from the artifact's record (its .json).
    """  # fmt: skip
    from tfeff.artifact import check_tflite, open_artifact, verify_twin
    from tfeff.compare import compare, record_accuracy
    from tfeff.tflite.entry import which_runs

    opened = open_artifact(artifact)
    if against is None:
        against = verify_twin(opened)
        if against is None:
            raise TfeffError(f"{opened.path}: no record names its float twin", "--against FLOAT.tflite")
    elif check_tflite(against) == opened.sha256:
        raise TfeffError(f"{against}: is the same file as {opened.path}", "--against its float twin")
    images, notes = _open_dataset(opened, dataset)
    inputs = _inputs(opened, images, parse_pixels(pixels), part)
    specs, meant, more = _tasks(opened, images, inputs, tasks, max_drop, part)
    pictures.check(meant)
    with out.progress("comparing") as progress:
        result = compare(
            opened.path, against, images, inputs, specs, samples=samples, part=part, threads=threads, seed=seed,
            allow_audit=allow_audit, pictured=meant, pictures=pictures.count if pictures.folder else 0,
            progress=progress,
        )  # fmt: skip
    failed = [entry for entry in result.accuracy if max_drop is not None and entry.drop > max_drop]
    _show(out, opened, against, result)
    if said := which_runs(opened.path, part, "compared"):
        out.say(said)
    for note in (*notes, *more, *result.notes):
        out.say(f"note: {note}")
    drawn = pictures.write(out, images, result)
    out.json(_as_json(opened, against, result) | {"max_drop": max_drop, "passed": not failed} | drawn)
    if not no_record and not part.given:  # a record is of the whole file
        record_accuracy(opened, result)
    if failed:
        raise GateFailed(
            f"{opened.path}: {'; '.join(map(_fallen, failed))}, more than --max-drop {max_drop:g}",
            "export with more calibration samples or quantization-aware training, or allow a larger drop",
        )


def _inputs(artifact: "Artifact", dataset: "Dataset", pixels: "Pixels", part: "PartOptions") -> "tuple[InputPort, ...]":
    """What both files are fed with: as the record says, else as the file and the options do."""
    from dataclasses import replace

    from tfeff.compare import Runner
    from tfeff.data import InputPort, record_ports

    if artifact.record is not None and artifact.record.inputs:
        if pixels.given:
            raise TfeffError(
                f"{artifact.path}: its record says the preprocessing",
                "leave out --mean, --std, --colour, --resize and --crop",
            )
        return record_ports(artifact.record.inputs)
    ports = [
        InputPort(port.name, port.sample, "float32" if port.quantized else port.dtype.name)
        for port in Runner(artifact.path, part=part).inputs
    ]
    images = [port for port in ports if _may_be_image(port)]
    if not pixels.mean or not pixels.std:
        if not pixels.given and len(dataset) and "" not in dataset.sample(0):
            return tuple(ports)  # arrays are taken as they are
        raise TfeffError(
            f"{artifact.path}: no record says its preprocessing",
            "give --mean and --std in pixel units, such as --mean 127.5 --std 127.5",
        )
    if not images:
        shapes = ", ".join(f"{port.name} of shape {port.shape}" for port in ports)
        raise TfeffError(
            f"{artifact.path}: takes {shapes}: no grey or RGB image", "leave out --mean and --std, and give arrays"
        )
    return tuple(replace(port, preprocessing=pixels.prepare(port.shape)) if port in images else port for port in ports)


def _may_be_image(port: "InputPort") -> bool:
    return len(port.shape) == 3 and port.shape[2] in (1, 3) and port.dtype == "float32"


def _tasks(
    artifact: "Artifact",
    dataset: "Dataset",
    inputs: "Sequence[InputPort]",
    words: Sequence[str],
    max_drop: float | None,
    part: "PartOptions",
) -> "tuple[list[TaskSpec], list[TaskSpec], list[str]]":
    """What is measured of the outputs, as far as this dataset can tell; what they mean; and lines to say about it."""
    from tfeff.record.schema import TaskSpec
    from tfeff.tasks import get_task

    if artifact.record is not None and artifact.record.tasks:
        if words:
            raise TfeffError(f"{artifact.path}: its record says what its outputs mean", "leave out --task")
        specs = artifact.record.tasks
    else:
        specs = _described(artifact, dataset, inputs, words, part)
    measured = [spec for spec in specs if get_task(spec.name).metric(spec) is not None]
    if max_drop is not None and not measured:
        raise TfeffError("--max-drop: no task of the outputs has a metric", "say with --task what they mean")
    if not measured or dataset.labels is not None or dataset.annotations:
        return specs, specs, []
    if max_drop is not None:
        raise TfeffError(f"--max-drop: dataset {dataset.name} has no labels", "give --dataset with labels")
    numbers = TaskSpec(name="tensors", outputs=[name for spec in specs for name in spec.outputs])
    return [numbers], specs, [f"dataset {dataset.name} has no labels: the outputs are compared as numbers only"]


def _described(
    artifact: "Artifact",
    dataset: "Dataset",
    inputs: "Sequence[InputPort]",
    words: Sequence[str],
    part: "PartOptions",
) -> "list[TaskSpec]":
    """What the outputs of a file without a record mean: as --task says, else as their values and the labels do."""
    from dataclasses import replace

    import numpy as np

    from tfeff.compare import Runner
    from tfeff.data import feed
    from tfeff.tasks import Head, recognise, said

    runner = Runner(artifact.path, part=part)
    seen = [
        runner(_by_place(runner, feed(dataset.sample(number), inputs, f"dataset {dataset.name}")))
        for number in range(min(len(dataset), _LOOKED_AT))
    ]
    heads = []
    for port in runner.outputs:
        values = np.array([outputs[port.name] for outputs in seen])
        dtype = "float32" if port.quantized else port.dtype.name
        heads.append(Head(port.name, port.sample, dtype, _activation(values)))
    told, left = said(words, heads, str(artifact.path))
    # Values between 0 and 1 alone need be no probabilities: only who says what they are may rely on that.
    labels = dataset.labels if len(heads) == 1 else None
    left = [
        replace(head, activation="softmax" if head.activation == "softmax" else None, labels=labels) for head in left
    ]
    return [*told, *recognise(left)]


def _by_place(runner, fed):
    """A file's only input may have another name than ours."""
    return next(iter(fed.values())) if len(runner.inputs) == 1 else fed


def _activation(values) -> str | None:
    """What some samples' values (n, ...) look like: `softmax`, `sigmoid`, or neither."""
    flat = values.reshape(len(values), -1)
    if flat.size == 0 or flat.dtype.kind != "f" or flat.min() < 0 or flat.max() > 1:
        return None
    return "softmax" if flat.shape[1] > 1 and abs(flat.sum(axis=1) - 1).max() < 0.05 else "sigmoid"


def _open_dataset(artifact: "Artifact", spec: str | None) -> "tuple[Dataset, list[str]]":
    """What to compare on, and lines to say about it."""
    from tfeff.data import default_evaluation, is_named, is_within

    if spec:
        if spec == "fashion_mnist" and default_evaluation() != spec:  # opening it would import Keras to download it
            raise TfeffError("dataset fashion_mnist: not on this machine", f"{_NOT_HERE}; or {_DOWNLOAD}")
        return _open(spec, whole=not _made_by(artifact, spec)), []
    spec = _recorded_dataset(artifact)
    if spec is None:
        raise TfeffError(f"{artifact.path}: no record says what to compare it on", "--dataset FOLDER, .npz or name")
    if is_named(spec) and spec not in _FASHION_MNIST:
        return _open(spec), []
    if spec not in _FASHION_MNIST:
        if not is_within(spec, artifact.path.parent):
            raise TfeffError(
                f"{artifact.path}: its record names the dataset {spec[:200]}, which is not in its folder, or leads out "
                "of it",
                "give --dataset with that path, if you mean it",
            )
        if not Path(spec).exists():
            raise TfeffError(
                f"{artifact.path}: its record names the dataset {spec}, which is not here", "give --dataset"
            )
        return _open(spec, whole=not _made_by(artifact, spec)), []
    images = _open(default_evaluation())
    if images.name == "fashion_mnist":
        return images, []
    return images, [f"compared on the bundled sample ({len(images):,} images); for all 10,000 {_NOT_HERE}"]


def _made_by(artifact: "Artifact", spec: str) -> bool:
    """Whether the file's ranges or weights come from this set, so that only what was held out of it may judge."""
    if artifact.record is None:
        return False
    used = (artifact.record.dataset, artifact.record.calibration and artifact.record.calibration.source)
    return any(each and Path(each).absolute() == Path(spec).absolute() for each in used)


def _open(spec: str, *, whole: bool = False) -> "Dataset":
    """With its labels, if it has any."""
    from tfeff.data import open_dataset

    try:
        return open_dataset(spec, "test", whole=whole)
    except TfeffError as error:
        without = open_dataset(spec, "test", labelled=False)
        if without.labels is None and not without.annotations and len(without):
            return without
        raise error from None


def _recorded_dataset(artifact: "Artifact") -> str | None:
    """What the artifact was last compared on, else what its network was trained on."""
    if (record := artifact.record) is None:
        return None
    trained_on = (record.preset or "").partition(".")[2]
    candidates = [
        *(entry.dataset for entry in record.accuracy),
        *(port.source for port in record.ports if port.reference == "float file"),
        record.dataset,
        trained_on if trained_on in _FASHION_MNIST else None,  # any other is a name that the user chose, no path
    ]
    return next((spec for spec in candidates if spec), None)


def _fallen(entry: "Accuracy") -> str:
    from tfeff.record import words

    both = " -> ".join(words.figure(value, entry.unit) for value in (entry.float_value, entry.quantized))
    return f"{words.drop(entry)} ({both})"


def _as_json(artifact: "Artifact", against: Path, result: "Comparison") -> dict:
    from tfeff.record import to_dict

    return {
        "file": artifact.path.name,
        "float_file": against.name,
        "dataset": result.ports[0].source,
        "samples": result.ports[0].samples,
        "accuracy": [to_dict(entry) for entry in result.accuracy],
        "ports": [to_dict(port) for port in result.ports],
        "quantized_sha256": result.quantized_sha256,
        "float_sha256": result.float_sha256,
        "notes": list(result.notes),
    }


def _show(out, artifact: "Artifact", against: Path, result: "Comparison") -> None:
    from tfeff.compare.runner import RUNTIME, runtime_version

    rows = [row for entry in result.accuracy for row in _accuracy_rows(entry, len(result.accuracy) > 1)]
    out.facts(
        f"{artifact.path.name} against {against.name}",
        [
            *rows,
            *((f"output {port.name}", _port_text(port)) for port in result.ports),
            ("samples", f"{result.ports[0].samples:,} of {result.ports[0].source}"),
            ("runtime", f"{RUNTIME} {runtime_version()}"),
            ("sha256", f"quantized {result.quantized_sha256[:12]}, float {result.float_sha256[:12]}"),
        ],
    )


def _accuracy_rows(entry: "Accuracy", several: bool):
    from tfeff.record import words
    from tfeff.tasks import get_task

    task, of = get_task(entry.task), f" of {', '.join(entry.outputs)}" if several else ""
    yield f"float {entry.metric}{of}", words.figure(entry.float_value, entry.unit)
    yield f"quantized {entry.metric}{of}", words.figure(entry.quantized, entry.unit)
    better = "" if entry.higher_is_better else " (less is better)"
    interval = f"95 % interval {words.interval(entry)}"
    yield "difference", f"{words.difference(entry.delta, entry.unit)}{better}, {interval}"
    if entry.p is not None:
        yield f"p ({entry.test})", f"{entry.p:.3g}"
    yield from task.tell(entry.details)
    if entry.groups:
        worst = [
            f"{group.label} {words.signed(group.delta, entry.unit)} ({words.figure(group.float_value, entry.unit)} -> "
            f"{words.figure(group.quantized, entry.unit)})"
            for group in entry.worst
        ]
        many = f"{task.group}es" if task.group.endswith("s") else f"{task.group}s"
        yield f"worst {many}", "; ".join(worst) or "none lost"


def _port_text(port: "PortAgreement") -> str:
    from tfeff.record import words

    error = "" if port.max_abs_error is None else f"largest error {port.max_abs_error:.3g}"
    sqnr = words.sqnr(port)
    parts = [f"SQNR {sqnr}" if port.sqnr_db is not None else sqnr, error, words.likeness(port)]
    return ", ".join(part for part in parts if part)
