"""`tfeff bench`: times files against each other on one or more devices."""

from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.part import part_options
from tfeff.cli.phone import (
    Counts,
    figure,
    is_phone,
    phone_options,
    phone_table,
    prepared,
    refuse_wrong,
    take_library,
    versus,
)
from tfeff.errors import TfeffError

if TYPE_CHECKING:
    from tfeff.bench.outcome import CountRatio, Local, Outcome, Ratio, Result
    from tfeff.tflite.part import PartOptions


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
@part_options
@phone_options
@click.option("--app", is_flag=True, help="Phone: in the Android demo app, which is installed for it where it is not.")
@output_options
def command(
    files: tuple[str, ...],
    devices: tuple[str, ...],
    threads: tuple[int, ...],
    xnnpack: bool,
    max_seconds: float,
    seed: int,
    record: bool,
    part: "PartOptions",
    phone: dict[str, Any],
    app: bool,
    out: Output,
) -> None:
    """Time .tflite FILES against each other.

    Medians of interleaved rounds with 95 % intervals. A ratio is to the first file, paired by round; it is called
    faster or slower only where its interval does not hold 1 and each of three launches of the processes saw a
    difference of 1 % or more.

    Of a file with several signatures the first subgraph is timed unless --signature names another, and the sizes that
    a file leaves open are given by --input-shape; such times are not put into a record.

    Devices: `local` is the runtime that tfeff itself uses; `python:PATH` is another Python on this machine, with
    ai-edge-litert or tflite-runtime in it; `ssh:USER@HOST[:PYTHON]` is a board's Python, by your own ssh; nothing
    is installed there. `adb[:SERIAL]` is an Android phone, by TensorFlow Lite's benchmark_model; its answer is compared
    with this machine's, and a wrong one has no time; with --app it runs in the demo app, as a user of an app gets it.
    `emulated:aarch64[:RUNTIME[:CPU]]` runs the ARM runtimes under QEMU: output bytes and instructions, not
    milliseconds.
    """
    from tfeff.artifact import open_artifact
    from tfeff.bench import Settings, bench, record_latency

    if app and part.given:
        raise TfeffError("--app: runs the whole file", "leave --signature and --input-shape out, or --app")
    devices = tuple(dict.fromkeys(devices)) or ("local",)
    settings = Settings(threads, xnnpack, max_seconds, seed, take_library(phone))
    options = prepared(phone, files, devices, settings, app)
    with out.progress("timing") as progress:
        outcome = bench(files, devices, settings, part=part, phone=options, progress=progress)
    for device in devices:
        for count in threads:
            _table(out, outcome, device, count)
    for warning in outcome.warnings:
        out.say(f"warning: {warning}")
    if record and not part.given:  # a record is of the whole file
        for file in dict.fromkeys(files):
            record_latency(open_artifact(file), outcome.results, outcome.ratios)
    out.json(outcome.as_dict())
    refuse_wrong(outcome)


def _table(out: Output, outcome: "Outcome", device: str, threads: int) -> None:
    """What one device told with one number of threads."""
    results = outcome.on(device, threads)
    if is_phone(device):
        phone_table(out, results, outcome.ratios_on(device, threads))
    elif results[0].counted is not None:
        _instructions(out, results, outcome.counted)
    else:
        _times(out, results, outcome.ratios_on(device, threads))


def _times(out: Output, results: "list[Result]", ratios: "dict[str, Ratio]") -> None:
    from tfeff.bench.outcome import kernel_words, short_names

    first = results[0]
    threads = f"{first.threads} thread{'s' if first.threads > 1 else ''}"
    title = f"{first.device}: {first.runtime} {first.version}, {threads}, {first.environment['cpu']}"
    rows = []
    for name, one in zip(short_names(one.file for one in results), results, strict=True):
        if one.times is None:
            continue
        low, high = one.times.ci95_ms
        row = [name, figure(one.times.median_ms), f"{figure(low)} .. {figure(high)}", figure(one.times.p90_ms)]
        row += [str(one.times.runs), kernel_words(one.kernels)]
        rows.append(row + ([versus(ratios.get(one.file))] if ratios else []))
    columns = ["file", "median ms", "95 %", "p90 ms", "runs", "kernels"]
    out.table(title, columns + (["time / first"] if ratios else []), rows)


def _instructions(out: Output, results: "list[Result]", counted: "list[CountRatio]") -> None:
    from tfeff.bench.outcome import kernel_words, short_names

    first = results[0]
    ratios = {one.a: one.ratio for one in counted if one.device == first.device}
    title = f"{first.device}: {first.runtime} {first.version}, {first.environment['cpu']}: "
    title += "instructions, not milliseconds"
    rows = []
    for name, one in zip(short_names(one.file for one in results), results, strict=True):
        if one.counted is None:
            continue
        count = f"{one.counted.instructions:,}" if one.counted.instructions else "not counted"
        row = [name, count, kernel_words(one.kernels), _bytes(one.counted.local)]
        rows.append(row + ([f"{ratios[one.file]:.3f}" if one.file in ratios else ""] if ratios else []))
    columns = ["file", "instructions / inference", "kernels", "output bytes"]
    out.table(title, columns + (["instructions / first"] if ratios else []), rows)


def _bytes(local: "Local") -> str:
    """How far the outputs are from this machine's; of several, each that differs is named."""
    if local.equal:
        return "equal to this machine's"
    why = "" if local.same_runtime and local.same_kernels else " (its runtime or kernels are others)"
    told = []
    for one in local.unequal:
        name = f"{one.name}: " if len(local.outputs) > 1 else ""
        largest = "" if one.max_difference is None else f" by up to {one.max_difference:.4g}"
        told.append(f"{name}{100 * one.differing:.1f} % differ{largest}")
    return "; ".join(told) + why
