"""The few pieces that nearly every family is made of, so that a family's file shows only what is its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers

from tfeff.layers.batch_norm import BatchNorm
from tfeff.layers.group_conv import GroupConv2D

# Which feature maps a network gives: none, one a stride, or those named (see `finish`).
Taps = bool | Sequence[str]


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, at least `divisor`, never over 10 % below (MobileNet's rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def conv(
    x: Any,
    filters: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    group: int | None = None,
    symmetric: bool = False,
    bias: bool = False,
    name: str,
) -> Any:
    """A convolution that keeps h and w at stride 1: (n, h, w, c) -> (n, ceil(h/stride), ceil(w/stride), filters).

    Args:
        group: channels per group; None is dense, 1 is depthwise (`filters` a multiple of c).
        symmetric: pad by (kernel - 1) / 2 on each side, as PyTorch, Caffe and Paddle do, not by TensorFlow's "same".
            At stride 1 they are equal, and "same" is used, which needs no PAD operation.
    """
    padding = "same"
    if symmetric and stride > 1 and kernel > 1:
        x, padding = layers.ZeroPadding2D(dilation * (kernel - 1) // 2, name=f"{name}_pad")(x), "valid"
    options: dict[str, Any] = {
        "strides": stride,
        "padding": padding,
        "dilation_rate": dilation,
        "use_bias": bias,
        "name": name,
    }
    if group == 1:
        multiplier = filters // x.shape[-1]
        return layers.DepthwiseConv2D(
            kernel, depth_multiplier=multiplier, depthwise_initializer="he_normal", **options
        )(x)
    if group is not None and group < x.shape[-1]:
        return GroupConv2D(filters, kernel, group, kernel_initializer="he_normal", **options)(x)
    return layers.Conv2D(filters, kernel, kernel_initializer="he_normal", **options)(x)


def batch_norm(x: Any, name: str, *, momentum: float = 0.9, epsilon: float = 1e-5) -> Any:
    """BN with the references' usual epsilon; (n, h, w, c) -> the same."""
    return BatchNorm(momentum=momentum, epsilon=epsilon, name=name)(x)


def activate(x: Any, kind: str | None, name: str) -> Any:
    """`kind`: None, "relu", "relu6", "leaky_relu" (0.01 x below 0), "hard_swish", "hard_sigmoid" (relu6(x + 3) / 6),
    "prelu" (a slope a channel) or a name of Keras."""
    if kind is None:
        return x
    if kind == "leaky_relu":
        return layers.LeakyReLU(0.01, name=name)(x)
    if kind in ("relu", "relu6"):
        return layers.ReLU(6.0 if kind == "relu6" else None, name=name)(x)
    if kind == "prelu":
        slope = keras.initializers.Constant(0.25)
        return layers.PReLU(alpha_initializer=slope, shared_axes=[1, 2], name=name)(x)
    return layers.Activation({"hard_swish": "hard_silu"}.get(kind, kind), name=name)(x)


def conv_bn(
    x: Any,
    filters: int,
    kernel: int,
    *,
    activation: str | None = None,
    name: str,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    **options: Any,
) -> Any:
    """`conv`, BN (`<name>_bn`), activation (`<name>_<activation>`)."""
    x = batch_norm(conv(x, filters, kernel, name=name, **options), f"{name}_bn", epsilon=epsilon, momentum=momentum)
    return activate(x, activation, f"{name}_{activation}")


def max_pool(x: Any, *, symmetric: bool, name: str) -> Any:
    """3x3 maximum at stride 2, of values of any sign: (n, h, w, c) -> (n, ceil(h/2), ceil(w/2), c).

    Args:
        symmetric: the first window begins one pixel outside of the image, as in PyTorch and Paddle (padding 1). Rows
            and columns at the edge are doubled for that, which changes no maximum. Where both sides are odd, "same" is
            the same.
    """
    odd = [size % 2 for size in x.shape[1:3]]
    if not symmetric or all(odd):
        return layers.MaxPooling2D(3, 2, "same", name=name)(x)
    for axis, word in ((1, "row"), (2, "column")):
        x = _with_edges(x, axis, f"{name}_{word}")
    return layers.MaxPooling2D(3, 2, "valid", name=name)(x)


