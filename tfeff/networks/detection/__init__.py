"""Detectors, one system a file. Outputs are raw heads, maps by level and kind; the task `detection` decodes them."""

from typing import Any

from tfeff.networks.registry import get_network
from tfeff.tasks.detection_spec import DetectionSpec, read_spec


def spec_of(name: str, model: Any, **arguments: Any) -> DetectionSpec:
    """How the outputs of a detector become boxes.

    Args:
        name: public name of the network.
        model: as `create(name, **arguments)` built it.
        arguments: what it was built with.
    """
    return read_spec(get_network(name).meaning(model, **arguments).decode, f"network {name}")
