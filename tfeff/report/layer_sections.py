"""What a report says of an artifact's layers, as `tfeff debug --record` measured them."""

from typing import Any

from tfeff.record import words
from tfeff.report import layer_charts
from tfeff.report.blocks import Chart, Measured, Missing, Section, Table, Words
from tfeff.report.reported import Reported
from tfeff.report.text import Mono, between, decibels, plural, share, short

_LAYERS = 12  # rows of a table; `--format json` has all


def layer_sections(item: Reported, hints: bool = True) -> list[Section]:
    """Error and ranges along the network.

    Args:
        hints: see `layer_charts.errors`.
    """
    debug = item.record.debug
    titles = "Error, layer by layer", "Activation ranges and clipping"
    if debug is None or not debug.layers:
        command = item.command("debug", "--record")
        whats = "the layers' error (SNR)", "ranges that occurred, and what is clipped"
        return [Section(title, [Missing(what, command)]) for title, what in zip(titles, whats, strict=True)]
    layers = debug.layers
    measured = [("quantized", debug.sha256)]
    measured += [("float", debug.float_sha256)] if debug.float_sha256 else []
    return [
        Section(titles[0], [*_errors(debug, layers, hints), Measured(measured)]),
        Section(titles[1], [*_ranges(layers, hints), Measured(measured)]),
    ]


def _errors(debug, layers, hints):
    against = "the float file" if debug.float_sha256 else "the file without its grids"
    on = f"On {debug.samples:,} samples of {short(debug.images)}"
    blocks: list[Any] = [Words(f"{on}; the outputs have {_sqnr(debug)} against {against}.")]
    if debug.output is not None:
        blocks.append(Words(f"Shares are of the error of the output {short(debug.output, 80)}."))
    if len(debug.ports) > 1:
        said = "; ".join(f"{port.name} {words.sqnr(port) or words.likeness(port)}" for port in debug.ports)
        blocks.append(Words(f"Output by output: {short(said, 600)}."))
    if debug.simulation is not None and not debug.simulation.agrees:
        blocks.append(Words("The simulation does not agree with the file: shares are to be doubted.", warning=True))
    worst = layer_charts.worst_layers(layers)
    marked = {id(row): str(n) for n, row in enumerate(worst, 1)}
    ranked = sorted(layers, key=lambda row: -(row.error_share or 0.0))[:_LAYERS]
    rows = [
        [
            marked.get(id(row), ""), Mono(short(row.layer, 80)), short(row.op, 60),
            _share(row),
            decibels(row.sqnr_db), decibels(row.local_sqnr_db),
        ]
        for row in ranked
    ]  # fmt: skip
    columns = ["mark", "layer", "operation", "share of the outputs' error", "SQNR here", "SQNR alone"]
    blocks += [
        Chart(
            layer_charts.errors(layers, hints),
            "SQNR in dB, input on the left: bars, each layer alone; line, the file up to there. Low is bad.",
        ),
        Table(
            f"The worst of {plural(len(layers), 'layer')}, by how much of the error goes when one alone is in float",
            columns, rows, frozenset(columns[3:]),
        ),
    ]  # fmt: skip
    return blocks


def _share(row):
    error = row.error_share_se
    return share(row.error_share, 1) + ("" if error is None else f" ± {share(error, 1)}")


def _sqnr(debug):
    value = debug.output_sqnr_db
    return "no error" if value is None else f"{value:.1f} dB SQNR"


def _ranges(layers, hints):
    ranked = sorted(layers, key=lambda row: (-(row.clipped_share or 0.0), row.range_use or 0.0))[:_LAYERS]
    marked = {id(row): str(n) for n, row in enumerate(layer_charts.most_clipped(layers), 1)}
    rows = [
        [
            marked.get(id(row), ""), Mono(short(row.layer, 80)), _interval(row.range),
            _interval(row.seen), share(row.range_use, 0), share(row.clipped_share, 3),
        ]
        for row in ranked
    ]  # fmt: skip
    columns = ["mark", "layer", "range of the file", "values in the file", "range use", "clipped"]
    return [
        Chart(
            layer_charts.ranges(layers, hints),
            "Use below 25 % is marked: the range may be too wide. More than a few per mille clipped: too narrow.",
        ),
        Table(f"The most clipped of {plural(len(layers), 'layer')}", columns, rows, frozenset(columns[2:])),
    ]


def _interval(pair):
    return between(pair, "{:.4g}".format) if pair else ""
