"""`tfeff calibrate NETWORK --calibration D`: are these images fit to quantize by, and which ranges do they give?"""

import tempfile
from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.cli.subject import source_options
from tfeff.errors import GateFailed


@click.command("calibrate")
@click.argument("network")
@click.option(
    "--calibration",
    "source",
    required=True,
    metavar="SOURCE",
    help="Representative images: folder, .npz, dataset, video, or module:function.",
)
@click.option("--samples", type=int, help="How many of them; fewer is an error. [default: up to 512]")
@click.option("--audit", is_flag=True, help="Say only what is wrong with the images, not the ranges.")
@click.option("--allow-audit", is_flag=True, help="Exit code 0 even if something grave is found.")
@click.option("--target", default="litert", show_default=True, help="Whose rewrites the network gets first.")
@click.option("--calibration-method", "method", metavar="METHOD", help="As of `tfeff export`.")
@click.option("--range", "ranges", multiple=True, metavar="LAYER=METHOD", help="As of `tfeff export`.")
@click.option("--weights", metavar="FILE", help="Weights of a named network: .npz, .weights.h5, or `pretrained`.")
@click.option("--random-weights", is_flag=True, help="Untrained.")
@source_options
@click.option("--mean", help="Of the preprocessing, pixel values: one number, or one a channel.")
@click.option("--std", help="Of the preprocessing, pixel values.")
@click.option("--colour", type=click.Choice(["rgb", "bgr", "gray"]), help="Colour order of the input.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(network, source, audit, allow_audit, target, out, **options):
    """Audit calibration images on NETWORK, and show the range of every layer that they give.

    NETWORK is what `tfeff export` takes, and --range takes the names of the layers shown here. Nothing is written. Exit
    code 1 when the images are not fit to choose ranges by.
    """
    from tfeff.cli.subject import build_subject, check_known, meant, parse_size, parse_values
    from tfeff.export.quantize.measuring import calibrate, parse_choice
    from tfeff.export.targets import get_target

    check_known(network)
    network = meant(network, own_weights=bool(options["weights"] or options["random_weights"]))
    get_target(target)
    parse_choice(options["method"], options["ranges"])
    with out.progress("loading") as advance, tempfile.TemporaryDirectory() as scratch:
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
        measured = calibrate(
            subject,
            source,
            Path(scratch),
            target=target,
            samples=options["samples"],
            method=options["method"],
            rules=options["ranges"],
            try_out=not audit,
            seed=options["seed"],
            progress=advance.step,
        )
    calibration = measured.calibration
    ranges = [] if audit else [each.as_dict() for each in measured.ranges]
    _show(subject.preset or subject.network, calibration, ranges, out)
    fit = not any(each.severity == "grave" for each in calibration.findings)
    out.json({"network": subject.network, "preset": subject.preset, "target": target, "fit": fit,
              **calibration.as_dict(), **({} if audit else {"ranges": ranges})})  # fmt: skip
    if not fit and not allow_audit:
        raise GateFailed(f"calibration {source}: not fit to choose ranges by", "mend the images, or give --allow-audit")


def _best_of(tried):
    return f", the best of {len(tried)} tried: {tried[0]['divergence']:.2g} nats an image from the float network"


def _show(name, calibration, ranges, out):
    from tfeff.calibration import text_of

    counts = ("asked", calibration.asked), ("found", calibration.found), ("consumed", calibration.used)
    rows = [
        ("source", calibration.source),
        ("images", ", ".join(f"{count:,} {word}" for word, count in counts if count is not None)),
        ("method", calibration.method + ("" if calibration.tried is None else _best_of(calibration.tried))),
    ]
    if calibration.left_out:
        shown = ", ".join(list(calibration.left_out.values())[:5])
        shown += ", ..." if len(calibration.left_out) > 5 else ""
        rows.append(("left out", f"{len(calibration.left_out)} of {calibration.used} images: {shown}"))
    for word, text in (("halves", "first and second half"), ("shuffles", "random halves")):
        if moved := calibration.stability[word]:
            worst = f"at most {100 * moved['worst']:.0f} % ({moved['layer']})"
            rows.append(("ranges move", f"{100 * moved['median']:.1f} % between {text}, {worst}"))
    rows += [("finding", text_of(each.as_dict())) for each in calibration.findings] or [("findings", "none")]
    out.facts(name, rows)
    if ranges:
        table = [[r["layer"], f"{r['low']:.6g}", f"{r['high']:.6g}", r["method"]] for r in ranges]
        out.table("", ["layer", "low", "high", "method"], table, words=("method",))
