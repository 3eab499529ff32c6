"""`tfeff bench`: times files against each other on one or more devices."""

import click

from tfeff.cli.output import output_options


@click.command("bench")
@click.argument("files", nargs=-1, required=True)
@click.option("--on", "devices", multiple=True, metavar="DEVICE", help="local (default), python:PATH; repeatable.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of the runtime.")
@click.option("--xnnpack/--no-xnnpack", default=True, help="Let the runtime hand the graph to XNNPACK (default).")
@click.option(
    "--max-seconds", default=6.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Per device."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of input values, order, bootstrap."
)
@click.option("--record/--no-record", default=True, help="Put the figures into the files' records (default).")
@output_options
def command(files, devices, threads, xnnpack, max_seconds, seed, record, out):
    """Time .tflite FILES against each other.

    Medians of interleaved rounds with 95 % intervals. A ratio is to the first file, paired by round; it is called
    faster or slower only where its interval does not hold 1 and each of three launches of the processes saw a
    difference of 1 % or more.

    Devices: `local` is the runtime that tfeff itself uses; `python:PATH` is another Python on this machine, with
    ai-edge-litert or tflite-runtime in it.
    """
    from tfeff.artifact import open_artifact
    from tfeff.bench import bench, record_latency

    devices = tuple(dict.fromkeys(devices)) or ("local",)
    options = {"threads": threads, "xnnpack": xnnpack, "max_seconds": max_seconds, "seed": seed}
    with out.progress("timing") as progress:
        outcome = bench(files, devices, progress=progress, **options)
    for device in devices:
        _table(out, outcome, device)
    for warning in outcome["warnings"]:
        out.say(f"warning: {warning}")
    if record:
        for file in dict.fromkeys(files):
            record_latency(open_artifact(file), outcome["results"])
    out.json(outcome)


def _table(out, outcome, device):
    from tfeff.bench.protocol import kernel_words, short_names

    results = [one for one in outcome["results"] if one["device"] == device]
    ratios = [one for one in outcome["ratios"] if one["device"] == device]
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


def _versus(ratio):
    low, high = ratio["ci95"]
    return f"{ratio['ratio']:.3f} ({low:.3f} .. {high:.3f}) {ratio['verdict']}"


def _ms(value):
    """Four figures: 0.004123, 0.4871, 12.35, 1235."""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
