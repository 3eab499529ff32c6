"""`tfeff export NETWORK --int8`: the whole way, and the table at its end."""

import shlex
import sys
from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.cli.subject import source_options
from tfeff.errors import GateFailed

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
@click.option("--weights", metavar="FILE", help="Weights of a named network: .npz, .weights.h5, or `pretrained`.")
@click.option("--random-weights", is_flag=True, help="Untrained, for studies of size and latency only.")
@source_options
@click.option("--mean", help="Of the preprocessing, pixel values: one number, or one a channel.")
@click.option("--std", help="Of the preprocessing, pixel values.")
@click.option("--colour", type=click.Choice(["rgb", "bgr", "gray"]), help="Colour order of the input.")
@click.option("--io", type=click.Choice(["int8", "uint8", "int16", "float32"]), help="Dtype of input and output.")
@click.option(
    "--calibration", metavar="SOURCE", help="Representative images: folder, .npz, dataset, video, module:function."
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
@click.option("--equalize", is_flag=True, help="Bring channels to like ranges before int8; float stays the same.")
@click.option(
    "--correct-bias/--no-correct-bias",
    default=True,
    help="Take what int8 does to the means of the layers off their biases. [default: do]",
)
@click.option("--dataset", metavar="SOURCE", help="Labelled images for the comparison. [default: the preset's own]")
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
    "--benchmark-binary", metavar="PATH", help="--on adb: this benchmark_model; else TensorFlow's is fetched."
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
    "--max-drop", type=float, metavar="POINTS", help="Keep layers in float until top-1 falls by no more; else exit 1."
)
@click.option("--max-latency-ms", type=float, metavar="MS", help="Gate: exit 1 if the median is longer on any device.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(network, precision, destination, out, **options):
    """Turn NETWORK into a .tflite file with a record, proven against its float twin and timed.

    NETWORK is a preset or its alias (`vargnet`), a network's name with --weights or --random-weights, a .keras file,
    or a SavedModel folder. --int8 is always static full integer; an operation left in float is an error.
    """
    from tfeff.cli.subject import build_subject, check_known, meant, parse_size, parse_values
    from tfeff.export import artifact_path, check_request, export_model

    check_known(network)
    network = meant(network, own_weights=bool(options["weights"] or options["random_weights"]))
    request = request_of(network, precision or "int8", options)
    name = file_name(network)
    check_request(request, artifact_path(destination, name, request))  # before seconds are spent on TensorFlow
    with out.progress("loading") as advance:
        subject = build_subject(
            network,
            weights=options["weights"],
            random_weights=options["random_weights"],
            input_size=parse_size(options["input_size"]),
            classes=options["classes"],
            mean=parse_values(options["mean"], "--mean"),
            std=parse_values(options["std"], "--std"),
            colour=options["colour"],
            imports=options["imports"],
            progress=lambda done, total: advance.step("fetching", done, total),
        )
        path = artifact_path(destination, subject.name, request)
        words = shlex.join(["tfeff", *sys.argv[1:]])
        export = export_model(subject, path, request, command=words, progress=advance.step)
    show(export, out)
    out.json({**export.record, "path": str(export.path), "bench": export.latency})
    if export.failed:
        raise GateFailed("; ".join(export.failed), f"{export.path} was written; its record says that it failed")


def request_of(network, precision, options):
    """What the options of `tfeff export`, and of `tfeff qat`, ask for."""
    from tfeff.cli.subject import is_user_file
    from tfeff.data import default_evaluation
    from tfeff.export import Request
    from tfeff.export.targets import CompilerOptions
    from tfeff.networks import index

    dataset, calibration = options["dataset"], options["calibration"]
    own = None if is_user_file(network) or network in index() else _preset_dataset(network)
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
        tune=options["tune"],
        compiler=CompilerOptions(options["compiler"], options["accelerator"], options["compiler_timeout"]),
        force=options["force"],
        seed=options["seed"],
    )


