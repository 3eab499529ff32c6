"""The layers of a fake-quant graph: ranges, values rounded as int8 rounds them, weights rounded while they train.

What they compute is what the int8 kernels of TensorFlow Lite compute, in float: activations with 256 steps between two
ends, weights symmetric with 255 (Jacob et al., arXiv 1712.05877; TensorFlow Lite's 8-bit quantization specification),
biases as whole numbers of input scale times weight scale. Gradients pass through the rounding unchanged.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfeff.export.rewrites.matching import DEPTHWISE, TRANSPOSED

STEPS = 255  # between the ends of an activation's range
WEIGHT_STEPS = 127  # on each side of zero
_SUFFIX = "_fq"  # of a `FakeQuantize`, behind the name of the layer whose output it rounds


@keras.saving.register_keras_serializable(package="tfeff")
class ActivationRange(keras.layers.Layer):
    """The range of all tensors that have one scale in the file.

    A layer, so that it is saved and can be trained with the network; it takes any tensor of the network (and ignores
    it) and gives (low, high), two float32 scalars, `low <= 0 <= high`. Frozen unless `trainable` is set.

    Args:
        fixed: whether TensorFlow Lite's specification gives the range, so that nothing else may.
        limits: (lowest, highest) that `set_bounds` goes to: values beyond make no difference to who reads them.
    """

    def __init__(
        self,
        low: float = -1.0,
        high: float = 1.0,
        fixed: bool = False,
        limits: Sequence[float | None] = (None, None),
        **kwargs: Any,
    ):
        kwargs.setdefault("trainable", False)
        super().__init__(**kwargs)
        self._start = float(low), float(high)
        self.fixed, self.limits = fixed, tuple(limits)
        self.supports_jit = False

    def build(self, anything_shape: Any = None) -> None:
        low, high = self._start
        self.low = self.add_weight(name="low", shape=(), initializer=keras.initializers.Constant(low))
        self.high = self.add_weight(name="high", shape=(), initializer=keras.initializers.Constant(high))

    def call(self, anything: Any) -> Any:
        # A trained range may wander; a quantized tensor must be able to say 0, and the range must not be empty. An end
        # at 0, a ReLU's, gets no gradient and stays.
        low, high = ops.where(self.low < 0, self.low, 0.0), ops.where(self.high > 0, self.high, 0.0)
        return low, ops.maximum(high, low + 1e-6)

    def compute_output_spec(self, anything: Any) -> Any:
        return keras.KerasTensor((), "float32"), keras.KerasTensor((), "float32")

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high) as the graph uses them now."""
        low, high = self.call(None)
        return float(low), float(high)

    def set_bounds(self, low: float, high: float) -> None:
        """Sets both ends, within the limits; raises ValueError unless `low <= 0 <= high` and `low < high`."""
        lowest, highest = self.limits
        low = low if lowest is None else max(low, lowest)
        high = high if highest is None else min(high, highest)
        if not low <= 0 <= high or not low < high:
            raise ValueError(f"{self.name}: a range holds 0 and is not empty, not {low} to {high}")
        self.low.assign(low)
        self.high.assign(high)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "low": self._start[0],
            "high": self._start[1],
            "fixed": self.fixed,
            "limits": self.limits,
        }


@keras.saving.register_keras_serializable(package="tfeff")
class FakeQuantize(keras.layers.Layer):
    """Values as int8 holds them: (n, ...) -> the same shape, one of 256 values between `low` and `high`.

    The gradient is 1 within the range and 0 beyond it. An end that is trained gets that of the values beyond it and, as
    in LSQ (Esser et al., arXiv 1902.08153), what the rounding of every other value does by way of the scale, so that
    ranges learn even where nothing is clipped.
    """

    def __init__(self, trains_range: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.trains_range = trains_range
        self.supports_jit, self.supports_masking = False, True

    def call(self, inputs: Any, low: Any, high: Any) -> Any:
        if self.trains_range:
            return _learned(inputs, low, high)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def compute_output_spec(self, inputs: Any, low: Any, high: Any) -> Any:
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "trains_range": self.trains_range}


def point_of(layer: FakeQuantize) -> str:
    """The name of what a layer rounds: of the layer whose output it is."""
    return layer.name.removesuffix(_SUFFIX)


