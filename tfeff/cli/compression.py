"""What `tfeff prune` and `tfeff cluster` have in common: options, training images, the table at the end."""

import shlex
import sys
from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.cli.subject import source_options
from tfeff.errors import GateFailed, TfeffError

# Of `tfeff export`; here they mean nothing, or would undo what was made.
_ABSENT = {"io": None, "quantizer": "graph", "equalize": False, "correct_bias": True, "tune": None, "ranges": (),
           "accelerator": None, "compiler": None, "compiler_timeout": None, "max_latency_ms": None, "method": None,
           "per_tensor": False}  # fmt: skip
_OPTIONS = [
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
    click.option("--weights", metavar="FILE", help="Weights of a named network: .npz, .weights.h5, or `pretrained`."),
    source_options,
    click.option("--mean", help="Of the preprocessing, pixel values: one number, or one a channel."),
    click.option("--std", help="Of the preprocessing, pixel values."),
    click.option("--colour", type=click.Choice(["rgb", "bgr", "gray"]), help="Colour order of the input."),
    click.option("--calibration", metavar="SOURCE", help="Representative images. [default: as of `tfeff export`]"),
    click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]"),
    click.option("--allow-audit", is_flag=True, help="Go on with images that the audit finds unfit."),
    click.option("--evaluation-samples", type=int, help="How many test images are compared on. [default: all]"),
    click.option("--max-drop", type=float, metavar="POINTS",
                 help="Gate: exit 1 if the file's top-1 is lower by more than the uncompressed float network's."),
    click.option("--on", "devices", multiple=True, metavar="DEVICE", help="Where it is timed. [default: local]"),
    click.option("--benchmark-binary", metavar="PATH", help="As of `tfeff export`."),
    click.option("--no-bench", is_flag=True, help="Do not time."),
    click.option("--threads", type=int, default=1, show_default=True, help="Of the runtime, when timed."),
    click.option("--seed", type=int, default=0, show_default=True),
    output_options,
]  # fmt: skip


def compression_options(function):
    """The options of both commands."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def run(key, word, network, destination, out, options, compress, check):
    """Compresses and exports a network.

    Args:
        key: "pruning" or "clustering", the record's entry.
        word: what the file's name says: `pruned` or `clustered`.
        compress: given (subject, images, labels, what it is trained with), the compressed network.
        check: raises TfeffError for a number that means nothing, before anything is loaded.
    """
    from dataclasses import replace

    from tfeff.cli.export import file_name, request_of, show
    from tfeff.cli.subject import build_subject, check_known, meant, parse_size, parse_values
    from tfeff.compress.tfmot import check_installed
    from tfeff.data import open_dataset
    from tfeff.export import artifact_path, check_request
    from tfeff.export.placing import scratch

    check()
    check_known(network)
    network = meant(network, own_weights=bool(options["weights"]))
    check_installed()
    request = request_of(network, "int8", {**options, **_ABSENT, "random_weights": False})
    train_on = options["dataset"] or _own_dataset(network)
    if train_on is None:
        raise TfeffError(f"{network}: nothing says what to train on", "give --dataset with labelled images")
    # Both are judged by the uncompressed network: a layer kept in float would be no answer to that.
    request = replace(request, dataset=request.dataset or train_on, max_drop=None)
    request = replace(request, calibration=request.calibration or train_on)
    path = artifact_path(destination, f"{file_name(network)}.{word}", request)
    check_request(request, path)
    dataset = open_dataset(train_on, "train")
    words = shlex.join(["tfeff", *sys.argv[1:]])
    with out.progress("loading") as advance, scratch(path) as folder:
        subject = build_subject(
            network,
            weights=options["weights"],
            random_weights=False,
            input_size=parse_size(options["input_size"]),
            classes=options["classes"],
            mean=parse_values(options["mean"], "--mean"),
            std=parse_values(options["std"], "--std"),
            colour=options["colour"],
            imports=options["imports"],
            progress=lambda done, total: advance.step("fetching", done, total),
        )
        done = _compress_and_export(
            key, subject, dataset, path, request, options, compress, words, folder, advance.step
        )
    show(done.export, out)
    _show(key, done.entry, out)
    out.json({**done.export.record, "path": str(done.export.path), "bench": done.export.latency})
    failed = [*done.export.failed, *done.failed, *_dropped(done.entry, options["max_drop"])]
    if failed:
        raise GateFailed("; ".join(failed), f"{done.export.path} was written; its record says what is in it")


def _compress_and_export(key, subject, dataset, path, request, options, compress, words, folder, progress):
    from tfeff.compress.tfmot import export_compressed, read_samples

    if subject.labels and dataset.classes and tuple(subject.labels) != tuple(dataset.classes):
        raise TfeffError(
            f"{dataset.name}: its classes are not those of {subject.network}", "give the classes it was trained on"
        )
    images, labels = read_samples(
        dataset,
        subject.preprocessing,
        folder / "train.npy",
        limit=options["train_samples"],
        seed=options["seed"],
        progress=lambda done, total: progress("reading", done, total),
    )
    training = {word: options[word] for word in ("epochs", "batch_size", "learning_rate", "seed", "skip")}
    compressed = compress(subject, images, labels, folder=folder, progress=progress, **training)
    return export_compressed(key, subject, compressed, path, request, command=words, progress=progress)


def _own_dataset(network):
    from tfeff.cli.subject import is_preset
    from tfeff.networks import index
    from tfeff.presets import load_preset

    return load_preset(network).dataset if is_preset(network) and network not in index() else None


def _dropped(entry, max_drop):
    before, after = entry["top1"]["before"], entry["top1"]["after"]
    if max_drop is None or before is None or after is None:
        return []
    drop = before["float"] - after["int8"]
    return [f"top-1 fell by {drop:.2f} points, --max-drop allows {max_drop:g}"] if drop > max_drop else []


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
    before, after = entry["top1"]["before"], entry["top1"]["after"]
    if before and after:
        rows.append(("top-1", f"int8 {before['int8']:.2f} % before, {after['int8']:.2f} % after; "
                              f"float {before['float']:.2f} % before, {after['float']:.2f} % after"))  # fmt: skip
    out.facts(key, rows)
