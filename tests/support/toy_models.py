"""Small models of every shape that `tfeff export` is to take, with samples for them: nothing is trained, so the labels
are what the models themselves say (and the accuracy of both files says how often int8 says the same)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

COUNT = 48  # samples


@dataclass(frozen=True)
class Toy:
    """A model, and what is known of it.

    Attributes:
        build: a Keras model, not compiled, or compiled for the loss that says what it is.
        shapes: of one sample, by input; integers below `vocabulary` where it has one.
        tasks: what its outputs are to be taken for, (task, kind or None).
        outputs: their names in the file.
        options: of `tfeff export`.
        vocabulary: how many words.
        sqnr_db: what each output of the int8 file must reach against Keras.
        left: the operation that has no int8 kernel, where there is one.
        coarse: beginning of the names of layers that are simulated as one unit, roundings within left out.
    """

    build: Callable[[], keras.Model]
    shapes: dict[str, tuple[int, ...]]
    tasks: tuple[tuple[str, str | None], ...]
    outputs: tuple[str, ...]
    options: tuple[str, ...] = ()
    vocabulary: int | None = None
    sqnr_db: float = 18.0
    left: str | None = None
    coarse: str | None = None

    @property
    def images(self) -> bool:
        return "--mean" in self.options

    def samples(self, seed: int = 0) -> dict[str, np.ndarray]:
        """(COUNT, ...) by input: uint8 images where it takes images, else floats or words."""
        random = np.random.default_rng(seed)
        made = {}
        for name, shape in self.shapes.items():
            if self.vocabulary is not None:
                made[name] = random.integers(0, self.vocabulary, (COUNT, *shape), np.int32)
            elif self.images and len(shape) == 3:
                made[name] = random.integers(0, 256, (COUNT, *shape), np.uint8)
            else:
                made[name] = random.normal(size=(COUNT, *shape)).astype(np.float32)
        return made

    def given(self, samples: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The samples as the model takes them."""
        return [(values.astype(np.float32) - 128) / 128 if values.dtype == np.uint8 else values
                for values in samples.values()]  # fmt: skip


def labels_of(task: tuple[str, str | None], outputs: np.ndarray) -> np.ndarray | None:
    """What the model's own outputs say, as a dataset has it."""
    name, kind = task
    if name == "tensors":
        return None
    if name == "regression":
        return outputs
    if kind == "classes":
        return outputs.argmax(-1)
    chosen = (outputs > 0.5).astype(np.int64)
    return chosen[:, 0] if kind == "binary" else chosen


def write(toy: Toy, folder: Path) -> tuple[Path, Path, Path]:
    """A `.keras` file, an `.npz` of inputs to calibrate with, and one with labels to compare on."""
    keras.utils.set_random_seed(7)
    model = toy.build()
    path = folder / "toy.keras"
    model.save(path)
    np.savez(folder / "calibration.npz", **toy.samples(1))
    samples = toy.samples(2)
    outputs = keras.tree.flatten(
        model.predict(toy.given(samples) if len(samples) > 1 else toy.given(samples)[0], verbose=0)
    )
    labels = labels_of(toy.tasks[0], outputs[0])
    known = {} if labels is None else {"labels": labels}
    if toy.tasks[0] == CLASSES:
        known["classes"] = np.array([f"class {number}" for number in range(outputs[0].shape[1])])
    np.savez(folder / "labelled.npz", **samples, **known)
    return path, folder / "calibration.npz", folder / "labelled.npz"


def _image(channels=3, size=16, name="photo"):
    return keras.Input((size, size, channels), name=name)


def _convolved(x, filters=8):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def two_outputs():
    image = _image()
    x = _convolved(image)
    kind = layers.Dense(4, activation="softmax", name="kind")(_pooled(x))
    return keras.Model(image, {"kind": kind, "map": layers.Conv2D(2, 1, name="map")(x)})


def two_inputs():
    left, right = keras.Input((12,), name="left"), keras.Input((5,), name="right")
    x = layers.Concatenate()([layers.Dense(8, activation="relu")(left), layers.Dense(8, activation="relu")(right)])
    return keras.Model([left, right], layers.Dense(3, name="sum")(x))


def siamese():
    one, other = keras.Input((10,), name="one"), keras.Input((10,), name="other")
    shared = keras.Sequential([keras.Input((10,)), layers.Dense(16, activation="relu"), layers.Dense(6)])
    difference = layers.Subtract()([shared(one), shared(other)])
    return keras.Model([one, other], layers.Dense(4, name="apart")(ops.abs(difference)))


