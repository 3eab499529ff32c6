"""`tfeff train NETWORK --dataset D --epochs N --out DIR`."""

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from tfeff.cli.output import Output, output_options

# A small network's operations are too short to be worth splitting, but its parallel paths are worth running side by
# side.
SMALL_IMAGE_THREADS = {
    "TF_NUM_INTEROP_THREADS": "2",
    "TF_NUM_INTRAOP_THREADS": str(max(1, (os.cpu_count() or 2) // 2)),
}
_SMALL_IMAGE = 64  # pixels


@click.command("train")
@click.argument("network")
@click.option("--dataset", required=True, help="fashion_mnist, a folder (one folder a class), or an .npz.")
@click.option("--epochs", type=int, required=True, help="Times through the training images.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, help="Folder for the preset and the state."
)
@click.option("--batch-size", type=int, default=128, show_default=True)
@click.option(
    "--learning-rate", type=float, default=2e-3, show_default=True, help="AdamW's peak; warm-up, then cosine."
)
@click.option("--weight-decay", type=float, default=0.02, show_default=True)
@click.option("--label-smoothing", type=float, default=0.05, show_default=True)
@click.option("--augment/--no-augment", default=True, show_default=True, help="Mirror and move images at random.")
@click.option("--move", type=float, default=0.125, show_default=True, help="The largest move, a share of the size.")
@click.option("--input-size", default="32", show_default=True, metavar="N|HxW", help="Pixels.")
@click.option("--force", is_flag=True, help="Replace a preset of that name which this recipe did not make.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(
    network: str, dataset: str, epochs: int, folder: Path, input_size: str, force: bool, out: Output, **options: Any
) -> None:
    """Train NETWORK and leave a preset in --out, which `tfeff export OUT/NAME.json` takes.

    Run the same command again after a kill: it goes on from the last whole epoch. The weights kept are those of the
    epoch that is best on a twentieth of the training images held out; the test images are used once, at the end.
    """
    from tfeff.cli.source import parse_size
    from tfeff.errors import TfeffError
    from tfeff.networks import get_network, index

    if network not in index():
        get_network(network)  # says which names are near
    size = parse_size(input_size)
    if epochs < 1:
        raise TfeffError(f"--epochs must be at least 1, not {epochs}")

    from tfeff.cli.quiet import import_tensorflow

    if size is not None and max(size) <= _SMALL_IMAGE:
        for variable, threads in SMALL_IMAGE_THREADS.items():
            os.environ.setdefault(variable, threads)
    import_tensorflow()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # the same command gives the same weights; it costs some 2 % of time
    from tfeff.training import Recipe, train

    started = time.monotonic()

    def report(row):
        if "note" in row:
            out.say(f"note: {row['note']}")
        elif "epoch" in row:
            seconds = time.monotonic() - started
            out.say(f"epoch {row['epoch']:3d}/{epochs}  loss {row['loss']:.4f}  "
                    f"held-out top-1 {row['validation_top1']:.2f} %  {seconds:.0f} s")  # fmt: skip
        else:
            out.say(f"test top-1 {row['test_top1']:.2f} %")

    words = shlex.join(["tfeff", *sys.argv[1:]])
    recipe = Recipe(network, dataset, epochs, input_size=size, **options)
    with out.progress("training") as advance:
        path = train(recipe, folder, command=words, force=force, report=report, progress=advance)
    out.say(f"preset {path}")
    out.json({"schema_version": 1, "preset": str(path)})
