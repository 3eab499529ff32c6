"""`tfeff train NETWORK --dataset D --epochs N --out DIR`."""

import json
import math
import os
import shlex
import sys
import time
from collections.abc import Mapping
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
@click.option(
    "--dataset", required=True,
    help="fashion_mnist, a folder (one folder a class), or an .npz; for detectors fashion_scenes, or images with boxes "
    "as COCO, VOC or YOLO have them.",
)  # fmt: skip
@click.option("--epochs", type=int, required=True, help="Times through the training images.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, help="Folder for the preset and the state."
)
@click.option("--batch-size", type=int, help="[default: 128; detectors 32]")
@click.option(
    "--learning-rate", type=float, default=2e-3, show_default=True, help="AdamW's peak; warm-up, then cosine."
)
@click.option("--warm-up", type=float, default=1.0, show_default=True, help="Epochs of it, at most half of all.")
@click.option("--weight-decay", type=float, default=0.02, show_default=True)
@click.option("--label-smoothing", type=float, help="Of classes. [default: 0.05; detectors 0]")
@click.option(
    "--augment/--no-augment", default=True, show_default=True,
    help="Mirror and move images at random; with boxes also scale, stretch and recolour them.",
)  # fmt: skip
@click.option("--move", type=float, help="The largest move, a share of the size. [default: 0.125; detectors 0.1]")
@click.option("--input-size", metavar="N|HxW", help="Pixels. [default: 32; detectors 320]")
@click.option(
    "--loss", metavar="NAME",
    help="Of the scores of a detector without anchors: varifocal or quality_focal. [default: varifocal]",
)  # fmt: skip
@click.option(
    "--average", type=float,
    help="How much of the weights' moving average stays at each step; it is what is judged and kept. [default: 0, "
    "none; detectors 0.998]",
)  # fmt: skip
@click.option(
    "--backbone", metavar="PRESET|FILE",
    help="Begin with the weights that layers of the same names have there (a preset, its .json, or our .npz).",
)  # fmt: skip
@click.option(
    "--option", "words", multiple=True, metavar="NAME=VALUE",
    help="An option of the network, of its family's file: channels=48. Repeatable.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a preset of that name which this recipe did not make.")
@click.option("--seed", type=int, default=0, show_default=True)
@output_options
def command(
    network: str, dataset: str, epochs: int, folder: Path, input_size: str | None, words: tuple[str, ...], force: bool,
    out: Output, **options: Any,
) -> None:  # fmt: skip
    """Train NETWORK, a classifier or a detector, and leave a preset in --out, which `tfeff export OUT/NAME.json` takes.

    Run the same command again after a kill: it goes on from the last whole epoch. The weights kept are those of the
    epoch that is best on a twentieth of the training images held out, by top-1 or mAP; the test images are used once,
    at the end. Scenes of fashion_scenes are new ones in every epoch.
    """
    from tfeff.cli.source import parse_size
    from tfeff.errors import TfeffError
    from tfeff.networks import get_network, index

    if network not in index():
        get_network(network)  # says which names are near
    options |= {"input_size": parse_size(input_size), "options": _options(words)}
    if epochs < 1:
        raise TfeffError(f"--epochs must be at least 1, not {epochs}")

    from tfeff.cli.quiet import import_tensorflow

    import_tensorflow()
    from tfeff.training import recipe_for, train

    recipe = recipe_for(network, dataset, epochs, **options)
    if max(recipe.input_size) <= _SMALL_IMAGE:
        for variable, threads in SMALL_IMAGE_THREADS.items():  # read when TensorFlow first computes something
            os.environ.setdefault(variable, threads)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # the same command gives the same weights; it costs some 2 % of time
    started = time.monotonic()

    def report(row):
        if "note" in row:
            out.say(f"note: {row['note']}")
        elif "epoch" in row:
            seconds = time.monotonic() - started
            out.say(f"epoch {row['epoch']:3d}/{epochs}  loss {row['loss']:.4f}  "
                    f"held-out {_figures(row, 'validation')}  {seconds:.0f} s")  # fmt: skip
        else:
            out.say(f"test {_figures(row, 'test')}")

    told = shlex.join(["tfeff", *sys.argv[1:]])
    with out.progress("training") as advance:
        path = train(recipe, folder, command=told, force=force, report=report, progress=advance)
    out.say(f"preset {path}")
    out.json({"schema_version": 1, "preset": str(path)})


def _figures(row: Mapping[str, Any], kind: str) -> str:
    from tfeff.presets import FIGURES

    return ", ".join(f"{name} {row[f'{kind}_{key}']:.2f} %" for key, name in FIGURES.items() if f"{kind}_{key}" in row)


def _options(words: tuple[str, ...]) -> dict[str, str | bool | int | float]:
    """`channels=48` -> {"channels": 48}; numbers, true and false are what they look like.

    Raises:
        TfeffError: a word that is not of this form.
    """
    from tfeff.errors import TfeffError

    found: dict[str, str | bool | int | float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier() or not text:
            raise TfeffError(f"--option {word!r} is not NAME=VALUE", "--option channels=48")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if not isinstance(value, str | bool | int | float) or value != value or value in (math.inf, -math.inf):
            raise TfeffError(f"--option {word!r} is no plain value", "give a number, true, false or a name")
        found[name] = value
    return found
