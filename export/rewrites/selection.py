"""Operations that only pick channels, whatever they are spelled like, found by running them on numbered values."""

from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.export.rewrites.graph import GraphView
from tfeff.layers import ChannelShuffle, ChannelSplit
from tfeff.layers.keras_private import only_node

# By name, for Keras does not export the classes of its operations.
_SHAPE_OPERATIONS = {"Reshape", "Transpose", "Permute", "ExpandDims", "Squeeze", "Moveaxis", "Swapaxes"}
_PICKING_OPERATIONS = {"Split", "GetItem", "Take", "Flip"}
_LONGEST = 5  # operations of a shuffle
_EXACT = 2**24  # float32 holds every whole number up to here


def selection(operation: Any, graph: GraphView) -> tuple[list, list[np.ndarray]] | None:
    """The chain of operations from `operation` on that picks channels of its input, and which.

    Returns:
        (operations, for each output of the last the channels of the input, in order); None when it does anything else.
    """
    name = type(operation).__name__
    inputs = keras.tree.flatten(operation.input)
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        return None
    if isinstance(operation, (ChannelShuffle, ChannelSplit)) or name in _PICKING_OPERATIONS:
        return _picks([operation])
    if name not in _SHAPE_OPERATIONS:
        return None
    chain = [operation]
    while len(chain) < _LONGEST and chain[-1] is not None:
        following = graph.only_consumer(chain[-1])
        if following is None or type(following).__name__ not in _SHAPE_OPERATIONS:
            return None
        chain.append(following)
        if chain[-1].output.shape == inputs[0].shape and (found := _picks(chain)):
            return found
    return None


def _picks(chain):
    shape = keras.tree.flatten(chain[0].input)[0].shape[1:]
    if None in shape or np.prod(shape) >= _EXACT:
        return None
    height, width, channels = shape
    numbered = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    try:
        values: Any = numbered
        for operation in chain:
            values = run_as_called(operation, values)
        values = [np.asarray(value) for value in keras.tree.flatten(values)]
    except (ValueError, TypeError):
        return None
    picks = []
    for value in values:
        if value.ndim != 4 or value.shape[1:3] != (height, width):
            return None
        pick = value[0, 0, 0].astype(int)
        if np.any(pick >= channels) or not np.array_equal(value[0], numbered[0][..., pick]):
            return None
        picks.append(pick)
    return chain, picks


def run_as_called(operation: Any, values: Any) -> Any:
    """Runs an operation of one input as it was called in the model, other arguments included."""
    if isinstance(operation, layers.Layer):
        return operation(values)
    node = only_node(operation)
    args, kwargs = node.arguments({id(node.inputs[0]): keras.ops.convert_to_tensor(values)})
    return operation.call(*args, **kwargs)
