"""What sort of work a layer is, and the memory it passes over."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from tfeff.cost.counting import CONVOLUTIONS
from tfeff.cost.graph import Call
from tfeff.layers import (
    ActiveShift2D,
    ChannelShuffle,
    ChannelSplit,
    DepthToSpace,
    GroupConv2D,
    GroupShift2D,
    Resize2D,
    SpaceToDepth,
    SparseShift2D,
)

# G4 (arXiv 1807.11164): little arithmetic for the memory that they pass over. The paper names ReLU, the addition of
# tensors and of a bias, and depthwise convolutions; a shift is a depthwise convolution in every converted file.
ELEMENTWISE = ("depthwise", "shift", "batch_norm", "bias", "activation", "add", "multiply")
# Values are only moved, or few are made of many.
MOVING = ("pool", "concatenate", "split", "shuffle", "pad", "resize")
KINDS = ("convolution", "fully_connected", *ELEMENTWISE, *MOVING, "other")

_KINDS = {
    "fully_connected": (layers.Dense,),
    "shift": (GroupShift2D, ActiveShift2D, SparseShift2D),
    "batch_norm": (layers.BatchNormalization,),
    "activation": (layers.ReLU, layers.PReLU, layers.LeakyReLU, layers.ELU, layers.Softmax, layers.Activation),
    "add": (layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum),
    "multiply": (layers.Multiply, layers.Rescaling, layers.Normalization),
    "pool": (
        layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D,
    ),
    "concatenate": (layers.Concatenate,),
    "split": (ChannelSplit,),
    "shuffle": (ChannelShuffle, DepthToSpace, SpaceToDepth, layers.Permute),
    "pad": (layers.ZeroPadding2D, layers.Cropping2D),
    "resize": (layers.UpSampling2D, layers.Resizing, Resize2D),
    # Nothing at all when the network is used, or another view of the same memory.
    None: (
        layers.Dropout, layers.SpatialDropout2D, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise,
        layers.Identity, layers.ActivityRegularization, layers.Flatten, layers.Reshape,
    ),
}  # fmt: skip
# `keras.ops` in a functional model (`x + y`, `ops.relu(x)`) have classes of their own.
_OPERATIONS = {
    "add": {"Add", "Subtract", "Maximum", "Minimum"},
    "multiply": {"Multiply", "Divide", "TrueDivide"},
    "activation": {"Relu", "Relu6", "LeakyRelu", "Elu", "Gelu", "Silu", "HardSilu", "Sigmoid", "HardSigmoid", "Tanh",
                   "Softmax", "Clip"},
    "concatenate": {"Concatenate"},
    "split": {"Split"},
    "pad": {"Pad"},
    "shuffle": {"Transpose"},
    "pool": {"MaxPool", "AveragePool"},
    None: {"Reshape", "Squeeze", "ExpandDims"},
}  # fmt: skip


def kind_of(call: Call) -> str | None:
    """One of `KINDS`; None for what does nothing when the network is used, "other" for what is not known here."""
    operation = call.operation
    if isinstance(operation, CONVOLUTIONS):
        return "depthwise" if groups_of(call) == call.inputs[0][-1] > 1 else "convolution"
    if isinstance(operation, layers.Activation) and _is_linear(operation.activation):
        return None
    if not isinstance(operation, layers.Layer):
        return next((kind for kind, names in _OPERATIONS.items() if call.type in names), "other")
    return next((kind for kind, classes in _KINDS.items() if isinstance(operation, classes)), "other")


def groups_of(call: Call) -> int:
    """Groups of a convolution; 1 for a fully connected layer."""
    layer = call.operation
    if isinstance(layer, layers.DepthwiseConv2D):
        return call.inputs[0][-1]
    if isinstance(layer, (layers.Conv2D, GroupConv2D)):
        return layer.groups
    return 1


def memory_of(call: Call) -> dict[str, int]:
    """Values that a call reads and writes, by kind: inputs, outputs and weights, each once.

    Every layer is a pass of its own, as the graph is written. A convolution's or fully connected layer's bias and
    activation are further passes over its output. The four values a channel of a BN are folded into a scale and a
    shift.

    Raises:
        ValueError: an open image size.
    """
    kind, layer = kind_of(call), call.operation
    if kind is None:
        return {}
    inputs, outputs = (sum(values(call, shape) for shape in side) for side in (call.inputs, call.outputs))
    multiplies = kind in ("convolution", "depthwise", "fully_connected")
    if multiplies:
        weights = math.prod(layer.kernel.shape)
    elif kind == "batch_norm":
        weights = 2 * call.inputs[0][layer.axis]
    else:
        weights = sum(math.prod(v.shape) for v in getattr(layer, "weights", ()))
    passes = {kind: inputs + outputs + weights}
    if multiplies and layer.use_bias:
        passes["bias"] = 2 * outputs + call.outputs[0][-1]
    if multiplies and not _is_linear(layer.activation):
        passes["activation"] = 2 * outputs
    return passes


def values(call: Call, shape: Sequence[Any]) -> int:
    """Values of one image's tensor.

    Raises:
        ValueError: an open size.
    """
    if None in shape[1:]:
        raise ValueError(f"memory access of layer {call.operation.name!r} depends on the image size, which is open")
    return math.prod(shape[1:])


def _is_linear(activation) -> bool:
    return activation is None or activation is keras.activations.linear
