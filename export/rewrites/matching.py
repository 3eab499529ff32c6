"""What rewrites ask of layers: is it this, can it be folded, and with which numbers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.layers import GroupConv2D, Resize2D

# Activations that are a function of each value alone.
ELEMENT_WISE = tuple(
    keras.activations.get(name)
    for name in ("linear", "relu", "relu6", "silu", "hard_silu", "sigmoid", "hard_sigmoid", "tanh", "gelu", "elu")
)


# Convolutions by what their kernels are: (..., c/groups, f), (..., c, multiplier), (..., f, c).
CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)

# Layers that treat each channel alone and give k times the output for k times the input.
POOL_LIKE = (
    *(
        getattr(layers, f"{kind}{rank}D")
        for rank in (1, 2, 3)
        for kind in (
            "MaxPooling", "AveragePooling", "GlobalAveragePooling", "GlobalMaxPooling", "ZeroPadding", "Cropping",
            "UpSampling",
        )
    ),
    Resize2D,
)  # fmt: skip


def groups_of(layer: Any) -> int:
    """Groups of a convolution whose channels are last; 1 for everything else."""
    if isinstance(layer, GroupConv2D):
        return layer.groups
    return layer.groups if type(layer) in CONVOLUTIONS and layer.data_format == "channels_last" else 1


def is_dense_conv(layer: Any) -> bool:
    """Whether it is a convolution over (n, h, w, c) in which every output sees every input channel."""
    if isinstance(layer, GroupConv2D):
        return layer.groups == 1
    return type(layer) is layers.Conv2D and layer.groups == 1 and layer.data_format == "channels_last"


def is_batch_norm(layer: Any) -> bool:
    return isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, 3)


def is_relu(layer: Any) -> bool:
    return relu_of(layer) is not None


def relu_of(layer: Any) -> str | None:
    """The name of the ReLU that a layer is, when a convolution can fuse it."""
    if isinstance(layer, layers.ReLU) and layer.negative_slope == 0 and layer.threshold == 0:
        return {None: "relu", 6: "relu6"}.get(layer.max_value)
    if isinstance(layer, layers.Activation):
        return {keras.activations.relu: "relu", keras.activations.relu6: "relu6"}.get(layer.activation)
    return None


def batch_norm_numbers(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """BN as scale and offset, float64 (c,): gamma (y - mean) / sqrt(variance + epsilon) + beta."""
    scale = 1 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * np.asarray(layer.gamma, np.float64)
    offset = -np.asarray(layer.moving_mean, np.float64) * scale
    if layer.beta is not None:
        offset = offset + np.asarray(layer.beta, np.float64)
    return scale, offset


def fold(conv: Any, rest: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, object]:
    """Kernel (kh, kw, c/groups, f), bias (f,) and activation of a convolution with the BN and ReLU in `rest`."""
    kernel = np.asarray(conv.kernel, np.float64)
    bias = np.zeros(conv.filters) if conv.bias is None else np.asarray(conv.bias, np.float64)
    activation = conv.activation
    for layer in rest:
        if is_batch_norm(layer):
            scale, offset = batch_norm_numbers(layer)
            kernel, bias = kernel * scale, bias * scale + offset
        else:
            activation = relu_of(layer)
    return kernel.astype(np.float32), bias.astype(np.float32), activation
