"""`tfeff list`: networks and presets, from the index alone."""

import click

from tfeff.cli.output import Output, output_options


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--presets", "only_presets", is_flag=True, help="Only what is trained and bundled.")
@click.option("--pretrained", is_flag=True, help="Only public weight files, which `--weights pretrained` fetches.")
@output_options
def command(pattern: str, only_presets: bool, pretrained: bool, out: Output) -> None:
    """Networks and presets whose name matches PATTERN (shell style, e.g. 'vargnet_v2*').

    Counts are for 224x224 and 1000 classes, of detectors for the size and classes that they are made for: parameters
    are trainable values, MAdds are multiply-adds of one image.
    """
    from tfeff import presets
    from tfeff.networks import index, list_networks

    if pretrained:
        return _show_public(pattern, out)
    networks = [] if only_presets else list_networks(pattern)
    bundled = presets.list_presets()
    names = sorted(name for name in bundled if _matches(name, pattern))
    alias_of = {name: alias for alias, name in presets.aliases().items()}
    trained = [presets.load_preset(name) for name in names]
    if networks:
        rows = [_row(name, index()[name]) for name in networks]
        out.table("Networks", ["name", "parameters", "MAdds", "published", "float32", "int8", "top-1, mAP"], rows)
    if trained:
        rows = [
            [
                p.name, alias_of.get(p.name, ""), "x".join(map(str, p.preprocessing.shape)),
                _figure(p), f"{p.weights.stat().st_size / 1e6:.2f} MB",
            ]
            for p in trained
        ]  # fmt: skip
        out.table("Presets (trained, bundled)", ["name", "alias", "input", "float", "weights"], rows)
    if not networks and not trained:
        out.say(f"nothing matches {pattern!r}")
    out.json(
        {
            "schema_version": 1,
            "networks": {name: index()[name] for name in networks},
            "presets": {p.name: {"alias": alias_of.get(p.name), **_describe(p)} for p in trained},
        }
    )


def _show_public(pattern, out):
    from dataclasses import asdict

    from tfeff.weights.public import list_public

    files = [file for file in list_public() if _matches(file.name, pattern) or _matches(file.network, pattern)]
    rows = [[f.name, f.published, f.licence, f.layout, f"{f.sha256}...", f.file] for f in files]
    if rows:
        out.table("Public weight files", ["name", "published", "licence", "layout", "sha256", "file"], rows)
    else:
        out.say(f"nothing matches {pattern!r}")
    out.json({"schema_version": 1, "public": {file.name: asdict(file) for file in files}})


def _matches(name, pattern):
    """Shell-style match, as `list_networks` does it."""
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)


def _row(name, entry):
    counted, published = entry["counted"], entry["published"]
    deviation = f"{counted['madds'] / published['madds'] - 1:+.2%}" if published.get("madds") else ""
    accuracy = f"{published['map']:.1f} mAP" if "map" in published else ""
    accuracy = f"{published['top1']:.2f} %" if "top1" in published else accuracy
    return [
        name,
        f"{counted['parameters'] / 1e6:.3f} M",
        f"{counted['madds'] / 1e6:.1f} M",
        deviation,
        f"{4 * counted['values'] / 1e6:.2f} MB",
        f"{counted['values'] / 1e6:.2f} MB",
        accuracy,
    ]


def _figure(preset):
    from tfeff.presets import FIGURES

    key, value = preset.figure
    return f"{FIGURES[key]} {value:.2f} %"


def _describe(preset):
    key, value = preset.figure
    return {
        "network": preset.network,
        "arguments": dict(preset.arguments),
        "dataset": preset.dataset,
        f"float_{key}": value,
        "samples": preset.training["samples"],
    }
