"""Models as users bring them, each of another kind and no larger than it must be: nothing is trained, but batch
normalization has statistics of the samples and its weights are those of no new layer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

SIZE = 24  # pixels


@dataclass(frozen=True)
class User:
    """A model.

    Attributes:
        build: makes it.
        shapes: of a sample, by input; uint8 images where there are three numbers, unless `plain`.
        options: of `tfeff export`, besides.
        refused: words of the sentence by which it is refused; None where it exports.
        plain: whether images are floats.
        slack_db: by how much an output may be farther from Keras than the stock converter's.
    """

    build: Callable[[], keras.Model]
    shapes: dict[str, tuple[int, ...]]
    options: tuple[str, ...] = ()
    refused: tuple[str, ...] | None = None
    plain: bool = False
    slack_db: float = 0.3

    @property
    def images(self) -> bool:
        return not self.plain and all(len(shape) == 3 for shape in self.shapes.values())

    def samples(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """(count, ...) by input, as a user has them."""
        random = np.random.default_rng(seed)
        return {name: self._samples(random, count, shape) for name, shape in self.shapes.items()}

    def _samples(self, random, count, shape):
        if not self.images:
            size = random.gamma(4, 0.25, (count,) + (1,) * len(shape))
            return np.clip(random.normal(size=(count, *shape)) * size, -3, 3).astype(np.float32)
        return _pictures(random, count, shape)

    def given(self, samples: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The samples as the model takes them: by the mean and deviation among the options."""
        known = dict(zip(self.options[::2], self.options[1::2], strict=False))
        mean, std = float(known.get("--mean", 0)), float(known.get("--std", 1))
        return [(each.astype(np.float32) - mean) / std if each.dtype == np.uint8 else each for each in samples.values()]


