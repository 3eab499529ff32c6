"""tfmot's quantization-aware training as it comes, without our configs: to say what those are for. For the child's
process only."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras

from tfeff.compress.tfmot import tf_keras_layers as own
from tfeff.compress.tfmot.write_child import write_int8
from tfeff.data import InputPort


def stock(model: Any, request: Mapping[str, Any], tell: Callable[..., None]) -> dict:
    """Quantizes `model` by tfmot's own table of layers and converts it, untrained; a refusal is an answer."""
    layers = {each.__name__: each for each in vars(own).values() if isinstance(each, type)}

    def plain(layer):
        return tf_keras.layers.Conv2D.from_config(layer.get_config()) if isinstance(layer, own.GroupConv2D) else layer

    try:
        model = tf_keras.models.clone_model(model, clone_function=plain)
        with tfmot.quantization.keras.quantize_scope(layers):
            quantized = tfmot.quantization.keras.quantize_model(model)
        tell("converting", 0, 0)
        port = InputPort("image", tuple(request["plan"]["shape"]))
        write_int8(quantized, port, "logits", Path(request["path"]), "int8")
    except Exception as error:  # tfmot and the converter raise whatever they like
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"refused": " ".join(lines)[:300] or type(error).__name__}
    return {"refused": None}
