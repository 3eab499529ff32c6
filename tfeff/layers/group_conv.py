"""Variable group convolution (VarGNet, arXiv 1907.05653, section 3.1)."""

from collections.abc import Sequence
from functools import cache
from numbers import Integral
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class GroupConv2D(keras.layers.Layer):
    """2D convolution whose groups all have the same, given number of input channels.

    The paper fixes the channels per group G, and the number of groups varies with the width: groups = channels_in / G.
    It computes what `keras.layers.Conv2D(filters, kernel_size, groups=channels_in // G)` does, with the same weights in
    the same layout. Keras compiles every grouped convolution with XLA, which makes a training step on a CPU many times
    slower (`benchmarks/train_step.py`); here TensorFlow's own grouped `conv2d` is called where it works, gradients
    included, else one convolution per group.

    Shapes: (n, h, w, channels_in) -> (n, h', w', filters); kernel (kh, kw, channels_per_group, filters).

    Args:
        filters: channels out; divisible by the number of groups.
        kernel_size: int or (kh, kw), pixels.
        channels_per_group: G, input channels that each output channel sees; divides channels_in.
        strides, dilation_rate: int or pair, pixels. Not both above 1.
        padding: "valid" or "same" (TensorFlow's: the odd pixel goes to the bottom and right).
        use_bias, activation, kernel_initializer, bias_initializer, kernel_regularizer: as in `keras.layers.Conv2D`.

    Raises:
        ValueError: channels that do not divide, an unknown padding, or an image smaller than the kernel with "valid".
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        channels_per_group: int,
        strides: Any = 1,
        padding: Any = "valid",
        dilation_rate: Any = 1,
        use_bias: bool = True,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.kernel_size = _pair(kernel_size, "kernel_size")
        self.channels_per_group = int(channels_per_group)
        self.strides = _pair(strides, "strides")
        self.padding = padding.lower() if isinstance(padding, str) else padding
        self.dilation_rate = _pair(dilation_rate, "dilation_rate")
        self.use_bias = use_bias
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # or `fit` would send the whole step through XLA, grouped convolutions included
        if self.padding not in ("valid", "same"):
            raise ValueError(f"GroupConv2D {self.name!r}: padding must be 'valid' or 'same', not {padding!r}")
        if self.filters < 1 or self.channels_per_group < 1:
            raise ValueError(f"GroupConv2D {self.name!r}: filters and channels_per_group must be at least 1")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(f"GroupConv2D {self.name!r}: strides and dilation_rate cannot both be above 1")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        channels_in = input_shape[-1]
        if channels_in is None or channels_in % self.channels_per_group:
            raise ValueError(
                f"GroupConv2D {self.name!r}: {channels_in} input channels are not a multiple of "
                f"channels_per_group={self.channels_per_group}"
            )
        self.groups = channels_in // self.channels_per_group
        if self.filters % self.groups:
            raise ValueError(
                f"GroupConv2D {self.name!r}: filters={self.filters} are not a multiple of the {self.groups} groups "
                f"({channels_in} input channels / channels_per_group={self.channels_per_group})"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.channels_per_group, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = (
            self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)
            if self.use_bias
            else None
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels_in})
        self.built = True

    def call(self, inputs: Any) -> Any:
        # (n, h, w, c) -> (n, h', w', filters)
        x = grouped_conv2d(inputs, self.kernel, self.groups, self.strides, self.padding, self.dilation_rate)
        if self.bias is not None:
            x = ops.add(x, ops.cast(self.bias, x.dtype))
        return self.activation(x)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, *space, _ = input_shape
        return (batch, *map(self._out_length, space, range(2)), self.filters)

    def _out_length(self, length, axis):
        if length is None:
            return None
        if self.padding == "valid":
            reach = (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1
            if length < reach:
                raise ValueError(
                    f"GroupConv2D {self.name!r}: an image of {length} pixels is smaller than the kernel's {reach}; "
                    f"padding='same' takes it"
                )
            length -= reach - 1
        return -(-length // self.strides[axis])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "channels_per_group": self.channels_per_group,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def grouped_conv2d(x: Any, kernel: Any, groups: int, strides: Any, padding: Any, dilation_rate: Any) -> Any:
    """Grouped convolution, channels last: (n, h, w, c) with (kh, kw, c/groups, f) -> (n, h', w', f)."""
    if _native_grouped_conv2d_works(keras.backend.standardize_dtype(x.dtype), max(dilation_rate) > 1):
        import tensorflow as tf

        kernel = tf.cast(kernel, x.dtype)
        return tf.nn.conv2d(x, kernel, strides=strides, padding=padding.upper(), dilations=dilation_rate)
    return split_conv2d(x, kernel, groups, strides, padding, dilation_rate)


def split_conv2d(x: Any, kernel: Any, groups: int, strides: Any, padding: Any, dilation_rate: Any) -> Any:
    """The same by one convolution per group: slower, but made of operations that every backend and device has."""
    kernel = ops.cast(kernel, x.dtype)
    parts = [
        ops.conv(part, weights, strides, padding, "channels_last", dilation_rate)
        for part, weights in zip(ops.split(x, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
    ]
    return ops.concatenate(parts, axis=-1)


@cache
def _native_grouped_conv2d_works(dtype: str, dilated: bool) -> bool:
    """Whether TensorFlow has grouped conv2d for this type here, gradients included.

    On a CPU the gradients are oneDNN's: they are lacking without oneDNN, in float16 and float64, and dilated.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    step = 2 if dilated else 1
    shared = {"strides": [1] * 4, "padding": "SAME", "dilations": [1, step, step, 1]}
    # Eagerly even when the first call happens inside a traced function; no GradientTape, for `init_scope` silences it.
    with tf.init_scope():
        x, kernel = tf.ones((1, 6, 6, 4), dtype), tf.ones((3, 3, 2, 4), dtype)
        try:
            y = tf.raw_ops.Conv2D(input=x, filter=kernel, **shared)
            tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=kernel, out_backprop=y, **shared)
            tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel.shape, out_backprop=y, **shared)
        except (tf.errors.OpError, ValueError):
            return False
    return True


def _pair(value, name):
    pair = (value, value) if isinstance(value, Integral) else value
    sizes = pair if isinstance(pair, Sequence) else ()
    if len(sizes) != 2 or not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise ValueError(f"GroupConv2D: {name} must be a positive int or a pair of them, not {value!r}")
    return tuple(int(size) for size in sizes)
