"""`tfeff bench`: times files against each other on one or more devices."""

import click

from tfeff.cli.output import output_options
from tfeff.cli.phone import Counts, is_phone, phone_options, phone_table, prepared, refuse_wrong, take_library


@click.command("bench")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--on",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="local (default), python:PATH, ssh:USER@HOST[:PYTHON], adb[:SERIAL], browser[:EXECUTABLE], "
    "emulated:aarch64; repeatable.",
)
@click.option(
    "--threads", default="1", show_default=True, type=Counts(), help="Threads of the runtime; several: 1,2,4."
)
@click.option("--xnnpack/--no-xnnpack", default=True, help="Let the runtime hand the graph to XNNPACK (default).")
@click.option(
    "--max-seconds", default=6.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Per device."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of input values, order, bootstrap."
)
@click.option("--record/--no-record", default=True, help="Put the figures into the files' records (default).")
@phone_options
@click.option("--app", is_flag=True, help="Phone: in the Android demo app, which is installed for it where it is not.")
@output_options
def command(files, devices, threads, xnnpack, max_seconds, seed, record, phone, app, out):
    """Time .tflite FILES against each other.

    Medians of interleaved rounds with 95 % intervals. A ratio is to the first file, paired by round; it is called
    faster or slower only where its interval does not hold 1 and each of three launches of the processes saw a
    difference of 1 % or more.

    Devices: `local` is the runtime that tfeff itself uses; `python:PATH` is another Python on this machine, with
    ai-edge-litert or tflite-runtime in it; `ssh:USER@HOST[:PYTHON]` is a board's Python, by your own ssh; nothing
    is installed there. `adb[:SERIAL]` is an Android phone, by TensorFlow Lite's benchmark_model; its answer is compared
    with this machine's, and a wrong one has no time; with --app it runs in the demo app, as a user of an app gets it.
    `emulated:aarch64[:RUNTIME[:CPU]]` runs the ARM runtimes under QEMU: output bytes and instructions, not
    milliseconds.
    """
    from tfeff.artifact import open_artifact
    from tfeff.bench import bench, record_latency

    devices = tuple(dict.fromkeys(devices)) or ("local",)
    options = {"threads": threads, "xnnpack": xnnpack, "max_seconds": max_seconds, "seed": seed}
    options["delegate"] = take_library(phone)
    options["phone"] = prepared(phone, files, devices, xnnpack, seed, app)
    with out.progress("timing") as progress:
        outcome = bench(files, devices, progress=progress, **options)
    for device in devices:
        if is_phone(device):
            phone_table(out, outcome, device)
            continue
        for count in threads:
            _table(out, outcome, device, count)
    for warning in outcome["warnings"]:
        out.say(f"warning: {warning}")
    if record:
        for file in dict.fromkeys(files):
            record_latency(open_artifact(file), outcome["results"], outcome["ratios"])
    out.json(outcome)
    refuse_wrong(outcome)


def _table(out, outcome, device, count):
    from tfeff.bench.protocol import kernel_words, short_names

    results = [one for one in outcome["results"] if (one["device"], one["threads"]) == (device, count)]
    if "instructions" in results[0]:
        return _instructions(out, outcome, results)
    ratios = [one for one in outcome["ratios"] if (one["device"], one.get("threads")) == (device, count)]
    environment = results[0]["environment"]
    threads = f"{results[0]['threads']} thread{'s' if results[0]['threads'] > 1 else ''}"
    title = f"{device}: {results[0]['runtime']} {results[0]['version']}, {threads}, {environment['cpu']}"
    rows = []
    names = short_names([one["file"] for one in results])
    for number, one in enumerate(results):
        low, high = one["ci95_ms"]
        row = [names[number], _ms(one["median_ms"]), f"{_ms(low)} .. {_ms(high)}", _ms(one["p90_ms"])]
        row += [str(one["runs"]), kernel_words(one["kernels"])]
        if ratios:
            row.append("" if number == 0 else _versus(ratios[number - 1]))
        rows.append(row)
    columns = ["file", "median ms", "95 %", "p90 ms", "runs", "kernels"]
    out.table(title, columns + (["time / first"] if ratios else []), rows)


def _instructions(out, outcome, results):
    from tfeff.bench.protocol import kernel_words, short_names

    first = results[0]
    ratios = {one["a"]: one["ratio"] for one in outcome["ratios"] if one["device"] == first["device"]}
    title = f"{first['device']}: {first['runtime']} {first['version']}, {first['environment']['cpu']}: "
    title += "instructions, not milliseconds"
    rows = []
    for name, one in zip(short_names([one["file"] for one in results]), results, strict=True):
        row = [name, f"{one['instructions']:,}" if one["instructions"] else "not counted", kernel_words(one["kernels"])]
        row.append(_bytes(one["local"]))
        rows.append(row + ([f"{ratios[one['file']]:.3f}" if one["file"] in ratios else ""] if ratios else []))
    columns = ["file", "instructions / inference", "kernels", "output bytes"]
    out.table(title, columns + (["instructions / first"] if ratios else []), rows)


def _bytes(local):
    if not local:
        return "not compared"
    if local["equal"]:
        return "equal to this machine's"
    why = "" if local["same_runtime"] and local["same_kernels"] else " (its runtime or kernels are others)"
    return f"{100 * local['differing']:.1f} % differ by up to {local['max_difference']:.4g}{why}"


def _versus(ratio):
    low, high = ratio["ci95"]
    return f"{ratio['ratio']:.3f} ({low:.3f} .. {high:.3f}) {ratio['verdict']}"


def _ms(value):
    """Four figures: 0.004123, 0.4871, 12.35, 1235."""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
