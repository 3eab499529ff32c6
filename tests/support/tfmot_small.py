"""A small trained network for the tests of `tfeff prune` and `tfeff cluster`, and a look into their files."""

from importlib.util import find_spec

import keras
import numpy as np
import pytest
from keras import layers

# By looking for it only: importing tfmot tells this process, and all that it starts, to use the other Keras.
needs_tfmot = pytest.mark.skipif(
    find_spec("tensorflow_model_optimization") is None, reason="tfmot is not installed (pip install 'tfeff[tfmot]')"
)
PIXELS = ("--mean", "128", "--std", "128")


def images_and_labels(count, seed):
    """Three classes that a small network tells apart: the quarter of the image that is brighter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 12, 12, 3))
    for image, label in zip(images, labels, strict=True):
        y, x = divmod(int(label), 2)
        image[6 * y : 6 * y + 6, 6 * x : 6 * x + 6] += 100
    return images.astype(np.uint8), labels


def write_network_and_dataset(folder):
    """`small.keras`, trained, with a group convolution of ours, and `small.npz`."""
    from tfeff.layers import BatchNorm, GroupConv2D

    images, labels = images_and_labels(240, 0)
    tests, truth = images_and_labels(60, 1)
    np.savez(folder / "small.npz", x_train=images, y_train=labels, x_test=tests, y_test=truth)
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.ReLU()(BatchNorm(name="stem_bn")(layers.Conv2D(16, 3, strides=2, use_bias=False, name="stem")(image)))
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    x = layers.ReLU()(BatchNorm(name="group_bn")(GroupConv2D(24, 3, 8, padding="same", name="group")(x)))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(32, 1, activation="relu", name="wide")(x))
    model = keras.Model(image, layers.Dense(3, name="logits")(x), name="small")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit((images.astype(np.float32) - 128) / 128, labels, batch_size=24, epochs=6, verbose=0)
    model.save(folder / "small.keras")


def int8_kernels(path):
    """{layer: int8 (filters, ...)} of a file, as LiteRT reads it: by the shapes, which are all different here."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    shapes = {"stem": (16, 3, 3, 3), "group": (24, 3, 3, 8), "wide": (32, 1, 1, 24), "logits": (3, 32),
              "dw": (1, 3, 3, 16)}  # fmt: skip
    found = {}
    for detail in interpreter.get_tensor_details():
        for layer, shape in shapes.items():
            if tuple(detail["shape"]) == shape and detail["dtype"] is np.int8:
                found[layer] = interpreter.get_tensor(detail["index"])
    return found
