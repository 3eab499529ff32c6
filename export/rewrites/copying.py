"""Copies of layers and operations, with all that they hold: variables, and whatever else Keras would save of them."""

import copy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from keras import layers

from tfeff.errors import TfeffError
from tfeff.layers.keras_private import flat_layers, forget_nodes, like_lambda, undrawn

COPIED = "_tfeff_copied"  # set on an operation whose name is that of the one it was copied from
SHARED = "_tfeff_shared"  # set on copies of a layer: what all copies of one layer have in common
# What saves its variables and no more: theirs are copied as weights already.
_PLAIN = {each.load_own_variables for each in (layers.Layer, layers.Dense, layers.EinsumDense, layers.Embedding,
                                               layers.Conv2D)}  # fmt: skip


class CannotRewrite(TfeffError):
    """The model has no graph that could be walked, or a layer that cannot be copied."""


def again(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a copy of the operation: what a rewrite does with what it leaves as it is."""
    if isinstance(operation, keras.layers.Layer):
        return copy_layer(operation)(*args, **kwargs)
    return copy_operation(operation)(*args, **kwargs)


def in_inference(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """What an operation gives as `predict` calls it: some layers take training for granted."""
    if isinstance(operation, keras.layers.Layer):
        return operation(*args, **{**kwargs, "training": False})
    return operation(*args, **kwargs)


def copy_operation(operation: Any) -> Any:
    """A Keras operation that is no layer (`x[..., 1:]`, `ops.reshape`) as if it had not been called yet."""
    fresh = copy.copy(operation)
    forget_nodes(fresh)
    setattr(fresh, COPIED, True)
    return fresh


def copy_layer(
    layer: keras.layers.Layer,
    name: str | None = None,
    change: Callable[[Any], Any] | None = None,
    config: Mapping[str, Any] | None = None,
    shared: Any = None,
) -> Callable[..., Any]:
    """What calls a new layer like `layer`, and gives it all that `layer` holds.

    Args:
        name: of the new one; the same without.
        change: what each weight passes through, of a layer that holds nothing but weights.
        config: parts of its config that are others.
        shared: what all copies of one layer have in common; what the layer itself has, without.

    Raises:
        CannotRewrite: a layer that does not say its config, or whose copy does not hold the same variables.
    """

    def call(*args, **kwargs):
        try:
            new = _fresh(layer, {"name": name or layer.name, **(config or {})})
        except Exception as error:  # a user's own layer may raise anything
            raise _cannot(layer, error) from None
        setattr(new, COPIED, True)
        mark_shared(new, layer, shared)
        with undrawn():
            outputs = new(*args, **kwargs)
        if change is None:
            copy_state(layer, new)
        else:
            new.set_weights([change(weight) for weight in layer.get_weights()])
        return outputs

    return call


def _fresh(layer, config):
    if isinstance(layer, layers.Lambda):  # whoever loaded it trusts its code, which no config may bring
        return like_lambda(layer, config["name"])
    return type(layer).from_config({**layer.get_config(), **config})


def mark_shared(new: keras.layers.Layer, layer: keras.layers.Layer, shared: Any = None) -> None:
    """Notes that a layer is a copy of another, with whatever that is a copy of."""
    if (key := getattr(layer, SHARED, shared)) is not None:
        setattr(new, SHARED, key)


def copy_state(layer: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Gives a built layer of the same config all that another holds, as saving and loading it would.

    Raises:
        CannotRewrite: it has other variables or parts, or its own way of saving fails.
    """
    try:
        for variable, held in zip(new.variables, layer.variables, strict=True):  # weights, and seeds, which are none
            variable.assign(held)
        for one, other in zip(flat_layers(layer), flat_layers(new), strict=True):
            _copy_saved(one, other)
    except Exception as error:  # a user's own layer may raise anything
        raise _cannot(layer, error) from None


def _copy_saved(layer, new):
    """What a layer saves of its own accord: constants made of its variables, arrays, vocabularies."""
    if type(layer).load_own_variables not in _PLAIN:
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        new.load_own_variables({key: keras.ops.convert_to_numpy(value) for key, value in store.items()})
    if hasattr(layer, "save_assets"):
        with tempfile.TemporaryDirectory(prefix="tfeff-assets-") as folder:
            layer.save_assets(str(Path(folder)))
            new.load_assets(str(Path(folder)))


def _cannot(layer, error):
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return CannotRewrite(
        f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied: {reason}",
        "give it a complete get_config(), and save_own_variables() for what is no weight",
    )
