"""Building a network by its public name, with weights or without."""

from pathlib import Path
from typing import Any

from tfeff.networks.registry import get_network


def create(name: str, *, weights: str | Path | None = None, **arguments: Any) -> Any:
    """Builds a network by its public name.

    Args:
        name: as `list_networks` gives it.
        weights: a weight file of ours, or "pretrained" for the public file of this network (`tfeff list --pretrained`),
            which is fetched once and kept. The network is built with the options that the weights were made for.
        arguments: `input_shape` (h, w, c), `classes`, and the options of the family (see its file).

    Returns:
        A functional `keras.Model`, with random weights if none are given: (n, h, w, c) -> (n, classes), logits.

    Raises:
        TfeffError: an unknown name (the nearest ones are named), arguments the network cannot take or that contradict
            the weights, a file that cannot be fetched or read.
    """
    if weights is None:
        return get_network(name)(**arguments)
    from tfeff.networks.weighted import create_with_weights

    return create_with_weights(get_network(name), weights, **arguments)
