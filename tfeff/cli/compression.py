"""What `tfeff prune` and `tfeff cluster` have in common: options, training images, the table at the end."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.source import model_options
from tfeff.errors import GateFailed, TfeffError

# Of `tfeff export`; here they mean nothing, or would undo what was made.
_ABSENT = {"io": None, "quantizer": "graph", "equalize": False, "correct_bias": True, "tune": None, "ranges": (),
           "accelerator": None, "compiler": None, "compiler_timeout": None, "max_latency_ms": None, "method": None,
           "per_tensor": False}  # fmt: skip
_OPTIONS: list[Callable[..., Any]] = [
    click.option("--dataset", help="Labelled images to train and compare on. [default: what it was trained on]"),
    click.option("--epochs", type=click.IntRange(1), required=True, help="Times through the training images."),
    click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True),
    click.option("--learning-rate", type=float, default=5e-4, show_default=True, help="Adam's; then a cosine to 0."),
    click.option("--train-samples", type=click.IntRange(1), help="How many training images at most. [default: all]"),
    click.option("--skip", multiple=True, metavar="LAYER", help="A layer to leave as it is; repeat it."),
    click.option("--target", default="litert", show_default=True, help="What the file must run on."),
    click.option("--out", "destination", default=".", type=click.Path(path_type=Path),
                 help="Folder, or a path that ends in .tflite."),
    click.option("--force", is_flag=True, help="Replace an artifact that is there."),
    model_options,
    click.option("--calibration", metavar="SOURCE", help="Representative images. [default: as of `tfeff export`]"),
    click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]"),
    click.option("--allow-audit", is_flag=True, help="Go on with images that the audit finds unfit."),
    click.option("--evaluation-samples", type=int, help="How many test images are compared on. [default: all]"),
    click.option("--max-drop", type=click.FloatRange(min=0), metavar="X",
                 help="Gate: exit 1 if the file's metric is worse than the uncompressed float network's by more."),
    click.option("--on", "devices", multiple=True, metavar="DEVICE", help="Where it is timed. [default: local]"),
    click.option("--benchmark-binary", metavar="PATH", help="As of `tfeff export`."),
    click.option("--no-bench", is_flag=True, help="Do not time."),
    click.option("--threads", type=int, default=1, show_default=True, help="Of the runtime, when timed."),
    click.option("--seed", type=int, default=0, show_default=True),
    output_options,
]  # fmt: skip


def compression_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of both commands."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class Kind:
    """One way to compress.

    Attributes:
        key: "pruning" or "clustering", the record's entry.
        word: what the file's name says: `pruned` or `clustered`.
        check: raises TfeffError for a number that means nothing, before anything is loaded.
        compress: given (model, training, skip, folder, progress), the compressed network.
    """

    key: str
    word: str
    check: Callable[[], None]
    compress: Callable[..., Any]


def run(kind: Kind, network: str, destination: Path, out: Output, options: Mapping[str, Any]) -> None:
    """Compresses and exports a network."""
    from tfeff.cli.export import file_name, request_of
    from tfeff.cli.export_table import show
    from tfeff.cli.model import build_model, check_known, meant, own_dataset
    from tfeff.cli.source import Source
    from tfeff.compress.tfmot import check_installed, check_model
    from tfeff.data import open_dataset
    from tfeff.export import artifact_path, check_request
    from tfeff.export.placing import scratch
    from tfeff.record import to_dict

    kind.check()
    check_known(network)
    network = meant(network, own_weights=bool(options["weights"]))
    check_installed()
    request = request_of(network, "int8", {**options, **_ABSENT, "random_weights": False})
    train_on = options["dataset"] or own_dataset(network)
    if train_on is None:
        raise TfeffError(f"{network}: nothing says what to train on", "give --dataset with labelled images")
    # Both are judged by the uncompressed network: a layer kept in float would be no answer to that.
    request = replace(request, dataset=request.dataset or train_on, max_drop=None)
    request = replace(request, calibration=request.calibration or train_on)
    source = Source.of(network, options, request.dataset)
    path = artifact_path(destination, f"{file_name(network)}.{kind.word}", request)
    check_request(request, path)
    dataset = open_dataset(train_on, "train")
    for note in dataset.notes:
        out.say(f"note: {note}")
    words = shlex.join(["tfeff", *sys.argv[1:]])
    with out.progress("loading") as advance, scratch(path) as folder:
        model = build_model(source, lambda done, total: advance.step("fetching", done, total))
        check_model(model)
        compressed = _compress(kind, model, dataset, options, folder, advance.step)
        done = _export(kind, model, compressed, path, request, words, advance.step)
    show(done.export, out)
    _show(kind.key, done.entry, out)
    export = done.export
    out.json({**to_dict(export.record), "path": str(export.path), "bench": export.latency and export.latency.as_dict()})
    failed = [*done.export.failed, *done.failed, *_dropped(done.entry, options["max_drop"])]
    if failed:
        raise GateFailed("; ".join(failed), f"{done.export.path} was written; its record says what is in it")


def _compress(kind, model, dataset, options, folder, progress):
    from tfeff.compress.tfmot import Training, read_samples

    labels = tuple(model.tasks[0].labels)
    if labels and dataset.classes and labels != tuple(dataset.classes):
        raise TfeffError(
            f"{dataset.name}: its classes are not those of {model.network}", "give the classes it was trained on"
        )
    images, numbers = read_samples(
        dataset,
        model.inputs,
        folder / "train.npy",
        limit=options["train_samples"],
        seed=options["seed"],
        progress=lambda done, total: progress("reading", done, total),
    )
    told = {word: options[word] for word in ("epochs", "batch_size", "learning_rate", "seed")}
    return kind.compress(
        model, Training(images, numbers, **told), skip=options["skip"], folder=folder, progress=progress
    )


def _export(kind, model, compressed, path, request, words, progress):
    from tfeff.compress.tfmot import export_compressed

    return export_compressed(kind.key, model, compressed, path, request, command=words, progress=progress)


def _dropped(entry, max_drop):
    from tfeff.record import words

    before, after = entry["accuracy"]["before"], entry["accuracy"]["after"]
    if max_drop is None or before is None or after is None:
        return []
    higher = before["higher_is_better"]
    drop = before["float"] - after["int8"] if higher else after["int8"] - before["float"]
    if drop <= max_drop:
        return []
    verb = "fell" if higher else "rose"
    return [f"{before['metric']} {verb} by {words.amount(drop, before['unit'])}, --max-drop allows {max_drop:g}"]


def _show(key, entry, out):
    in_file, size, packed = entry["in_file"], entry["size_bytes"], entry["deflated_bytes"]
    if key == "pruning":
        found = f"{100 * in_file['sparsity']:.2f} % of {in_file['weights']:,} weights are 0"
    else:
        found = f"at most {in_file['most_values_of_a_channel']} values in a channel, {in_file['weights']:,} weights"
    rows = [
        ("in the file", f"{found}, {in_file['layers']} layers"),
        ("size", f"{size['before']:,} bytes before, {size['after']:,} after"),
        ("deflated", f"{packed['before']:,} bytes before, {packed['after']:,} after "
                     f"({100 * (packed['after'] / packed['before'] - 1):+.1f} %)"),
    ]  # fmt: skip
    before, after = entry["accuracy"]["before"], entry["accuracy"]["after"]
    if before and after:
        unit = before["unit"]
        rows.append((before["metric"],
                     f"int8 {before['int8']:.2f} {unit} before, {after['int8']:.2f} {unit} after; "
                     f"float {before['float']:.2f} {unit} before, {after['float']:.2f} {unit} after"))  # fmt: skip
    out.facts(key, rows)
