"""`tfeff calibrate NETWORK --calibration D`: are these inputs fit to quantize by, and which ranges do they give?"""

import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from tfeff.cli.output import Output, output_options
from tfeff.cli.source import model_options
from tfeff.errors import GateFailed


@click.command("calibrate")
@click.argument("network")
@click.option(
    "--calibration",
    "source",
    required=True,
    metavar="SOURCE",
    help="Representative inputs: folder, .csv, .npz, dataset, video, or module:function.",
)
@click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]")
@click.option("--audit", is_flag=True, help="Say only what is wrong with the inputs, not the ranges.")
@click.option("--allow-audit", is_flag=True, help="Exit code 0 even if something grave is found.")
@click.option("--target", default="litert", show_default=True, help="Whose rewrites the network gets first.")
@click.option("--calibration-method", "method", metavar="METHOD", help="As of `tfeff export`.")
@click.option("--range", "ranges", multiple=True, metavar="LAYER=METHOD", help="As of `tfeff export`.")
@click.option("--random-weights", is_flag=True, help="Untrained.")
@model_options
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(
    network: str, source: str, audit: bool, allow_audit: bool, target: str, out: Output, **options: Any
) -> None:
    """Audit calibration inputs on NETWORK, and show the range of every layer that they give.

    NETWORK is what `tfeff export` takes, and --range takes the names of the layers shown here. Nothing is written. Exit
    code 1 when the inputs are not fit to choose ranges by.
    """
    from tfeff.cli.model import build_model, check_known, meant
    from tfeff.cli.source import Source
    from tfeff.export.quantize.measuring import GraphOptions, Search, calibrate, parse_choice
    from tfeff.export.targets import get_target

    check_known(network)
    network = meant(network, own_weights=bool(options["weights"] or options["random_weights"]))
    meaning = Source.of(network, options)
    get_target(target)
    parse_choice(options["method"], options["ranges"])
    with out.progress("loading") as advance, tempfile.TemporaryDirectory() as scratch:
        model = build_model(meaning, lambda done, total: advance.step("fetching", done, total))
        search = Search.of(options["method"], options["ranges"], options["seed"], advance.step)
        how = GraphOptions(target=target, try_out=not audit)
        measured = calibrate(model, source, Path(scratch), search, how, samples=options["samples"])
    calibration = measured.calibration
    ranges = [] if audit else [each.as_dict() for each in measured.ranges]
    _show(model.preset or model.network, calibration, ranges, out)
    fit = not any(each.severity == "grave" for each in calibration.findings)
    out.json({"network": model.network, "preset": model.preset, "target": target, "fit": fit,
              **msgspec.to_builtins(calibration.record()), **({} if audit else {"ranges": ranges})})  # fmt: skip
    if not fit and not allow_audit:
        raise GateFailed(
            f"calibration {source}: not fit to choose ranges by", f"mend the {calibration.noun}s, or give --allow-audit"
        )


def _best_of(calibration):
    """What was tried; the first is what was chosen, of which `refit` may have thought better."""
    best, held = calibration.tried[0], calibration.held_out
    biases = " with corrected biases" if best.bias_correction else ""
    told = f", of {len(calibration.tried)} ways tried on {held} {calibration.noun}s held out"
    return f"{told}; {best.method}{biases} was best: {best.loss:.2g}, {calibration.criterion}"


def _show(name, calibration, ranges, out):
    from tfeff.calibration import text_of

    counts = ("asked", calibration.asked), ("found", calibration.found), ("consumed", calibration.used)
    rows = [
        ("source", calibration.source),
        (f"{calibration.noun}s", ", ".join(f"{count:,} {word}" for word, count in counts if count is not None)),
        ("method", calibration.method + ("" if calibration.tried is None else _best_of(calibration))),
    ]
    if calibration.left_out:
        shown = ", ".join(list(calibration.left_out.values())[:5])
        shown += ", ..." if len(calibration.left_out) > 5 else ""
        rows.append(("left out", f"{len(calibration.left_out)} of {calibration.used} {calibration.noun}s: {shown}"))
    for word, text in (("halves", "first and second half"), ("shuffles", "random halves")):
        if moved := calibration.stability[word]:
            worst = f"at most {100 * moved['worst']:.0f} % ({moved['layer']})"
            rows.append(("ranges move", f"{100 * moved['median']:.1f} % between {text}, {worst}"))
    rows += [("finding", text_of(each)) for each in calibration.findings] or [("findings", "none")]
    out.facts(name, rows)
    if ranges:
        table = [[r["layer"], f"{r['low']:.6g}", f"{r['high']:.6g}", r["method"]] for r in ranges]
        out.table("", ["layer", "low", "high", "method"], table, words=("method",))
