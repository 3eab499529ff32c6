"""Where a fake-quant graph rounds: what each layer of a network becomes in an int8 file.

The rules are TensorFlow Lite's: which operations compute (their output has a range of its own), which only hand on
values (their output has the scale of their input), which have a fixed output scale, and what is fused into what.
"""

from typing import Any

import keras
from keras import layers

from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import relu_of
from tfeff.layers import ChannelShuffle, ChannelSplit, DepthToSpace, GroupConv2D, Resize2D, SpaceToDepth
from tfeff.layers.keras_private import maker, nodes_of
from tfeff.layers.reciprocal_root import ReciprocalRoot
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D

WEIGHTED = (
    layers.Dense,
    layers.Conv1D,
    layers.Conv2D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    GroupConv2D,
)
_EXACT_KINDS = (*WEIGHTED, StridedDilatedDepthwiseConv2D)  # not what a user derives from them


def _of_any_rank(*kinds):
    return tuple(getattr(layers, f"{kind}{rank}D") for kind in kinds for rank in (1, 2, 3))


_AVERAGES, _UPSAMPLINGS = _of_any_rank("AveragePooling"), _of_any_rank("UpSampling")
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)
_SAME_SCALE = (
    *_of_any_rank("MaxPooling", "AveragePooling", "GlobalMaxPooling", "ZeroPadding", "Cropping", "UpSampling"),
    layers.Concatenate,
    layers.Maximum,
    layers.Minimum,
    layers.Reshape,
    layers.Flatten,
    layers.Permute,
    layers.RepeatVector,
    ChannelShuffle,
    ChannelSplit,
    DepthToSpace,
    Resize2D,
    SpaceToDepth,
)
# By name, for Keras does not export the classes of its operations.
_SAME_SCALE_OPERATIONS = {
    "Reshape", "Transpose", "Permute", "ExpandDims", "Squeeze", "Moveaxis", "Swapaxes", "Split", "GetItem", "Take",
    "Flip", "Concatenate", "Stack", "Pad", "Ravel", "Tile", "Repeat", "Maximum", "Minimum",
}  # fmt: skip
_COMPUTED = (
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    *_of_any_rank("GlobalAveragePooling"),
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.Rescaling,
    layers.Average,
    layers.Normalization,
    layers.Softmax,
    layers.Activation,
    ReciprocalRoot,
)
_COMPUTED_OPERATIONS = {
    "Add", "Subtract", "Multiply", "Mean", "Relu", "Relu6", "ReLU", "Sigmoid", "Tanh", "Softmax",
    "HardSilu", "HardSigmoid", "LeakyRelu", "Max", "Negative", "Absolute",
}  # fmt: skip
# Operations whose int8 output has a scale that the specification fixes: (low, high).
_UNIT = (0.0, 255 / 256)
_FIXED = {"sigmoid": _UNIT, "softmax": _UNIT, "Sigmoid": _UNIT, "Softmax": _UNIT, "tanh": (-1.0, 127 / 128),
          "Tanh": (-1.0, 127 / 128)}  # fmt: skip
# Where the converter fuses a ReLU that follows.
_FUSES_RELU = (layers.Add, layers.Subtract, layers.Multiply)
_FUSES_RELU_OPERATIONS = {"Add", "Subtract", "Multiply"}
_KNOWN_ACTIVATIONS = {
    "linear", "relu", "relu6", "sigmoid", "tanh", "hard_silu", "hard_sigmoid", "softmax", "leaky_relu", "gelu", "elu",
}  # fmt: skip


def kind_of(operation: Any) -> str | None:
    """What an operation is in an int8 file.

    Returns:
        "weighted", "same-scale" (hands on values), "computed" (has a range of its own), "fixed" (its range is given by
        the specification), or None for what is not known here.
    """
    name = type(operation).__name__
    if type(operation) in _EXACT_KINDS:
        return "weighted"
    if isinstance(operation, _SAME_SCALE) or (not _is_layer(operation) and name in _SAME_SCALE_OPERATIONS):
        return "same-scale"
    if fixed_range(operation) is not None:
        return "fixed"
    if isinstance(operation, layers.Activation):
        return "computed" if activation_name(operation) in _KNOWN_ACTIVATIONS else None
    if isinstance(operation, _COMPUTED) or (not _is_layer(operation) and name in _COMPUTED_OPERATIONS):
        return "computed"
    return None


