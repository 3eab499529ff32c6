"""What tf_keras lacks of a plan's words, as layers that can be saved and cloned. For the child's process only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

register = tf_keras.utils.register_keras_serializable(package="tfeff")


@register
class GroupConv2D(tf_keras.layers.Conv2D, tfmot.sparsity.keras.PrunableLayer, tfmot.clustering.keras.ClusterableLayer):
    """`Conv2D` with groups, by TensorFlow's own kernel: tf_keras sends it through XLA, which takes many times as long
    on a CPU.

    Shapes: (n, h, w, c) -> (n, h', w', filters); kernel (kh, kw, c/groups, filters).
    """

    def _jit_compiled_convolution_op(self, inputs, kernel):
        return tf.nn.conv2d(
            inputs, kernel, list(self.strides), self.padding.upper(), dilations=list(self.dilation_rate)
        )

    def get_prunable_weights(self) -> Any:
        return [self.kernel]

    def get_clusterable_weights(self) -> Any:
        return [("kernel", self.kernel)]


@register
class Slice(tf_keras.layers.Layer):
    """A part of a tensor: (n, ...) -> (n, ...).

    Args:
        begin, end, step: of every axis but the batch.
    """

    def __init__(self, begin: Sequence[int], end: Sequence[int], step: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.begin, self.end, self.step = list(begin), list(end), list(step)

    def call(self, inputs: Any) -> Any:
        slices = (slice(None), *map(slice, self.begin, self.end, self.step))
        return inputs[slices]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        sizes = (len(range(*each)) for each in zip(self.begin, self.end, self.step, strict=True))
        return tf.TensorShape([input_shape[0], *sizes])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "begin": self.begin, "end": self.end, "step": self.step}


@register
class Take(tf_keras.layers.Layer):
    """Some of the slices along an axis, in any order: GATHER."""

    def __init__(self, indices: Sequence[int], axis: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.indices, self.axis = indices, axis

    def call(self, inputs: Any) -> Any:
        return tf.gather(inputs, self.indices, axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "indices": self.indices, "axis": self.axis}


class _Constant(tf_keras.layers.Layer):
    """Arithmetic with a constant, `value`: a number, or nested lists that broadcast against the input."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value

    def get_config(self):
        return {**super().get_config(), "value": self.value}

    @property
    def constant(self):
        return np.asarray(self.value, np.float32)


@register
class AddConstant(_Constant):
    """(n, ...) -> (n, ...): the input plus a constant."""

    def call(self, inputs: Any) -> Any:
        return inputs + self.constant


@register
class MultiplyConstant(_Constant):
    """(n, ...) -> (n, ...): the input times a constant."""

    def call(self, inputs: Any) -> Any:
        return inputs * self.constant


@register
class MaximumConstant(_Constant):
    """(n, ...) -> (n, ...): the input, but never below a constant."""

    def call(self, inputs: Any) -> Any:
        return tf.maximum(inputs, self.constant)


@register
class MinimumConstant(_Constant):
    """(n, ...) -> (n, ...): the input, but never above a constant."""

    def call(self, inputs: Any) -> Any:
        return tf.minimum(inputs, self.constant)


@register
class HardSwish(tf_keras.layers.Layer):
    """x relu6(x + 3) / 6, which the converter makes one operation of."""

    def call(self, inputs: Any) -> Any:
        return inputs * tf.nn.relu6(inputs + 3) * np.float32(1 / 6)