@keras.saving.register_keras_serializable(package="tfeff")
class QuantizedWeights(keras.layers.Layer):
    """A convolution or fully connected layer whose kernel and bias are rounded as int8 and int32 round them.

    The kernel keeps a scale an output channel (one in all with `per_tensor`), its largest weight over 127, and follows
    the weights as they train. The bias is a whole number of (input scale x kernel scale).

    Args:
        layer: one of `placement.WEIGHTED`, or a strided and dilated depthwise convolution, with a bias or not, whose
            activation is none, ReLU or ReLU6.
        per_tensor: one scale for all channels.

    Shapes: those of `layer`; besides its input it takes the ends of the input's range, two scalars.
    """

    def __init__(self, layer: Any, per_tensor: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.layer = keras.saving.deserialize_keras_object(layer) if isinstance(layer, dict) else layer
        self.per_tensor = per_tensor
        self.codes: Any = None  # of the kernel, where they are not the nearest: whole numbers of its scale; not saved
        self.supports_jit = False  # XLA takes many times as long for grouped convolutions
        self.supports_masking = self.layer.supports_masking

    def build(self, inputs_shape: Any, low_shape: Any = None, high_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(inputs_shape)
        self.built = True

    def call(self, inputs: Any, low: Any, high: Any) -> Any:
        kernel, scale = self.rounded_kernel()
        if self.layer.bias is None:
            return self.apply(inputs, kernel, None)
        step = ops.reshape((high - low) / STEPS * scale, (-1,))  # of the bias: (f,), or (1,) for one scale in all
        return self.apply(inputs, kernel, _round(self.layer.bias / step) * step)

    def apply(self, inputs: Any, kernel: Any, bias: Any) -> Any:
        """What the layer makes of its input with another kernel, and another bias if it has one."""
        mapping = [(self.layer.kernel, kernel)] + ([] if bias is None else [(self.layer.bias, bias)])
        with keras.StatelessScope(state_mapping=mapping):
            return self.layer.call(inputs)

    def rounded_kernel(self) -> Any:
        """The kernel as int8 holds it, and its scale, of a shape that goes with it."""
        kernel = ops.convert_to_tensor(self.layer.kernel)
        axes = None if self.per_tensor else reduced_axes(self.layer)
        largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
        # A channel of zeros has no scale of its own; the converter gives it 1.
        scale = ops.stop_gradient(ops.where(largest > 0, largest / WEIGHT_STEPS, ops.ones_like(largest)))
        if self.codes is not None:
            return ops.convert_to_tensor(self.codes) * scale, scale
        return _round(kernel / scale) * scale, scale

    def compute_output_spec(self, inputs: Any, low: Any, high: Any) -> Any:
        return keras.KerasTensor(self.layer.compute_output_shape(inputs.shape), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "per_tensor": self.per_tensor,
        }


def reduced_axes(layer: keras.layers.Layer) -> tuple[int, ...]:
    """Axes of a kernel over which one output channel's weights lie."""
    rank = len(layer.kernel.shape)
    if isinstance(layer, DEPTHWISE):
        return tuple(range(rank - 2))  # (kh, kw, c, multiplier)
    if isinstance(layer, TRANSPOSED):
        return (*range(rank - 2), rank - 1)  # (kh, kw, f, c)
    return tuple(range(rank - 1))  # (kh, kw, c/groups, f); (c, units)


def scale_of(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of int8 for a range, as the converter and the kernels have them."""
    scale = (high - low) / STEPS
    exact = -128 - low / scale
    # Halves, of symmetric ranges, away from 0. TensorFlow's fake quantization takes either neighbour: half a step, and
    # at the ends only.
    return scale, int(np.clip(np.copysign(np.floor(np.abs(exact) + 0.5), exact), -128, 127))


@tf.custom_gradient
def _learned(x, low, high):
    """Fake quantization whose ends are trained; see `FakeQuantize`."""
    y = tf.quantization.fake_quant_with_min_max_vars(x, low, high)

    def gradient(upstream):
        inside, to_low, to_high = tf.quantization.fake_quant_with_min_max_vars_gradient(upstream, x, low, high)
        # y = scale * round(x / scale), so dy / dscale = (y - x) / scale, and scale = (high - low) / 255
        rounding = tf.tensordot(tf.reshape(inside, [-1]), tf.reshape(y - x, [-1]), 1) / (high - low)
        return inside, to_low - rounding, to_high + rounding

    return y, gradient


def _round(x):
    return x + ops.stop_gradient(ops.round(x) - x)
