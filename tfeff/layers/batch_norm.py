"""Batch normalization that trains fast on a CPU."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tfeff")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, computed by TensorFlow's fused kernel while it trains.

    Keras 3 makes a training step of some 15 element-wise operations, forward and backward each; in a small network on
    a CPU that is a quarter of the step. The arguments, the weights, the outputs, the gradients and the moving
    statistics are Keras' own. Whatever the kernel does not do (another axis or rank, masks, renormalization,
    synchronized replicas, no gamma or beta, another backend) and inference are left to Keras.

    Shapes: (n, h, w, c) -> (n, h, w, c).
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not (training and self.trainable and mask is None and self._kernel_does(inputs)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        # The kernel gives the unbiased variance, Keras averages the biased one.
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), variance.dtype)
        variance = variance * (count - 1) / count
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs

    def _kernel_does(self, inputs):
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and not getattr(self, "renorm", False)
            and not getattr(self, "synchronized", False)
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "float16", "bfloat16")
            and keras.backend.standardize_dtype(self.gamma.dtype) == "float32"
        )
