"""`tfeff qat ARTIFACT-or-NETWORK --dataset D --epochs N`: train with int8's roundings, then export."""

import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.source import model_options
from tfeff.errors import GateFailed, TfeffError
from tfeff.record import load_json

ENGINES = ("tfeff", "tfmot")
# What the other engine does its own way, and what a saved fake-quant network has already.
_NOT_FOR_TFMOT = {
    "method": "--calibration-method", "ranges": "--range", "train_ranges": "--train-ranges", "resume": "--resume",
    "save": "--save", "per_tensor": "--per-tensor", "temperature": "--temperature", "label_weight": "--label-weight",
    "samples": "--samples", "calibration": "--calibration",
}  # fmt: skip
_NOT_WITH_RESUME = ("method", "ranges", "train_ranges", "per_tensor", "samples")
_TRAINING = (
    "epochs", "steps", "batch_size", "learning_rate", "temperature", "label_weight", "augment", "move", "seed",
)  # fmt: skip
# Of `tfeff export`; here they mean nothing.
_ABSENT = {"random_weights": False, "quantizer": "graph", "equalize": False, "correct_bias": True, "tune": None}


@click.command("qat")
@click.argument("network", metavar="ARTIFACT-or-NETWORK")
@click.option("--dataset", help="Labelled samples to train and compare on. [default: what it was trained on]")
@click.option("--epochs", type=click.IntRange(1), required=True, help="Times through the training samples.")
@click.option("--steps", type=click.IntRange(1), help="At most so many steps an epoch. [default: all samples]")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
@click.option("--learning-rate", type=float, help="Adam's at the start; then a cosine to 0. [default: 1e-4]")
@click.option("--temperature", type=float, help="Of the float twin's scores of classes. [default: 2]")
@click.option("--label-weight", type=float, help="Of the labels, beside the float twin's outputs. [default: 0]")
@click.option("--augment/--no-augment", default=True, show_default=True, help="Mirror and move images at random.")
@click.option("--move", type=float, default=0.125, show_default=True, help="The largest move, a share of the size.")
@click.option("--engine", type=click.Choice(ENGINES), default="tfeff", show_default=True)
@click.option("--target", help="What the file must run on. [default: the artifact's, or litert]")
@click.option("--per-tensor", is_flag=True, help="One scale for all int8 weights of a layer.")
@click.option("--calibration", metavar="SOURCE", help="Inputs that the ranges begin with. [default: the dataset]")
@click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]")
@click.option("--calibration-method", "method", metavar="METHOD", help="As of `tfeff export`.")
@click.option("--range", "ranges", multiple=True, metavar="LAYER=METHOD", help="As of `tfeff export`.")
@click.option("--allow-audit", is_flag=True, help="Go on with inputs that the audit finds unfit.")
@click.option("--train-ranges/--freeze-ranges", default=None, help="[default: trained, unless they come from minmax]")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE.keras", help="Keep the trained network there.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="FILE.keras", help="Begin with what --save kept.")
@click.option(
    "--out", "destination", default=".", type=click.Path(path_type=Path), help="Folder, or a path that ends in .tflite."
)
@click.option("--force", is_flag=True, help="Replace an artifact that is there.")
@model_options
@click.option("--io", type=click.Choice(["int8", "uint8", "float32"]), help="Dtype of quantized inputs and outputs.")
@click.option("--evaluation-samples", type=int, help="How many test samples are compared on. [default: all]")
@click.option("--on", "devices", multiple=True, metavar="DEVICE", help="Where it is timed. [default: local]")
@click.option("--benchmark-binary", metavar="PATH", help="As of `tfeff export`.")
@click.option("--no-bench", is_flag=True, help="Do not time.")
@click.option("--threads", type=int, default=1, show_default=True, help="Of the runtime, when timed.")
@click.option("--accelerator", metavar="NAME", help="As of `tfeff export`.")
@click.option("--compiler", metavar="PATH", help="As of `tfeff export`.")
@click.option("--compiler-timeout", type=float, metavar="SECONDS", help="As of `tfeff export`.")
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    metavar="X",
    help="Gate: exit 1 if the metric is worse than float's by more.",
)
@click.option(
    "--max-latency-ms",
    type=click.FloatRange(min=0),
    metavar="MS",
    help="Gate: exit 1 if the median is longer on any device.",
)
@click.option("--with-nms", is_flag=True, help="As of `tfeff export`.")
@click.option("--metadata", is_flag=True, help="As of `tfeff export`.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(
    network: str, destination: Path, engine: str, save: Path | None, resume: Path | None, out: Output, **options: Any
) -> None:
    """Train a network with the roundings of int8 in it, and export it.

    ARTIFACT-or-NETWORK is a .tflite file that `tfeff export` made of a bundled preset, or what `tfeff export` takes. It
    is taught by its float twin; the weights kept are those of the epoch that is best on training samples held out, or
    those from before training where no epoch is better. The test samples are used once, at the end.
    """
    from tfeff.cli import qat_engines
    from tfeff.cli.export import file_name, request_of
    from tfeff.cli.export_table import show
    from tfeff.cli.model import check_known, meant, own_dataset
    from tfeff.cli.source import Source
    from tfeff.data import open_dataset
    from tfeff.export import artifact_path, check_request
    from tfeff.record import to_dict

    network, options = _of_artifact(network, options)
    check_known(network)
    network = meant(network, own_weights=bool(options["weights"]))
    _check_options(engine, save, resume, options)
    train_on = options["dataset"] or own_dataset(network)
    if train_on is None:
        raise TfeffError(f"{network}: nothing says what to train on", "give --dataset with labelled samples")
    options = {**options, "target": options["target"] or "litert", "calibration": options["calibration"] or train_on}
    request = request_of(network, "int8", {**options, **_ABSENT})
    request = replace(request, dataset=options["dataset"] or request.dataset)
    source = Source.of(network, options, request.dataset)
    path = artifact_path(destination, f"{file_name(network)}.qat", request)
    check_request(request, path)
    dataset = open_dataset(train_on, "train")
    for note in dataset.notes:
        out.say(f"note: {note}")
    words = shlex.join(["tfeff", *sys.argv[1:]])
    _few_threads(network)
    with out.progress("loading") as advance:
        model = _model(source, advance)
        run = qat_engines.Run(
            model, dataset, request, qat_engines.Files(path, save, resume), options["train_ranges"], words, advance.step
        )
        training = {key: options[key] for key in _TRAINING if options[key] is not None}
        if engine == "tfmot":
            export = qat_engines.by_tfmot(run, training)
        else:
            export = qat_engines.by_tfeff(run, training, report=_reporter(out, options["epochs"]))
    show(export, out)
    out.json({**to_dict(export.record), "path": str(export.path), "bench": export.latency and export.latency.as_dict()})
    if export.failed:
        raise GateFailed("; ".join(export.failed), f"{export.path} was written; its record says that it failed")


