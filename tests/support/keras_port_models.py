"""Small networks that are no classifiers of one image: several inputs and outputs, any rank, whole numbers."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from rewrite_models import randomize

BUILDERS = {}


@dataclass(frozen=True)
class PortModel:
    """A network, its outputs' names, and samples for it, by input, (n, ...) each."""

    model: Any
    outputs: tuple[str, ...]
    batch: dict[str, np.ndarray]

    @property
    def inputs(self):
        return tuple(self.batch)


def build(name, count=24):
    """The network of that name, with weights as training leaves them."""
    keras.utils.set_random_seed(3)
    model, outputs = BUILDERS[name]()
    generator, batch = np.random.default_rng(len(name)), {}
    for tensor in model.inputs:
        shape = (count, *tensor.shape[1:])
        if "float" in tensor.dtype:
            batch[tensor.name] = generator.uniform(-1, 1, shape).astype(np.float32)
        else:
            batch[tensor.name] = generator.integers(0, 9, shape).astype(tensor.dtype)
    return PortModel(randomize(model, seed=len(name)), outputs, batch)


def _network(function):
    BUILDERS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def _conv(x, filters=8, kernel=3, **options):
    return layers.Conv2D(filters, kernel, padding="same", **options)(x)


@_network
def _two_outputs():
    image = keras.Input((10, 10, 3), name="image")
    x = layers.ReLU()(layers.BatchNormalization()(_conv(image, use_bias=False)))
    pooled = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, [layers.Dense(4)(pooled), layers.Dense(3, activation="sigmoid")(pooled)]), ("box", "seen")


@_network
def _outputs_by_name():
    """A dict whose keys are not in alphabetical order."""
    image = keras.Input((10, 10, 3), name="image")
    x = _conv(image, activation="relu")
    return keras.Model(image, {"zeta": _conv(x, 2, 1), "alpha": layers.Dense(4)(layers.Flatten()(x))}), (
        "alpha",
        "zeta",
    )


@_network
def _two_inputs():
    left, right = keras.Input((10, 10, 3), name="right"), keras.Input((10, 10, 3), name="left")
    x = layers.Concatenate()([_conv(left, 4, activation="relu"), _conv(right, 4, 1)])
    return keras.Model([left, right], _conv(x, 2, 1)), ("flow",)


@_network
def _siamese():
    encoder_image = keras.Input((10, 10, 3))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(_conv(encoder_image))))
    encoder = keras.Model(encoder_image, layers.Dense(6)(x), name="encoder")
    a, b = keras.Input((10, 10, 3), name="a"), keras.Input((10, 10, 3), name="b")
    return keras.Model([a, b], layers.Dense(1)(ops.abs(encoder(a) - encoder(b)))), ("distance",)


@_network
def _shared_layer():
    """One layer called on two tensors."""
    image = keras.Input((10, 10, 3), name="image")
    shared = layers.Conv2D(4, 3, padding="same", activation="relu")
    small = layers.AveragePooling2D(2)(image)
    pooled = [layers.GlobalAveragePooling2D()(shared(x)) for x in (image, small)]
    return keras.Model(image, layers.Dense(3)(layers.Concatenate()(pooled))), ("scores",)


@_network
def _image_and_vector():
    image, facts = keras.Input((10, 10, 3), name="image"), keras.Input((5,), name="facts")
    x = layers.Dense(6, activation="relu")(layers.Concatenate()([layers.GlobalAveragePooling2D()(_conv(image)), facts]))
    return keras.Model([image, facts], layers.Dense(1)(x)), ("price",)


@_network
def _vector():
    facts = keras.Input((7,), name="facts")
    x = layers.BatchNormalization()(layers.Dense(16, activation="relu")(layers.BatchNormalization()(facts)))
    return keras.Model(facts, layers.Dense(1)(layers.Dropout(0.5)(layers.Dense(8, activation="relu")(x)))), ("price",)


@_network
def _audio():
    sound = keras.Input((40, 2), name="sound")
    x = layers.Conv1D(8, 5, 2, padding="same", use_bias=False)(sound)
    x = layers.MaxPooling1D(2)(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.SeparableConv1D(8, 3, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv1D(3, activation="relu")(layers.ZeroPadding1D(1)(x))
    x = layers.AveragePooling1D(2)(layers.Conv1D(6, 3, dilation_rate=2, padding="causal")(x))
    return keras.Model(sound, layers.Dense(4)(layers.GlobalAveragePooling1D()(x))), ("words",)


@_network
def _audio_to_audio():
    sound = keras.Input((16, 3), name="sound")
    x = layers.BatchNormalization()(layers.ReLU()(layers.Conv1D(8, 3, 2, padding="same")(sound)))
    x = layers.Conv1DTranspose(4, 3, 2, padding="same", activation="relu")(layers.UpSampling1D(2)(x))
    return keras.Model(sound, layers.Dense(3)(x[:, :16])), ("clean",)


@_network
def _words():
    words = keras.Input((6,), dtype="int32", name="words")
    x = layers.Embedding(9, 8)(words)
    return keras.Model(
        words, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Dense(8, activation="relu")(x)))
    ), ("topic",)


@keras.saving.register_keras_serializable(package="tests")
class Largest(layers.Layer):
    """(n, k) -> int32 (n,): which is largest. (Keras' own `argmax` looks at bits, which no converter takes.)"""

    def call(self, x):
        return tf.argmax(x, axis=-1, output_type=tf.int32)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape[:-1], "int32")


@_network
def _words_and_image():
    """Whole numbers and real ones; one output is whole numbers too."""
    image, words = keras.Input((10, 10, 3), name="image"), keras.Input((4,), dtype="int32", name="words")
    x = layers.Concatenate()([layers.Flatten()(layers.Embedding(9, 2)(words)),
                              layers.GlobalAveragePooling2D()(_conv(image, activation="relu"))])  # fmt: skip
    scores = layers.Dense(5)(x)
    return keras.Model([words, image], [scores, Largest()(scores)]), ("scores", "answer")


@_network
def _recurrent():
    sound = keras.Input((6, 5), name="sound")
    return keras.Model(sound, layers.Dense(3)(layers.GRU(8)(sound))), ("words",)


@_network
def _both_ways():
    sound = keras.Input((5, 4), name="sound")
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(sound)
    return keras.Model(sound, layers.Dense(3)(layers.Flatten()(x))), ("words",)


@_network
def _u_net():
    image = keras.Input((12, 12, 4), name="image")
    a = _conv(image, 8, activation="relu")
    b = _conv(layers.MaxPooling2D()(a), 12, activation="relu")
    x = layers.Concatenate()([layers.Conv2DTranspose(8, 2, 2, activation="relu")(b), a])
    y = layers.UpSampling2D(2, interpolation="bilinear")(b)
    return keras.Model(image, _conv(layers.Concatenate()([x, y]), 3, 1)), ("mask",)


@_network
def _regression():
    image = keras.Input((10, 10, 1), name="image")
    x = layers.Normalization(mean=[0.3], variance=[0.2])(image)
    return keras.Model(image, layers.Dense(1)(layers.GlobalAveragePooling2D()(_conv(x, activation="relu")))), ("age",)


@_network
def _channels_first():
    image = keras.Input((10, 10, 3), name="image")
    x = layers.Permute((3, 1, 2))(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", data_format="channels_first")(x)
    x = layers.Permute((2, 3, 1))(layers.ReLU()(layers.BatchNormalization(axis=1)(x)))
    x = layers.GlobalAveragePooling2D()(_conv(x, 6, activation="relu"))
    return keras.Model(image, layers.Dense(4)(x)), ("scores",)