def rounds(operation: Any) -> bool:
    """Whether a same-scale operation makes values that were not in its input, and so must round."""
    if isinstance(operation, (*_UPSAMPLINGS, Resize2D)):
        return getattr(operation, "interpolation", "nearest") != "nearest"
    return isinstance(operation, _AVERAGES)


def fixed_range(operation: Any) -> tuple[float, float] | None:
    """The range that the specification gives an operation's output, None where it has none."""
    if isinstance(operation, layers.Softmax):
        return _UNIT
    if isinstance(operation, layers.Activation) or type(operation) in _EXACT_KINDS:
        return _FIXED.get(activation_name(operation))
    return None if _is_layer(operation) else _FIXED.get(type(operation).__name__)


def useful_range(tensor: Any, graph: GraphView) -> tuple[float | None, float | None] | None:
    """What of a tensor's values makes a difference, where that is less than all: hard-swish and hard-sigmoid are 0
    below -3, hard-sigmoid is 1 above 3, spelled as one layer or as what `rewrites.hard_swish` makes of them; a
    reciprocal root says itself.

    Args:
        graph: a `GraphView` of its model.

    Returns:
        (lowest, highest), None for an open end; None where all values count.
    """
    operation = maker(tensor)
    if isinstance(operation, ReciprocalRoot) and operation.highest is not None:
        return None, operation.highest
    readers = graph.consumers(tensor)
    if not readers or graph.is_output(tensor):
        return None
    gates = [reader for reader in readers if _is_gate(reader, graph)]
    gated = {id(graph.only_consumer(gate).output) for gate in gates}
    others = [reader for reader in readers if reader not in gates]
    names = [activation_name(each) if isinstance(each, layers.Activation) else None for each in others]
    if all(name == "hard_sigmoid" for name in names):
        return -3.0, 3.0
    for reader, name in zip(others, names, strict=True):
        if name not in ("hard_silu", "hard_sigmoid") and not _multiplies(reader, tensor, gated):
            return None
    return -3.0, None


def _is_gate(operation, graph):
    """Whether it is the x + 3 of relu6(x + 3)."""
    if _is_layer(operation) or type(operation).__name__ != "Add":
        return False
    numbers = [each for each in nodes_of(operation)[0].given() if isinstance(each, (int, float))]
    following = graph.only_consumer(operation)
    return numbers == [3.0] and following is not None and relu_of(following) == "relu6"


def _multiplies(operation, tensor, gates):
    """Whether it is the product of a tensor with one of its own gates."""
    if not isinstance(operation, layers.Multiply):
        return False
    factors = {id(each) for each in keras.tree.flatten(operation.input)} - {id(tensor)}
    return bool(factors) and factors <= gates


def is_hard_sigmoid(operation: Any) -> bool:
    """Whether it is relu6(x + 3) / 6, a layer or not."""
    if isinstance(operation, layers.Activation):
        return activation_name(operation) == "hard_sigmoid"
    return not _is_layer(operation) and type(operation).__name__ == "HardSigmoid"


def activation_name(layer: Any) -> str:
    """The name of the activation that a layer applies last."""
    return getattr(layer.activation, "__name__", type(layer.activation).__name__)


def fuses_relu(operation: Any) -> bool:
    """Whether the converter makes one operation of it and a ReLU behind it."""
    if type(operation) in _EXACT_KINDS:
        return operation.activation is keras.activations.linear
    if isinstance(operation, (*POOLS, *_FUSES_RELU)):
        return True
    return not _is_layer(operation) and type(operation).__name__ in _FUSES_RELU_OPERATIONS


def is_fused_activation(layer: Any) -> bool:
    """Whether a weighted layer's own activation is one that int8 kernels have built in."""
    return activation_name(layer) in ("linear", "relu", "relu6")


def is_fusible_relu(operation: Any) -> bool:
    """Whether it is a ReLU that int8 kernels have built in."""
    return fused_relu(operation) is not None


def fused_relu(operation: Any) -> str | None:
    """The name of the ReLU that an operation is, a layer or not, where int8 kernels have it built in."""
    if _is_layer(operation):
        return relu_of(operation)
    name = type(operation).__name__
    if name == "ReLU":  # of `keras.activations.relu`
        if operation.negative_slope or operation.threshold:
            return None
        return {None: "relu", 6: "relu6"}.get(operation.max_value)
    return {"Relu": "relu", "Relu6": "relu6"}.get(name)


def _is_layer(operation):
    return isinstance(operation, layers.Layer)
