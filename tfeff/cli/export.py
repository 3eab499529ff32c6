"""`tfeff export NETWORK --int8`: the whole way, and the table at its end."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.source import model_options
from tfeff.errors import GateFailed

if TYPE_CHECKING:  # importing it takes a second that --help does not have
    from tfeff.export.request import Request

_PRECISIONS = {
    "int8": "Static full integer: weights, activations, input and output (default).",
    "float16": "Weights in float16.",
    "float32": "Nothing quantized.",
    "int8-dynamic": "Weights int8, activations float.",
    "int16x8": "Activations int16, weights int8.",
}


def _precision_options(function):
    for name, text in reversed(_PRECISIONS.items()):
        function = click.option(f"--{name}", "precision", flag_value=name, help=text)(function)
    return function


@click.command("export")
@click.argument("network")
@_precision_options
@click.option("--target", default="litert", show_default=True, help="What the file must run on.")
@click.option(
    "--out", "destination", default=".", type=click.Path(path_type=Path), help="Folder, or a path that ends in .tflite."
)
@click.option("--force", is_flag=True, help="Replace an artifact that is there.")
@click.option("--random-weights", is_flag=True, help="Untrained, for studies of size and latency only.")
@model_options
@click.option(
    "--io", type=click.Choice(["int8", "uint8", "int16", "float32"]), help="Dtype of quantized inputs and outputs."
)
@click.option(
    "--calibration",
    metavar="SOURCE",
    help="Representative inputs: folder, .csv, .npz, dataset, video, module:function.",
)
@click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]")
@click.option(
    "--calibration-method",
    "method",
    metavar="METHOD",
    help="Of the ranges: auto, minmax, percentile[:Q], image-percentile[:Q], mse, entropy. [default: auto]",
)
@click.option("--range", "ranges", multiple=True, metavar="LAYER=METHOD", help="Of one layer, or =LOW:HIGH; repeat it.")
@click.option("--allow-audit", is_flag=True, help="Go on with images that the audit finds unfit.")
@click.option(
    "--quantizer",
    type=click.Choice(["graph", "converter"]),
    default="graph",
    help="Of int8: our own, simulated and proven, or TensorFlow's converter. [default: graph]",
)
@click.option("--per-tensor", is_flag=True, help="One scale for all int8 weights of a layer, for NPUs without more.")
@click.option(
    "--allow-float",
    multiple=True,
    metavar="LAYER|OP",
    help="Of int8: this layer, or this operation (SIN), may stay in float; repeat it.",
)
@click.option("--equalize", is_flag=True, help="Bring channels to like ranges before int8; float stays the same.")
@click.option(
    "--correct-bias/--no-correct-bias",
    default=True,
    help="Take what int8 does to the means of the layers off their biases. [default: do]",
)
@click.option("--dataset", metavar="SOURCE", help="Labelled samples for the comparison. [default: the preset's own]")
@click.option("--evaluation-samples", type=int, help="How many of those. [default: all]")
@click.option(
    "--on",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="Where it is timed, as for `tfeff bench`; repeat it. [default: local]",
)
@click.option("--no-bench", is_flag=True, help="Do not time.")
@click.option("--threads", type=int, default=1, show_default=True, help="Of the runtime, when timed.")
@click.option(
    "--benchmark-binary",
    metavar="PATH",
    help="--on adb: its benchmark_model; or https://...#sha256=HEX.",
)
@click.option(
    "--tune",
    is_flag=False,
    flag_value="local",
    metavar="[DEVICE]",
    help="Time the forms of each rewrite there, keep the fastest. [without it: the target's table]",
)
@click.option("--accelerator", metavar="NAME", help="Of --target ethos-u: ethos-u55-128 (default), ethos-u65-256, ...")
@click.option("--compiler", metavar="PATH", help="Of --target edgetpu: edgetpu_compiler. [default: PATH]")
@click.option("--compiler-timeout", type=float, metavar="SECONDS", help="How long the target's compiler may take.")
@click.option(
    "--max-drop",
    type=float,
    metavar="X",
    help="Keep layers in float until the metric is worse by no more, in its unit (top-1: points); else exit 1.",
)
@click.option(
    "--max-latency-ms",
    type=click.FloatRange(min=0),
    metavar="MS",
    help="Gate: exit 1 if the median is longer on any device.",
)
@click.option(
    "--keep-failed", is_flag=True, help="Of an export that is refused late, keep what was made, in NAME.failed/."
)
@click.option(
    "--with-nms", is_flag=True, help="Of an SSD: let the file end in boxes, by TFLite_Detection_PostProcess in float."
)
@click.option("--metadata", is_flag=True, help="Put TensorFlow Lite metadata and labels into the file, for MediaPipe.")
@click.option("--strict", is_flag=True, help="Gate: exit 1 unless every unit of an int8 file is what was simulated.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(network: str, precision: str | None, destination: Path, out: Output, **options: Any) -> None:
    """Turn NETWORK into a .tflite file with a record, proven against its float twin and timed.

    NETWORK is a preset or its alias (`vargnet`), a network's name with --weights or --random-weights, a .keras file,
    a SavedModel folder, or a float .tflite of any converter. --int8 is always static full integer; an operation left
    in float is an error.
    """
    from tfeff.cli.export_table import show
    from tfeff.cli.model import build_model, check_known, meant
    from tfeff.cli.source import Source
    from tfeff.export import artifact_path, check_request, export_model
    from tfeff.record import to_dict

    check_known(network)
    network = meant(network, own_weights=bool(options["weights"] or options["random_weights"]))
    request = request_of(network, precision or "int8", options)
    source = Source.of(network, options, request.dataset)
    check_request(request, artifact_path(destination, file_name(network), request))  # before TensorFlow's seconds
    check_other_file(network, artifact_path(destination, file_name(network), request))
    with out.progress("loading") as advance:
        model = build_model(source, lambda done, total: advance.step("fetching", done, total))
        path = artifact_path(destination, model.name, request)
        words = shlex.join(["tfeff", *sys.argv[1:]])
        export = export_model(model, path, request, command=words, progress=advance.step)
    show(export, out)
    out.json({**to_dict(export.record), "path": str(export.path), "bench": export.latency and export.latency.as_dict()})
    if export.failed:
        raise GateFailed("; ".join(export.failed), f"{export.path} was written; its record says that it failed")


def request_of(network: str, precision: str, options: Mapping[str, Any]) -> "Request":
    """What the options of `tfeff export`, and of `tfeff qat`, ask for."""
    from tfeff.cli.model import own_dataset
    from tfeff.data import default_evaluation
    from tfeff.export import Request
    from tfeff.export.targets import CompilerOptions

    dataset, calibration = options["dataset"], options["calibration"]
    own = own_dataset(network)
    if own == "fashion_mnist":
        dataset, calibration = dataset or default_evaluation(), calibration or "fashion_mnist_sample"
    elif options["random_weights"]:
        calibration = calibration or "fashion_mnist_sample"  # any real images; nothing is claimed of accuracy
    else:
        dataset = dataset or own
        calibration = calibration or dataset
    return Request(
        precision=precision,
        target=options["target"],
        io=options["io"],
        calibration=calibration,
        samples=options["samples"],
        method=options["method"],
        ranges=options["ranges"],
        allow_audit=options["allow_audit"],
        quantizer=options["quantizer"],
        per_tensor=options["per_tensor"],
        equalize=options["equalize"],
        correct_bias=options["correct_bias"],
        dataset=dataset,
        evaluation_samples=options["evaluation_samples"],
        devices=() if options["no_bench"] else options["devices"] or ("local",),
        threads=options["threads"],
        benchmark_binary=options["benchmark_binary"],
        max_drop=options["max_drop"],
        max_latency_ms=options["max_latency_ms"],
        strict=options.get("strict", False),
        tune=options["tune"],
        compiler=CompilerOptions(options["compiler"], options["accelerator"], options["compiler_timeout"]),
        metadata=options.get("metadata", False),
        with_nms=options.get("with_nms", False),
        allow_float=tuple(options.get("allow_float", ())),
        force=options["force"],
        keep_failed=options.get("keep_failed", False),
        seed=options["seed"],
    )


def check_other_file(network: str, path: Path) -> None:
    """Raises TfeffError where an export, told to replace what is there, would write over the model itself."""
    from tfeff.errors import TfeffError
    from tfeff.export.placing import twin_path

    for made in (path, twin_path(path)):
        if made.exists() and Path(network).exists() and made.samefile(network):
            raise TfeffError(f"{made}: is the model itself", "choose another --out")


def file_name(network: str) -> str:
    """What the artifact's name begins with, known before the network is built."""
    from tfeff.cli.source import file_stem, is_user_file
    from tfeff.networks import index
    from tfeff.presets import load_preset

    if is_user_file(network):
        return file_stem(Path(network))
    return network if network in index() else load_preset(network).name