def image_and_vector():
    image, vector = _image(), keras.Input((6,), name="pose")
    x = layers.Concatenate()([_pooled(_convolved(image)), layers.Dense(8, activation="relu")(vector)])
    return keras.Model([image, vector], layers.Dense(5, activation="softmax")(x))


def audio():
    wave = keras.Input((128, 1), name="wave")
    x = layers.Conv1D(8, 9, strides=4, activation="relu")(wave)
    x = layers.Conv1D(8, 5, strides=2, activation="relu")(x)
    return keras.Model(wave, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def gru():
    steps = keras.Input((6, 4), name="steps")
    return keras.Model(steps, layers.Dense(3, name="state")(layers.GRU(5, unroll=True)(steps)))


def gru_loop():
    steps = keras.Input((6, 4), name="steps")
    return keras.Model(steps, layers.Dense(3, name="state")(layers.GRU(5)(steps)))


def embedding():
    words = keras.Input((7,), dtype="int32", name="words")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(30, 8)(words))
    return keras.Model(words, layers.Dense(4, activation="softmax")(layers.Dense(8, activation="relu")(x)))


def unet():
    image = _image()
    a = _convolved(image)
    b = _convolved(layers.MaxPooling2D()(a), 12)
    up = layers.Conv2DTranspose(8, 2, strides=2)(b)
    x = _convolved(layers.Concatenate()([a, up]))
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x))


def autoencoder():
    vector = keras.Input((24,), name="vector")
    x = layers.Dense(8, activation="relu")(vector)
    model = keras.Model(vector, layers.Dense(24, name="again")(x))
    model.compile(loss="mse")
    return model


def four_channels():
    image = _image(4, name="rgbd")
    return keras.Model(image, layers.Dense(3, activation="softmax")(_pooled(_convolved(image))))


def convolution_3d():
    volume = keras.Input((6, 8, 8, 2), name="volume")
    x = layers.Conv3D(4, 3, activation="relu")(volume)
    return keras.Model(volume, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling3D()(x)))


def _head(units, activation, name="out"):
    image = _image()
    return keras.Model(image, layers.Dense(units, activation=activation, name=name)(_pooled(_convolved(image))))


def regression():
    model = _head(2, None, "size")
    model.compile(loss="mae")
    return model


PHOTO = {"photo": (16, 16, 3)}
IMAGE = ("--mean", "128", "--std", "128")
CLASSES, BINARY, MANY = (("classification", kind) for kind in ("classes", "binary", "multi-label"))
TENSORS, REGRESSION = ("tensors", None), ("regression", None)
TOYS = {
    "two_outputs": Toy(two_outputs, PHOTO, (CLASSES, TENSORS), ("kind", "map"), IMAGE),
    "two_inputs": Toy(two_inputs, {"left": (12,), "right": (5,)}, (TENSORS,), ("sum",)),
    "siamese": Toy(siamese, {"one": (10,), "other": (10,)}, (TENSORS,), ("apart",)),
    "image_and_vector": Toy(image_and_vector, {**PHOTO, "pose": (6,)}, (CLASSES,), ("logits",), IMAGE),
    "audio": Toy(audio, {"wave": (128, 1)}, (CLASSES,), ("logits",)),
    "gru": Toy(gru, {"steps": (6, 4)}, (TENSORS,), ("state",), coarse="gru"),
    "embedding": Toy(embedding, {"words": (7,)}, (CLASSES,), ("logits",), vocabulary=30),
    "unet": Toy(unet, PHOTO, (TENSORS,), ("mask",), IMAGE),
    "autoencoder": Toy(autoencoder, {"vector": (24,)}, (REGRESSION,), ("again",)),
    "four_channels": Toy(four_channels, {"rgbd": (16, 16, 4)}, (CLASSES,), ("logits",)),
    "convolution_3d": Toy(convolution_3d, {"volume": (6, 8, 8, 2)}, (CLASSES,), ("logits",), left="CONV_3D"),
    "one_sigmoid": Toy(lambda: _head(1, "sigmoid"), PHOTO, (BINARY,), ("logits",), IMAGE),
    "multi_label": Toy(lambda: _head(5, "sigmoid"), PHOTO, (MANY,), ("logits",), IMAGE),
    "regression": Toy(regression, PHOTO, (REGRESSION,), ("size",), IMAGE),
}