def _preset_dataset(name):
    from tfeff.presets import load_preset

    return load_preset(name).dataset


def file_name(network):
    """What the artifact's name begins with, known before the network is built."""
    from tfeff.cli.subject import is_user_file
    from tfeff.networks import index
    from tfeff.presets import load_preset

    if is_user_file(network):
        path = Path(network)
        return path.stem if path.suffix == ".keras" else path.resolve().name
    return network if network in index() else load_preset(network).name


def show(export, out):
    """The table at the end of an export."""
    from tfeff.calibration import text_of

    record = export.record
    ops, twin = record["ops"], record["float_twin"]
    rows = [
        ("file", f"{export.path}  sha256 {record['sha256'][:12]}"),
        ("precision", f"{record['precision']} for {record['target']}, input and output {record['input']['dtype']}"),
        ("size", f"{record['size_bytes']:,} bytes; float twin {twin['size_bytes']:,}"),
        ("operations", f"{ops['total']}, {ops['int8']} int8, {len(ops['float'])} float"),
        ("float file", f"equals Keras within {twin['relative_error']:.1e} of the largest output"),
    ]
    rows += [
        (
            "rewrite",
            f"{rewrite['name']}{': ' + rewrite['form'] if rewrite['form'] else ''}, {rewrite['places']} places, "
            f"largest difference {rewrite['max_abs_error']:.1e}",
        )
        for rewrite in record["rewrites"]
    ]
    rows += _check_rows(record)
    if record["calibration"]:
        used = record["calibration"]
        rows.append(("calibration", f"{used['used']} images of {used['source']}, ranges by {used['method']}"))
        rows += [("", text_of(each)) for each in used["findings"]]
    rows += _training_rows((record["quantization"] or {}).get("training"))
    rows += _simulation_rows(record["quantization"])
    rows += _accuracy_rows(record)
    out.facts(f"{record['preset'] or record['network']} -> {export.path.name}", rows)
    if export.latency:
        columns = [
            "device",
            "runtime",
            "float twin, ms",
            f"{record['precision']}, ms",
            "of the float time",
            "XNNPACK",
        ]
        out.table("latency, median and 95 % interval", columns, _latency_rows(export))
    for note in (*record["notes"], *_timing_notes(export)):
        out.say(f"note: {note}")
    if (record["accuracy"] or {}).get("dataset") == "fashion_mnist_sample":
        out.say("compared on the bundled sample: the full set was not found (docs/data.md says how to get it)")


def _check_rows(record):
    """What the target makes of the file, and what its compiler estimated."""
    check, compiled = record["check"], record["compiled"]
    rows = [(record["target"], f"takes {check['mapped']} of {check['total']} operations, {check['basis']}")]
    rows += [("", f"{row['count']} {row['op']} {row['status']}: {row['reason']}") for row in check["operations"]
             if row["status"] != "mapped"]  # fmt: skip
    if compiled:
        rows.append(("compiled", f"{compiled['file']}  sha256 {compiled['sha256'][:12]}"))
        figures = compiled.get("estimates") or {}
        if figures.get("cycles"):
            figure = f"{figures['cycles']:,} cycles, {figures['inference_ms']:.3f} ms, "
            figure += f"{figures['sram_bytes'] / 1024:,.0f} KiB of SRAM on {compiled['accelerator']}"
            rows.append(("  estimate", f"{figure}, by {compiled['compiler']}'s model"))
    return rows


def _training_rows(training):
    """What `tfeff qat` did."""
    if training is None:
        return []
    rows = [("trained", f"{training['steps']} steps of {training['batch_size']} by {training['engine']}")]
    if training["engine"] == "tfeff":
        first, best = training["history"][0], training["history"][training["best_epoch"]]
        text = f"epoch {best['epoch']} of {training['epochs']} kept, loss on images held out "
        rows.append(("", f"{text}{first['held_out_loss']:.5f} before, {best['held_out_loss']:.5f} then"))
    return rows


