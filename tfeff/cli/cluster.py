"""`tfeff cluster NETWORK --clusters 16 --dataset D --epochs N`."""

from pathlib import Path
from typing import Any

import click

from tfeff.cli.compression import Kind, compression_options, run
from tfeff.cli.output import Output
from tfeff.errors import TfeffError


@click.command("cluster")
@click.argument("network")
@click.option("--clusters", type=int, required=True, help="Values that each kernel may have: 16.")
@compression_options
def command(network: str, clusters: int, destination: Path, out: Output, **options: Any) -> None:
    """Give the weights of each layer of NETWORK few values while it is fine-tuned, and export it to int8.

    With tensorflow-model-optimization (`pip install 'tfeff[tfmot]'`). The values are counted in the finished file, by
    output channel, for each has a scale of its own. They make a package smaller, and nothing faster.
    """

    def check():
        if clusters < 2:
            raise TfeffError(f"--clusters {clusters}: at least 2 are needed", "16 is usual")

    def compress(model, training, **how):
        from tfeff.compress.tfmot import cluster

        return cluster(model, training, clusters=clusters, **how)

    run(Kind("clustering", "clustered", check, compress), network, destination, out, options)
