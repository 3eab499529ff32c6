"""`tfeff info NETWORK`: built, counted, and set against what its paper prints; `--cost` takes its cost apart."""

from pathlib import Path
from typing import Any

import click

from tfeff.cli.described import describe_network, described_model
from tfeff.cli.info_cost import analyse_cost, check_cost_options, cost_as_dict, cost_notes, cost_options, print_cost
from tfeff.cli.output import Output, output_options
from tfeff.cli.source import parse_size, source_options


@click.command("info")
@click.argument("network")
@source_options
@cost_options
@output_options
def command(
    network: str, out: Output, cost: bool, by: str | None, latency_ms: float | None, record: Path | None, **source: Any
) -> None:
    """NETWORK in detail: parameters, MAdds and size, published against counted.

    NETWORK is a network's name, a preset or its alias, a .keras or a float .tflite file. With --input-size or --classes
    it is counted in that form, where no published figure applies. --cost adds what docs/cost.md defines: memory access
    and its least, fragmentation, element-wise share, computational intensity and block balance.
    """
    latencies = check_cost_options(cost, by, latency_ms, record)
    meant = (network, parse_size(source["input_size"]), source["classes"], source["imports"])
    if not cost:
        facts = describe_network(*meant)
        _print(out, facts)
        out.json({"schema_version": 1, **facts})
        return
    facts, model, architecture = described_model(*meant)
    analysis, efficiency = analyse_cost(model, network, architecture, latencies)
    facts["counted"] = analysis.counts.as_dict()
    _print(out, facts)
    print_cost(out, analysis, efficiency, by or "stage")
    costs = cost_as_dict(analysis, efficiency, by or "stage")
    out.json({"schema_version": 1, **facts, "cost": costs, "notes": cost_notes(analysis)})


def _print(out, facts):
    """The facts, and the published figures against the counted ones, for people."""
    counted, published = facts["counted"], facts["published"]
    outputs = _shapes(facts["outputs"], facts.get("output_names", ()))
    rows = [
        ("paper", facts["paper"]),
        ("input", _shapes(facts["inputs"])),
        ("classes", str(facts["classes"])) if facts["classes"] else ("output", outputs),
        ("parameters", f"{counted['parameters']:,} trainable, {counted['values']:,} stored"),
        ("MAdds", f"{counted['madds']:,}"),
        ("size", f"{4 * counted['values'] / 1e6:.2f} MB float32, about {counted['values'] / 1e6:.2f} MB int8"),
    ]
    rows = [(name, value) for name, value in rows if value]
    out.facts(facts["network"], rows)
    if published:
        from tfeff.cost import CONVENTIONS

        table = [
            [CONVENTIONS[key][0], f"{published[key]:,}", f"{value:,}", f"{value / published[key] - 1:+.2%}"]
            for key, value in facts["counted_as_published"].items()
        ]
        if table:
            out.table(f"Against {published['source']}", ["", "published", "counted so", "difference"], table)
        if "map" in published:
            out.say(f"published mAP on COCO: {published['map']} %")
        if "top1" in published:
            quantized = f", int8 {published['int8_top1']:.2f} %" if "int8_top1" in published else ""
            out.say(f"published ImageNet top-1: float {published['top1']:.2f} %{quantized}")
    if facts["training"]:
        from tfeff.presets import FIGURES

        told = facts["training"]
        known = [f"{name} {told[f'float_{key}']:.2f} %" for key, name in FIGURES.items() if f"float_{key}" in told]
        out.say(f"trained on {facts['dataset']}: float {', '.join(known)} on {told['samples']:,} images")


def _shapes(shapes, names=()):
    said = ["x".join(map(str, shape)) for shape in shapes]
    return ", ".join(f"{name} {shape}" for name, shape in zip(names, said, strict=True)) if names else ", ".join(said)
