"""Layers that float files need: resizing by TensorFlow Lite's three rules, blocks of pixels, constants."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.layers import Constant, DepthToSpace, Resize2D, SpaceToDepth

X = np.random.default_rng(0).standard_normal((2, 4, 5, 3)).astype("float32")


def lie(length, to, corners, half):
    """Where the pixels of the new size lie in the old one."""
    at = np.arange(to, dtype=float)
    if half:
        return (at + 0.5) * length / to - 0.5
    return at * (length - 1) / (to - 1) if corners else at * length / to


@pytest.mark.parametrize(("corners", "half"), [(False, True), (True, False), (False, False)])
def test_bilinear_by_hand(corners, half):
    layer = Resize2D((7, 8), align_corners=corners, half_pixel_centers=half)
    made = X.astype(float)
    for axis, to in ((1, 7), (2, 8)):
        length = X.shape[axis]
        place = np.clip(lie(length, to, corners, half), 0, length - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if each == axis else 1 for each in range(4)])
        above = np.minimum(low + 1, length - 1)
        made = made.take(low, axis) * (1 - share) + made.take(above, axis) * share
    np.testing.assert_allclose(layer(X), made, atol=1e-5)


def test_as_keras_upsamples():
    for how in ("bilinear", "nearest"):
        np.testing.assert_allclose(Resize2D((8, 10), how)(X), layers.UpSampling2D(2, interpolation=how)(X), atol=1e-6)


def test_what_no_resizing_is():
    with pytest.raises(ValueError, match="exclude each other"):
        Resize2D((2, 2), align_corners=True)
    with pytest.raises(ValueError, match="bilinear or nearest"):
        Resize2D((2, 2), "cubic")


def test_blocks_there_and_back():
    deep = SpaceToDepth(2)(X[:, :, :4])
    assert deep.shape == (2, 2, 2, 12)
    np.testing.assert_array_equal(deep[0, 0, 0], X[0, :2, :2].reshape(-1))
    np.testing.assert_array_equal(DepthToSpace(2)(deep), X[:, :, :4])


def test_all_are_saved_with_a_model(tmp_path):
    image = keras.Input((4, 4, 4))
    token = Constant((8, 8, 1), name="token")
    x = layers.Concatenate()([Resize2D((8, 8), "nearest")(image), token(image), DepthToSpace(2)(image)])
    token.set_weights([X[0, :1, :1, :1] + np.zeros((8, 8, 1), "float32")])
    model = keras.Model(image, SpaceToDepth(4)(x))
    model.save(tmp_path / "m.keras")
    given = np.random.default_rng(1).standard_normal((3, 4, 4, 4)).astype("float32")
    assert model.output_shape == (None, 2, 2, 96)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(given), model(given))
    assert token.trainable_weights == []
