"""Shift layers: every channel is moved over the image, and the pointwise convolutions around it do the mixing.

`GroupShift2D` moves by fixed directions (ShiftNet, arXiv 1711.08141), `ActiveShift2D` learns a real-valued shift per
channel (arXiv 1806.07370), `SparseShift2D` learns one that is rounded (arXiv 1903.05285). In all of them
out[row, column] = in[row + y, column + x], and outside of the map there are zeros.

A shift is computed as a depthwise convolution whose kernel has a one (or the two taps of an interpolation) where the
shift points to: every backend and every device has that operation, and in a converted file the kernel is a constant.
"""

import math
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="tfeff")
class GroupShift2D(keras.layers.Layer):
    """The grouped shift of ShiftNet: floor(c / k^2) channels for each of the k^2 directions. No weights.

    Channels that are left over when k^2 does not divide c are not moved.

    Shapes: (n, h, w, c) -> (n, h, w, c).

    Args:
        kernel_size: k, odd: shifts reach from -(k // 2) to k // 2 pixels.
        dilation_rate: pixels between neighbouring shifts.
        assignment: which channel goes where; weights of the convolutions around are not interchangeable.
            "interleaved" is the authors' kernel (shiftnet_cuda_v2): x = channel mod k - k // 2,
            y = floor(channel / k) mod k - k // 2. "contiguous" is Chainer's: neighbours share a direction, the unmoved
            group changes places with the last one, and the image goes the other way.

    Raises:
        ValueError: an even k, an unknown assignment, or fewer channels than directions.
    """

    def __init__(self, kernel_size: int = 3, dilation_rate: int = 1, assignment: str = "interleaved", **kwargs: Any):
        super().__init__(**kwargs)
        for name, value in (("kernel_size", kernel_size), ("dilation_rate", dilation_rate)):
            if not _is_positive(value):
                raise ValueError(f"GroupShift2D {self.name!r}: {name} must be a positive int, not {value!r}")
        if kernel_size % 2 == 0:
            raise ValueError(f"GroupShift2D {self.name!r}: kernel_size must be odd, not {kernel_size}")
        if assignment not in ("interleaved", "contiguous"):
            raise ValueError(
                f"GroupShift2D {self.name!r}: assignment must be 'interleaved' or 'contiguous', not {assignment!r}"
            )
        self.kernel_size = int(kernel_size)
        self.dilation_rate = int(dilation_rate)
        self.assignment = assignment
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.shifts = self._shifts(input_shape[-1])
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: input_shape[-1]})
        self.built = True

    def _shifts(self, channels):
        """(2, channels) ints: y and x of every channel, pixels."""
        k = self.kernel_size
        if channels is None or channels < k * k:
            raise ValueError(f"GroupShift2D {self.name!r}: {channels} channels are fewer than the {k * k} directions")
        each = channels // (k * k)
        channel = np.arange(each * k * k)
        if self.assignment == "interleaved":
            shifts = np.stack([channel // k % k, channel % k]) - k // 2
        else:
            direction, last = channel // each, k * k - 1
            direction = np.select([direction == last // 2, direction == last], [last, last // 2], direction)
            shifts = k // 2 - np.stack([direction // k, direction % k])
        return np.pad(shifts, ((0, 0), (0, channels - shifts.shape[1]))) * self.dilation_rate

    def _kernel(self):
        """(k, k, c, 1), a one for every channel."""
        k = self.kernel_size
        y, x = self.shifts // self.dilation_rate + k // 2
        kernel = np.zeros((k, k, y.size, 1), "float32")
        kernel[y, x, np.arange(y.size)] = 1
        return kernel

    def call(self, inputs: Any) -> Any:
        kernel = ops.convert_to_tensor(self._kernel(), inputs.dtype)
        return ops.depthwise_conv(inputs, kernel, 1, "same", "channels_last", self.dilation_rate)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(input_shape)

    def pixels(self) -> np.ndarray:
        """(2, c) numpy, float32: y and x of every channel, pixels; the layer must be built."""
        return self.shifts.astype("float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "assignment": self.assignment,
        }


class _LearnedShift2D(keras.layers.Layer):
    """One shift per channel, a weight of shape (2, c): y (rows) and x (columns)."""

    def __init__(self, strides, **kwargs):
        super().__init__(**kwargs)
        if not _is_positive(strides):
            raise ValueError(f"{type(self).__name__} {self.name!r}: strides must be a positive int, not {strides!r}")
        self.strides = int(strides)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # the kernel is as large as the largest shift, so its shape is not known to XLA

    def _build(self, input_shape, initializer, regularizer=None):
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(f"{type(self).__name__} {self.name!r}: the number of channels must be known")
        self.shift = self.add_weight(  # float32 under mixed precision too: float16 has no room for parts of a pixel
            name="shift", shape=(2, channels), initializer=initializer, regularizer=regularizer, autocast=False
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})
        self.built = True

    def compute_output_shape(self, input_shape):
        batch, *space, channels = input_shape
        return (batch, *(length and -(-length // self.strides) for length in space), channels)

    def get_config(self):
        return {**super().get_config(), "strides": self.strides}


@keras.saving.register_keras_serializable(package="tfeff")
class ActiveShift2D(_LearnedShift2D):
    """The active shift layer (ASL): real-valued shifts, bilinear interpolation, learned by gradient.

    On integers, where the interpolation has a kink, the gradient is that of the right-hand side, as in the authors'
    Caffe layer.

    Shapes: (n, h, w, c) -> (n, ceil(h / stride), ceil(w / stride), c); weight `shift` (2, c).

    The optimizer is given the gradient to the shift in pixels, and moves the shift by `learning_rate_multiplier` times
    its step. A factor on the gradient would do that with SGD alone, since Adam divides it out again; so the weight is
    stored as shift / learning_rate_multiplier. `get_shifts` and `set_shifts` speak in pixels. The authors do not decay
    the shifts: leave them out of the optimizer's weight decay.

    Args:
        strides: of the pixels that are kept.
        initial_radius: shifts begin uniform in +-initial_radius pixels.
        learning_rate_multiplier: the authors' nets have 0.01.
        normalize_gradient: divide the gradient (y, x) of every channel by its length, so that only its direction
            counts (zero stays zero). Not with loss scaling (mixed_float16): the optimizer would divide a length of 1
            by the scale.

    Raises:
        ValueError: strides that are not positive, a negative radius, or a multiplier that is not positive.
    """

    def __init__(
        self,
        strides: int = 1,
        initial_radius: float = 1.0,
        learning_rate_multiplier: float = 0.01,
        normalize_gradient: bool = True,
        **kwargs: Any,
    ):
        super().__init__(strides, **kwargs)
        if not (_is_finite(initial_radius) and initial_radius >= 0):
            raise ValueError(
                f"ActiveShift2D {self.name!r}: initial_radius must be at least 0 pixels, not {initial_radius!r}"
            )
        if not (_is_finite(learning_rate_multiplier) and learning_rate_multiplier > 0):
            raise ValueError(
                f"ActiveShift2D {self.name!r}: learning_rate_multiplier must be positive, not "
                f"{learning_rate_multiplier!r}; to keep the shifts as they are, set trainable=False"
            )
        self.initial_radius = float(initial_radius)
        self.learning_rate_multiplier = float(learning_rate_multiplier)
        self.normalize_gradient = bool(normalize_gradient)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        reach = self.initial_radius / self.learning_rate_multiplier
        self._build(input_shape, keras.initializers.RandomUniform(-reach, reach))

    def call(self, inputs: Any) -> Any:
        shift = ops.multiply(self.shift, 1.0)  # a tensor: TensorFlow's custom gradients take no variables
        shift = _scaled(shift, self.learning_rate_multiplier, normalize=self.normalize_gradient)
        return _interpolate(inputs, shift, self.strides)

    def get_shifts(self) -> np.ndarray:
        """(2, c) numpy, pixels: y and x of every channel."""
        return ops.convert_to_numpy(self.shift) * np.float32(self.learning_rate_multiplier)

    def set_shifts(self, shifts: np.ndarray) -> None:
        """Sets them: (2, c), pixels, y then x (the blobs of the authors' Caffe layer are x, then y)."""
        self.shift.assign(np.asarray(shifts, "float32") / np.float32(self.learning_rate_multiplier))

    pixels = get_shifts

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_radius": self.initial_radius,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "normalize_gradient": self.normalize_gradient,
        }


@keras.saving.register_keras_serializable(package="tfeff")
class SparseShift2D(_LearnedShift2D):
    """The sparse shift layer (SSL): whole-pixel shifts forward, the gradient of an interpolation backward.

    Forward the shift is rounded (halves away from zero, as CUDA does; `np.round` would take them to the even side) and
    the gradient to the image is moved back by the rounded shift. The gradient to the shift is that of the bilinear
    interpolation at the real-valued place. `penalty` draws the shifts that do not earn it to zero. (Left and above of
    the map the released CUDA kernel truncates where floor is meant; floor is taken here.)

    Shapes: (n, h, w, c) -> (n, ceil(h / stride), ceil(w / stride), c); weight `shift` (2, c), pixels, y then x.

    Args:
        strides: of the pixels that are kept.
        penalty: the factor of the L1 penalty; the paper's is not known, 5e-4 is a third-party implementation's. The
            released code has none.
        initial: how the shifts begin. "grid": the 3x3 directions, floor(c / 9) channels each, those left over at 0.
            "ramp": as the release computes it, y rising evenly from -1 to 2, x likewise in each third.

    Raises:
        ValueError: strides that are not positive, a negative penalty, or an unknown `initial`.
    """

    def __init__(self, strides: int = 1, penalty: float = 5e-4, initial: str = "grid", **kwargs: Any):
        super().__init__(strides, **kwargs)
        if not (_is_finite(penalty) and penalty >= 0):
            raise ValueError(f"SparseShift2D {self.name!r}: penalty must be at least 0, not {penalty!r}")
        if initial not in ("grid", "ramp"):
            raise ValueError(f"SparseShift2D {self.name!r}: initial must be 'grid' or 'ramp', not {initial!r}")
        self.penalty = float(penalty)
        self.initial = initial

    def build(self, input_shape: tuple[Any, ...]) -> None:
        regularizer = keras.regularizers.L1(self.penalty) if self.penalty else None
        self._build(input_shape, self._initial_shifts, regularizer)

    def _initial_shifts(self, shape, dtype=None):
        each = shape[1] // 9
        place = np.arange(9 * each) / max(each, 1)  # 0 <= place < 9
        if self.initial == "grid":
            place = np.floor(place)
            shifts = np.stack([place // 3, place % 3]) - 1
        else:
            shifts = np.stack([place / 3, place % 3]) - 1
        return ops.convert_to_tensor(np.pad(shifts, ((0, 0), (0, shape[1] - 9 * each))), dtype)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        shift = ops.convert_to_tensor(self.shift)
        outputs = _interpolate(inputs, ops.stop_gradient(_round(shift)), self.strides)
        if training and self.trainable:
            # Adds zero, and the gradient to the shift.
            learned = _interpolate(ops.stop_gradient(inputs), shift, self.strides)
            outputs = outputs + (learned - ops.stop_gradient(learned))
        return outputs

    def pixels(self) -> np.ndarray:
        """(2, c) numpy, float32: y and x of every channel as they are rounded, pixels; the layer must be built."""
        return ops.convert_to_numpy(_round(ops.convert_to_tensor(self.shift)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "penalty": self.penalty, "initial": self.initial}


def _is_positive(value: Any) -> bool:
    return isinstance(value, Integral) and int(value) > 0


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _scaled(weight, multiplier, *, normalize):
    """weight * multiplier; the gradient passes without the multiplier, if asked at length 1 for every channel."""

    @ops.custom_gradient
    def scaled(value):
        def gradient(*arguments, upstream=None):
            slope = arguments[0] if upstream is None else upstream  # (2, c)
            if normalize:
                length = ops.sqrt(ops.sum(slope * slope, axis=0, keepdims=True))
                slope = slope / ops.where(length > 0, length, ops.ones_like(length))
            return slope

        return value * multiplier, gradient

    return scaled(weight)


def _round(shift):
    """To the nearest integer, halves away from zero."""
    return ops.sign(shift) * ops.floor(ops.abs(shift) + 0.5)


def _interpolate(x, shift, stride):
    """Bilinear, zeros outside: (n, h, w, c) with shifts (2, c) -> (n, ceil(h / stride), ceil(w / stride), c)."""
    kernel = ops.cast(_taps(shift[0], ops.shape(x)[1]), x.dtype)[:, None, :, None]  # (k, 1, c, 1)
    x = ops.depthwise_conv(x, kernel, 1, "same", "channels_last")
    x = x[:, ::stride] if stride > 1 else x  # -> (n, h/stride, w, c)
    kernel = ops.cast(_taps(shift[1], ops.shape(x)[2]), x.dtype)[None, :, :, None]  # (1, k, c, 1)
    x = ops.depthwise_conv(x, kernel, 1, "same", "channels_last")
    return x[:, :, ::stride] if stride > 1 else x  # -> (n, h/stride, w/stride, c)


def _taps(shift, length):
    """Weights of the offsets -r..r, (c,) -> (2r + 1, c): 1 - f at floor(shift) and f behind it, f the fraction.

    r reaches the farthest tap, but not beyond the `length` of the map, where all is zero.
    """
    low = ops.floor(shift)
    reach = ops.cast(ops.max(ops.maximum(-low, low + 1)), "int32")
    reach = ops.maximum(ops.minimum(reach, length), 1)
    offsets = ops.cast(ops.arange(-reach, reach + 1), shift.dtype)[:, None]
    fraction, zero = shift - low, ops.zeros_like(shift)
    return ops.where(ops.equal(offsets, low), 1 - fraction, zero) + ops.where(
        ops.equal(offsets, low + 1), fraction, zero
    )
