"""What a weight file says of itself: the network, the options it was built with, where the weights come from.

Two networks can have the same weights and compute different things: padding, a BN's epsilon or an addition leave no
trace in the arrays. So a file carries the fingerprint of the graph that its weights were made for.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

KEY = "__metadata__"  # its entry in the .npz, a string of JSON
SCHEMA_VERSION = 1
# What changes the result of a layer, of Keras' layers and ours. Widths are not here: the arrays' shapes tell them.
_SETTINGS = (
    "activation", "assignment", "axis", "channels_per_group", "cropping", "data_format", "depth_multiplier", "dilation",
    "dilation_rate", "epsilon", "groups", "interpolation", "keepdims", "kernel_size", "max_value", "negative_slope",
    "padding", "parts", "pool_size", "scale", "shared_axes", "size", "stride", "strides", "threshold", "use_bias",
)  # fmt: skip
_IDLE = ("Dropout", "SpatialDropout2D")  # do nothing once trained


def fingerprint(model: Any) -> str:
    """sha256 of a functional model's graph: names, kinds, settings and connections of its layers, not their values.

    Equal for two input sizes, unless the graph differs, and with or without dropout.
    """
    config = model.get_config()
    idle = {layer["name"]: _inputs(layer) for layer in config["layers"] if layer["class_name"] in _IDLE}

    def sources(layer):
        for name in _inputs(layer):
            while name in idle:
                (name,) = idle[name]
            yield name

    graph = [
        [
            layer["name"],
            layer["class_name"],
            {key: layer["config"][key] for key in _SETTINGS if key in layer["config"]},
            [] if layer["class_name"] == "InputLayer" else list(sources(layer)),
        ]
        for layer in config["layers"]
        if layer["name"] not in idle
    ]
    text = json.dumps([graph, config.get("output_layers")], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _inputs(layer):
    """Names of the layers that a layer of a functional model's configuration reads, in order, with repetition."""
    found, rest = [], [layer.get("inbound_nodes", [])]
    while rest:
        value = rest.pop(0)
        if isinstance(value, Mapping):
            history = value.get("keras_history")
            rest = [*([] if history else value.values()), *rest]
            found += [history[0] if history[2] == 0 else f"{history[0]}:{history[2]}"] if history else []
        elif isinstance(value, (list, tuple)):
            rest = [*value, *rest]
    return found


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)


def encode(metadata: Mapping[str, Any]) -> np.ndarray:
    """Metadata as the array that the `.npz` holds under `KEY`."""
    return np.array(json.dumps({"schema_version": SCHEMA_VERSION, **metadata}, sort_keys=True, allow_nan=False))


def decode(value: np.ndarray) -> dict[str, Any]:
    """`encode`'s opposite.

    Raises:
        ValueError: not that, or of a later version.
    """
    metadata = json.loads(str(value))
    if not (
        isinstance(metadata, dict)
        and isinstance(metadata.get("network"), str)
        and isinstance(metadata.get("arguments"), dict)
    ):
        raise ValueError("its metadata is not understood")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"its metadata is of schema version {metadata.get('schema_version')}")
    return metadata


def in_words(metadata: Mapping[str, Any]) -> str:
    """The options of the build, as one would write them: `symmetric_padding=True, bn_epsilon=1e-05`."""
    arguments = metadata.get("arguments", {})
    options = {key: value for key, value in arguments.items() if key not in ("input_shape", "classes")}
    return ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
