"""Layers that hold their channels first, as ones that hold them last: the only order that TensorFlow Lite has kernels
for.

Each becomes Permute -> the same layer with its channels last -> Permute. What stands between two of them and treats
every value, or every channel, alone is done on the turned map, so that a Permute is left where the user's own order
begins and where it ends, and nowhere else.
"""

from typing import Any

import keras
from keras import layers

from tfeff.export.rewrites.copying import again, copy_layer
from tfeff.export.rewrites.graph import rebuild
from tfeff.layers.keras_private import flat_layers

FIRST, LAST = "channels_first", "channels_last"
# Layers of one input that treat every value alone.
_ALONE = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Rescaling, layers.Identity)
_MERGES = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
# By name, for Keras does not export the classes of its operations.
_OPERATIONS = {
    "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Relu", "ReLU", "Relu6", "Sigmoid",
    "Tanh", "Silu", "HardSilu", "HardSigmoid", "LeakyRelu", "Elu", "Gelu", "Softplus", "Clip", "Abs", "Absolute",
    "Negative", "Square", "Sqrt",
}  # fmt: skip


def holds_channels_first(operation: Any) -> bool:
    """Whether a layer has its channels first, in all that it takes and gives."""
    if getattr(operation, "data_format", None) != FIRST or not isinstance(operation, layers.Layer):
        return False
    return len(flat_layers(operation)) == 1 and not isinstance(operation, layers.RNN)


def with_channels_last(model: Any) -> Any:
    """A copy of an inlined model without such layers; itself where there are none.

    Raises:
        CannotRewrite: a layer that cannot be copied.
    """
    if not any(holds_channels_first(operation) for operation in model.operations):
        return model
    return rebuild(model, _Turned().call)


class _Turned:
    """Tensors with their channels first that are known as turned ones too."""

    def __init__(self):
        self._last: dict[int, Any] = {}  # by id of a tensor with its channels first: the same with them last
        self._alive: list[Any] = []  # an id means nothing once its tensor is gone

    def call(self, operation, *args, **kwargs):
        if holds_channels_first(operation):
            x = self.last(args[0])
            y = copy_layer(operation, config={"data_format": LAST})(x, *args[1:], **kwargs)
            return self.first(y) if _rank(y) == _rank(x) else y
        if (order := _order(operation)) is not None and self._is_known(args[0]) and order == to_last(_rank(args[0])):
            return self.last(args[0])
        tensors = [each for each in keras.tree.flatten((args, kwargs)) if isinstance(each, keras.KerasTensor)]
        turned = _of_channels(operation) if any(self._is_known(each) for each in tensors) else None
        if turned is None or len({_rank(each) for each in tensors}) != 1:
            made = again(operation, *args, **kwargs)
            if order is not None and order == to_first(_rank(made)):
                self._note(made, args[0])
            return made
        args, kwargs = keras.tree.map_structure(
            lambda each: self.last(each) if isinstance(each, keras.KerasTensor) else each, (args, kwargs)
        )
        if isinstance(operation, layers.Layer):
            return self.first(copy_layer(operation, config=turned)(*args, **kwargs))
        return self.first(again(operation, *args, **kwargs))

    def last(self, tensor):
        """A tensor with its channels moved behind."""
        if not self._is_known(tensor):
            self._note(tensor, layers.Permute(to_last(_rank(tensor)))(tensor))
        return self._last[id(tensor)]

    def first(self, tensor):
        """A tensor with its channels moved in front."""
        made = layers.Permute(to_first(_rank(tensor)))(tensor)
        self._note(made, tensor)
        return made

    def _is_known(self, tensor):
        return id(tensor) in self._last

    def _note(self, first, last):
        self._alive.append(first)
        self._last[id(first)] = last


def to_last(rank: int) -> tuple[int, ...]:
    """(n, c, ...) -> (n, ..., c), as `Permute` takes it."""
    return (*range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """(n, ..., c) -> (n, c, ...), as `Permute` takes it."""
    return (rank - 1, *range(1, rank - 1))


def _rank(tensor):
    return len(tensor.shape)


def _order(operation):
    """The order of the axes behind the batch, counted from 1, that an operation gives; None for any other."""
    if isinstance(operation, layers.Permute):
        return tuple(operation.dims)
    axes = getattr(operation, "axes", None) if type(operation).__name__ == "Transpose" else None
    return tuple(axes[1:]) if axes is not None and axes[0] == 0 else None


def _of_channels(operation):
    """What must change in the config of a layer that treats each value, or each channel, alone; None for any other."""
    name = type(operation).__name__
    if not isinstance(operation, layers.Layer):
        return {} if name in _OPERATIONS else None
    if type(operation) in (*_ALONE, *_MERGES):
        return {}
    if type(operation) is layers.Activation:
        return None if getattr(operation.activation, "__name__", "") in ("softmax", "log_softmax", "glu") else {}
    if type(operation) in (layers.BatchNormalization, layers.Concatenate) and operation.axis == 1:
        return {"axis": -1}
    return None