def _with_edges(x, axis, name):
    """The first row (axis 1) or column (axis 2) doubled, the last one too where their number is odd."""
    size, parts = x.shape[axis], [x]
    for edge, cut in (("first", (0, size - 1)), ("last", (size - 1, 0))):
        if edge == "first" or size % 2:
            cropping = (cut, (0, 0)) if axis == 1 else ((0, 0), cut)
            line = layers.Cropping2D(cropping, name=f"{name}_{edge}")(x)
            parts = [line, *parts] if edge == "first" else [*parts, line]
    return layers.Concatenate(axis, name=f"{name}s")(parts)


def squeeze_excite(
    x: Any, hidden: int, *, gate: str = "hard_sigmoid", activation: str | None = "relu", name: str
) -> Any:
    """Squeeze and excitation: global mean, 1x1 to `hidden`, activation, 1x1 back, gate, multiply; biases, no BN."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)  # (n, h, w, c) -> (n, 1, 1, c)
    y = activate(layers.Conv2D(hidden, 1, name=f"{name}_reduce")(y), activation, f"{name}_{activation}")
    y = activate(layers.Conv2D(channels, 1, name=f"{name}_expand")(y), gate, f"{name}_gate")
    return layers.Multiply(name=f"{name}_scale")([x, y])


def classifier(
    x: Any, classes: int, *, hidden: int | None = None, activation: str | None = "relu", dropout: float = 0.0
) -> Any:
    """Global mean, dropout, fully connected: (n, h, w, c) -> (n, classes) logits.

    Args:
        hidden: channels of a fully connected layer, with `activation`, before the dropout.
    """
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if hidden:
        x = activate(layers.Dense(hidden, name="head")(x), activation, f"head_{activation}")
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def finish(
    image: Any,
    features: Mapping[int, Any],
    x: Any,
    *,
    include_top: bool,
    features_only: Taps,
    name: str | None,
    top: Callable[[Any], Any],
) -> keras.Model:
    """The model that was asked for.

    Args:
        features: {stride: tensor}, the last feature map at each stride; those finer than 4 are left out.
        x: what the classifier sees.
        include_top: without it, the output is `x`.
        features_only: the outputs are the feature maps, {"stride4": ..., ...}; given names, these maps alone, by name:
            "stride8", or a layer whose output is meant, such as "block13_expand_hard_swish".
        top: from `x` to the logits.

    Raises:
        ValueError: an image smaller than one pixel of the last map, feature maps wanted of an image that they do not
            divide (they would not lie at their strides, and maps of two strides would not fit on each other), or one
            that there is not.
    """
    height, width = image.shape[1:3]
    last = max(features)
    if min(height, width) < last:
        raise ValueError(
            f"an image of {height}x{width} is smaller than the stride of its last map, {last}; at least {last}x{last}"
        )
    if not features_only:
        return keras.Model(image, top(x) if include_top else x, name=name)
    maps = {f"stride{stride}": tensor for stride, tensor in features.items() if stride >= 4}
    named = [*maps] if features_only is True else list(features_only)
    last = max((stride for stride in features if f"stride{stride}" in named), default=1)
    if height % last or width % last:
        raise ValueError(
            f"feature maps at stride {last} of an image of {height}x{width}: its sides must be multiples of {last}, "
            f"as {-(-height // last) * last}x{-(-width // last) * last}"
        )
    inner = {layer.name: layer for layer in keras.Model(image, x).layers} if {*named} - maps.keys() else {}
    unknown = [word for word in named if word not in maps and word not in inner]
    if unknown:
        raise ValueError(f"no feature map or layer {', '.join(map(repr, unknown))}; there are {', '.join(maps)}")
    return keras.Model(image, {word: maps[word] if word in maps else inner[word].output for word in named}, name=name)