def _pictures(random, count, shape):
    """uint8: large spots, less of fine noise, each with a contrast of its own."""
    height, width, channels = shape
    coarse = random.normal(size=(count, -(-height // 6), -(-width // 6), channels))
    fine = random.normal(size=(count, *shape)) * 0.3
    values = coarse.repeat(6, 1).repeat(6, 2)[:, :height, :width] + fine
    contrast = random.uniform(15, 70, (count, 1, 1, 1))
    return np.clip(np.round(random.uniform(80, 170, (count, 1, 1, channels)) + contrast * values), 0, 255).astype(
        np.uint8
    )


def write(user: User, folder: Path) -> tuple[keras.Model, Path]:
    """The model, and its file."""
    keras.utils.set_random_seed(5)
    model = user.build()
    settle(model, user.given(user.samples(32, 7)))
    model.save(folder / "user.keras")
    return model, folder / "user.keras"


def settle(model: keras.Model, given: list[np.ndarray]) -> None:
    """Gives batch normalization the statistics that training leaves, and other scales and offsets than at the start."""
    found = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    kept = [(layer.momentum, layer.trainable) for layer in found]
    for layer in found:
        layer.momentum, layer.trainable = 0.0, True
    for _ in found[:6]:  # one behind the other
        model(given if len(given) > 1 else given[0], training=True)
    random = np.random.default_rng(3)
    for layer, (momentum, trainable) in zip(found, kept, strict=True):
        layer.momentum, layer.trainable = momentum, trainable
        for weight in layer.trainable_weights or layer.weights[:2]:
            if weight.name in ("gamma", "beta"):
                middle, spread = (1.0, 0.25) if weight.name == "gamma" else (0.0, 0.3)
                weight.assign(random.normal(middle, spread, weight.shape))


def _image(height=SIZE, width=SIZE, channels=3, name="photo"):
    return keras.Input((height, width, channels), name=name)


def _block(x, filters, strides=1, activation="relu", size=3):
    x = layers.BatchNormalization()(layers.Conv2D(filters, size, strides, "same", use_bias=False)(x))
    return layers.Activation(activation)(x) if activation else x


def _body(x, activation="relu"):
    return _block(_block(_block(x, 8, 2, activation), 12, 2, activation), 16, 1, activation)


def _mean(x):
    return layers.GlobalAveragePooling2D()(x)


def _classes(x, activation=None):
    return layers.Dense(5, activation=activation)(_mean(x))


def _of_image(head, *shape):
    def build():
        image = _image(*shape)
        return keras.Model(image, head(image))

    return build


def activated(activation):
    """Three convolutions with this behind each."""
    return _of_image(lambda x: _classes(_body(x, activation)))


def normalized(make):
    def head(x):
        for filters in (8, 12):
            x = layers.ReLU()(make()(layers.Conv2D(filters, 3, 2, "same")(x)))
        return _classes(x)

    return _of_image(head)


def with_prelu(**options):
    """Behind a convolution, once and again; and behind a fully connected layer."""

    def head(x):
        for filters in (8, 12, 12):
            x = layers.PReLU(**options)(layers.Conv2D(filters, 3, 2 if filters == 8 else 1, "same")(x))
        return _classes(x)

    return _of_image(head)


def augmented():
    image = _image()
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(image))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    inner = keras.Input((SIZE, SIZE, 3))
    backbone = keras.Model(inner, _body(inner), name="backbone")
    backbone.trainable = False
    x = layers.Dropout(0.2)(_mean(backbone(x, training=False)))
    return keras.Model(image, layers.Dense(4, activation="softmax")(x))


def sequential():
    return keras.Sequential([
        _image(name="photo"), layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(12, 3, activation="relu"), layers.Flatten(), layers.Dense(16, activation="relu"),
        layers.Dropout(0.5), layers.Dense(4),
    ])  # fmt: skip


def pair():
    one, other, image = _image(name="one"), _image(name="other"), _image()
    encode = keras.Model(image, layers.Dense(8)(_mean(_body(image))))
    return keras.Model([one, other], layers.Dense(1, activation="sigmoid")(ops.abs(encode(one) - encode(other))))


def u_shaped(x):
    a = _block(x, 8)
    b = layers.UpSampling2D(2, interpolation="bilinear")(_block(layers.MaxPooling2D()(a), 12))
    return layers.Conv2D(3, 1, activation="softmax")(_block(layers.Concatenate()([a, b]), 8))


def detector(x):
    first = _body(x)
    maps, boxes, scores = (first, _block(first, 16, 2)), [], []
    for each in maps:
        boxes.append(layers.Reshape((-1, 4))(layers.Conv2D(8, 3, padding="same")(each)))
        scores.append(layers.Reshape((-1, 3))(layers.Conv2D(6, 3, padding="same")(each)))
    return [layers.Concatenate(1, name="boxes")(boxes),
            layers.Activation("sigmoid", name="scores")(layers.Concatenate(1)(scores))]  # fmt: skip


def pyramid(x):
    c2 = _block(x, 8, 2)
    c3 = _block(c2, 12, 2)
    p3 = layers.Conv2D(8, 1, name="coarse")(c3)
    p2 = layers.Add()([layers.Conv2D(8, 1)(c2), layers.UpSampling2D(2)(p3)])
    return [layers.Conv2D(6, 3, padding="same", name="fine")(p2), p3]


def wave():
    given = keras.Input((96, 1), name="wave")
    x = layers.Conv1D(8, 9, 2, "same", activation="relu")(given)
    x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv1D(5, padding="same")(x)))
    x = layers.SeparableConv1D(8, 5, padding="same", activation="relu")(layers.MaxPooling1D(2)(x))
    return keras.Model(given, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def attending(x):
    x = layers.Reshape((9, 16))(layers.Conv2D(16, 8, 8)(x))
    x = x + layers.Embedding(9, 16)(ops.arange(9))
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
    y = layers.Dense(24, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
    x = layers.Add()([x, layers.Dense(16)(y)])
    return layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))


def identity():
    given = keras.Input((12,), name="columns")
    return keras.Model(given, layers.Identity()(layers.Activation("linear")(given)))


def mirrored(x):
    x = layers.Conv2D(8, 3, 2, activation="relu")(ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"))
    return _classes(x)


def mixed_operations(x):
    x = ops.minimum(ops.maximum(_body(x), 0.1), 3.0)
    x = ops.sqrt(ops.square(x) + 1e-3)
    return layers.Dense(4)(ops.concatenate([ops.sum(x, axis=(1, 2)) / 36.0, ops.max(x, axis=(1, 2))], -1))


def separable(x):
    x = layers.SeparableConv2D(12, 3, padding="same", depth_multiplier=2, activation="relu")(_block(x, 8, 2))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)(x)))
    return _classes(layers.Conv2D(12, 3, padding="same", dilation_rate=2, activation="relu")(x))


def pooled_all_ways(x):
    x = layers.MaxPooling2D(3, 2, "same")(_block(x, 8))
    x = layers.Cropping2D(((0, 1), (1, 0)))(layers.ZeroPadding2D(((1, 0), (0, 2)))(x))
    x = _block(layers.AveragePooling2D(3, 2, "same")(x), 12)
    return layers.Dense(4)(layers.Concatenate()([layers.GlobalMaxPooling2D()(x), _mean(x)]))


def grouped(x):
    x = layers.Conv2D(16, 3, padding="same", groups=4, activation="relu")(_block(x, 8, 2))
    return _classes(x)


