"""`tfeff prune NETWORK --sparsity 0.5 --dataset D --epochs N`."""

from pathlib import Path
from typing import Any

import click

from tfeff.cli.compression import Kind, compression_options, run
from tfeff.cli.output import Output
from tfeff.errors import TfeffError


@click.command("prune")
@click.argument("network")
@click.option("--sparsity", type=float, required=True, help="Share of each kernel's weights that become 0: 0.5.")
@compression_options
def command(network: str, sparsity: float, destination: Path, out: Output, **options: Any) -> None:
    """Set the smallest weights of NETWORK to 0 while it is fine-tuned, and export it to int8.

    By magnitude, with tensorflow-model-optimization (`pip install 'tfeff[tfmot]'`). The zeros are counted in the
    finished file. They make a package smaller; time they save only where a runtime has kernels for them.
    """

    def check():
        if not 0 < sparsity < 1:
            raise TfeffError(f"--sparsity {sparsity:g}: must be above 0 and below 1", "0.5 makes half of them 0")

    def compress(model, training, **how):
        from tfeff.compress.tfmot import prune

        return prune(model, training, sparsity=sparsity, **how)

    run(Kind("pruning", "pruned", check, compress), network, destination, out, options)
