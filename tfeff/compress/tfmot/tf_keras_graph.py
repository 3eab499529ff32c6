"""Builds a plan in tf_keras. For the child's process only."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tf_keras

from tfeff.compress.tfmot import tf_keras_layers as own

layers = tf_keras.layers

_MAKERS: dict[str, Callable[..., Any]] = {
    "conv2d": lambda groups, **c: layers.Conv2D(**c) if groups == 1 else own.GroupConv2D(groups=groups, **c),
    "depthwise": layers.DepthwiseConv2D,
    "conv2d_transpose": layers.Conv2DTranspose,
    "dense": layers.Dense,
    "batch_norm": layers.BatchNormalization,
    "add": layers.Add,
    "subtract": layers.Subtract,
    "multiply": layers.Multiply,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
    "concatenate": layers.Concatenate,
    "max_pool": layers.MaxPooling2D,
    "average_pool": layers.AveragePooling2D,
    "global_average_pool": layers.GlobalAveragePooling2D,
    "global_max_pool": layers.GlobalMaxPooling2D,
    "zero_padding": layers.ZeroPadding2D,
    "up_sampling": layers.UpSampling2D,
    "reshape": layers.Reshape,
    "permute": layers.Permute,
    "relu": layers.ReLU,
    "prelu": layers.PReLU,
    "activation": lambda function, **c: layers.Activation(function, **c),
    "hard_swish": own.HardSwish,
    "slice": own.Slice,
    "take": own.Take,
    "add_constant": own.AddConstant,
    "multiply_constant": own.MultiplyConstant,
    "maximum_constant": own.MaximumConstant,
    "minimum_constant": own.MinimumConstant,
}


def build(plan: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> Any:
    """The network of a plan, in tf_keras.

    Args:
        plan: `Plan.as_dict()`.
        weights: `Plan.weights`.

    Returns:
        A functional `tf_keras.Model`; its layers have the names of the plan's nodes.
    """
    tensors = {0: layers.Input(tuple(plan["shape"]), name="image")}
    for at, node in enumerate(plan["nodes"]):
        layer = _MAKERS[node["kind"]](name=node["name"], trainable=node["trainable"], **node["config"])
        inputs = [tensors[index] for index in node["inputs"]]
        tensors[node["output"]] = layer(inputs if len(inputs) > 1 else inputs[0])
        if node["weights"]:
            layer.set_weights([weights[f"{at}/{number}"] for number in range(node["weights"])])
    return tf_keras.Model(tensors[0], tensors[plan["output"]], name=plan["name"].replace("/", "_"))


def read_weights(model: Any, plan: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The weights of a model whose layers have the names of the plan's nodes, as `Plan.weights` has them."""
    found: dict[str, np.ndarray] = {}
    for at, node in enumerate(plan["nodes"]):
        if node["weights"]:
            values = model.get_layer(node["name"]).get_weights()
            found.update((f"{at}/{number}", value) for number, value in enumerate(values))
    return found
