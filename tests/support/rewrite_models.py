"""Small models for the tests of rewrites."""

import keras
import numpy as np

from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites


def stack(*layers, shape=(9, 8, 6), name="net"):
    """A model of layers or functions one after the other, trained as `randomize` does."""
    image = keras.Input(shape)
    return randomize(keras.Model(image, chain(image, layers), name=name))


def chain(x, layers):
    """The output of layers or functions one after the other. A layer that was made when its test file was read may bear
    a name that Keras gave again since (`clear_session`): of two with one name, the second is copied."""
    seen = set()
    for layer in layers:
        if getattr(layer, "name", None) in seen:
            layer = type(layer).from_config({**layer.get_config(), "name": None})
        seen.add(getattr(layer, "name", layer))
        x = layer(x)
    return x


def randomize(model, seed=0):
    """Weights, BN statistics and slopes as a trained network has them: none at its neutral start value."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif kind == "alpha":
            variable.assign(np.broadcast_to(rng.uniform(-0.3, 0.8, variable.shape[-1:]), variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(0.3 * rng.standard_normal(variable.shape))
        else:  # kernels; those of depthwise convolutions read no other channel
            reads = variable.shape[:2] if "depthwise" in variable.path else variable.shape[:-1]
            variable.assign(rng.standard_normal(variable.shape) / np.sqrt(np.prod(reads)))
    return model


def images(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def rewritten(model, spec):
    """The model after one rewrite, which proves itself on random images, and the number of places (0: the same)."""
    x = images(4, *(size or 9 for size in model.input.shape[1:]))
    before = [np.asarray(weight) for weight in model.get_weights()]
    new, applied = apply_rewrites(model, [load_rewrite(spec)], {"image": x})
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)  # the model given is not touched
    if not applied:
        assert new is model
        return new, 0
    expected = np.asarray(keras.tree.flatten(model(x, training=False))[0])
    largest = np.abs(expected).max()
    assert largest > 0.01
    got = np.asarray(keras.tree.flatten(new(x, training=False))[0])
    np.testing.assert_allclose(got, expected, atol=2e-6 * max(largest, 1) * 4)
    return new, applied[0].places


def kinds(model):
    """Class names of the model's operations but its input."""
    return [type(operation).__name__ for operation in model.operations if type(operation).__name__ != "InputLayer"]