def _simulation_rows(quantization):
    """How the int8 file agrees with what was simulated."""
    proof = (quantization or {}).get("simulation")
    if proof is None:
        return []
    agree = proof["units"] - len(proof["beyond"])
    text = f"{agree} of {proof['units']} units of the file equal it within 1 step of int8"
    if proof["rescaled"] or proof["missing"]:
        text += f"; {len(proof['rescaled']) + len(proof['missing'])} scales are not as planned"
    rows = [("simulation", text)]
    kept = quantization["kept_float"] or {}
    if kept.get("layers"):
        names = ", ".join(kept["layers"][:5]) + (
            f" and {len(kept['layers']) - 5} more" if len(kept["layers"]) > 5 else ""
        )
        rows.append(("kept in float", f"{len(kept['layers'])} layers for --max-drop: {names}"))
        rows.append(("", f"all in int8 the difference is {kept['all_int8']['delta']:+.2f} points"))
        rows += [("", f"takes {each['ratio']:.2f} [{each['ci95'][0]:.2f}, {each['ci95'][1]:.2f}] of the time of all in "
                      f"int8 on {each['device']}") for each in kept["latency"]]  # fmt: skip
    return rows


def _accuracy_rows(record):
    accuracy = record["accuracy"]
    if accuracy is None:
        why = "random weights" if record["weights"] == "random" else "no --dataset with labels was given"
        return [("accuracy", f"not compared: {why}")]
    low, high = accuracy["ci95"]
    return [
        ("accuracy", f"on {accuracy['samples']:,} images of {accuracy['dataset']}"),
        ("  float top-1", f"{accuracy['float_top1']:.2f} %"),
        ("  quantized top-1", f"{accuracy['quantized_top1']:.2f} %"),
        (
            "  difference",
            f"{accuracy['delta']:+.2f} points, 95 % [{low:+.2f}, {high:+.2f}], McNemar p {accuracy['mcnemar_p']:.2g}",
        ),
        ("  flipped", f"{accuracy['flips']:.2f} % of the predictions"),
    ]


def _latency_rows(export):
    def time(result):
        if "void" in result:
            return "void: WRONG answer"
        return f"{result['median_ms']:.3f} [{result['ci95_ms'][0]:.3f}, {result['ci95_ms'][1]:.3f}]"

    rows = []
    for twin, own in _pairs(export):
        ratios = [ratio for ratio in export.latency["ratios"] if ratio["device"] == own["device"]]
        words = [f"{r['ratio']:.2f} [{r['ci95'][0]:.2f}, {r['ci95'][1]:.2f}], {r['verdict']}" for r in ratios]
        rows.append(
            [
                own["device"],
                f"{own['runtime']} {own['version']}, {own['threads']} thread{'s' * (own['threads'] > 1)}",
                time(twin),
                time(own),
                words[0] if words else "",  # none with a void one
                own["kernels"]["xnnpack"],
            ]
        )
    return rows


def _pairs(export):
    """(float twin, file) on each device; in `results` they stand in that order."""
    results = export.latency["results"]
    return zip(results[::2], results[1::2], strict=True)


def _timing_notes(export):
    """What a reader of the times must know; not for the record, for it may name places on this machine."""
    if export.latency is None:
        return []
    notes = list(export.latency["warnings"])
    if export.record["precision"] == "float32":
        return notes
    runtimes = {result["device"]: result["runtime"] for result in export.latency["results"]}
    for ratio in export.latency["ratios"]:
        if ratio["verdict"] == "slower":
            note = f"{ratio['device']}: quantizing made it slower in {runtimes[ratio['device']]} on this machine"
            if runtimes[ratio["device"]] != "ai-edge-litert" and export.record["target"] == "litert":
                note += "; --target tflite-runtime makes a file for that runtime"
            notes.append(note)
    return notes