def volume():
    given = keras.Input((6, 8, 8, 2), name="volume")
    x = layers.Conv3D(4, 3, activation="relu")(given)
    return keras.Model(given, layers.Dense(3)(layers.GlobalAveragePooling3D()(x)))


def with_rates(x):
    x = layers.Conv2D(8, 3, 2, kernel_regularizer="l2", kernel_constraint="max_norm")(layers.GaussianNoise(0.1)(x))
    x = layers.BatchNormalization(scale=False, center=False)(layers.SpatialDropout2D(0.2)(x))
    x = layers.LeakyReLU(negative_slope=0.3)(layers.ReLU(max_value=4.0, negative_slope=0.1, threshold=0.2)(x))
    return _classes(x)


def norm_first(x):
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, 2, activation="relu")(layers.BatchNormalization()(x)))
    x = layers.BatchNormalization()(layers.Dense(16)(layers.Flatten()(x)))
    return layers.Dense(4)(layers.ReLU()(x))


def spatially_gated(x):
    x = _body(x)
    both = ops.concatenate([ops.mean(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)], -1)
    return _classes(x * layers.Conv2D(1, 7, padding="same", activation="sigmoid")(both))


def squeezed(x):
    x = _block(x, 8, 2, "hard_swish")
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return _classes(_block(layers.Multiply()([x, gate]), 12, 2, "hard_swish"))


def framed():
    given = keras.Input((3, 12, 12, 3), name="frames")
    x = layers.TimeDistributed(layers.Conv2D(6, 3, 2, activation="relu"))(given)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    return keras.Model(given, layers.Dense(4)(layers.Bidirectional(layers.LSTM(4))(x)))


def embedded(x):
    return layers.UnitNormalization()(layers.Dense(12)(_mean(_body(x))))


PHOTO, UNIT = {"photo": (SIZE, SIZE, 3)}, ("--mean", "127.5", "--std", "127.5")
RAW = ("--mean", "0", "--std", "1")


def _images(head, *shape, **known):
    shapes = {"photo": (shape + (SIZE, SIZE, 3)[len(shape) :])} if shape else PHOTO
    build = head if head.__code__.co_argcount == 0 else _of_image(head, *shape)
    return User(build, shapes, known.pop("options", UNIT), **known)


ACTIVATIONS = ("hard_swish", "hard_sigmoid", "elu", "softplus")
PRELUS = {
    "channels": keras.initializers.RandomUniform(0.05, 0.4, seed=1),
    "both_signs": keras.initializers.RandomNormal(0, 0.2, seed=1),
}
USERS = {
    **{f"activation_{name}": _images(activated(name)) for name in ACTIVATIONS},
    "activation_exponential": _images(activated("exponential"), refused=("activation_", "NaN or infinity")),
    "norm_layer": _images(normalized(layers.LayerNormalization)),
    # A map is rounded four times where the stock converter, which leaves NEG in float, rounds twice.
    "norm_layer_of_image": _images(normalized(lambda: layers.LayerNormalization(axis=[1, 2, 3])), slack_db=3.2),
    **{f"prelu_{name}": _images(with_prelu(shared_axes=[1, 2], alpha_initializer=slopes))
       for name, slopes in PRELUS.items()},
    "augmented": _images(augmented, options=RAW),
    "sequential": _images(sequential, options=RAW),
    "not_square": _images(lambda x: _classes(_body(x), "softmax"), 16, 32, 1),
    # Below the stock converter's: of samples held out, many are cut by the others' ranges; a correction of biases that
    # gains on these loses on the next.
    "pair": User(pair, {"one": PHOTO["photo"], "other": PHOTO["photo"]}, plain=True, slack_db=1.5),
    "u_shaped": _images(u_shaped),
    "detector": _images(detector),
    "pyramid": _images(pyramid),
    "wave": User(wave, {"wave": (96, 1)}),
    "attending": _images(attending),
    "identity": User(identity, {"columns": (12,)}),
    "mirrored": _images(mirrored),
    "mixed_operations": _images(mixed_operations),
    "separable": _images(separable),
    "pooled_all_ways": _images(pooled_all_ways),
    "grouped": _images(grouped),
    "volume": User(volume, {"volume": (6, 8, 8, 2)}, refused=("CONV_3D",)),
    "with_rates": _images(with_rates),
    "norm_first": _images(norm_first),
    "spatially_gated": _images(spatially_gated),
    "squeezed": _images(squeezed),
    "framed": User(framed, {"frames": (3, 12, 12, 3)}),
    "embedded": _images(embedded, slack_db=0.6),  # below it: the length of a vector is rounded more often
}  # fmt: skip
