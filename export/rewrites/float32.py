"""A model that computes in another floating point than float32, as one that computes in float32.

Mixed precision keeps its weights in float32 and computes in 16 bits; no converter takes its convolutions, and float32
is what those weights were trained for. A model whose weights have 16 or 64 bits themselves gets the nearest ones of 32.
"""

from collections.abc import Mapping
from typing import Any

import keras

from tfeff.export.rewrites.copying import CannotRewrite, copy_state
from tfeff.layers.keras_private import flat_layers

_OTHERS = ("float16", "bfloat16", "float64")
_POLICIES = ("mixed_float16", "mixed_bfloat16", *_OTHERS)
_ROUNDINGS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # half a unit in the last place, relative


def coarsest(model: Any) -> str | None:
    """The floating point of the fewest bits, other than float32, that some layer computes in; None without any."""
    found = {str(layer.compute_dtype) for layer in flat_layers(model)}
    return next((each for each in (*_ROUNDINGS, "float64") if each in found), None)


def rounding(dtype: str) -> float:
    """Largest relative error of one rounding to a floating point."""
    return _ROUNDINGS.get(dtype, 2.0**-24)


def in_float32(model: Any) -> Any:
    """A copy of a model with its weights in which every layer computes in float32; inputs and outputs are too.

    Raises:
        CannotRewrite: a layer that cannot be copied.
    """
    try:
        made = type(model).from_config(_plain(model.get_config()))
        if isinstance(model, keras.Sequential) and not made.built:
            made.build(model.input_shape)
    except Exception as error:  # a user's own layer may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CannotRewrite(
            f"{model.name}: computes in {coarsest(model)}, and cannot be copied in float32: {reason}",
            "give its layers a complete get_config()",
        ) from None
    if (left := coarsest(made)) is not None:
        raise CannotRewrite(
            f"{model.name}: a layer computes in {left} whatever its config says, so there is no copy in float32",
            "give it a dtype policy of float32, or a get_config() that holds its dtype",
        )
    copy_state(model, made)
    return made


def _plain(config: Any) -> Any:
    """A config in which every dtype policy, and every dtype that is another floating point, is float32."""
    if isinstance(config, Mapping):
        if config.get("class_name") == "DTypePolicy" and config.get("config", {}).get("name") in _POLICIES:
            return {**config, "config": {**config["config"], "name": "float32"}}
        return {key: "float32" if _is_other(key, value) else _plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_plain(each) for each in config)
    return config


def _is_other(key, value):
    return isinstance(key, str) and key.endswith("dtype") and isinstance(value, str) and value in _POLICIES
