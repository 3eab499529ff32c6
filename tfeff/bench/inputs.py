"""Values for the inputs of a file: the same seed gives the same ones here, in a worker and on a phone."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfeff.bench.devices import find_device
from tfeff.bench.worker import random_values
from tfeff.errors import TfeffError
from tfeff.record.schema import Port


def seeded_inputs(ports: Iterable[Port], seed: int) -> dict[str, np.ndarray]:
    """Values for every input by name, of the file's own shapes and dtypes; those that a worker is timed with.

    Floats are standard normal, quantized integers take their full range, other integers and booleans are 0 or 1, for
    they may be indices.

    Raises:
        TfeffError: an input of a type that cannot be filled, such as text.
    """
    random, found = np.random.RandomState(seed), {}
    for port in ports:
        values = random_values(np, random, port.shape, port.dtype, port.scale > 0)
        if values is None:
            raise TfeffError(f"input {port.name}: type {port.dtype} cannot be filled with random values")
        found[port.name] = values
    return found


def local_inputs(path: Path, seed: int) -> dict[str, np.ndarray]:
    """`seeded_inputs` of a file, by what this machine's runtime says of it; empty where it cannot run it."""
    try:
        with find_device("local").start() as handle:
            return seeded_inputs(handle.load(path, seed=seed).inputs, seed)
    except TfeffError:
        return {}
