"""Networks drawn at random out of what rewrites meet, in orders that nobody thought of."""

import random

import keras
from keras import layers, ops
from rewrite_models import randomize

from tfeff.layers import ChannelShuffle, ChannelSplit, GroupConv2D, GroupShift2D, StridedDilatedDepthwiseConv2D

_ACTIVATIONS = [None, "relu", "relu6", "hard_silu", "hard_sigmoid", "silu"]


def draw(seed):
    """A small functional model of up to 14 pieces, each on one of the last three tensors, and its input's shape."""
    rng = random.Random(seed)
    shape = (rng.choice([8, 9, 12]), rng.choice([8, 10, 11]), 3)
    image = keras.Input(shape)
    tensors = [layers.Conv2D(rng.choice([8, 12, 16]), 1)(image)]
    for _ in range(rng.randint(4, 14)):
        piece = rng.choice(PIECES)
        try:
            tensors.append(piece(rng.choice(tensors[-3:]), rng, tensors))
        except ValueError:  # does not fit: channels that do not divide, a map that is too small
            continue
    logits = layers.Dense(5)(layers.GlobalAveragePooling2D()(tensors[-1]))
    return randomize(keras.Model(image, logits, name=f"drawn{seed}"), seed), shape


def _conv(x, rng, _):
    kernel, stride = rng.choice([1, 3]), rng.choice([1, 1, 2])
    filters, activation = rng.choice([8, 12, 16]), rng.choice(_ACTIVATIONS)
    return layers.Conv2D(filters, kernel, strides=stride, padding="same", activation=activation)(x)


def _depthwise(x, rng, _):
    activation = rng.choice([None, "relu", "hard_silu"])
    return layers.DepthwiseConv2D(3, strides=rng.choice([1, 2]), padding="same", activation=activation)(x)


def _join(x, rng, tensors):
    return layers.Concatenate()([x, rng.choice([t for t in tensors if t.shape[1:3] == x.shape[1:3]])])


def _merge(x, rng, tensors):
    kind = rng.choice([layers.Add, layers.Multiply, layers.Maximum, layers.Subtract])
    return kind()([x, rng.choice([t for t in tensors if t.shape == x.shape])])


def _halves(x, rng, _):
    first, second = ChannelSplit(2)(x)
    second = layers.Conv2D(second.shape[-1], 1)(second)
    return layers.Add()([first, second]) if rng.random() < 0.5 else layers.Concatenate()([second, first])


def _gate(x, *_):
    gate = layers.Conv2D(x.shape[-1], 1, activation="hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Multiply()([x, gate])


def _ghost(x, *_):
    first = layers.Conv2D(4, 1)(x)
    return layers.Concatenate()([first, layers.DepthwiseConv2D(3, padding="same")(first)])


def _padded(x, rng, _):
    x = layers.ZeroPadding2D(1)(x)
    return layers.AveragePooling2D(3, 2)(x) if rng.random() < 0.4 else layers.Conv2D(8, 3, strides=2)(x)


PIECES = [
    _conv,
    _depthwise,
    _join,
    _merge,
    _halves,
    _gate,
    _ghost,
    _padded,
    _padded,
    lambda x, *_: layers.LeakyReLU()(x),
    lambda x, *_: layers.BatchNormalization()(x),
    lambda x, rng, _: layers.ReLU(rng.choice([None, 6.0]))(x),
    lambda x, *_: layers.PReLU(shared_axes=[1, 2])(x),
    lambda x, rng, _: layers.Activation(rng.choice([*_ACTIVATIONS[1:], "tanh", "leaky_relu"]))(x),
    lambda x, rng, _: ChannelShuffle(rng.choice([2, 4]))(x),
    lambda x, rng, _: GroupConv2D(rng.choice([8, 16]), rng.choice([1, 3]), rng.choice([2, 4]), padding="same")(x),
    lambda x, rng, _: x[..., :: rng.choice([1, 2, -1])],
    lambda x, *_: x[:, ::2, ::2],
    lambda x, *_: layers.MaxPooling2D(2, padding="same")(x),
    lambda x, rng, _: StridedDilatedDepthwiseConv2D(3, 2, rng.choice([2, 3]))(x),
    lambda x, *_: GroupShift2D(3)(x),
    lambda x, *_: layers.Dropout(0.3)(x),
    lambda x, *_: ops.relu(x * 2.0 + 0.5),
]
