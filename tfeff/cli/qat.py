"""`tfeff qat ARTIFACT-or-NETWORK --dataset D --epochs N`: train with int8's roundings, then export."""

import json
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.cli.subject import source_options
from tfeff.errors import GateFailed, TfeffError

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
@click.option("--dataset", help="Labelled images to train and compare on. [default: what it was trained on]")
@click.option("--epochs", type=click.IntRange(1), required=True, help="Times through the training images.")
@click.option("--steps", type=click.IntRange(1), help="At most so many steps an epoch. [default: all images]")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
@click.option("--learning-rate", type=float, help="Adam's at the start; then a cosine to 0. [default: 1e-4]")
@click.option("--temperature", type=float, help="Of the float twin's outputs, which are learned. [default: 2]")
@click.option("--label-weight", type=float, help="Of the labels, beside the float twin's outputs. [default: 0]")
@click.option("--augment/--no-augment", default=True, show_default=True, help="Mirror and move images at random.")
@click.option("--move", type=float, default=0.125, show_default=True, help="The largest move, a share of the size.")
@click.option("--engine", type=click.Choice(ENGINES), default="tfeff", show_default=True)
@click.option("--target", help="What the file must run on. [default: the artifact's, or litert]")
@click.option("--per-tensor", is_flag=True, help="One scale for all int8 weights of a layer.")
@click.option("--calibration", metavar="SOURCE", help="Images that the ranges begin with. [default: the dataset]")
@click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]")
@click.option("--calibration-method", "method", metavar="METHOD", help="As of `tfeff export`.")
@click.option("--range", "ranges", multiple=True, metavar="LAYER=METHOD", help="As of `tfeff export`.")
@click.option("--allow-audit", is_flag=True, help="Go on with images that the audit finds unfit.")
@click.option("--train-ranges/--freeze-ranges", default=None, help="[default: trained, unless they come from minmax]")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE.keras", help="Keep the trained network there.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="FILE.keras", help="Begin with what --save kept.")
@click.option(
    "--out", "destination", default=".", type=click.Path(path_type=Path), help="Folder, or a path that ends in .tflite."
)
@click.option("--force", is_flag=True, help="Replace an artifact that is there.")
@click.option("--weights", metavar="FILE", help="Weights of a named network: .npz, .weights.h5, or `pretrained`.")
@source_options
@click.option("--mean", help="Of the preprocessing, pixel values: one number, or one a channel.")
@click.option("--std", help="Of the preprocessing, pixel values.")
@click.option("--colour", type=click.Choice(["rgb", "bgr", "gray"]), help="Colour order of the input.")
@click.option("--io", type=click.Choice(["int8", "uint8", "float32"]), help="Dtype of input and output.")
@click.option("--evaluation-samples", type=int, help="How many test images are compared on. [default: all]")
@click.option("--on", "devices", multiple=True, metavar="DEVICE", help="Where it is timed. [default: local]")
@click.option("--benchmark-binary", metavar="PATH", help="As of `tfeff export`.")
@click.option("--no-bench", is_flag=True, help="Do not time.")
@click.option("--threads", type=int, default=1, show_default=True, help="Of the runtime, when timed.")
@click.option("--accelerator", metavar="NAME", help="As of `tfeff export`.")
@click.option("--compiler", metavar="PATH", help="As of `tfeff export`.")
@click.option("--compiler-timeout", type=float, metavar="SECONDS", help="As of `tfeff export`.")
@click.option("--max-drop", type=float, metavar="POINTS", help="Gate: exit 1 if top-1 is lower by more than float's.")
@click.option("--max-latency-ms", type=float, metavar="MS", help="Gate: exit 1 if the median is longer on any device.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(network, destination, engine, save, resume, out, **options):
    """Train a network with the roundings of int8 in it, and export it.

    ARTIFACT-or-NETWORK is a .tflite file that `tfeff export` made of a bundled preset, or what `tfeff export` takes. It
    is taught by its float twin; the weights kept are those of the epoch that is best on training images held out, or
    those from before training where no epoch is better. The test images are used once, at the end.
    """
    from tfeff.cli.export import file_name, request_of, show
    from tfeff.cli.subject import check_known, meant
    from tfeff.data import open_dataset
    from tfeff.export import artifact_path, check_request

    network, options = _of_artifact(network, options)
    check_known(network)
    network = meant(network, own_weights=bool(options["weights"]))
    _check_options(engine, save, resume, options)
    own = _own_dataset(network)
    train_on = options["dataset"] or own
    if train_on is None:
        raise TfeffError(f"{network}: nothing says what to train on", "give --dataset with labelled images")
    options = {**options, "target": options["target"] or "litert", "calibration": options["calibration"] or train_on}
    request = request_of(network, "int8", {**options, **_ABSENT})
    request = replace(request, dataset=options["dataset"] or request.dataset)
    path = artifact_path(destination, f"{file_name(network)}.qat", request)
    check_request(request, path)
    dataset = open_dataset(train_on, "train")
    words = shlex.join(["tfeff", *sys.argv[1:]])
    _few_threads(network)
    with out.progress("loading") as advance:
        subject = _subject(network, options, advance)
        from tfeff.cli import qat_engines

        training = {key: options[key] for key in _TRAINING if options[key] is not None}
        started = time.monotonic()

        def report(row):
            out.say(f"epoch {row['epoch']:3d}/{options['epochs']}  loss of held-out images {row['held_out_loss']:.5f}  "
                    f"top-1 {row['held_out_top1']:.2f} %  {time.monotonic() - started:.0f} s")  # fmt: skip

        files = qat_engines.Files(path, save, resume)
        how = {"train_ranges": options["train_ranges"], "command": words, "progress": advance.step}
        if engine == "tfmot":
            export = qat_engines.by_tfmot(subject, dataset, request, files, training, **how)
        else:
            export = qat_engines.by_tfeff(subject, dataset, request, files, training, report=report, **how)
    show(export, out)
    out.json({**export.record, "path": str(export.path), "bench": export.latency})
    if export.failed:
        raise GateFailed("; ".join(export.failed), f"{export.path} was written; its record says that it failed")


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
    if record.get("preset") not in list_presets():
        made = f" ({record['command']})" if record.get("command") else ""
        raise TfeffError(
            f"{name}: was made of {record.get('network')}{made}, whose weights are not in it",
            "give what it was made of in its place, with the same --weights, --mean and --std",
        )
    per_tensor = (record.get("quantization") or {}).get("per_tensor", False)
    return record["preset"], {
        **options,
        "target": options["target"] or record["target"],
        "per_tensor": options["per_tensor"] or (per_tensor and not options["resume"]),
    }


def _is_record(path):
    """Whether a .json is an artifact's record and no preset."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and "sha256" in value and "file" in value


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


def _own_dataset(network):
    from tfeff.cli.subject import is_user_file
    from tfeff.networks import index
    from tfeff.presets import load_preset

    return None if is_user_file(network) or network in index() else load_preset(network).dataset


def _few_threads(network):
    """As `tfeff train` does for small images, which every preset's are."""
    from tfeff.cli.train import SMALL_IMAGE_THREADS
    from tfeff.presets import aliases, list_presets

    if network in list_presets() or network in aliases():
        for variable, threads in SMALL_IMAGE_THREADS.items():
            os.environ.setdefault(variable, threads)


def _subject(network, options, advance):
    from tfeff.cli.subject import build_subject, parse_size, parse_values

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
    if subject.fake_quant is not None:
        raise TfeffError(
            f"{network}: is a fake-quant network already",
            "give the float network that it was made of, and this file as --resume; or `tfeff export` it",
        )
    return subject