def _reporter(out, epochs):
    """Prints a line an epoch."""
    started = time.monotonic()

    def report(row):
        metrics = "".join(f"  {name} {value:.2f}" for name, value in row["held_out"].items())
        out.say(f"epoch {row['epoch']:3d}/{epochs}  loss of held-out samples {row['held_out_loss']:.5f}{metrics}  "
                f"{time.monotonic() - started:.0f} s")  # fmt: skip

    return report


def _of_artifact(name, options):
    """What an artifact was made of, and the options that its record answers; anything else as it is."""
    path = Path(name)
    if path.suffix != ".tflite" and not (path.suffix == ".json" and _is_record(path)):
        return name, options
    from tfeff.artifact import open_artifact
    from tfeff.presets import list_presets

    record = open_artifact(path).record
    if record is None:
        raise TfeffError(f"{name}: has no record, so what it was made of is not known", "give its network")
    if record.preset not in list_presets():
        made = f" ({record.command})" if record.command else ""
        raise TfeffError(
            f"{name}: was made of {record.network}{made}, whose weights are not in it",
            "give what it was made of in its place, with the same --weights, --mean and --std",
        )
    per_tensor = record.quantization is not None and record.quantization.per_tensor
    return record.preset, {
        **options,
        "target": options["target"] or record.target,
        "per_tensor": options["per_tensor"] or (per_tensor and not options["resume"]),
    }


def _is_record(path):
    """Whether a .json is an artifact's record and no preset."""
    try:
        value = load_json(path)
    except (OSError, ValueError):
        return False
    return "sha256" in value and "file" in value


def _check_options(engine, save, resume, options):
    """Raises TfeffError for options that do not go together."""
    given = {key for key, value in options.items() if value not in (None, False, ())}
    given |= {"train_ranges"} if options["train_ranges"] is not None else set()
    given |= {name for name, value in (("save", save), ("resume", resume)) if value}
    if engine == "tfmot":
        from tfeff.compress.tfmot import check_installed

        for key, word in _NOT_FOR_TFMOT.items():
            if key in given:
                raise TfeffError(f"{word}: --engine tfmot has no such thing", "leave it out, or use --engine tfeff")
        check_installed()
    if resume:
        for key in _NOT_WITH_RESUME:
            if key in given:
                raise TfeffError(
                    f"{_NOT_FOR_TFMOT[key]}: {resume} has its ranges and scales already", "leave it out, or --resume"
                )
        if not resume.is_file():
            raise TfeffError(f"{resume}: no such file", "give the file that --save wrote")
    else:
        from tfeff.export.quantize.measuring import train_ranges_by

        train_ranges_by(options["method"], options["train_ranges"])
    if save:
        if save.suffix != ".keras":
            raise TfeffError(f"--save {save}: must end in .keras")
        if not save.parent.is_dir():
            raise TfeffError(f"--save {save}: there is no such folder", "make it first")
        if save.exists() and not options["force"] and save != resume:
            raise TfeffError(f"{save}: exists already", "give --force to replace it, or another --save")


def _few_threads(network):
    """As `tfeff train` does for small images, which every preset's are."""
    from tfeff.cli.train import SMALL_IMAGE_THREADS
    from tfeff.presets import aliases, list_presets

    if network in list_presets() or network in aliases():
        for variable, threads in SMALL_IMAGE_THREADS.items():
            os.environ.setdefault(variable, threads)


def _model(source, advance):
    from tfeff.cli.model import build_model

    model = build_model(source, lambda done, total: advance.step("fetching", done, total))
    if model.fake_quant is not None:
        raise TfeffError(
            f"{source.name}: is a fake-quant network already",
            "give the float network that it was made of, and this file as --resume; or `tfeff export` it",
        )
    return model
