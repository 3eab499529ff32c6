"""`tfeff import-weights FILE --network NAME --out W`: another project's weights as ours."""

import hashlib
from pathlib import Path

import click

from tfeff.cli.output import Output, output_options


@click.command("import-weights")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--network", required=True, help="Whose weights they are; `tfeff list` names all.")
@click.option("--out", "destination", required=True, type=click.Path(path_type=Path), help="The .npz to write.")
@click.option("--layout", help="Where they come from: torchvision, timm, ... [default: found by the entries' names]")
@click.option("--classes", type=int, help="Number of classes. [default: as the file's classifier has them]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@output_options
def command(
    file: Path, network: str, destination: Path, layout: str | None, classes: int | None, force: bool, out: Output
) -> None:
    """Turn FILE, a state dict from elsewhere, into weights for NETWORK that `--weights` takes.

    FILE is a .safetensors or .npz, or a .pth, .pt or .bin where PyTorch is installed; nothing in it is ever run.
    Entries that are missing, left over or of another shape are an error. What is written knows the options (padding,
    epsilon, ...) that make the network the source's, and `tfeff export NETWORK --weights W` builds it so. See
    docs/weights.md.
    """
    from tfeff.networks import get_network, index

    if network not in index():
        get_network(network)  # says which names are near
    _check(file, destination, force)

    from tfeff.cli.quiet import import_tensorflow

    import_tensorflow()
    from tfeff.networks.weighted import import_file
    from tfeff.weights import save_weights

    model, metadata = import_file(file, network, layout=layout, classes=classes)
    save_weights(model, destination, metadata=metadata, force=force)
    digest = hashlib.sha256(destination.read_bytes()).hexdigest()
    values = sum(int(variable.shape.num_elements() or 1) for variable in model.weights)
    options = {k: v for k, v in metadata["arguments"].items() if k not in ("input_shape", "classes")}
    rows = [
        ("weights", f"{destination}  sha256 {digest[:12]}"),
        ("from", f"{file.name}, layout {metadata['source']['layout']}"),
        ("network", f"{network}, {metadata['arguments']['classes']} classes, {values:,} values"),
        ("built with", ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"),
    ]
    if "public" in metadata:
        figure = f"top-1 {metadata['top1']}" if "top1" in metadata else f"mAP {metadata['map']}"
        rows.append(("known as", f"{metadata['public']}, {metadata['licence']}, published {figure} %"))
    out.facts(f"{file} -> {destination}", rows)
    out.json({"schema_version": 1, "weights": str(destination), "sha256": digest, "values": values, **metadata})


def _check(file, destination, force):
    from tfeff.errors import TfeffError

    if destination.suffix != ".npz":
        raise TfeffError(f"--out {destination}: weights are written as .npz", "--out NAME.npz")
    if destination.exists() and file.exists() and destination.samefile(file):
        raise TfeffError(f"--out {destination}: is the file to be read", "choose another name")
    if destination.exists() and not force:
        raise TfeffError(f"{destination}: exists already", "give --force to replace it, or another --out")
    if not destination.parent.is_dir():
        raise TfeffError(f"--out {destination}: there is no folder {destination.parent}", "make it first")
