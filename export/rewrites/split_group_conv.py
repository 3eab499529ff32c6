"""Group convolution -> SPLIT, one convolution a group, CONCATENATION.

For runtimes whose int8 kernel for grouped CONV_2D is the reference one (tflite-runtime 2.14), or that have none. BN and
ReLU behind the convolution go into each part: behind the CONCATENATION they could not be fused any more.
"""

import keras
import numpy as np
from keras import layers, ops
from tfeff.export.rewrites.core import Match, Rewrite

from tfeff.layers import GroupConv2D


class SplitGroupConv(Rewrite):
    """Replaces `GroupConv2D` and `Conv2D(groups=...)` with more than one group; a following BN is folded."""

    name = "split_group_conv"

    def match(self, layer, graph):
        if _groups(layer) < 2:
            return None
        chain = [layer]
        if layer.activation is keras.activations.linear:
            chain = graph.chain(layer, _is_batch_norm, _is_relu)
        return Match(chain, lambda x: _split(x, *chain))


def _split(x, conv, *rest):
    """(n, h, w, c) -> (n, h', w', f): what `conv` and the BN and ReLU in `rest` compute."""
    groups = _groups(conv)
    kernel, bias, activation = _fold(conv, rest)
    parts = ops.split(x, groups, axis=-1)  # (n, h, w, c) -> groups x (n, h, w, c/groups)
    outputs = []
    for number, part in enumerate(parts):
        own = slice(number * conv.filters // groups, (number + 1) * conv.filters // groups)
        part_conv = layers.Conv2D(
            conv.filters // groups,
            conv.kernel_size,
            strides=conv.strides,
            padding=conv.padding,
            dilation_rate=conv.dilation_rate,
            activation=activation,
            name=f"{conv.name}_group{number}",
        )
        outputs.append(part_conv(part))  # (n, h', w', f/groups)
        part_conv.set_weights([kernel[..., own], bias[own]])
    return layers.Concatenate(name=f"{conv.name}_concat")(outputs)  # -> (n, h', w', f)


def _fold(conv, rest):
    """Kernel, bias and activation of the whole chain; BN: gamma (y - mean) / sqrt(variance + epsilon) + beta."""
    kernel = np.asarray(conv.kernel, np.float64)
    bias = np.zeros(conv.filters) if conv.bias is None else np.asarray(conv.bias, np.float64)
    activation = conv.activation
    for layer in rest:
        if _is_batch_norm(layer):
            scale = 1 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
            if layer.gamma is not None:
                scale = scale * np.asarray(layer.gamma, np.float64)
            kernel = kernel * scale
            bias = (bias - np.asarray(layer.moving_mean, np.float64)) * scale
            if layer.beta is not None:
                bias = bias + np.asarray(layer.beta, np.float64)
        else:
            activation = _relu_of(layer)
    return kernel.astype(np.float32), bias.astype(np.float32), activation


def _groups(layer):
    if isinstance(layer, GroupConv2D):
        return layer.groups
    return layer.groups if type(layer) is layers.Conv2D and layer.data_format == "channels_last" else 1


def _is_batch_norm(layer):
    return isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, 3)


def _is_relu(layer):
    return _relu_of(layer) is not None


def _relu_of(layer):
    """The name of the ReLU that a layer is, when a convolution can fuse it."""
    if isinstance(layer, layers.ReLU) and layer.negative_slope == 0 and layer.threshold == 0:
        return {None: "relu", 6: "relu6"}.get(layer.max_value)
    if isinstance(layer, layers.Activation):
        return {keras.activations.relu: "relu", keras.activations.relu6: "relu6"}.get(layer.activation)
    return None
