"""What `tfeff info NETWORK --cost` adds: memory access, fragmentation, intensity and balance, row by row."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tfeff.artifact import open_artifact
from tfeff.cli.output import Output
from tfeff.errors import TfeffError


def cost_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `tfeff info` that concern --cost."""
    options = [
        click.option("--cost", is_flag=True, help="Memory access and the other terms of the papers, part by part."),
        click.option("--by", type=click.Choice(["stage", "block", "layer"]),
                     help="Rows of --cost: stages by stride (default), blocks by layer names, or single layers."),
        click.option("--latency-ms", type=float, metavar="X", help="With --cost: multiply-adds a second at X ms."),
        click.option("--record", type=click.Path(path_type=Path), metavar="FILE",
                     help="With --cost: the same at the latencies in an artifact's record."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def check_cost_options(cost: bool, by: str | None, latency_ms: float | None, record: Path | None) -> list[dict]:
    """Checks what can be checked before the network is built.

    Returns:
        The latencies: `latency_ms`, and where it comes from.

    Raises:
        TfeffError: options that do not go together, no latency in milliseconds, or a record that cannot be used.
    """
    if not cost:
        for option, value in (("--by", by), ("--latency-ms", latency_ms), ("--record", record)):
            if value is not None:
                raise TfeffError(f"{option}: says nothing without --cost", "add --cost")
        return []
    if latency_ms is not None and record is not None:
        raise TfeffError("--latency-ms and --record: both give a latency", "give one of them")
    if latency_ms is not None:
        if not 0 < latency_ms < math.inf:
            raise TfeffError(f"--latency-ms {latency_ms:g} is no latency", "give milliseconds, more than 0")
        return [{"source": "--latency-ms", "latency_ms": latency_ms}]
    return _recorded(record) if record is not None else []


def _recorded(path):
    artifact = open_artifact(path)
    record = artifact.record
    if record is None:
        raise TfeffError(f"{path}: has no record beside it", "give an artifact of `tfeff export`")
    if not record.latency:
        raise TfeffError(f"{path}: its record has no latency", f"`tfeff bench {artifact.path}` measures it")
    return [
        {
            "source": str(path),
            "device": entry.device,
            "runtime": entry.runtime or "runtime not known",
            "version": entry.version or "",
            "threads": entry.threads or 1,
            "latency_ms": entry.median_ms,
            "network": record.network,
            "macs": record.macs,
        }
        for entry in record.latency
    ]


def analyse_cost(
    model: Any, name: str, architecture: str, latencies: Sequence[dict[str, Any]]
) -> tuple[Any, list[dict[str, Any]]]:
    """Takes the cost apart.

    Args:
        architecture: the network's name as records have it.
        latencies: of `check_cost_options`.

    Returns:
        The analysis, and the computation efficiency at each latency.

    Raises:
        TfeffError: a model that cannot be counted, or a record of another network or form of it.
    """
    from tfeff.cost import analyse, madds_per_second

    try:
        analysis = analyse(model)
    except (ValueError, AttributeError) as error:
        raise TfeffError(f"{name}: {error}") from None
    efficiency = []
    for entry in latencies:
        network, macs = entry.pop("network", architecture), entry.pop("macs", None)
        if network != architecture:
            raise TfeffError(
                f"{entry['source']}: its record is of {network}, not of {architecture}", "give a record of this network"
            )
        if macs is not None and macs != analysis.counts.madds:
            raise TfeffError(
                f"{entry['source']}: its record counts {macs:,} multiply-adds, here are {analysis.counts.madds:,}",
                "give the preset, or --input-size and --classes, that it was exported with",
            )
        rate = madds_per_second(analysis.counts.madds, entry["latency_ms"])
        efficiency.append({**entry, "madds_per_second": rate})
    return analysis, efficiency


def cost_as_dict(analysis: Any, efficiency: Sequence[Mapping[str, Any]], by: str) -> dict:
    """The object under `cost` in the JSON."""
    return {
        "by": by,
        "rows": [row.as_dict() for row in analysis.rows(by)],
        "total": analysis.total.as_dict(),
        "efficiency": efficiency,
        "unknown": [{"name": name, "type": kind} for name, kind in analysis.unknown],
        "unlisted": [{"name": name, "type": kind} for name, kind in analysis.unlisted],
    }


def cost_notes(analysis: Any) -> list[str]:
    """What the figures leave out."""
    notes = []
    if analysis.unknown:
        notes.append(f"not counted, for their multiply-adds are not known: {_listed(analysis.unknown)}")
    if analysis.unlisted:
        notes.append(f"counted as a pass over memory that multiplies nothing: {_listed(analysis.unlisted)}")
    return notes


def _listed(layers):
    return ", ".join(f"{name} ({kind})" for name, kind in layers)


def print_cost(out: Output, analysis: Any, efficiency: Sequence[Mapping[str, Any]], by: str) -> None:
    """The tables for people."""
    columns = [
        by, "MAdds", "parameters", "MAC", "least MAC", "MAC / least", "by groups", "fragments", "parallel",
        "intensity", "PW : group", "elementwise",
    ]  # fmt: skip
    out.table(f"Cost by {by} (MAC in values)", columns, [_cells(row) for row in (*analysis.rows(by), analysis.total)])
    total = analysis.total
    out.table(
        "Memory access, values",
        ["", "values", "part"],
        [[kind.replace("_", " "), f"{values:,}", f"{values / total.memory_access:.1%}"]
         for kind, values in sorted(total.memory.items(), key=lambda item: -item[1])]
        + [["total", f"{total.memory_access:,}", ""]],
    )  # fmt: skip
    if efficiency:
        out.table(
            "Computation efficiency",
            ["latency from", "ms", "10^9 MAdds / s"],
            [[_source(entry), f"{entry['latency_ms']:.4g}", f"{entry['madds_per_second'] / 1e9:.2f}"]
             for entry in efficiency],
        )  # fmt: skip
    for note in cost_notes(analysis):
        out.say(f"note: {note}")


def _cells(row):
    def number(value, digits):
        return "-" if value is None else f"{value:,.{digits}f}"

    share = "-" if row.elementwise_share is None else f"{row.elementwise_share:.1%}"
    return [
        row.name, f"{row.madds:,}", f"{row.parameters:,}", f"{row.mac:,}", f"{row.least_mac:,.0f}",
        number(row.mac_ratio, 3), number(row.group_ratio, 3), f"{row.fragments}", f"{row.parallel}",
        number(row.intensity, 1), number(row.balance, 2), share,
    ]  # fmt: skip


def _source(entry):
    if "runtime" not in entry:
        return entry["source"]
    threads = f"{entry['threads']} thread{'s' if entry['threads'] > 1 else ''}"
    return f"{entry['device']}, {entry['runtime']} {entry['version']}, {threads}"
