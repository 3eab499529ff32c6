"""`tfeff info NETWORK`: built, counted, and set against what its paper prints."""

import click

from tfeff.cli.output import output_options
from tfeff.cli.subject import parse_size, source_options


@click.command("info")
@click.argument("network")
@source_options
@output_options
def command(network, out, **source):
    """NETWORK in detail: parameters, MAdds and size, published against counted.

    NETWORK is a network's name, a preset or its alias, or a .keras file. With --input-size or --classes it is counted
    in that form, where no published figure applies.
    """
    from tfeff.cli.subject import describe_network

    facts = describe_network(network, parse_size(source["input_size"]), source["classes"], source["imports"])
    counted, published = facts["counted"], facts["published"]
    rows = [
        ("paper", facts["paper"]),
        ("input", "x".join(map(str, facts["input_shape"]))),
        ("classes", str(facts["classes"])),
        ("parameters", f"{counted['parameters']:,} trainable, {counted['values']:,} stored"),
        ("MAdds", f"{counted['madds']:,}"),
        ("size", f"{4 * counted['values'] / 1e6:.2f} MB float32, about {counted['values'] / 1e6:.2f} MB int8"),
    ]
    rows = [(name, value) for name, value in rows if value]
    out.facts(facts["network"], rows)
    if published:
        table = [
            [label, f"{published[key]:,}", f"{counted[key]:,}", f"{counted[key] / published[key] - 1:+.2%}"]
            for key, label in (("parameters", "parameters"), ("values", "size (values)"), ("madds", "MAdds"))
            if key in published
        ]
        out.table(f"Against {published['source']}", ["", "published", "counted", "difference"], table)
        if "top1" in published:
            quantized = f", int8 {published['int8_top1']:.2f} %" if "int8_top1" in published else ""
            out.say(f"published ImageNet top-1: float {published['top1']:.2f} %{quantized}")
    if facts["training"]:
        out.say(f"trained on {facts['dataset']}: float top-1 {facts['training']['float_top1']:.2f} % "
                f"on {facts['training']['samples']:,} images")  # fmt: skip
    out.json({"schema_version": 1, **facts})
